//! For authors of sources: a suite that a source passes against its real server, and what it is tested
//! with.
//!
//! A source ([`Reload`](crate::Reload), [`RealtimeWatch`](crate::RealtimeWatch)) is easily written and hard to
//! get right: the network that swallows everything, the server that comes back empty, the event that
//! overtakes a load. The suite has a rule for each. It needs a [`Rig`], which starts a real server and makes
//! sources that reach it; a line makes a test of every rule:
//!
//! ```
//! # struct MyRig;
//! hot_reload::conformance!(MyRig);
//! ```
//!
//! Sources are put behind a [`Proxy`], which does to them what networks do. Each test has a server of its own,
//! so that all run beside each other, best one process each as `cargo nextest` has it; the longest takes
//! a minute by the clock. One that fails says which rule is broken, what was expected, what there was
//! instead and what the status said.
//!
//! To test a *service*, or what is built on one, no server is needed: see [`Scripted`].
//!
//! # The rules
//!
//! | rule | what has to be so |
//! |---|---|
//! | [`the_first_value_is_loaded`](rules::the_first_value_is_loaded) | what is there is loaded, once |
//! | [`a_change_arrives`](rules::a_change_arrives) | each change is published, once |
//! | [`identical_values_are_not_published`](rules::identical_values_are_not_published) | the same in other words is no change |
//! | [`what_is_deleted_serves_on`](rules::what_is_deleted_serves_on) | the last good value stays, and the status says why |
//! | [`a_value_that_comes_back_is_taken`](rules::a_value_that_comes_back_is_taken) | deleted and put back, the same or another |
//! | [`a_bad_value_keeps_the_last_good_one`](rules::a_bad_value_keeps_the_last_good_one) | and the next good one is taken |
//! | [`the_last_of_many_changes_wins`](rules::the_last_of_many_changes_wins) | 10,000 at once, the last is there, none goes back |
//! | [`a_server_that_comes_later_is_waited_for`](rules::a_server_that_comes_later_is_waited_for) | not there at the start |
//! | [`a_killed_server_is_followed_again`](rules::a_killed_server_is_followed_again) | `SIGKILL` and a restart, twice |
//! | [`a_server_that_lost_everything_takes_nothing_away`](rules::a_server_that_lost_everything_takes_nothing_away) | back with nothing in it, and with fewer revisions |
//! | [`a_throttled_server_is_left_in_peace`](rules::a_throttled_server_is_left_in_peace) | asked ever more seldom |
//! | [`many_come_back_one_by_one`](rules::many_come_back_one_by_one) | no herd at a server that is back |
//! | [`a_hang_of_30_s_heals_within_a_second`](rules::a_hang_of_30_s_heals_within_a_second) | nothing gets through, though all connections stay open |
//! | [`a_silent_connection_is_found`](rules::a_silent_connection_is_found) | within the read deadline, and said |
//! | [`a_partition_of_a_minute_heals_within_a_second`](rules::a_partition_of_a_minute_heals_within_a_second) | with changes meanwhile, of which the latest is taken |
//! | [`a_connection_closed_by_one_side_is_replaced`](rules::a_connection_closed_by_one_side_is_replaced) | half closed, and reset |
//! | [`a_slow_network_only_delays`](rules::a_slow_network_only_delays) | far, and narrow |
//! | [`an_older_value_never_lands_on_a_newer`](rules::an_older_value_never_lands_on_a_newer) | looks, events and reconnects overtake each other |
//! | [`no_value_is_lost_while_one_is_refused`](rules::no_value_is_lost_while_one_is_refused) | the cursor moves after the value is applied |
//! | [`wrong_credentials_are_told`](rules::wrong_credentials_are_told) | clearly, without a busy loop |
//! | [`a_certificate_for_another_name_is_told`](rules::a_certificate_for_another_name_is_told) | the same |
//! | [`an_expired_certificate_is_told`](rules::an_expired_certificate_is_told) | the same |
//! | [`a_stopped_service_has_no_connection`](rules::a_stopped_service_has_no_connection) | nor a descriptor, though service and source live |
//! | [`who_waits_connects_no_more`](rules::who_waits_connects_no_more) | no polling where events are to be had |
//! | [`no_secret_is_told`](rules::no_secret_is_told) | in no log, error or status |
//! | `the_last_good_value_on_disk_is_there_at_the_start` | with the feature `last-good` |
//!
//! # A source of your own in 40 lines
//!
//! Say there is a store whose client has two calls: `get`, which returns the revision of a value and its
//! text, and `watch`, which returns once it stands, and then gives each change and its revision. Both close
//! their connection when they are dropped, and fail when the server was silent for a deadline. The
//! source is then:
//!
//! ```
//! use std::{net::SocketAddr, sync::{Arc, Mutex}, time::Duration};
//! use async_trait::async_trait;
//! use hot_reload::{
//!     RealtimeWatch, RealtimeWatchHandle, Reload, ReloadResult, WatchEvent, WatchStrategy,
//!     testing::{self, Rig, Sample, rules},
//! };
//! use tokio::{sync::mpsc, task::JoinSet};
//!
//! #[derive(Clone)]
//! struct Key(SocketAddr, Arc<Mutex<Order>>);
//!
//! #[derive(Default)]
//! struct Order { newest: u64, events: Option<mpsc::WeakSender<WatchEvent<Sample>>> }
//!
//! #[async_trait]
//! impl Reload<Sample, String> for Key {
//!     type Source = SocketAddr;
//!     async fn new(server: &SocketAddr) -> ReloadResult<Self, Sample, String> {
//!         Ok(Key(*server, Arc::default()))
//!     }
//!     async fn reload(&self) -> ReloadResult<Option<Sample>, Sample, String> {
//!         let (revision, text) = store::get(self.0).await?;
//!         let mut order = self.1.lock().unwrap();
//!         let events = order.events.as_ref().and_then(mpsc::WeakSender::upgrade);
//!         if events.is_some_and(|events| events.capacity() == 0) {
//!             return Ok(None); // One that was pushed, and may be older, is to be taken before.
//!         }
//!         order.newest = revision;
//!         Ok(Some(toml::from_str(&text).map_err(anyhow::Error::from)?))
//!     }
//! }
//!
//! #[async_trait]
//! impl RealtimeWatch<Sample, String> for Key {
//!     async fn watch_realtime(&self) -> ReloadResult<RealtimeWatchHandle<Sample>, Sample, String> {
//!         let mut watch = store::watch(self.0).await?;
//!         let ((tx, rx), order) = (mpsc::channel(1), Arc::clone(&self.1));
//!         order.lock().unwrap().events = Some(tx.downgrade());
//!         let mut task = JoinSet::new(); // Dropped with the handle, it ends the task.
//!         task.spawn(async move {
//!             while let (Ok((revision, text)), Ok(room)) = (watch.next().await, tx.reserve().await) {
//!                 if revision >= order.lock().unwrap().newest {
//!                     let bad = |error: toml::de::Error| WatchEvent::Error(error.to_string());
//!                     room.send(toml::from_str(&text).map_or_else(bad, WatchEvent::Changed));
//!                 }
//!             }
//!         });
//!         Ok(RealtimeWatchHandle::with_cleanup(rx, Box::new(task)))
//!     }
//! }
//!
//! // What the suite has to know:
//! struct KeyRig(store::Server);
//!
//! #[async_trait]
//! impl Rig for KeyRig {
//!     type Source = Key;
//!     async fn start() -> Self { KeyRig(store::Server::start().await) }
//!     fn address(&self) -> SocketAddr { self.0.address }
//!     fn source(&self, address: SocketAddr) -> Key { Key(address, Arc::default()) }
//!     async fn put(&self, text: &str) { self.0.put(text); }
//!     async fn delete(&self) { self.0.put(""); }
//!     async fn kill(&self) { self.0.kill().await; }
//!     async fn restart(&self) { self.0.restart().await; }
//!     async fn restart_empty(&self) { self.0.kill().await; self.0.forget(); self.0.restart().await; }
//!     fn read_deadline(&self) -> Duration { store::DEADLINE }
//!
//!     // This store knows no credentials and no TLS, so there is nothing to test of them.
//!     fn has_credentials(&self) -> bool { false }
//!     fn has_tls(&self) -> bool { false }
//!     fn secrets(&self) -> Vec<String> { Vec::new() }
//!     fn with_wrong_credentials(&self, _: SocketAddr) -> Key { unreachable!("it has none") }
//!     async fn with_wrong_name(&self) -> Key { unreachable!("it has none") }
//!     async fn with_expired_certificate(&self) -> Key { unreachable!("it has none") }
//! }
//!
//! // In a test crate: `hot_reload::conformance!(KeyRig);`. One by one:
//! testing::run(rules::a_change_arrives::<KeyRig>(WatchStrategy::Realtime));
//! testing::run(rules::what_is_deleted_serves_on::<KeyRig>(WatchStrategy::Hybrid));
//! testing::run(rules::a_killed_server_is_followed_again::<KeyRig>(WatchStrategy::Polling));
//! # for strategy in [WatchStrategy::Realtime, WatchStrategy::Hybrid] {
//! #     testing::run(rules::a_bad_value_keeps_the_last_good_one::<KeyRig>(strategy));
//! #     testing::run(rules::a_killed_server_is_followed_again::<KeyRig>(strategy));
//! #     testing::run(rules::a_silent_connection_is_found::<KeyRig>(strategy));
//! #     testing::run(rules::a_stopped_service_has_no_connection::<KeyRig>(strategy));
//! #     testing::run(rules::an_older_value_never_lands_on_a_newer::<KeyRig>(strategy));
//! # }
//! #
//! # mod store {
//! #     use std::{net::{Ipv4Addr, SocketAddr}, sync::Mutex, time::Duration};
//! #     use anyhow::Context;
//! #     use tokio::{
//! #         io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
//! #         net::{TcpListener, TcpStream}, sync::watch, task::JoinSet, time::timeout,
//! #     };
//! #     pub const DEADLINE: Duration = Duration::from_secs(1);
//! #     pub async fn get(server: SocketAddr) -> anyhow::Result<(u64, String)> {
//! #         Watch::ask(server, "GET\n").await?.answer().await
//! #     }
//! #     pub async fn watch(server: SocketAddr) -> anyhow::Result<Watch> {
//! #         let mut watch = Watch::ask(server, "WATCH\n").await?;
//! #         watch.1 = watch.answer().await?.0;
//! #         Ok(watch)
//! #     }
//! #     pub struct Watch(Lines<BufReader<TcpStream>>, u64);
//! #     impl Watch {
//! #         async fn ask(server: SocketAddr, command: &str) -> anyhow::Result<Self> {
//! #             let mut stream = timeout(DEADLINE, TcpStream::connect(server)).await??;
//! #             stream.write_all(command.as_bytes()).await?;
//! #             Ok(Self(BufReader::new(stream).lines(), 0))
//! #         }
//! #         pub async fn next(&mut self) -> anyhow::Result<(u64, String)> {
//! #             loop {
//! #                 let (revision, text) = self.answer().await?;
//! #                 // Otherwise it only says that the server is there.
//! #                 if std::mem::replace(&mut self.1, revision) != revision {
//! #                     return Ok((revision, text));
//! #                 }
//! #             }
//! #         }
//! #         async fn answer(&mut self) -> anyhow::Result<(u64, String)> {
//! #             let line = timeout(DEADLINE, self.0.next_line()).await.context("no answer")??;
//! #             let line = line.context("the server has closed the connection")?;
//! #             let (revision, text) = line.split_once(' ').context("an odd answer")?;
//! #             Ok((revision.parse()?, text.to_owned()))
//! #         }
//! #     }
//! #     pub struct Server {
//! #         pub address: SocketAddr,
//! #         held: watch::Sender<(u64, String)>,
//! #         running: Mutex<JoinSet<()>>,
//! #     }
//! #     impl Server {
//! #         pub async fn start() -> Self {
//! #             // Of an address that no other process takes ports of, since it stops listening at times.
//! #             let [_, _, a, b] = std::process::id().to_be_bytes();
//! #             let [a, b] = if cfg!(target_os = "linux") { [a, b] } else { [0, 0] };
//! #             let listener = TcpListener::bind((Ipv4Addr::new(127, a, b, 1), 0)).await;
//! #             let address = listener.unwrap().local_addr().unwrap();
//! #             let held = watch::Sender::new((0, String::new()));
//! #             let server = Self { address, held, running: Mutex::default() };
//! #             server.restart().await;
//! #             server
//! #         }
//! #         pub async fn restart(&self) {
//! #             let listener = TcpListener::bind(self.address).await.unwrap();
//! #             let held = self.held.subscribe();
//! #             self.running.lock().unwrap().spawn(async move {
//! #                 let mut connections = JoinSet::new();
//! #                 while let Ok((stream, _)) = listener.accept().await {
//! #                     let held = held.clone();
//! #                     connections.spawn(async move { drop(serve(stream, held).await) });
//! #                 }
//! #             });
//! #         }
//! #         pub async fn kill(&self) {
//! #             let mut running = std::mem::take(&mut *self.running.lock().unwrap());
//! #             running.shutdown().await;
//! #         }
//! #         pub fn put(&self, text: &str) {
//! #             self.held.send_modify(|(revision, held)| {
//! #                 (*revision, *held) = (*revision + 1, text.to_owned());
//! #             });
//! #         }
//! #         pub fn forget(&self) { self.held.send_replace((0, String::new())); }
//! #     }
//! #     async fn serve(
//! #         mut stream: TcpStream,
//! #         mut held: watch::Receiver<(u64, String)>,
//! #     ) -> std::io::Result<()> {
//! #         let (read, mut write) = stream.split();
//! #         let mut lines = BufReader::new(read).lines();
//! #         let command = lines.next_line().await?;
//! #         loop {
//! #             let line = { let held = held.borrow_and_update(); format!("{} {}\n", held.0, held.1) };
//! #             write.write_all(line.as_bytes()).await?;
//! #             if command.as_deref() != Some("WATCH") { return Ok(()) }
//! #             tokio::select! {
//! #                 _ = timeout(DEADLINE / 5, held.changed()) => {}
//! #                 _ = lines.next_line() => return Ok(()),
//! #             }
//! #         }
//! #     }
//! # }
//! ```
//!
//! A source of `hot_reload_sources` is less: a `Store` says how to connect, read and watch, and the engine
//! there has the deadlines, the pauses and the order.
//!
//! # Known problems
//!
//! - A service knows no revisions. It takes the events of a plain push source in the order in which they
//!   arrive, before the load that they have overtaken; so an event that was on its way when a load had read
//!   something newer, and arrives when that has ended, lands on it, and the value goes back until the next
//!   event. Keeping `newest`, as above, is up to the source: without these lines
//!   [`an_older_value_never_lands_on_a_newer`](rules::an_older_value_never_lands_on_a_newer) fails. A store
//!   without revisions can only be kept in order by loading by the connection that is watched.
//! - After a [`WatchEvent::Error`](crate::WatchEvent), as for a value that is no good, the service is degraded
//!   until a load or [`Changed`](crate::WatchEvent::Changed) has a value. A source whose loads find nothing
//!   new (`None`), and which does not push what was loaded already, as by `>` in place of `>=` above, may
//!   leave it so.
//! - The suite can't tell how a source behaves when its server's clock jumps, when a name resolves to another
//!   address, or behind a proxy of its own.
//! - What clients log by the crate `log` is not searched for secrets, and what they trace neither.
//! - Descriptors are only counted on Linux, by nextest, where a test has the process for itself.

mod conformance;
mod proxy;
mod rig;
pub mod rules;
mod scripted;

pub use self::{
    conformance::run,
    proxy::Proxy,
    rig::{Rig, Sample},
    scripted::{Answer, Script, Scripted},
};
