//! Makes tests of the rules.

use std::time::Duration;

use tokio::{runtime::Builder, time::timeout};

/// More than the longest rule takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(170);
/// What still blocks then is left to itself.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// So that what is run beside each other is, whatever the machine has.
const WORKERS: usize = 4;

/// Makes a test of each rule for the sources of a [`Rig`](crate::testing::Rig), in the modules `realtime`,
/// `hybrid` and `polling`, named by what has to be so.
///
/// The tests need nothing but a few threads, and run beside each other; the longest takes a minute by the
/// clock. For a second rig in the same file, put each into a module of its own.
///
/// A source that is looked at, and has no events, has only what is in `polling` to pass:
/// `conformance!(MyRig, polling)`.
///
/// # Examples
///
/// In `tests/conformance.rs` of the crate that has the source:
///
/// ```
/// # struct MyRig;
/// hot_reload::conformance!(MyRig);
/// ```
#[macro_export]
macro_rules! conformance {
    ($rig:ty) => {
        $crate::__conformance! { $rig, realtime, Realtime:
            the_first_value_is_loaded
            a_change_arrives
            identical_values_are_not_published
            what_is_deleted_serves_on
            a_value_that_comes_back_is_taken
            a_bad_value_keeps_the_last_good_one
            a_value_whose_decoder_panics_is_asked_for_again
            the_last_of_many_changes_wins
            a_server_that_comes_later_is_waited_for
            a_killed_server_is_followed_again
            a_server_that_lost_everything_takes_nothing_away
            a_throttled_server_is_left_in_peace
            many_come_back_one_by_one
            a_hang_of_30_s_heals_within_a_second
            a_silent_connection_is_found
            a_partition_of_a_minute_heals_within_a_second
            a_connection_closed_by_one_side_is_replaced
            a_connection_that_never_lasts_is_no_busy_loop
            a_slow_network_only_delays
            an_older_value_never_lands_on_a_newer
            no_value_is_lost_while_one_is_refused
            what_was_refused_never_lands_on_a_newer
            wrong_credentials_are_told
            a_certificate_for_another_name_is_told
            an_expired_certificate_is_told
            a_stopped_service_has_no_connection
            who_waits_connects_no_more
            no_secret_is_told
        }
        $crate::__conformance! { $rig, hybrid, Hybrid:
            a_change_arrives
            a_value_that_comes_back_is_taken
            a_bad_value_keeps_the_last_good_one
            a_value_whose_decoder_panics_is_asked_for_again
            the_last_of_many_changes_wins
            a_killed_server_is_followed_again
            a_server_that_lost_everything_takes_nothing_away
            a_broken_channel_keeps_no_value_away
            a_hang_of_30_s_heals_within_a_second
            a_silent_connection_is_found
            a_connection_closed_by_one_side_is_replaced
            a_connection_that_never_lasts_is_no_busy_loop
            an_older_value_never_lands_on_a_newer
            no_value_is_lost_while_one_is_refused
            what_was_refused_never_lands_on_a_newer
            a_stopped_service_has_no_connection
        }
        $crate::conformance!($rig, polling);
        $crate::__conformance_restart!($rig);
    };
    ($rig:ty, polling) => {
        $crate::__conformance! { $rig, polling, Polling:
            the_first_value_is_loaded
            a_change_arrives
            what_is_deleted_serves_on
            a_value_that_comes_back_is_taken
            a_bad_value_keeps_the_last_good_one
            a_value_whose_decoder_panics_is_asked_for_again
            a_killed_server_is_followed_again
            a_server_that_lost_everything_takes_nothing_away
            an_older_value_never_lands_on_a_newer
            wrong_credentials_are_told
            a_stopped_service_has_no_connection
            a_poll_interval_is_kept
            no_secret_is_told
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance {
    ($rig:ty, $module:ident, $strategy:ident: $($rule:ident)*) => {
        #[cfg(test)]
        mod $module {
            #[allow(unused_imports, clippy::wildcard_imports)]
            use super::*;

            $(
                #[test]
                fn $rule() {
                    let strategy = $crate::WatchStrategy::$strategy;
                    $crate::testing::run($crate::testing::rules::$rule::<$rig>(strategy));
                }
            )*
        }
    };
}

/// What can be tested where the last good value can be kept.
#[cfg(feature = "last-good")]
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_restart {
    ($rig:ty) => {
        $crate::__conformance! { $rig, restart, Realtime:
            the_last_good_value_on_disk_is_there_at_the_start
        }
    };
}

#[cfg(not(feature = "last-good"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_restart {
    ($rig:ty) => {};
}

/// Runs a rule on a runtime of its own, to its end or for 170 s.
///
/// # Panics
///
/// When the rule is broken.
pub fn run(rule: impl Future<Output = ()>) {
    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.expect("threads for a runtime");
    let ended = runtime.block_on(async { timeout(LIMIT, rule).await });
    runtime.shutdown_timeout(SHUTDOWN);
    assert!(ended.is_ok(), "the rule has not come to an end within {LIMIT:?}");
}
