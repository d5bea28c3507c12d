//! A bad certificate never replaces a good one, and each change of a good one is served.

mod common;

use std::time::Duration;

use common::{
    Client, NAME, PATIENCE, Renewal,
    tls::{Files, https, leaf, replace, served, shake},
};
use server_lib::Expiry;
use tokio::time::timeout;

#[tokio::test]
async fn a_bad_pair_leaves_the_old_one_and_is_served_once_it_is_mended() {
    let mut renewal = Renewal::new().await;
    let mut used = renewal.authority.issue(&[NAME]);
    renewal.files.write(&used);
    renewal.until_served(&used).await;
    let Files { certificate, key } = renewal.files.clone();
    for (what, says) in [
        ("another key", "key.pem: not the key of the first certificate in "),
        ("no key", "key.pem: no private key in it"),
        ("no certificate", "certificate.pem: no certificate in it"),
        ("cut off", "certificate.pem: not PEM, or cut off"),
        ("gone", "key.pem: not there"),
        ("empty", "key.pem: empty"),
        ("expired", "certificate.pem: expired, while the one in use is still valid"),
    ] {
        let renewed = renewal.authority.issue(&[NAME]);
        let half = &renewed.chain[..renewed.chain.len() / 3];
        match what {
            "another key" => replace(&key, &renewed.key),
            "no key" => replace(&key, "hello"),
            "no certificate" => replace(&certificate, "hello"),
            "cut off" => replace(&certificate, half),
            "gone" => std::fs::remove_file(&key).unwrap(),
            "empty" => std::fs::write(&key, "").unwrap(),
            _ => renewal.files.write(&renewal.authority.issue_for(&[NAME], -60)),
        }
        let status = renewal.until(what, |status| status.error.is_some()).await;
        let error = status.error.unwrap();
        assert!(error.contains(says), "{what}: {error}");
        assert_eq!(leaf(&renewal.client(), renewal.address(), NAME).await, used.leaf, "{what}");

        renewal.files.write(&renewed);
        renewal.until("it is mended", |status| status.error.is_none()).await;
        renewal.until_served(&renewed).await;
        used = renewed;
    }
    // And when it is undone.
    replace(&key, "hello");
    renewal.until("it is bad", |status| status.error.is_some()).await;
    replace(&key, &used.key);
    renewal.until("it is undone", |status| status.error.is_none()).await;
    renewal.lab.end().await;
}

#[tokio::test]
async fn an_intermediate_alone_is_a_change() {
    let mut renewal = Renewal::new().await;
    let renewed = renewal.authority.renew_intermediate(&renewal.first);
    let chain = async || served(&shake(&renewal.client(), renewal.address(), NAME).await.unwrap());
    let before = chain().await;
    replace(&renewal.files.certificate, &renewed.chain);
    let changed = async {
        while chain().await == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, changed).await.expect("not served");
    let after = chain().await;
    assert_eq!(after[0], before[0]);
    assert_ne!(after[1], before[1]);
    renewal.lab.end().await;
}

#[tokio::test]
async fn an_old_connection_goes_on_when_the_certificate_changes() {
    let renewal = Renewal::new().await;
    let old = shake(&renewal.client(), renewal.address(), NAME).await.unwrap();
    let renewed = renewal.authority.issue(&[NAME]);
    renewal.files.write(&renewed);
    renewal.until_served(&renewed).await;
    let mut old = Client::over(old);
    assert_eq!(old.name().await, "one");
    renewal.lab.end().await;
}

#[tokio::test]
async fn follows_files_that_another_configuration_has_listed_and_no_others() {
    let mut renewal = Renewal::new().await;
    let files = Files::at(renewal.dir.path(), "second");
    let second = renewal.authority.issue(&[NAME]);
    files.write(&second);
    renewal.lab.apply(&https("two", &[&files])).await;
    renewal.until_served(&second).await;
    let renewed = renewal.authority.issue(&[NAME]);
    renewal.files.write(&renewal.authority.issue(&[NAME]));
    files.write(&renewed);
    renewal.until_served(&renewed).await;
    // Back to the first, as its files are now.
    let first = renewal.authority.issue(&[NAME]);
    renewal.files.write(&first);
    renewal.lab.apply(&https("three", &[&renewal.files])).await;
    assert_eq!(leaf(&renewal.client(), renewal.address(), NAME).await, first.leaf);
    renewal.lab.end().await;
}

#[tokio::test]
async fn the_status_tells_when_a_certificate_ends() {
    let mut renewal = Renewal::new().await;
    for (seconds, expiry, days) in [
        (30 * 86_400 + 3600, Expiry::Far, 30),
        (3 * 86_400 + 3600, Expiry::Near, 3),
        (3600, Expiry::Near, 0),
    ] {
        let issued = renewal.authority.issue_for(&[NAME], seconds);
        renewal.files.write(&issued);
        renewal.until_served(&issued).await;
        let status = renewal.until("it is told", |status| status.expiry == expiry).await;
        assert_eq!(status.days_left(), days);
    }
    // By another limit.
    let issued = renewal.authority.issue_for(&[NAME], 30 * 86_400 + 3600);
    renewal.files.write(&issued);
    renewal.until("it is told", |status| status.expiry == Expiry::Far).await;
    let text = format!("{}[tls]\nexpiry_warning_days = 31\n", https("two", &[&renewal.files]));
    renewal.lab.apply(&text).await;
    renewal.until("it is told", |status| status.expiry == Expiry::Near).await;
    renewal.lab.end().await;
}
