//! A URL as a source: by conditional GET, server-sent events, or long polling.
//!
//! ```no_run
//! use hot_reload_sources::{Access, Secret, Store, http::Http};
//!
//! # #[derive(serde::Deserialize, Clone, PartialEq, Eq)]
//! # struct Limits { requests: u32 }
//! # #[cfg(feature = "toml")]
//! # async fn run() -> anyhow::Result<()> {
//! let access = Access::new().token(Secret::file("/run/secrets/token"));
//! let server = Http::from_url("https://config.example.com", access)?;
//! let limits = server.get("/prod/limits.toml")?.events("/changes")?;
//! let mut limits = limits.toml::<Limits>().watch().await?;
//! while let Ok(limits) = limits.changed().await {
//!     println!("{} requests", limits.requests);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # How changes are noticed
//!
//! - [`Http::get`] alone: by looking, every poll interval, with `If-None-Match` or
//!   `If-Modified-Since`; a server that has nothing new answers with 304 and no body.
//! - [`events`](HttpPlace::events): by [server-sent events] that carry the value, and
//!   [`events_as_hints`](HttpPlace::events_as_hints) by events that only say to look again.
//! - [`long_poll`](HttpPlace::long_poll): by requests that the server answers when its index has moved
//!   on, as [Consul's blocking queries]; [`consul_kv`](Http::consul_kv) is a key of Consul.
//!
//! A server that can't do it, or has none of it there, is polled, and the status says why.
//!
//! # What is newer
//!
//! The index, where there is one, is the revision of an entry; one that goes backwards begins another
//! count, as Consul asks for. An `ETag` says nothing of order. So an event is taken at its word only
//! while the stream has said all that a GET has; else it is a hint, and the next GET decides.
//!
//! # What is refused
//!
//! - More than 5 redirects, and any from https to http. Those to another host are followed without
//!   credentials, and not at all where a client certificate would be shown.
//! - A body that is cut off, encoded, or of a length that neither `content-length` nor chunks tell.
//! - An answer, or an event, of more than [`max_size`](HttpPlace::max_size).
//!
//! # Credentials
//!
//! A user and a password go as basic authentication, a token as a bearer token, both only to the host
//! (scheme and port included) of the server. Their files are read for each request, those of
//! certificates as well; connections are made anew when these were replaced. An event stream that
//! stands goes on with what it was opened with.
//!
//! # Known problems
//!
//! - A server that sends neither events nor comments within [`silence`](HttpPlace::silence) is taken for
//!   dead and asked anew; have it send a comment every 15 s, as the standard recommends.
//! - `Last-Modified` is in whole seconds: a value is only asked for by it once it is a second old.
//! - A cache in between that answers with what was, after an event said to look, hides the change until
//!   the next look.
//! - Proxies are taken from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, as by curl; a client of your own
//!   says otherwise. Its redirects and deadlines are its own too.
//! - A value of events can't end in a newline, nor have carriage returns; neither has what is read from
//!   such a place, so that both are equal.
//!
//! [server-sent events]: https://html.spec.whatwg.org/multipage/server-sent-events.html
//! [Consul's blocking queries]: https://developer.hashicorp.com/consul/api-docs/features/blocking

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use reqwest::RequestBuilder;
use url::Url;

mod client;
mod events;
mod long_poll;
mod memory;
mod place;
mod refusal;
mod request;
mod session;
mod sse;
mod standing;

use self::client::Clients;
pub use self::place::HttpPlace;
use crate::{
    access::{Access, Secret},
    error::StoreError,
};

/// A server, and who asks it; its places share connections.
#[derive(Debug, Clone)]
pub struct Http {
    clients: Clients,
    access: Arc<Access>,
    /// The only one that credentials are for; a client of the user's own is for any.
    server: Option<Url>,
}

impl Http {
    /// Creates what asks the server at `url`, such as `https://config.example.com`, over HTTP/2 where it
    /// has that. Credentials in the URL stand for those that `access` has none of.
    ///
    /// # Errors
    ///
    /// When `url` is none of https or http, and when there is both a token and a password.
    pub fn from_url(url: &str, access: Access) -> Result<Self, StoreError> {
        Self::of(Clients::ours(), parse(url)?, access)
    }

    fn of(clients: Clients, mut server: Url, mut access: Access) -> Result<Self, StoreError> {
        if !server.username().is_empty() || server.password().is_some() {
            let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
            let password = server.password().map(|password| Secret::text(decoded(password)));
            access.user = access.user.or(Some(decoded(server.username())));
            access.password = access.password.or(password);
        }
        if access.token.is_some() && (access.user.is_some() || access.password.is_some()) {
            return Err(StoreError::refused("a token and a user or password; give one of them"));
        }
        without_credentials(&mut server);
        // It may be secret.
        server.set_query(None);
        server.set_fragment(None);
        Ok(Self { clients, access: Arc::new(access), server: Some(server) })
    }

    /// Creates what asks by a client of your own, which has its own credentials, trust and redirects.
    pub fn from_client(client: reqwest::Client) -> Self {
        Self { clients: Clients::Given(client), access: Arc::default(), server: None }
    }

    /// The value at `url`, which may be relative to that of the server; polled unless told otherwise.
    ///
    /// # Errors
    ///
    /// When it is no URL of https or http.
    pub fn get(&self, url: &str) -> Result<HttpPlace, StoreError> {
        if let Some(server) = &self.server {
            return Ok(HttpPlace::new(self.clone(), join(server, url)?));
        }
        let url = parse(url)?;
        let http = Self::of(self.clients.clone(), url.clone(), Access::new())?;
        Ok(HttpPlace::new(http, url))
    }

    /// The value of `key` in Consul's KV store, by long polling; a token is sent as bearer token.
    ///
    /// # Errors
    ///
    /// When the server is no URL of https or http.
    ///
    /// # Examples
    ///
    /// ```
    /// use hot_reload_sources::{Access, Store, http::Http};
    ///
    /// let consul = Http::from_url("http://127.0.0.1:8500", Access::new())?;
    /// let place = consul.consul_kv("prod/server.toml")?;
    /// assert_eq!(place.name(), "http://127.0.0.1:8500/v1/kv/prod/server.toml?raw");
    /// # Ok::<(), hot_reload_sources::StoreError>(())
    /// ```
    pub fn consul_kv(&self, key: &str) -> Result<HttpPlace, StoreError> {
        let Some(mut url) = self.server.clone() else {
            return Err(StoreError::invalid("no server; use get with the whole URL of the key"));
        };
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["v1", "kv"]).extend(key.split('/'));
        }
        url.set_query(Some("raw"));
        Ok(HttpPlace::new(self.clone(), url).long_poll())
    }

    fn is_server(&self, url: &Url) -> bool {
        self.server.as_ref().is_some_and(|server| server.origin() == url.origin())
    }

    /// Adds the credentials as they are now, if `url` is of the server that they are for.
    async fn authorize(
        &self,
        request: RequestBuilder,
        url: &Url,
    ) -> Result<RequestBuilder, StoreError> {
        let Access { user, password, token, .. } = &*self.access;
        if !self.is_server(url) {
            return Ok(request);
        }
        if let Some(token) = token {
            return Ok(request.bearer_auth(&*token.read().await?));
        }
        let password = match password {
            Some(password) => Some(password.read().await?),
            None => None,
        };
        if user.is_none() && password.is_none() {
            return Ok(request);
        }
        Ok(request.basic_auth(user.as_deref().unwrap_or_default(), password.as_deref()))
    }

    fn may_show_certificate(&self, to: &Url) -> Result<(), StoreError> {
        if self.access.client_certificate.is_some() && !self.is_server(to) {
            let host = to.host_str().unwrap_or_default();
            return Err(StoreError::refused(format!(
                "{host} is not the server that the client certificate is for, and is not asked"
            )));
        }
        Ok(())
    }
}

fn parse(url: &str) -> Result<Url, StoreError> {
    let parsed = Url::parse(url).map_err(|error| StoreError::invalid("no URL").because(error))?;
    is_http(parsed)
}

fn join(base: &Url, url: &str) -> Result<Url, StoreError> {
    let mut joined =
        base.join(url).map_err(|error| StoreError::invalid("no URL").because(error))?;
    without_credentials(&mut joined);
    is_http(joined)
}

fn is_http(url: Url) -> Result<Url, StoreError> {
    if !matches!(url.scheme(), "https" | "http") {
        let told = format!("{} is not the scheme of a URL of https or http", url.scheme());
        return Err(StoreError::invalid(told));
    }
    Ok(url)
}

fn without_credentials(url: &mut Url) {
    // A URL of https or http can have, and lack, both.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}
