//! What files and the environment come to, together.

use std::fs;

use hot_reload::{Health, Mechanism, ReloaderOptions, file_reloader::Toml};
use hot_reload_sources::layers::{Layer, Layers};
use serde_json::json;

use crate::{Place, Running, Variables, common::within, constant, defaults};

#[tokio::test]
async fn later_layers_win_key_by_key() {
    let (place, variables) = (Place::new(), Variables::default());
    variables.set("APP_LIMITS__RPS", "40");
    let layers = Layers::new()
        .with(defaults())
        .with(place.file("a.toml", "name = 'toml'\n[limits]\nrps = 10\nburst = 11"))
        .with(place.file("b.json", r#"{ "limits": { "rps": 20, "burst": 21 } }"#))
        .with(place.file("c.yaml", "limits:\n  rps: 30\n"))
        .with(variables.env());
    let mut running = Running::realtime(layers);
    let config = running.holds(|_| true).await;
    assert_eq!((config.name.as_str(), config.limits.rps, config.limits.burst), ("toml", 40, 21));
    let status = running.status.get();
    assert_eq!((status.health, status.mechanism), (Health::Fresh, Some(Mechanism::Events)));
}

#[tokio::test]
async fn whichever_file_moves_the_whole_is_published() {
    let place = Place::new();
    let layers = Layers::new()
        .with(defaults())
        .with(place.file("a.toml", "name = 'a'"))
        .with(place.file("b.toml", "limits.rps = 2"));
    let mut running = Running::realtime(layers);
    running.holds(|config| config.limits.rps == 2).await;
    place.write("b.toml", "limits.rps = 3");
    running.holds(|config| config.limits.rps == 3).await;
    place.write("a.toml", "name = 'z'");
    running.holds(|config| config.name == "z" && config.limits.rps == 3).await;
    assert_eq!(running.status.get().generation, 3);
}

#[tokio::test]
async fn a_key_that_is_taken_away_falls_to_the_layer_below() {
    let place = Place::new();
    let layers = Layers::new()
        .with(defaults())
        .with(place.file("a.toml", "limits.rps = 10"))
        .with(place.file("b.toml", "limits.rps = 20\nlimits.burst = 5"));
    let provenance = layers.provenance();
    let mut running = Running::realtime(layers);
    running.holds(|config| config.limits.rps == 20).await;
    place.write("b.toml", "limits.burst = 5");
    running.holds(|config| config.limits.rps == 10).await;
    assert!(provenance.of("limits.rps").unwrap().ends_with("a.toml"));
    place.write("a.toml", "name = 'x'");
    running.holds(|config| config.limits.rps == 1).await;
    assert_eq!(&*provenance.of("limits.rps").unwrap(), "defaults");
}

#[tokio::test]
async fn what_changes_nothing_publishes_nothing() {
    let place = Place::new();
    let layers = Layers::new()
        .with(defaults())
        .with(place.file("a.toml", "limits.rps = 10"))
        .with(place.file("b.toml", "limits.rps = 20"));
    let mut running = Running::realtime(layers);
    running.holds(|config| config.limits.rps == 20).await;
    // Another comment; another value of a key that a later layer has.
    place.write("b.toml", "# why\nlimits.rps = 20");
    place.write("a.toml", "limits.rps = 11");
    place.write("b.toml", "limits.rps = 21");
    running.holds(|config| config.limits.rps == 21).await;
    assert_eq!(running.status.get().generation, 2);
}

#[tokio::test]
async fn files_that_move_together_are_published_together() {
    let place = Place::new();
    let layers = Layers::new()
        .with(defaults())
        .with(place.file("a.toml", "limits.rps = 0"))
        .with(place.file("b.toml", "limits.burst = 0"));
    let mut running = Running::realtime(layers);
    running.holds(|config| config.limits.rps == 0).await;
    for n in 1..=20 {
        place.write("a.toml", &format!("limits.rps = {n}"));
        place.write("b.toml", &format!("limits.burst = {n}"));
        let config = running.holds(|config| config.limits.rps == n).await;
        assert_eq!(config.limits.burst, n);
    }
    assert_eq!(running.status.get().generation, 21);
}

#[cfg(unix)]
#[tokio::test]
async fn files_behind_one_link_that_is_turned_are_published_together() {
    let place = Place::new();
    let turn_to = |n: u16| {
        let dir = place.path(&n.to_string());
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("a.toml"), format!("limits.rps = {n}")).unwrap();
        fs::write(dir.join("b.toml"), format!("limits.burst = {n}")).unwrap();
        std::os::unix::fs::symlink(dir, place.path("next")).unwrap();
        fs::rename(place.path("next"), place.path("data")).unwrap();
    };
    turn_to(0);
    let file = |name: &str| Layer::file(place.path("data").join(name));
    let layers = Layers::new().with(defaults()).with(file("a.toml")).with(file("b.toml"));
    let mut running = Running::realtime(layers);
    running.holds(|config| config.limits.rps == 0).await;
    for n in 1..=10 {
        turn_to(n);
        let config = running.holds(|config| config.limits.rps == n).await;
        assert_eq!(config.limits.burst, n);
    }
    assert_eq!(running.status.get().generation, 11);
}

#[tokio::test]
async fn a_writer_that_never_ends_holds_up_nobody_for_ever() {
    use std::io::Write;
    let place = Place::new();
    let layers = Layers::new()
        .with(defaults())
        .with(place.file("a.toml", "limits.rps = 10"))
        .with(place.file("b.toml", "limits.burst = 0"));
    let mut running = Running::realtime(layers);
    running.holds(|config| config.limits.rps == 10).await;
    let mut writer = fs::OpenOptions::new().append(true).open(place.path("a.toml")).unwrap();
    for n in 1..=3 {
        writer.write_all(b"\nlimits.").unwrap();
        place.write("b.toml", &format!("limits.burst = {n}"));
        let config = running.holds(|config| config.limits.burst == n).await;
        assert_eq!(config.limits.rps, 10);
    }
    drop(writer);
    place.write("a.toml", "limits.rps = 11");
    running.holds(|config| config.limits.rps == 11).await;
    running.status(|status| status.health == Health::Fresh).await;
}

#[tokio::test]
async fn an_optional_file_comes_and_goes() {
    let place = Place::new();
    let optional = Layer::file(place.path("local.toml")).optional();
    let layers = Layers::new().with(defaults()).with(optional);
    let mut running = Running::realtime(layers);
    running.holds(|config| config.limits.rps == 1).await;
    assert_eq!(running.status.get().health, Health::Fresh);
    for rps in [5, 6] {
        place.write("local.toml", &format!("limits.rps = {rps}"));
        running.holds(|config| config.limits.rps == rps).await;
        fs::rename(place.path("local.toml"), place.path("aside")).unwrap();
        running.holds(|config| config.limits.rps == 1).await;
        assert_eq!(running.status.get().health, Health::Fresh);
        // The same file again.
        fs::rename(place.path("aside"), place.path("local.toml")).unwrap();
        running.holds(|config| config.limits.rps == rps).await;
        fs::remove_file(place.path("local.toml")).unwrap();
        running.holds(|config| config.limits.rps == 1).await;
    }
}

#[tokio::test]
async fn a_required_file_is_waited_for_and_kept_when_it_goes() {
    let place = Place::new();
    let layers = Layers::new().with(defaults()).with(Layer::file(place.path("a.toml")));
    let mut running = Running::realtime(layers);
    let status = running.says("a.toml: not there").await;
    assert_eq!(status.generation, 0);
    place.write("a.toml", "limits.rps = 5");
    running.holds(|config| config.limits.rps == 5).await;
    fs::remove_file(place.path("a.toml")).unwrap();
    let status = running.says("a.toml: not there").await;
    assert!(status.is_ready());
    assert_eq!(running.receiver.get().unwrap().limits.rps, 5);
    place.write("a.toml", "limits.rps = 5");
    running.status(|status| status.health == Health::Fresh).await;
    assert_eq!(running.status.get().generation, 1);
}

#[tokio::test]
async fn the_environment_is_read_at_each_look() {
    let (place, variables) = (Place::new(), Variables::default());
    let layers = || {
        Layers::new()
            .with(defaults())
            .with(place.file("a.toml", "name = 'a'"))
            .with(variables.env())
    };
    let mut running = Running::realtime(layers());
    running.holds(|config| config.limits.rps == 1).await;
    variables.set("APP_LIMITS__RPS", "7");
    place.write("a.toml", "name = 'b'");
    let config = running.holds(|config| config.name == "b").await;
    assert_eq!(config.limits.rps, 7);

    let often = ReloaderOptions::polling().poll_interval(std::time::Duration::from_millis(20));
    let mut running = Running::start(layers(), often);
    running.holds(|config| config.limits.rps == 7).await;
    assert_eq!(running.status.get().mechanism, Some(Mechanism::Polling));
    variables.set("APP_LIMITS__RPS", "8");
    running.holds(|config| config.limits.rps == 8).await;
    place.write("a.toml", "name = 'c'");
    running.holds(|config| config.name == "c").await;
}

#[tokio::test]
async fn watches_in_one_line() {
    let place = Place::new();
    let layers = || Layers::<crate::Config>::new().with(Layer::file(place.path("a.toml")));
    let error = within(layers().watch()).await.err().unwrap();
    assert!(error.to_string().contains("a.toml: not there"), "{error}");
    place.write("a.toml", "name = 'a'\nlimits = { rps = 1, burst = 2 }");
    let mut config = within(layers().watch()).await.unwrap();
    assert_eq!(config.get().unwrap().name, "a");
    place.write("a.toml", "name = 'b'\nlimits = { rps = 1, burst = 2 }");
    while config.get().unwrap().name != "b" {
        within(config.changed()).await.unwrap();
    }
}

#[tokio::test]
async fn what_has_no_keys_is_no_layer() {
    for (layer, want) in [
        (constant(json!([1, 2])), "defaults: no keys in it"),
        (Layer::file("config.ini"), "config.ini: no format is known"),
        (Layer::file_as::<Toml>(""), ": can't be read"),
    ] {
        let layers = Layers::<crate::Config>::new().with(layer);
        let error = within(layers.watch()).await.err().unwrap().to_string();
        assert!(error.contains(want), "{error}");
    }
}
