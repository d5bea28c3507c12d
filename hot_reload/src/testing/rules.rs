//! What every source has to do, one function a rule.
//!
//! Each starts a server of its own by [`Rig::start`](super::Rig::start), and panics where the rule is
//! broken: with what was expected, what was there instead, and what the status said.
//! [`conformance!`](crate::conformance) makes a test of each.

#![allow(clippy::missing_panics_doc, reason = "to panic is how all of them tell")]

mod case;
mod disguise;
#[cfg(feature = "last-good")]
mod last_good;
mod leaks;
mod live;
mod network;
mod order;
mod refusals;
mod secrets;
mod servers;
mod values;

#[cfg(feature = "last-good")]
pub use self::last_good::the_last_good_value_on_disk_is_there_at_the_start;
pub use self::{
    leaks::{
        a_poll_interval_is_kept, a_stopped_service_has_no_connection, who_waits_connects_no_more,
    },
    network::{
        a_connection_closed_by_one_side_is_replaced, a_connection_that_never_lasts_is_no_busy_loop,
        a_hang_of_30_s_heals_within_a_second, a_partition_of_a_minute_heals_within_a_second,
        a_silent_connection_is_found, a_slow_network_only_delays,
    },
    order::{
        an_older_value_never_lands_on_a_newer, no_value_is_lost_while_one_is_refused,
        what_was_refused_never_lands_on_a_newer,
    },
    refusals::{
        a_certificate_for_another_name_is_told, an_expired_certificate_is_told,
        wrong_credentials_are_told,
    },
    secrets::no_secret_is_told,
    servers::{
        a_broken_channel_keeps_no_value_away, a_killed_server_is_followed_again,
        a_server_that_comes_later_is_waited_for, a_server_that_lost_everything_takes_nothing_away,
        a_throttled_server_is_left_in_peace, many_come_back_one_by_one,
    },
    values::{
        a_bad_value_keeps_the_last_good_one, a_change_arrives, a_value_that_comes_back_is_taken,
        a_value_whose_decoder_panics_is_asked_for_again, identical_values_are_not_published,
        the_first_value_is_loaded, the_last_of_many_changes_wins, what_is_deleted_serves_on,
    },
};
