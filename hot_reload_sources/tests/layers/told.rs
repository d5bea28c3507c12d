//! What is said of a key, and of where it is from.

use std::{
    io,
    sync::{Arc, Mutex},
};

use hot_reload::file_reloader::Toml;
use hot_reload_sources::layers::{Layer, Layers};
use serde::Deserialize;
use serde_json::json;
use tracing_subscriber::util::SubscriberInitExt;

use crate::{Config, Place, Running, Variables, common::within, constant, defaults};

/// Loads once, and returns the error with all its causes.
async fn error_of<V>(layers: Layers<V>) -> String
where
    V: serde::de::DeserializeOwned + Eq + Clone + Send + Sync + std::fmt::Debug + 'static,
{
    let Err(error) = within(layers.watch()).await else { panic!("there is a value") };
    match error {
        hot_reload::ReloaderError::Other(error) => format!("{error:#}"),
        other => other.to_string(),
    }
}

#[tokio::test]
async fn an_error_names_the_layer_and_the_key_and_never_the_value() {
    let place = Place::new();
    let path = place.path("a.toml").display().to_string();
    for (text, want) in [
        ("limits.rps = 'hunter2'", "limits.rps: invalid type: found string, expected u16"),
        ("limits.rps = 70000", "limits.rps: invalid value: found another integer, expected u16"),
        ("limits = 'hunter2'", "limits: invalid type: found string, expected struct Limits"),
        ("limits = [1]", "limits: invalid length 1, expected struct Limits with 2 elements"),
        ("naem = 'hunter2'", "naem: unknown key, expected one of name, limits"),
    ] {
        let layers = Layers::<Config>::new().with(defaults()).with(place.file("a.toml", text));
        let error = error_of(layers).await;
        assert_eq!(error, format!("{path}: {want}"), "{text}");
    }
    let layers = Layers::<Config>::new().with(constant(json!({ "name": "x", "limits": {} })));
    let error = error_of(layers).await;
    assert_eq!(error, "limits.rps: missing; none of the layers gives it");
}

#[tokio::test]
async fn a_variable_is_named() {
    let variables = Variables::default();
    variables.set("APP_LIMITS__RPS", "hunter2");
    let layers = Layers::<Config>::new().with(defaults()).with(variables.env());
    assert_eq!(
        error_of(layers).await,
        "environment variable APP_LIMITS__RPS: limits.rps: invalid type: found string, expected u16"
    );
}

#[tokio::test]
async fn words_of_a_type_of_the_user_are_without_the_value() {
    #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
    #[serde(try_from = "String")]
    struct Word(String);
    impl TryFrom<String> for Word {
        type Error = String;
        fn try_from(text: String) -> Result<Self, String> {
            Err(format!("no word: {text}, as \"{text}s\" is none"))
        }
    }
    #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
    struct Words {
        #[serde(rename = "words")]
        _words: Vec<Word>,
    }
    let value = json!({ "words": ["hunter2"] });
    let layers = Layers::<Words>::new().with(Layer::constant("given", &value));
    assert_eq!(error_of(layers).await, "given: words.0: no word: …, as … is none");
}

#[tokio::test]
async fn provenance_has_a_line_for_each_key() {
    let (place, variables) = (Place::new(), Variables::default());
    variables.set("APP_LIMITS__RPS", "5");
    variables.set("APP_EXTRA", "{a=1, b=[1, 2]}");
    let layers = Layers::<serde_json::Value>::new()
        .with(defaults())
        .with(place.file("a.toml", "limits.burst = 6\nsince = 2020-01-01\nnothing = {}"))
        .with(variables.env());
    let provenance = layers.provenance();
    assert!(provenance.get().is_empty());
    let _live = within(layers.watch()).await.unwrap();
    let file = place.path("a.toml").display().to_string();
    let want = [
        ("extra.a", "environment variable APP_EXTRA"),
        ("extra.b", "environment variable APP_EXTRA"),
        ("limits.burst", &file),
        ("limits.rps", "environment variable APP_LIMITS__RPS"),
        ("name", "defaults"),
        ("nothing", &file),
        ("since", &file),
    ];
    let want: Vec<_> = want.map(|(key, origin)| format!("{key}: {origin}\n")).into();
    assert_eq!(provenance.to_string(), want.concat());
}

#[tokio::test]
async fn formats_mean_the_same() {
    let place = Place::new();
    for (name, text) in [
        ("a.toml", "i = 1\nf = 1.5\nt = 'x'\nb = true\nl = [1, 2]\nm = { x = 'z' }"),
        ("a.json", r#"{ "i": 1, "f": 1.5, "t": "x", "b": true, "l": [1, 2], "m": { "x": "z" } }"#),
        ("a.yaml", "i: 1\nf: 1.5\nt: x\nb: true\nl: [1, 2]\nm:\n  x: z\n"),
        ("a.YML", "{ i: 1, f: 1.5, t: 'x', b: true, l: [1, 2], m: { x: z } }"),
    ] {
        let layers = Layers::<serde_json::Value>::new().with(place.file(name, text));
        let live = within(layers.watch()).await.unwrap();
        let want = json!({ "i": 1, "f": 1.5, "t": "x", "b": true, "l": [1, 2], "m": { "x": "z" } });
        assert_eq!(live.get().unwrap(), want, "{name}");
    }
    place.write("a.conf", "i = 1");
    let layers =
        Layers::<serde_json::Value>::new().with(Layer::file_as::<Toml>(place.path("a.conf")));
    assert_eq!(within(layers.watch()).await.unwrap().get().unwrap(), json!({ "i": 1 }));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_has_the_layer_and_the_key_and_no_value() {
    let log = Log::default();
    let to = log.clone();
    let _logging = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || to.clone())
        .set_default();
    let place = Place::new();
    let variables = Variables::default();
    let layers = Layers::new()
        .with(defaults())
        .with(place.file("a.toml", "name = 'hunter2'"))
        .with(place.file("b.yaml", "name: hunter2"))
        .with(variables.env());
    let mut running = Running::realtime(layers);
    running.holds(|config| config.name == "hunter2").await;
    place.write("a.toml", "limits.rps = 'hunter2'");
    running.says("a.toml: limits.rps: invalid type").await;
    place.write("a.toml", "limits.rps = hunter2");
    running.says("a.toml:1:").await;
    place.write("b.yaml", "name: [hunter2");
    running.says("b.yaml").await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("a.toml: limits.rps: invalid type: found string, expected u16"), "{log}");
    assert!(log.contains("a.toml:1:14"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}
