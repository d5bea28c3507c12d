//! What a user's `Drop` does in what a publication lets go of.

use std::sync::Mutex;

use tokio::runtime::Builder;

use super::*;

/// What a projection holds may be a user's, whose `Drop` panics.
struct Fragile;

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("it breaks");
    }
}

/// Of two that panicked in one go, the process once died.
#[tokio::test]
async fn projections_that_panic_when_they_are_dropped_harm_nobody() {
    for goes_on in [true, false] {
        let mut lab = Lab::new().await;
        let fragile = || {
            let held = Fragile;
            lab.rx.project(move |config| {
                let _held = &held;
                &config.name
            })
        };
        let unwanted = [fragile(), fragile()];
        let mut body = lab.rx.project(|config| &config.limits.body);
        within(body.changed()).await.unwrap();
        if goes_on {
            drop(unwanted);
            lab.publish(config("two", 2, 2)).await;
            assert_eq!(body.get(), Some(2));
        } else {
            lab.task.abort();
            assert!(within(body.changed()).await.is_err());
            let ended = lab.rx.status();
            assert_eq!(ended.health, Health::Ended);
        }
    }
}

/// Runs a test that may wait for itself, which no runtime outlives.
pub(crate) fn ends<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(test());
        done.send(()).unwrap();
    });
    assert_eq!(is_done.recv_timeout(PATIENCE), Ok(()));
}

/// Takes a part of a value when it is dropped, as a guard may that leaves something in order.
struct Orderly(ReloaderReceiver<Config>);

impl Drop for Orderly {
    fn drop(&mut self) {
        drop(self.0.project(|config| &config.name));
    }
}

/// It was dropped while others were locked out, and waited for itself.
#[test]
fn a_projection_nobody_has_may_project_the_same_value_when_it_is_dropped() {
    ends(|| async {
        let mut lab = Lab::new().await;
        let held = Orderly(lab.rx.clone());
        drop(lab.rx.project(move |config| {
            let _held = &held;
            &config.name
        }));
        lab.publish(config("two", 2, 2)).await;
        assert_eq!(lab.rx.get(), Some(config("two", 2, 2)));
    });
}

#[test]
fn a_projection_of_a_part_may_project_the_whole_when_it_is_dropped() {
    ends(|| async {
        let mut lab = Lab::new().await;
        let limits = lab.rx.project(|config| &config.limits);
        let held = Orderly(lab.rx.clone());
        drop(limits.project(move |limits| {
            let _held = &held;
            &limits.body
        }));
        lab.publish(config("two", 2, 2)).await;
        assert_eq!(limits.get().map(|limits| limits.body), Some(2));
    });
}

/// A number that projects what it is a part of when it is dropped, once.
#[derive(Clone)]
struct Tied {
    number: u32,
    to: Arc<Mutex<Option<ReloaderReceiver<Tied>>>>,
}

impl PartialEq for Tied {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Tied {}

impl Drop for Tied {
    fn drop(&mut self) {
        let whole = self.to.lock().unwrap().take();
        drop(whole.map(|whole| whole.project(|tied| &tied.number)));
    }
}

#[test]
fn a_part_that_is_replaced_may_project_the_whole_when_it_is_dropped() {
    ends(|| async {
        let tied = |number| Tied { number, to: Arc::default() };
        let (first, source) = (tied(1), Store::of(Held::Nothing));
        let to = Arc::clone(&first.to);
        source.holds(Held::Value(first));
        let (service, mut rx) =
            ReloaderService::from_reloader(source.clone(), ReloaderConfig::realtime());
        tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
        within(rx.changed()).await.unwrap();
        let part = rx.project(|tied| tied);
        *to.lock().unwrap() = Some(rx.clone());
        within(source.push(WatchEvent::Changed(tied(2)))).await;
        within(rx.changed()).await.unwrap();
        assert_eq!(part.borrow().as_ref().map(|tied| tied.number), Some(2));
        // Another thread may have replaced it, and be about to drop the first.
        let is_dropped = async {
            while to.lock().unwrap().is_some() {
                tokio::task::yield_now().await;
            }
        };
        within(is_dropped).await;
    });
}
