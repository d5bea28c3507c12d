//! Whatever is wrong with a source, a rule is broken by it.

use hot_reload::{WatchStrategy, testing::rules};

use super::{rig::LineRig, source::Fault};

/// Returns what a rule that has to be broken says.
async fn broken(rule: impl Future<Output = ()> + Send + 'static) -> String {
    let Err(error) = tokio::spawn(rule).await else { panic!("the rule has found nothing") };
    *error.into_panic().downcast().expect("the words of a rule")
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_leaks_descriptors() {
    type Leaky = LineRig<{ Fault::LeaksDescriptors as u8 }>;

    if std::env::var_os("NEXTEST").is_none() {
        // Other tests of the process have descriptors too.
        return;
    }
    let rule = rules::a_stopped_service_has_no_connection::<Leaky>(WatchStrategy::Realtime);
    let told = broken(rule).await;
    assert!(told.contains("as many descriptors after many stops as before"), "{told}");
}

macro_rules! finds {
    ($($test:ident: $fault:ident, $strategy:ident, $rule:ident, $words:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                type Faulty = LineRig<{ Fault::$fault as u8 }>;
                let told = broken(rules::$rule::<Faulty>(WatchStrategy::$strategy)).await;
                assert!(told.contains($words), "{told}");
                assert!(told.contains(&stringify!($rule).replace('_', " ")), "{told}");
            }
        )*
    };
}

finds! {
    a_source_that_goes_back: GoesBack, Hybrid,
        an_older_value_never_lands_on_a_newer, "followed by an older one";
    a_source_that_leaks: Leaks, Realtime,
        a_stopped_service_has_no_connection, "no connection after the service was stopped";
    a_source_that_never_reconnects: NeverReconnects, Realtime,
        a_killed_server_is_followed_again, "that it is back";
    a_source_that_never_reconnects_to_one_that_comes_later: NeverReconnects, Realtime,
        a_server_that_comes_later_is_waited_for, "that it is fresh";
    a_source_that_never_replaces_a_closed_connection: NeverReconnects, Realtime,
        a_connection_closed_by_one_side_is_replaced, "that it is fresh";
    a_source_that_sulks: Sulks, Realtime,
        a_hang_of_30_s_heals_within_a_second, "n = 2 within 1s";
    a_source_that_is_impatient: IsImpatient, Realtime,
        a_slow_network_only_delays, "the first value, from far away";
    a_source_that_counts_writes: CountsWrites, Realtime,
        identical_values_are_not_published, "it is the same";
    a_source_that_swallows_removal_when_polled: SwallowsRemoval, Polling,
        a_value_that_comes_back_is_taken, "that it is gone";
    a_source_that_reconnects_without_need: ReconnectsWithoutNeed, Realtime,
        who_waits_connects_no_more, "at most 0 connections while nothing changes, not";
    a_source_without_a_deadline: HasNoDeadline, Realtime,
        a_silent_connection_is_found, "that something is amiss";
    a_source_that_is_deaf_after_a_bad_value: IsDeafAfterABadValue, Realtime,
        a_bad_value_keeps_the_last_good_one, "a good value behind a bad one";
    a_source_that_loses_values: LosesEveryOther, Realtime,
        a_change_arrives, "n = 2 within";
    a_source_that_loses_the_last_of_a_burst: Debounces, Realtime,
        the_last_of_many_changes_wins, "the last of them";
    a_source_whose_cursor_moves_first: MovesItsCursorFirst, Realtime,
        no_value_is_lost_while_one_is_refused, "nothing new since revision 2";
    a_source_that_takes_nothing_for_a_value: TakesNothingForAValue, Realtime,
        what_is_deleted_serves_on, "that it is gone";
    a_source_that_takes_an_empty_server_at_its_word: TakesNothingForAValue, Polling,
        a_server_that_lost_everything_takes_nothing_away, "there is n = 0";
    a_source_that_swallows_removal: SwallowsRemoval, Hybrid,
        what_is_deleted_serves_on, "that it is gone";
    a_source_that_tells_its_token: TellsItsToken, Polling,
        no_secret_is_told, "no secret in the error of a load";
    a_source_that_logs_content: LogsContent, Realtime,
        no_secret_is_told, "no content in the log";
    a_source_that_spins: Spins, Realtime,
        wrong_credentials_are_told, "that it is refused";
    a_source_that_spins_on_a_busy_server: Spins, Realtime,
        a_throttled_server_is_left_in_peace, "too much to do";
    a_source_that_retries_on_the_dot: RetriesOnTheDot, Realtime,
        many_come_back_one_by_one, "within a moment";
    a_source_that_is_vague: IsVague, Realtime,
        an_expired_certificate_is_told, "an error that has one of";
    a_source_that_knows_one_error: KnowsOneError, Realtime,
        a_certificate_for_another_name_is_told, "other words than of an expired one";
    a_source_that_hammers: Hammers, Realtime,
        an_expired_certificate_is_told, "at most 50 attempts";
    a_source_that_chatters: Chatters, Realtime,
        who_waits_connects_no_more, "bytes to be sent while nothing changes";
    a_source_that_asks_too_often: AsksTooOften, Polling,
        a_poll_interval_is_kept, "in 3 poll intervals";
    a_source_that_reads_all_the_time_unseen: ReadsAllTheTime, Polling,
        a_poll_interval_is_kept, "moments at which something is sent";
    a_source_that_reads_by_its_channel: ReadsByItsChannel, Hybrid,
        a_broken_channel_keeps_no_value_away, "n = 2 within 5s";
    a_source_that_gives_its_channel_up: NeverReconnects, Hybrid,
        a_broken_channel_keeps_no_value_away, "that events are told again";
    a_source_that_blames_the_authority: BlamesTheAuthority, Realtime,
        wrong_credentials_are_told, "an error that has one of";
    a_source_that_spins_beside_its_polls: RearmsAtOnce, Hybrid,
        a_connection_that_never_lasts_is_no_busy_loop, "at most 90 connections";
    a_source_that_watches_again_at_once: RearmsAtOnce, Realtime,
        a_connection_that_never_lasts_is_no_busy_loop, "at most 50 connections";
    a_source_that_swallows_panics: SwallowsPanics, Realtime,
        a_value_whose_decoder_panics_is_asked_for_again, "a value whose decoder has panicked once";
    a_source_that_tells_old_news: TellsOldNews, Realtime,
        what_was_refused_never_lands_on_a_newer, "followed by an older one";
    a_source_that_tells_its_token_as_a_header: TellsItsTokenEncoded, Polling,
        no_secret_is_told, "no secret in the error of a load";
    a_source_that_trusts_every_server: TrustsEveryServer, Realtime,
        a_certificate_for_another_name_is_told, "that it is refused";
}
