//! Loads that were asked for and hang, and what the source had told of by then, or tells of after.

use super::*;

/// A service that has given up on the load with which it goes on after a pause, and whose source told
/// of these amid the pause.
async fn with_given_up(told: &[WatchEvent<u32>]) -> (Lab, mpsc::Sender<WatchEvent<u32>>) {
    let (lab, events) = Lab::new().await;
    lab.handle.pause();
    lab.says(|status| status.is_paused).await;
    for event in told {
        events.send(event.clone()).await.unwrap();
    }
    lab.handle.resume();
    lab.says(|status| status.failures == 1).await;
    (lab, events)
}

/// It once stayed where no hint told of it: for ever, or until the next took its place.
#[tokio::test(start_paused = true)]
async fn an_event_after_a_load_that_hung_is_taken_after_what_was_passed_over_for_it() {
    for then_errs in [false, true] {
        let (lab, events) = with_given_up(&[WatchEvent::Changed(2)]).await;
        events.send(WatchEvent::Changed(3)).await.unwrap();
        if then_errs {
            sleep(Duration::from_secs(60)).await;
            lab.loads.send(Ok(None)).unwrap();
            events.send(WatchEvent::Error("a hiccup".into())).await.unwrap();
        }
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(*lab.published.lock().unwrap(), [1, 2, 3], "then errs: {then_errs}");
    }
}

/// All was once said to be well.
#[tokio::test(start_paused = true)]
async fn an_error_that_came_after_what_was_passed_over_is_told_of_with_it() {
    let error = WatchEvent::Error("a hiccup".into());
    let (lab, _events) = with_given_up(&[WatchEvent::Changed(2), error]).await;
    let status = lab.says(|status| status.generation == 2).await;
    assert_eq!(status.health, Health::Degraded, "{status:?}");
    assert!(format!("{:?}", status.mechanism).contains("a hiccup"), "{status:?}");
}
