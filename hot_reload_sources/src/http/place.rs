//! A place of a server, and how its changes are noticed.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use url::Url;

use super::{
    Http,
    channel::{Channel, Events, LongPoll},
    memory::Memory,
    parse,
    session::{Connected, Session},
    without_credentials,
};
use crate::{
    access::Access,
    error::StoreError,
    store::{Connection, MAX_SIZE, Store},
};

/// Twice as long as the standard recommends for the comments of an idle event stream.
const SILENCE: Duration = Duration::from_secs(30);

/// A URL whose content is a value.
#[derive(Clone)]
#[must_use]
pub struct HttpPlace {
    pub(super) http: Http,
    pub(super) url: Url,
    pub(super) channel: Channel,
    /// The type of the events that count; `None` for `message`.
    pub(super) event_name: Option<String>,
    pub(super) max_size: usize,
    pub(super) silence: Duration,
    pub(super) memory: Arc<Mutex<Memory>>,
}

impl HttpPlace {
    pub(super) fn new(http: Http, mut url: Url) -> Self {
        url.set_fragment(None);
        without_credentials(&mut url);
        Self {
            silence: SILENCE.max(http.read_deadline),
            http,
            url,
            channel: Channel::None,
            event_name: None,
            max_size: MAX_SIZE,
            memory: Arc::default(),
        }
    }

    /// Names the place that `url` is of: `https://user:password@host/config.toml#watch=sse`.
    ///
    /// The fragment says how changes are noticed, as [`http`](crate::http) has it.
    ///
    /// # Errors
    ///
    /// As [`Http::from_url`]; and when the fragment says anything else.
    ///
    /// # Examples
    ///
    /// ```
    /// use hot_reload_sources::{Access, Store, http::HttpPlace};
    ///
    /// let url = "https://app:hunter2@config.example.com/prod.toml?key=hunter3#watch=sse";
    /// let place = HttpPlace::from_url(url, Access::new())?;
    /// assert_eq!(place.name(), "https://config.example.com/prod.toml?key=…");
    /// # Ok::<(), hot_reload_sources::StoreError>(())
    /// ```
    pub fn from_url(url: &str, access: Access) -> Result<Self, StoreError> {
        let http = Http::from_url(url, access)?;
        let url = parse(url)?;
        let channel = Channel::of(&url)?;
        Ok(Self { channel, ..Self::new(http, url) })
    }

    /// Has the server-sent events at `url` carry the value; an empty URL is that of the place, asked for
    /// as `text/event-stream`, others may be relative to it.
    ///
    /// The value is read once the stream stands, then each event is one, as long as the stream can be
    /// trusted to say all of them. An event without data says to look again, as after a removal.
    ///
    /// # Errors
    ///
    /// When `url` is none of https or http.
    pub fn events(self, url: &str) -> Result<Self, StoreError> {
        self.by_events(url, false)
    }

    /// As [`events`](Self::events), where an event only says to look again; that is done by a
    /// conditional GET, one at a time.
    ///
    /// # Errors
    ///
    /// When `url` is none of https or http.
    pub fn events_as_hints(self, url: &str) -> Result<Self, StoreError> {
        self.by_events(url, true)
    }

    fn by_events(mut self, url: &str, are_hints: bool) -> Result<Self, StoreError> {
        self.channel = Channel::Events(Events::at(&self.url, url, are_hints)?);
        Ok(self)
    }

    /// Sets the type of the events that count; those without one, or of the type `message`, by default.
    pub fn event_name(mut self, event: impl Into<String>) -> Self {
        self.event_name = Some(event.into()).filter(|name| name != "message");
        self
    }

    /// Asks with the query parameters `index` and `wait` of Consul, and takes the index from its header
    /// `X-Consul-Index`.
    pub fn long_poll(self) -> Self {
        self.by_long_poll(LongPoll::of_consul())
    }

    /// As [`long_poll`](Self::long_poll), by other names: that of the header with the index, of the
    /// query parameter for it, and of that for how long to wait, such as `20s`.
    ///
    /// # Errors
    ///
    /// When `header` is no name of a header.
    pub fn long_poll_by(self, header: &str, index: &str, wait: &str) -> Result<Self, StoreError> {
        let header = header.parse().map_err(|error| {
            StoreError::refused("no name of a header for the index").because(error)
        })?;
        Ok(self.by_long_poll(LongPoll { header, index: index.into(), wait: wait.into() }))
    }

    fn by_long_poll(mut self, names: LongPoll) -> Self {
        self.channel = Channel::LongPoll(names);
        self
    }

    /// Sets how long the server may be silent before it is taken for dead: between events or comments,
    /// and until a long poll is answered, which is asked to wait for three quarters of that; 30 s by
    /// default, or the read deadline where that is longer.
    pub fn silence(mut self, deadline: Duration) -> Self {
        self.silence = deadline;
        self
    }

    /// Sets the size in bytes up to which an answer, or an event, is taken, and more of it not even read;
    /// 16 MiB by default.
    pub fn max_size(mut self, bytes: usize) -> Self {
        self.max_size = bytes;
        self
    }
}

#[async_trait]
impl Store for HttpPlace {
    /// The URL, without credentials, and without what the query's parameters are: it may be secret.
    fn name(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        let parameters = self.url.query().unwrap_or_default().split('&');
        let masked: Vec<String> = parameters
            .map(|parameter| match parameter.split_once('=') {
                Some((key, _)) => format!("{key}=…"),
                // A key to what is not for everybody may stand alone.
                None => "…".to_owned(),
            })
            .collect();
        match self.url.query() {
            Some(_) => format!("{url}?{}", masked.join("&")),
            None => url.into(),
        }
    }

    fn read_deadline(&self) -> Duration {
        self.http.read_deadline
    }

    fn max_size(&self) -> usize {
        self.max_size
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        Ok(Box::new(Connected(Session::open(self.clone()).await?)))
    }
}

impl fmt::Debug for HttpPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpPlace").field(&self.name()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Result<HttpPlace, String> {
        HttpPlace::from_url(url, Access::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (url, want) in [
            ("https://host/#watch=hunter2", "none of sse"),
            ("https://host/#hunter2=1", "none of #watch"),
            ("https://app:1#hunter2@host/", "none of #watch"),
            ("https://app:1/hunter2@host/", "%40"),
            ("https://host/#events=/changes", "for #watch=sse"),
            ("etcd://host/", "https and http"),
            ("https://app:hunter2%zz@host/", "begins no byte"),
            ("hunter2", "not a URL"),
        ] {
            let told = HttpPlace::from_url(url, Access::new()).unwrap_err();
            assert!(told.is_refused() && told.to_string().contains(want), "{url}: {told}");
            assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
        }
    }

    #[test]
    fn who_trusts_certificates_speaks_tls() {
        for (url, is_refused) in [("http://host/", true), ("https://host/", false)] {
            let told = HttpPlace::from_url(url, Access::new().ca_file("/ca.pem"));
            assert_eq!(told.is_err_and(|error| error.to_string().contains("https")), is_refused);
        }
    }

    #[test]
    fn no_secret_of_a_url_is_told() {
        let place = place("https://app:hunter2@host/a?b=hunter3&raw#watch=sse").unwrap();
        assert_eq!(place.name(), "https://host/a?b=…&…");
        assert!(!format!("{place:?} {:?}", place.http).contains("hunter"));
    }

    #[tokio::test]
    async fn credentials_of_a_url_are_decoded() {
        let place = place("https://app:a%2Fb%20c@host/").unwrap();
        let access = &place.http.access;
        assert_eq!(access.user.as_deref(), Some("app"));
        assert_eq!(*access.password.as_ref().unwrap().read().await.unwrap(), "a/b c");
    }
}
