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
//! | [`a_value_whose_decoder_panics_is_asked_for_again`](rules::a_value_whose_decoder_panics_is_asked_for_again) | a panic loses no value |
//! | [`the_last_of_many_changes_wins`](rules::the_last_of_many_changes_wins) | 10,000 at once, the last is there, none goes back |
//! | [`a_server_that_comes_later_is_waited_for`](rules::a_server_that_comes_later_is_waited_for) | not there at the start |
//! | [`a_killed_server_is_followed_again`](rules::a_killed_server_is_followed_again) | `SIGKILL` and a restart, twice |
//! | [`a_server_that_lost_everything_takes_nothing_away`](rules::a_server_that_lost_everything_takes_nothing_away) | back with nothing in it, and with fewer revisions |
//! | [`a_throttled_server_is_left_in_peace`](rules::a_throttled_server_is_left_in_peace) | asked ever more seldom |
//! | [`a_broken_channel_keeps_no_value_away`](rules::a_broken_channel_keeps_no_value_away) | polls go on without events, and these are heard again |
//! | [`many_come_back_one_by_one`](rules::many_come_back_one_by_one) | no herd at a server that is back |
//! | [`a_hang_of_30_s_heals_within_a_second`](rules::a_hang_of_30_s_heals_within_a_second) | nothing gets through, though all connections stay open |
//! | [`a_silent_connection_is_found`](rules::a_silent_connection_is_found) | within the read deadline, and said |
//! | [`a_partition_of_a_minute_heals_within_a_second`](rules::a_partition_of_a_minute_heals_within_a_second) | with changes meanwhile, of which the latest is taken |
//! | [`a_connection_closed_by_one_side_is_replaced`](rules::a_connection_closed_by_one_side_is_replaced) | half closed, and reset |
//! | [`a_connection_that_never_lasts_is_no_busy_loop`](rules::a_connection_that_never_lasts_is_no_busy_loop) | tried ever more seldom |
//! | [`a_slow_network_only_delays`](rules::a_slow_network_only_delays) | far, and narrow |
//! | [`an_older_value_never_lands_on_a_newer`](rules::an_older_value_never_lands_on_a_newer) | looks, events and reconnects overtake each other |
//! | [`no_value_is_lost_while_one_is_refused`](rules::no_value_is_lost_while_one_is_refused) | the cursor moves after the value is applied |
//! | [`what_was_refused_never_lands_on_a_newer`](rules::what_was_refused_never_lands_on_a_newer) | not of a connection that is lost either |
//! | [`wrong_credentials_are_told`](rules::wrong_credentials_are_told) | clearly, without a busy loop |
//! | [`a_certificate_for_another_name_is_told`](rules::a_certificate_for_another_name_is_told) | the same |
//! | [`an_expired_certificate_is_told`](rules::an_expired_certificate_is_told) | the same |
//! | [`a_stopped_service_has_no_connection`](rules::a_stopped_service_has_no_connection) | nor a descriptor, though service and source live |
//! | [`who_waits_connects_no_more`](rules::who_waits_connects_no_more) | no polling where events are to be had |
//! | [`a_poll_interval_is_kept`](rules::a_poll_interval_is_kept) | no read before it is time |
//! | [`no_secret_is_told`](rules::no_secret_is_told) | in no log, error or status |
//! | `the_last_good_value_on_disk_is_there_at_the_start` | with the feature `last-good` |
//!
//! [`guide`] writes a source, and the rig for it, from nothing.
//!
//! # Known problems
//!
//! - A service knows no revisions. It takes the events of a plain push source in the order in which they
//!   arrive, before the load that they have overtaken; so an event that was on its way when a load had read
//!   something newer, and arrives when that has ended, lands on it, and the value goes back until the next
//!   event. Keeping `newest`, as in the [guide], is up to the source: without these lines
//!   [`an_older_value_never_lands_on_a_newer`](rules::an_older_value_never_lands_on_a_newer) fails. A store
//!   without revisions can only be kept in order by loading by the connection that is watched.
//! - After a [`WatchEvent::Error`](crate::WatchEvent), as for a value that is no good, the service is degraded
//!   until a load or [`Changed`](crate::WatchEvent::Changed) has a value. A source whose loads find nothing
//!   new (`None`), and which does not push what was loaded already, as by `>` in place of `>=` in the guide, may
//!   leave it so.
//! - The suite can't tell how a source behaves when its server's clock jumps, when a name resolves to another
//!   address, or behind a proxy of its own.
//! - What clients log by the crate `log` is not searched for secrets, and what they trace neither.
//! - Descriptors are only counted on Linux, by nextest, where a test has the process for itself.

mod address;
mod conformance;
#[doc = include_str!("testing/guide.md")]
pub mod guide {}
#[doc(hidden)]
pub mod line;
mod proxy;
mod rig;
pub mod rules;
mod scripted;

pub use self::{
    address::address,
    conformance::run,
    proxy::Proxy,
    rig::{Rig, Sample},
    scripted::{Answer, Script, Scripted},
};
