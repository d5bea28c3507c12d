//! A fleet that logs in at once.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, routing::post};
use hot_reload::testing::Proxy;
use hot_reload_sources::{Access, Secret, Store, etcd::Etcd};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    common::{
        PATIENCE,
        follow::{comes, fails, followed, text},
        within,
    },
    grpc::{answer, field, holds, message},
};

/// Far more than are let in within the read deadline.
const FLEET: u64 = 200;
/// A login takes three slices of time, as bcrypt does of Go's scheduler (10 ms each).
const SLICE: Duration = Duration::from_millis(10);
const SLICES: u32 = 3;
/// Those who are logged in ask for its state as often, and leave a member that takes longer to answer.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// One core, which serves everybody by turns.
struct Core {
    turns: Semaphore,
    logins: AtomicU64,
    /// In milliseconds.
    slowest: AtomicU64,
}

impl Core {
    /// Computes a login to its end, whether or not somebody waits for that.
    async fn log_in(self: Arc<Self>) {
        self.logins.fetch_add(1, Relaxed);
        let computing = tokio::spawn(async move {
            for _ in 0..SLICES {
                let _turn = self.turns.acquire().await.unwrap();
                sleep(SLICE).await;
            }
        });
        computing.await.unwrap();
    }

    async fn answers(&self) {
        let asked = Instant::now();
        drop(self.turns.acquire().await.unwrap());
        let took = u64::try_from(asked.elapsed().as_millis()).unwrap();
        self.slowest.fetch_max(took, Relaxed);
    }

    fn router(self: &Arc<Self>) -> Router {
        let core = || Arc::clone(self);
        let at_once = |told| answer(told, Duration::ZERO, "0");
        let (login, range, status) = (core(), core(), core());
        let login = async move || {
            Arc::clone(&login).log_in().await;
            at_once(message(&field(2, b"token")))
        };
        let range = async move || {
            range.answers().await;
            at_once(holds("one"))
        };
        let status = async move || {
            status.answers().await;
            at_once(message(&[]))
        };
        let watch = async || answer(message(&[3 << 3, 1]), 4 * PATIENCE, "0");
        Router::new()
            .route("/etcdserverpb.Auth/Authenticate", post(login))
            .route("/etcdserverpb.KV/Range", post(range))
            .route("/etcdserverpb.Watch/Watch", post(watch))
            .route("/etcdserverpb.Maintenance/Status", post(status))
    }
}

fn app_at(address: SocketAddr) -> Etcd {
    let access = Access::new().user("app").password(Secret::text("app"));
    Etcd::from_url(&format!("etcd://{address}"), access).unwrap()
}

#[tokio::test]
async fn a_fleet_that_comes_back_at_once_is_let_in() {
    let core = Arc::new(Core {
        turns: Semaphore::new(1),
        logins: AtomicU64::new(0),
        slowest: AtomicU64::new(0),
    });
    // Nobody listens yet.
    let address = hot_reload::testing::address();
    let mut fleet: Vec<_> = (0..FLEET).map(|_| followed(app_at(address).key("s").text())).collect();
    sleep(Duration::from_secs(2)).await;
    let listener = TcpListener::bind(address).await.unwrap();
    let mut serving = JoinSet::new();
    let router = core.router();
    serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
    for receiver in &mut fleet {
        comes(receiver, text("one")).await;
    }
    // No login was for nothing, and whoever is in was answered in time.
    assert_eq!(core.logins.load(Relaxed), FLEET);
    let slowest = Duration::from_millis(core.slowest.load(Relaxed));
    assert!(slowest < HEARTBEAT, "{slowest:?}");
}

#[tokio::test]
async fn a_slow_login_is_taken_up_again_and_given_up_when_nobody_comes() {
    let logins = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&logins);
    let login = async move || {
        count.fetch_add(1, Relaxed);
        pending::<()>().await;
    };
    let range = async || answer(holds("one"), Duration::ZERO, "0");
    let router = Router::new()
        .route("/etcdserverpb.Auth/Authenticate", post(login))
        .route("/etcdserverpb.KV/Range", post(range));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await;
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, router).await.unwrap() });

    let etcd = app_at(proxy.address()).read_deadline(Duration::from_secs(1));
    let waiting = followed(etcd.key("s").text());
    fails(&waiting, "waiting for this one").await;
    let mut status = waiting.watch_status();
    within(status.wait_for(|now| now.failures >= 4)).await.unwrap();
    assert_eq!((logins.load(Relaxed), proxy.accepted()), (1, 1));
    // The handle stays.
    drop((waiting, status));
    within(async {
        while proxy.connections() > 0 {
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    drop(etcd);
}
