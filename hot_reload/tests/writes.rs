//! What writers do to the content of a file.
#![cfg(feature = "toml")]

mod common;

use std::{fs::File, io::Write, time::Duration};

use common::{Config, Lab, config, text};

in_every_strategy! {
    async fn in_place_write_is_published(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        lab.write(text("two"));
        lab.expect(config("two")).await;
        lab.write(text("three"));
        lab.expect(config("three")).await;
    }

    async fn half_a_file_is_never_published(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let mut writer = File::create(&lab.path).unwrap();
        writer.write_all(b"name = \"two\"\n").unwrap();
        writer.flush().unwrap();
        lab.expect_silence(Duration::from_secs(2)).await;
        writer.write_all(b"rest = \"whole\"\n").unwrap();
        drop(writer);
        lab.expect(config("two")).await;
    }

    async fn a_writer_that_never_closes_is_read_at_the_ceiling(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        let mut writer = File::create(&lab.path).unwrap();
        writer.write_all(text("two").as_bytes()).unwrap();
        lab.expect(config("two")).await;
        drop(writer);
    }

    async fn atomic_rename_is_published(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        for n in 0..20 {
            lab.replace(text(&n.to_string()));
            lab.expect(config(&n.to_string())).await;
        }
    }
}
