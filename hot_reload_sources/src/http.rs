//! A URL as a source: by conditional GET, server-sent events, or long polling.
//!
//! # Examples
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
//! while limits.changed().await.is_ok() {
//!     println!("{:?} requests", limits.get().map(|limits| limits.requests));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # URLs
//!
//! | URL | is |
//! |---|---|
//! | `https://host/server.toml` | looked at every poll interval: 10 s by `watch`, or as the options say |
//! | `https://host/server.toml#watch=sse` | told by events that carry the value |
//! | `https://host/server.toml#watch=sse-hints&events=/changes` | told by events of another URL that say to look |
//! | `http://host:8500/v1/kv/server.toml?raw#watch=long-poll` | told by long polling, as Consul does |
//!
//! The fragment never goes to the server. An `@` behind the host is written `%40`, so that what follows a
//! password with a slash in it is not taken for a path.
//!
//! # How it works
//!
//! - [`Http::get`] alone: by looking, every poll interval, with `If-None-Match` or
//!   `If-Modified-Since`; a server that has nothing new answers with 304 and no body.
//! - [`events`](HttpPlace::events): by [server-sent events] that carry the value, and
//!   [`events_as_hints`](HttpPlace::events_as_hints) by events that only say to look again.
//! - [`long_poll`](HttpPlace::long_poll): by requests that the server answers when its index has moved
//!   on, as [Consul's blocking queries]; [`consul_kv`](Http::consul_kv) is a key of Consul.
//!
//! A server that can't do it, or has none of it there, is polled, and the status says why. One that answers
//! with 429 or 5xx is asked ever more seldom, and not before its `Retry-After`; a stream that carries the
//! value stands meanwhile.
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
//! certificates as well; connections are made anew when these were replaced. Whom the system trusts, where
//! no file says whom to, is looked at anew when a server is not trusted. An event stream that stands goes
//! on with what it was opened with.
//!
//! # Known problems
//!
//! - A server that sends neither events nor comments within [`silence`](HttpPlace::silence) is taken for
//!   dead and asked anew; have it send a comment every 15 s, as the standard recommends.
//! - `Last-Modified` is in whole seconds: a value is only asked for by it once it is a second old.
//! - A cache in between that answers with what was, after an event, brings that back until the next look;
//!   it is asked by `no-cache` not to, where there is a channel, but not all heed that.
//! - Proxies are taken from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, as by curl; a client of your own
//!   says otherwise. Its redirects and deadlines are its own too.
//! - Events that only say to look, as those of other values do, are heeded every 250 ms at most once they
//!   have told of no change a dozen times in a row.
//! - A value of events ends in no newline, and has no carriage returns; neither has what is read from
//!   such a place, so that both are equal.
//! - A stream that begins by telling again what was, of which one is what is there now, is believed from
//!   that one on: what it tells next may be older, until it has told all.
//!
//! [server-sent events]: https://html.spec.whatwg.org/multipage/server-sent-events.html
//! [Consul's blocking queries]: https://developer.hashicorp.com/consul/api-docs/features/blocking

use std::{sync::Arc, time::Duration};

use reqwest::{
    RequestBuilder,
    header::{AUTHORIZATION, HeaderValue},
};
use url::Url;
use zeroize::Zeroizing;

mod channel;
mod client;
mod events;
mod fault;
mod long_poll;
mod memory;
mod place;
mod read;
mod request;
mod session;
mod sse;
mod standing;

use self::client::Clients;
pub use self::place::HttpPlace;
use crate::{
    access::Access,
    address::{self, decoded},
    error::StoreError,
    store::READ_DEADLINE,
};

const FORM: &str = "https://host/config.toml or http://host/config.toml#watch=sse";

/// A server, and who asks it; its places share connections.
#[derive(Debug, Clone)]
#[must_use]
pub struct Http {
    clients: Clients,
    access: Arc<Access>,
    /// The only one that credentials are for; a client of the user's own is for any.
    server: Option<Url>,
    read_deadline: Duration,
}

impl Http {
    /// Reaches the server that `url` names, such as `https://config.example.com`, over HTTP/2 where it has
    /// that. Credentials in the URL stand for those that `access` has none of.
    ///
    /// # Errors
    ///
    /// When `url` is none of https or http, and when there is both a token and a password.
    pub fn from_url(url: &str, access: Access) -> Result<Self, StoreError> {
        let server = parse(url)?;
        Self::of(Clients::ours(server.scheme() == "https"), server, access)
    }

    fn of(clients: Clients, mut server: Url, access: Access) -> Result<Self, StoreError> {
        let decoded =
            |part| decoded(part).ok_or_else(|| malformed("a % that begins no byte, or not UTF-8"));
        let user = decoded(server.username())?.to_string();
        let password = server.password().map(decoded).transpose()?;
        let mut access = access.or(Some(user), password);
        if server.scheme() == "http" {
            access = access.without_tls("https")?;
        }
        if access.token.is_some() && (access.user.is_some() || access.password.is_some()) {
            return Err(StoreError::refused("a token and a user or password; give one of them"));
        }
        without_credentials(&mut server);
        // It may be secret.
        server.set_query(None);
        server.set_fragment(None);
        let (read_deadline, access) = (access.deadline(), Arc::new(access));
        Ok(Self { clients, access, server: Some(server), read_deadline })
    }

    /// Creates what asks by a client of your own, which has its own credentials, trust and redirects.
    pub fn from_client(client: reqwest::Client) -> Self {
        let clients = Clients::Given(client);
        Self { clients, access: Arc::default(), server: None, read_deadline: READ_DEADLINE }
    }

    /// Sets how long a read may take in all, of places that are taken from then on; 5 s by default. Of a
    /// long poll, and of an event stream, that is only its beginning.
    pub fn read_deadline(mut self, deadline: Duration) -> Self {
        self.read_deadline = deadline;
        self
    }

    /// Returns the value at `url`, which may be relative to that of the server; polled unless told otherwise.
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
        Ok(HttpPlace::new(http.read_deadline(self.read_deadline), url))
    }

    /// Returns the value of `key` in Consul's KV store, by long polling; a token is sent as bearer token.
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
    /// assert_eq!(place.name(), "http://127.0.0.1:8500/v1/kv/prod/server.toml?…");
    /// # Ok::<(), hot_reload_sources::StoreError>(())
    /// ```
    pub fn consul_kv(&self, key: &str) -> Result<HttpPlace, StoreError> {
        let Some(mut url) = self.server.clone() else {
            return Err(StoreError::refused("no server; use get with the whole URL of the key"));
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
            let bearer = Zeroizing::new(format!("Bearer {}", *token.read().await?));
            let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| {
                StoreError::refused(
                    "the token can't be sent; it has to be one line, and nothing else",
                )
            })?;
            bearer.set_sensitive(true);
            return Ok(request.header(AUTHORIZATION, bearer));
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

    fn check_certificate_for(&self, to: &Url) -> Result<(), StoreError> {
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
    let parsed = Url::parse(url).map_err(|error| malformed("not a URL").because(error))?;
    // The rest of a password that has a slash in it would be told as a part of the path.
    if parsed.path().contains('@') {
        return Err(malformed("an @ behind the host; write %40 there, and %2F in a password"));
    }
    checked(parsed)
}

fn join(base: &Url, url: &str) -> Result<Url, StoreError> {
    let mut joined = base.join(url).map_err(|error| malformed("not a URL").because(error))?;
    without_credentials(&mut joined);
    checked(joined)
}

fn checked(url: Url) -> Result<Url, StoreError> {
    if !matches!(url.scheme(), "https" | "http") {
        return Err(malformed("a scheme that is none of https and http"));
    }
    Ok(url)
}

fn malformed(what: &str) -> StoreError {
    address::malformed(what, FORM)
}

fn without_credentials(url: &mut Url) {
    // A URL of https or http can have, and lack, both.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}
