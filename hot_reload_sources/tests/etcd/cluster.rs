//! Members that come and go.

use std::time::Duration;

use hot_reload_sources::{Access, Store, etcd::Etcd};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::{
    busy::Busy,
    common::{
        follow::{comes, fails, followed, text},
        within,
    },
    etcd,
    server::Member,
};

fn all(members: &[Member; 3]) -> Etcd {
    let addresses = members.each_ref().map(|member| member.address.to_string()).join(",");
    Etcd::from_url(&format!("etcd://{addresses}"), Access::new()).unwrap()
}

/// Puts it as soon as there is a leader. What was asked in vain of one that hangs may yet be done when it goes
/// on, over what was put since: so that is another key.
async fn put_by(member: &Member, value: &str) {
    within(async {
        while member.try_put("probe", value).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    member.put("s", value).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_found_when_it_is() {
    let member = Member::start().await;
    member.put("s", "one").await;
    member.kill();
    let mut followed = followed(etcd(&member).key("s").text());
    fails(&followed, "no connection").await;
    member.run().await;
    comes(&mut followed, text("one")).await;
}

#[tokio::test]
async fn changes_while_the_server_was_gone_are_found_within_a_second() {
    let member = Member::start().await;
    member.put("s", "one").await;
    let mut followed = followed(etcd(&member).key("s").text());
    comes(&mut followed, text("one")).await;
    member.kill();
    fails(&followed, "no connection").await;
    member.run().await;
    member.put("s", "two").await;
    let begun = Instant::now();
    comes(&mut followed, text("two")).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_hangs_is_found_within_the_read_deadline() {
    let member = Member::start().await;
    member.put("s", "one").await;
    let source = etcd(&member).read_deadline(Duration::from_secs(1)).key("s").text();
    let mut followed = followed(source);
    comes(&mut followed, text("one")).await;
    let begun = Instant::now();
    member.signal(Signal::STOP);
    // The connection is found dead by then, and another is not to be had within the second.
    fails(&followed, "no answer").await;
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    member.signal(Signal::CONT);
    member.put("s", "two").await;
    comes(&mut followed, text("two")).await;
}

#[tokio::test]
async fn a_cluster_that_was_set_up_anew_is_believed() {
    let member = Member::start().await;
    for n in 0..20 {
        member.put("s", n.to_string()).await;
    }
    let etcd = etcd(&member);
    let mut one = followed(etcd.key("s").text());
    let mut other = followed(etcd.key("s").text());
    comes(&mut one, text("19")).await;
    comes(&mut other, text("19")).await;
    // The same members, so the cluster has the same id; and it counts from the start.
    member.wipe();
    member.run().await;
    fails(&one, "nothing there").await;
    member.put("s", "new").await;
    comes(&mut one, text("new")).await;
    comes(&mut other, text("new")).await;
    member.put("s", "newer").await;
    comes(&mut one, text("newer")).await;
    comes(&mut other, text("newer")).await;
}

#[tokio::test]
async fn another_member_is_found_when_one_is_lost() {
    let members = Member::start_three().await;
    members[0].put("s", "0").await;
    let mut followed = followed(all(&members).key("s").text());
    comes(&mut followed, text("0")).await;
    // One after the other, so that it is once the one in use, and once the leader.
    for n in 0..3 {
        members[n].kill();
        let other = &members[(n + 1) % 3];
        let value = format!("without {n}");
        put_by(other, &value).await;
        let begun = Instant::now();
        comes(&mut followed, value).await;
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        members[n].run().await;
    }
}

#[tokio::test]
async fn another_member_is_found_when_one_hangs() {
    let members = Member::start_three().await;
    members[0].put("s", "0").await;
    let deadline = Duration::from_secs(1);
    let etcd = all(&members).read_deadline(deadline);
    let mut followed = followed(etcd.key("s").text());
    comes(&mut followed, text("0")).await;
    for n in 0..3 {
        members[n].signal(Signal::STOP);
        let value = format!("without {n}");
        put_by(&members[(n + 1) % 3], &value).await;
        let begun = Instant::now();
        comes(&mut followed, value).await;
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        members[n].signal(Signal::CONT);
    }
}

#[tokio::test]
async fn a_member_without_a_leader_is_left() {
    let members = Member::start_three().await;
    members[0].put("s", "one").await;
    let mut followed = followed(all(&members).key("s").text());
    comes(&mut followed, text("one")).await;
    members[1].kill();
    members[2].kill();
    fails(&followed, "s: ").await;
    members[1].run().await;
    members[1].put("s", "two").await;
    comes(&mut followed, text("two")).await;
}

#[tokio::test]
async fn a_member_that_has_too_much_to_do_is_told() {
    let member = Member::start().await;
    member.put("s", "one").await;
    member.kill();
    let busy = Busy::start(member.address).await;
    let mut followed = followed(etcd(&member).key("s").text());
    fails(&followed, "too much to do: etcdserver: too many requests").await;
    assert!(busy.asked() > 0);
    drop(busy);
    member.run().await;
    comes(&mut followed, text("one")).await;
}
