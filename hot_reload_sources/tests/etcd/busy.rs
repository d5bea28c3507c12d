//! A member that has too much to do.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use axum::{Router, http::header::CONTENT_TYPE};
use tokio::{net::TcpListener, task::JoinSet};

/// Answers as etcd does while it is behind with what it has agreed to, which it can't be made to be.
pub struct Busy {
    asked: Arc<AtomicU64>,
    _serving: JoinSet<()>,
}

impl Busy {
    pub async fn start(address: SocketAddr) -> Self {
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        // A response without a body has its status in the header.
        let answer = async move || {
            count.fetch_add(1, Relaxed);
            [
                (CONTENT_TYPE.as_str(), "application/grpc"),
                ("grpc-status", "8"),
                ("grpc-message", "etcdserver: too many requests"),
            ]
        };
        let router = Router::new().fallback(answer);
        let listener = TcpListener::bind(address).await.unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { asked, _serving: serving }
    }

    pub fn asked(&self) -> u64 {
        self.asked.load(Relaxed)
    }
}
