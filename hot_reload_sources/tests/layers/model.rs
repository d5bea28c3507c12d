//! Whatever happens to the layers, in whatever order: what serves is made of the last good of each.

use std::fs;

use hot_reload::Health;
use hot_reload_sources::{
    Store,
    layers::{Layer, Layers, Tree},
};

use crate::{Config, Place, Running, common::within, defaults, fake::Fake};

const STEPS: usize = 60;

/// What a layer gives, key by key.
type Given = [Option<u16>; 2];

fn text(given: Given) -> String {
    let line = |(key, n): (&str, Option<u16>)| n.map(|n| format!("limits.{key} = {n}\n"));
    let lines: String = ["rps", "burst"].into_iter().zip(given).filter_map(line).collect();
    // An empty one is suspicious.
    format!("# a layer\n{lines}")
}

fn merged(layers: &[Given]) -> [u16; 2] {
    let over = |below: [u16; 2], given: &Given| [0, 1].map(|key| given[key].unwrap_or(below[key]));
    layers.iter().fold([1, 2], over)
}

/// The layers, and what they should come to.
struct Model {
    place: Place,
    store: Fake,
    running: Running,
    /// The last good of each.
    given: [Given; 3],
    is_bad: [bool; 3],
    /// Whether what was given last need not have been seen yet.
    is_unseen: [bool; 3],
}

impl Model {
    fn start() -> Self {
        let (place, store) = (Place::new(), Fake::new("# a layer"));
        let layers = Layers::<Config>::new()
            .with(defaults())
            .with(place.file("0.toml", "# a layer"))
            .with(store.clone().toml::<Tree>())
            .with(Layer::file(place.path("2.toml")).optional());
        let running = Running::realtime(layers);
        Self {
            place,
            store,
            running,
            given: Default::default(),
            is_bad: Default::default(),
            is_unseen: Default::default(),
        }
    }

    /// Puts `text` into layer `n`, or takes away what is there.
    fn put(&self, n: usize, text: Option<&str>) {
        let file = format!("{n}.toml");
        match (n, text) {
            (1, Some(text)) => self.store.put(text),
            (1, None) => self.store.delete(),
            (_, Some(text)) => self.place.write(&file, text),
            // It may be gone already.
            (_, None) => drop(fs::remove_file(self.place.path(&file))),
        }
    }

    /// Waits until what serves, and what is said of it, is as it should be.
    async fn settles(&mut self) {
        let want = merged(&self.given);
        let is_it = |config: &Config| [config.limits.rps, config.limits.burst] == want;
        self.running.holds(is_it).await;
        let is_bad = self.is_bad.contains(&true);
        let health = if is_bad { Health::Retrying } else { Health::Fresh };
        self.running.status(|status| status.health == health).await;
        // What another layer hides has been seen as well.
        within(self.running.handle.trigger()).await;
        assert!(is_it(&self.running.receiver.get().unwrap()), "{want:?} and no more");
        self.is_unseen = [false; 3];
    }

    async fn step(&mut self, random: &mut fastrand::Rng) {
        let n = random.usize(..3);
        let what = random.u8(..10);
        let is_missing = what == 0 && n == 2;
        let is_bad = what < 3 && !is_missing;
        if is_bad && self.is_unseen[n] {
            // Else it is chance whether that was ever seen to be good.
            self.settles().await;
        }
        self.is_bad[n] = is_bad;
        match what {
            0 => self.put(n, None),
            1 => self.put(n, Some("limits.rps = ")),
            // A key that there is not, which no layer above can hide.
            2 => self.put(n, Some("naem = 1")),
            _ => {
                self.given[n] = [0, 1].map(|_| random.bool().then(|| random.u16(3..)));
                self.put(n, Some(&text(self.given[n])));
            }
        }
        if is_missing {
            self.given[n] = Given::default();
        }
        self.is_unseen[n] |= !is_bad;
        // Some come together.
        if random.bool() {
            self.settles().await;
        }
    }
}

async fn goes_by_the_last_good_of_each(seed: u64) {
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut model = Model::start();
    model.settles().await;
    for _ in 0..STEPS {
        model.step(&mut random).await;
    }
    model.settles().await;
}

#[tokio::test]
async fn what_serves_is_made_of_the_last_good_of_each() {
    goes_by_the_last_good_of_each(fastrand::u64(..)).await;
}

#[tokio::test]
async fn what_serves_is_made_of_the_last_good_of_each_as_it_once_was() {
    for seed in [1, 2] {
        goes_by_the_last_good_of_each(seed).await;
    }
}
