//! What becomes of what is put and removed.

use std::time::Duration;

use super::case::{Case, text};
use crate::{
    config::WatchStrategy,
    testing::{Rig, Sample},
};

/// As many as a script that went wild makes while nobody looks.
const BURST: u64 = 10_000;
/// Longer than a look and a push take, to see that nothing comes of them.
const A_WHILE: Duration = Duration::from_millis(500);

/// What is there at the start is loaded, once, and the status says so.
pub async fn the_first_value_is_loaded<R: Rig>(strategy: WatchStrategy) {
    let rule = "the first value is loaded";
    let (_case, live) = Case::<R>::with_value(rule, strategy).await;
    live.says_fresh("that it is fresh").await;
    live.stays(1, A_WHILE, "nothing has changed").await;
    live.has_published(&[1], "once");
}

/// A change arrives, and so does the next.
pub async fn a_change_arrives<R: Rig>(strategy: WatchStrategy) {
    let (case, mut live) = Case::<R>::with_value("a change arrives", strategy).await;
    for n in 2..5 {
        case.put(n).await;
        live.sees(n, "a change").await;
    }
    live.says_fresh("that it is fresh").await;
    live.has_published(&[1, 2, 3, 4], "each change once");
}

/// What is put once more, also in other words, is not published once more.
pub async fn identical_values_are_not_published<R: Rig>(strategy: WatchStrategy) {
    let rule = "identical values are not published";
    let (case, mut live) = Case::<R>::with_value(rule, strategy).await;
    for same in ["n = 1", "n = 1", "n =   1"] {
        case.rig.put(same).await;
    }
    live.stays(1, A_WHILE, "it is the same").await;
    case.put(2).await;
    live.sees(2, "a change behind identical ones").await;
    live.has_published(&[1, 2], "what is identical not once more");
}

/// The last good value serves on when it is deleted, and the status says that it was.
pub async fn what_is_deleted_serves_on<R: Rig>(strategy: WatchStrategy) {
    let rule = "what is deleted serves on";
    let (case, live) = Case::<R>::with_value(rule, strategy).await;
    case.rig.delete().await;
    live.says_trouble("that it is gone").await;
    live.stays(1, A_WHILE, "the last good value").await;
    live.has_published(&[1], "nothing for what is gone");
}

/// A value that is put back is taken: the same without a publication, another with one.
pub async fn a_value_that_comes_back_is_taken<R: Rig>(strategy: WatchStrategy) {
    let rule = "a value that comes back is taken";
    let (case, mut live) = Case::<R>::with_value(rule, strategy).await;
    for (n, published) in [(1, &[1][..]), (2, &[1, 2])] {
        case.rig.delete().await;
        live.says_trouble("that it is gone").await;
        case.put(n).await;
        live.sees(n, "what was put back").await;
        live.says_fresh("that it is back").await;
        live.has_published(published, "what is new alone");
    }
}

/// A bad value changes nothing but the status, and whatever is put next is taken.
pub async fn a_bad_value_keeps_the_last_good_one<R: Rig>(strategy: WatchStrategy) {
    let rule = "a bad value keeps the last good one";
    let (case, mut live) = Case::<R>::with_value(rule, strategy).await;
    for (bad, good, published) in
        [("n = many", 2, &[1, 2][..]), ("", 2, &[1, 2]), ("{]", 3, &[1, 2, 3])]
    {
        let last = live.published().last().copied().unwrap_or_default();
        case.rig.put(bad).await;
        live.says_trouble("what is bad about it").await;
        live.stays(last, A_WHILE, "the last good value").await;
        case.put(good).await;
        live.sees(good, "a good value behind a bad one").await;
        live.says_fresh("that it is good again").await;
        live.has_published(published, "what is good and new alone");
    }
}

/// A decoder that panics at a value, once, takes nothing away: the value is there in the end.
pub async fn a_value_whose_decoder_panics_is_asked_for_again<R: Rig>(strategy: WatchStrategy) {
    let rule = "a value whose decoder panics is asked for again";
    let (case, mut live) = Case::<R>::with_value(rule, strategy).await;
    // Of this rule alone, since others may run in the same process.
    let odd = fastrand::u64(1 << 40..1 << 50);
    Sample::panics_once(odd);
    case.put(odd).await;
    live.sees(odd, "a value whose decoder has panicked once").await;
    live.says_fresh("that it is good").await;
    case.put(3).await;
    live.sees(3, "a change after that").await;
    live.has_published(&[1, odd, 3], "each change once");
}

/// Of 10,000 changes at once the last is there in the end, and nothing goes back on the way.
pub async fn the_last_of_many_changes_wins<R: Rig>(strategy: WatchStrategy) {
    let rule = "the last of many changes wins";
    let (case, mut live) = Case::<R>::with_value(rule, strategy).await;
    let last = 1 + BURST;
    case.rig.put_all((2..=last).map(text).collect()).await;
    live.sees(last, "the last of them").await;
    live.stays(last, A_WHILE, "nothing older comes late").await;
    live.never_goes_back();
    live.says_fresh("that it is fresh").await;
}
