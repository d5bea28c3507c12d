//! What a waker may do.

use std::task::Poll;

use super::{drops::ends, *};

/// Panics as it is woken.
struct PanicAtWake;

impl Wake for PanicAtWake {
    fn wake(self: Arc<Self>) {
        panic!("what is awaited by it is too much for it");
    }
}

fn is_pending<F: Future>(future: std::pin::Pin<&mut F>, waker: &Waker) -> bool {
    matches!(future.poll(&mut Context::from_waker(waker)), Poll::Pending)
}

/// Where it waited for a part nobody was woken after it, where it waited for the whole the service ended, and
/// where it waited for the status the next value had the number of this one.
#[tokio::test]
async fn who_panics_as_it_is_woken_holds_up_nobody_else() {
    let lab = Lab::new().await;
    let mut one = lab.rx.project(|config| &config.name);
    let mut body = lab.rx.project(|config| &config.limits.body);
    let mut whole = lab.rx.clone();
    let mut status = lab.rx.watch_status();
    within(one.changed()).await.unwrap();
    within(body.changed()).await.unwrap();
    let waker = Waker::from(Arc::new(PanicAtWake));
    let mut one = pin!(one.changed());
    let mut whole = pin!(whole.changed());
    let mut status = pin!(status.changed());
    assert!(is_pending(one.as_mut(), &waker) && is_pending(whole.as_mut(), &waker));
    assert!(is_pending(status.as_mut(), &waker));
    for n in 2..4 {
        within(lab.source.push(WatchEvent::Changed(config("next", n, n)))).await;
        within(body.changed()).await.unwrap();
        let now = (body.get(), lab.rx.get(), lab.rx.borrow().generation());
        assert_eq!(now, (Some(n), Some(config("next", n, n)), n));
        assert_eq!(lab.rx.status().generation, n);
    }
}

/// Projects the whole as it is woken.
struct ProjectAtWake(ReloaderReceiver<Config>, Mutex<Option<u64>>);

impl Wake for ProjectAtWake {
    fn wake(self: Arc<Self>) {
        let Self(whole, seen) = &*self;
        *seen.lock().unwrap() = whole.project(|config| &config.limits.rate).get();
    }
}

/// It was woken while others were locked out, and waited for itself.
#[test]
fn who_is_woken_by_a_part_may_project_the_same_value() {
    ends(|| async {
        let mut lab = Lab::new().await;
        let at_wake = Arc::new(ProjectAtWake(lab.rx.clone(), Mutex::default()));
        let waker = Waker::from(Arc::clone(&at_wake));
        let mut body = lab.rx.project(|config| &config.limits.body);
        within(body.changed()).await.unwrap();
        let mut body = pin!(body.changed());
        assert!(is_pending(body.as_mut(), &waker));
        lab.publish(config("next", 2, 3)).await;
        assert_eq!(*at_wake.1.lock().unwrap(), Some(3));
    });
}

/// Whoever it woke first lets go of the value before, which takes long to free.
#[test]
fn who_waits_for_the_whole_is_woken_before_what_a_part_let_go_of_is_freed() {
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Large(u64, Slow);

    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Slow;

    impl Drop for Slow {
        fn drop(&mut self) {
            FREED.fetch_add(1, Ordering::SeqCst);
        }
    }

    static FREED: AtomicU32 = AtomicU32::new(0);

    /// Lets go of a value.
    struct Holder(Mutex<Option<hot_reload::Snapshot<Large>>>);

    impl Wake for Holder {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
        }
    }

    /// Takes note of what was freed by then.
    struct Waiter(Mutex<Option<u32>>);

    impl Wake for Waiter {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() = Some(FREED.load(Ordering::SeqCst));
        }
    }

    ends(|| async {
        let source = Store::of(Held::Value(Large(1, Slow)));
        let (service, mut rx) =
            ReloaderService::from_reloader(source.clone(), ReloaderConfig::realtime());
        let _task = tokio::spawn(async move { service.start_with_realtime().await });
        within(rx.changed()).await.unwrap();
        let mut part = rx.project(|large| &large.0);
        within(part.changed()).await.unwrap();
        let holder = Holder(Mutex::new(rx.snapshot()));
        let waiter = Arc::new(Waiter(Mutex::default()));
        let mut part = pin!(part.changed());
        let mut whole = rx.clone();
        let mut whole = pin!(whole.changed());
        assert!(is_pending(part.as_mut(), &Waker::from(Arc::new(holder))));
        assert!(is_pending(whole.as_mut(), &Waker::from(Arc::clone(&waiter))));
        let before = FREED.load(Ordering::SeqCst);
        within(source.push(WatchEvent::Changed(Large(2, Slow)))).await;
        within(rx.changed()).await.unwrap();
        assert_eq!(*waiter.0.lock().unwrap(), Some(before));
    });
}
