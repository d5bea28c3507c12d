//! The page that shows what is served, in a browser.

mod browser;
#[path = "../common/mod.rs"]
mod common;

use browser::Browser;
use common::{Lab, admin, with_admin};
use hot_reload::WatchStrategy::Realtime;

/// What a page that took texts for markup would run.
const MARKUP: &str = "<img src=x onerror=window.isBroken=true>";

/// A server, and its page; `None` where there is no browser.
async fn open(text: &str) -> Option<(Lab, Browser)> {
    let lab = Lab::with(Realtime, text, |service| service.history(5)).await;
    let browser = Browser::open(admin(&lab)).await?;
    browser.until_text("#generation", "1").await;
    Some((lab, browser))
}

#[tokio::test]
async fn follows_what_is_served() {
    let Some((mut lab, browser)) = open(&with_admin("one")).await else { return };
    assert_eq!(browser.text("h1").await, "one");
    assert_eq!(browser.text("#health").await, "fresh");
    assert_eq!(browser.text("#source").await, lab.path.to_str().unwrap());
    assert_eq!(browser.text("#addresses").await, lab.address().to_string());
    assert_eq!(browser.text("#mechanism").await, "events");
    // Were it loaded anew, this would be gone.
    browser.value("(window.isKept = true)").await;
    lab.apply(&with_admin(MARKUP)).await;
    browser.until_text("#generation", "2").await;
    assert_eq!(browser.value("window.isKept").await, true);
    browser.until_text("h1", MARKUP).await;
    assert_eq!(browser.value("document.querySelector('img')").await, serde_json::Value::Null);
    browser.until_text("#history tbody tr", "name").await;
    // The age counts by itself.
    browser.until("!['0 s', '–'].includes(document.getElementById('age').innerText)").await;
    assert_eq!(browser.complaints().await, [""; 0]);
    lab.end().await;
}

#[tokio::test]
async fn shows_an_error_with_its_place_for_as_long_as_there_is_one() {
    let Some((mut lab, browser)) = open(&with_admin("one")).await else { return };
    assert_eq!(browser.value("document.getElementById('trouble').hidden").await, true);
    lab.break_by(&format!("# {MARKUP}\nname = {MARKUP}")).await;
    browser.until_text("#trouble", "config.toml:2:16").await;
    browser.until_text("#health", "retrying").await;
    lab.break_by(&with_admin("two").replace("[\"127.0.0.1:0\"]", "[\"192.0.2.1:9\"]")).await;
    browser.until_text("#trouble", "Refused by server").await;
    lab.apply(&with_admin("two")).await;
    browser.until("document.getElementById('trouble').hidden").await;
    browser.until_text("#health", "fresh").await;
    assert_eq!(browser.value("document.querySelector('img')").await, serde_json::Value::Null);
    lab.end().await;
}

#[tokio::test]
async fn its_buttons_reload_serve_again_and_resume() {
    let Some((mut lab, browser)) = open(&with_admin("one")).await else { return };
    browser.enter("#reload").await;
    browser.until_text("#said", "unchanged").await;
    assert_eq!(browser.value("document.activeElement.id").await, "reload", "it has lost the focus");
    lab.apply(&with_admin("two")).await;
    browser.until_text("#generation", "2").await;

    browser.enter("[aria-label='Serve generation 1 again']").await;
    browser.until_text("#said", "published generation 3").await;
    browser.until_text("#generation", "3").await;
    assert_eq!(lab.name().await, "one");
    browser.until_text("#pinned", "Generation 1 is pinned").await;
    assert_eq!(browser.value("document.getElementById('reload').ariaDisabled").await, "true");

    browser.enter("#resume").await;
    browser.until_text("#generation", "4").await;
    assert_eq!(lab.name().await, "two");
    browser.until("document.getElementById('resume').hidden").await;
    assert_eq!(browser.complaints().await, [""; 0]);
    lab.end().await;
}

#[tokio::test]
async fn fits_a_phone_and_either_light() {
    let name = "a-name-that-has-no-end-and-no-space-to-break-it-at".repeat(3);
    let Some((mut lab, browser)) = open(&with_admin(&name)).await else { return };
    lab.apply(&format!("greeting = 'hello'\n{}", with_admin("two"))).await;
    lab.break_by(&format!("name = '{name}' {name}")).await;
    browser.until_text("#trouble", "config.toml:1:").await;
    let mut grounds = Vec::new();
    for colours in ["light", "dark"] {
        for width in [320, 360, 640, 1280] {
            browser.emulate(width, colours).await;
            let root = "document.documentElement";
            assert_eq!(browser.value(&format!("{root}.clientWidth")).await, width);
            let wide = browser.value(&format!("{root}.scrollWidth")).await;
            assert_eq!(wide, width, "it is to be scrolled, {colours}");
        }
        grounds.push(browser.value("getComputedStyle(document.body).backgroundColor").await);
    }
    assert_ne!(grounds[0], grounds[1]);
    lab.end().await;
}

#[tokio::test]
async fn says_when_it_has_lost_the_server_and_finds_it_again() {
    let Some((lab, browser)) = open(&with_admin("one")).await else { return };
    let address = format!("admin_address = '{}'", admin(&lab));
    lab.end().await;
    browser.until_text("#lost", "no connection for").await;
    let text = with_admin("another").replace("admin_address = '127.0.0.1:0'", &address);
    let lab = Lab::new(Realtime, &text).await;
    browser.until_text("h1", "another").await;
    browser.until("document.getElementById('lost').hidden").await;
    lab.end().await;
}
