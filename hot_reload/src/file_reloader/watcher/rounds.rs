//! Looks at many things in turn, where one that hangs holds up no other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{sleep, timeout},
};
use tracing::warn;

use super::ASK_AGAIN;
use crate::panic::caught;

/// A round that gets on to no other look within this has hung: a thread more takes up the rest.
const HUNG: Duration = Duration::from_secs(1);
/// No more threads than this are left to hang; further looks wait for one of them.
const MOST_HUNG: usize = 16;

/// Rounds of looks, one round after another.
#[derive(Debug)]
pub(super) struct Rounds {
    hung: Vec<JoinHandle<()>>,
    most_hung: usize,
}

impl Default for Rounds {
    fn default() -> Self {
        Self { hung: Vec::new(), most_hung: MOST_HUNG }
    }
}

impl Rounds {
    /// Looks at each of a `number` of things where blocking is allowed, once there is a thread for it;
    /// returns when all is done but what hangs.
    pub(super) async fn look<F>(&mut self, number: usize, look: F)
    where
        F: Fn(usize) + Send + Sync + 'static,
    {
        let round = Arc::new(Round { number, look, begun: AtomicUsize::new(0) });
        let mut is_said = false;
        loop {
            let ours = Arc::clone(&round);
            // Of a thread that is not to be had tokio tells by a panic alone, which would end whoever keeps
            // the schedule.
            let mut thread = match caught(|| spawn_blocking(move || ours.look())) {
                Ok(thread) => thread,
                Err(error) => {
                    if !is_said {
                        warn!(target: "hot_reload::no_looks", %error, "files can't be looked at: changes that no event tells of are not noticed until they can");
                        is_said = true;
                    }
                    sleep(ASK_AGAIN).await;
                    continue;
                }
            };
            loop {
                let begun = round.begun();
                // A thread fails only when the runtime shuts down, and this task with it.
                if timeout(HUNG, &mut thread).await.is_ok() {
                    return;
                }
                self.hung.retain(|thread| !thread.is_finished());
                if round.begun() == begun && self.hung.len() < self.most_hung {
                    break;
                }
            }
            self.hung.push(thread);
        }
    }
}

struct Round<F> {
    number: usize,
    look: F,
    begun: AtomicUsize,
}

impl<F> Round<F> {
    /// Looks at whatever no other thread has begun with.
    fn look(&self)
    where
        F: Fn(usize),
    {
        loop {
            // Relaxed: a number that nothing else depends on.
            let next = self.begun.fetch_add(1, Ordering::Relaxed);
            if next >= self.number {
                return;
            }
            (self.look)(next);
        }
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    };

    use super::*;
    use crate::lock::lock;

    /// Hangs until its other end is dropped, if it has one, and then says its number.
    struct Thing {
        number: usize,
        hang: Option<Mutex<Receiver<()>>>,
        said: Mutex<Sender<usize>>,
    }

    impl Thing {
        fn look(&self) {
            if let Some(hang) = &self.hang {
                let _ended = lock(hang).recv();
            }
            self.said.lock().unwrap().send(self.number).unwrap();
        }
    }

    async fn look_at(rounds: &mut Rounds, things: Vec<Thing>) {
        rounds.look(things.len(), move |n| things[n].look()).await;
    }

    /// One more than may hang does; once the others are over, the rest is looked at.
    #[tokio::test]
    async fn threads_that_hang_no_more_are_made_use_of() {
        let (said, heard) = channel();
        let thing = |number, hang: Option<Receiver<()>>| Thing {
            number,
            hang: hang.map(Mutex::new),
            said: Mutex::new(said.clone()),
        };
        let (let_go, hangs): (Vec<_>, Vec<_>) = (0..2).map(|_| channel()).unzip();
        let hanging = hangs.into_iter().enumerate();
        let hanging = hanging.map(|(number, hang)| thing(number, Some(hang))).collect();
        let (let_last_go, last) = channel();
        let rest = vec![thing(100, Some(last)), thing(101, None)];
        let mut rounds = Rounds { most_hung: 2, ..Rounds::default() };
        look_at(&mut rounds, hanging).await;
        assert_eq!(heard.try_iter().count(), 0);
        let rest = tokio::spawn(async move { look_at(&mut rounds, rest).await });
        tokio::time::sleep(HUNG * 3 / 2).await;
        assert_eq!(heard.try_iter().count(), 0);
        drop(let_go);
        rest.await.unwrap();
        assert!(heard.try_iter().any(|number| number == 101));
        drop(let_last_go);
    }

    #[tokio::test]
    async fn what_hangs_holds_up_no_other() {
        let (said, heard) = channel();
        let (let_go, hang) = channel::<()>();
        let mut hang = Some(hang);
        let things = (0..4).map(|number| Thing {
            number,
            hang: if number == 1 { hang.take().map(Mutex::new) } else { None },
            said: Mutex::new(said.clone()),
        });
        let mut rounds = Rounds::default();
        look_at(&mut rounds, things.collect()).await;
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [0, 2, 3]);
        drop(let_go);
        assert_eq!(heard.recv_timeout(Duration::from_secs(10)), Ok(1));
        let last = Thing { number: 4, hang: None, said: Mutex::new(said) };
        look_at(&mut rounds, vec![last]).await;
        assert_eq!(heard.try_recv(), Ok(4));
    }
}
