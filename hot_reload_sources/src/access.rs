//! How a process proves who it is, whom it trusts, and for how long.

use std::{
    env, fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{fs, io::AsyncReadExt};
use zeroize::Zeroizing;

use crate::error::StoreError;
#[cfg(feature = "_stores")]
use crate::store::READ_DEADLINE;

/// Credentials for a store, what its certificate is checked by, and how long it may be silent.
///
/// Files are read anew for every connection, so all of it may rotate under a service that runs. Nothing
/// of it is ever in a name, an error or a log.
///
/// # Examples
///
/// ```
/// use hot_reload_sources::{Access, Secret};
///
/// let access = Access::new()
///     .user("app")
///     .password(Secret::text("hunter2"))
///     .ca_file("/etc/ssl/fleet.pem");
/// assert!(!format!("{access:?}").contains("hunter2"));
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Access {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) token: Option<Secret>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) client_certificate: Option<(PathBuf, PathBuf)>,
    read_deadline: Option<Duration>,
}

impl Access {
    /// Creates what proves nothing and trusts the certificates of the system.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes it from environment variables that begin with `prefix`: `USER`, `PASSWORD`, `TOKEN`,
    /// `PASSWORD_FILE`, `TOKEN_FILE`, `CA_FILE`, `CERT_FILE` and `KEY_FILE`; with the prefix `CONFIG_`,
    /// `CONFIG_PASSWORD_FILE` names the file that the password is in. What is empty counts as unset.
    ///
    /// # Errors
    ///
    /// When a variable is not UTF-8, when a secret is given twice, and when a certificate has no key.
    pub fn from_env(prefix: &str) -> Result<Self, StoreError> {
        Self::from_lookup(prefix, |name| match env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(env::VarError::NotPresent) => Ok(None),
            Err(env::VarError::NotUnicode(_)) => {
                Err(StoreError::refused(format!("the environment variable {name} is not UTF-8")))
            }
        })
    }

    fn from_lookup(
        prefix: &str,
        look_up: impl Fn(&str) -> Result<Option<String>, StoreError>,
    ) -> Result<Self, StoreError> {
        // What is empty was left so in a manifest.
        let get = |name: &str| {
            let found = look_up(&format!("{prefix}{name}"))?;
            Ok::<_, StoreError>(found.filter(|value| !value.is_empty()))
        };
        let secret = |name: &str| match (get(name)?, get(&format!("{name}_FILE"))?) {
            (Some(_), Some(_)) => Err(StoreError::refused(format!(
                "{prefix}{name} and {prefix}{name}_FILE are both set; unset one of them"
            ))),
            (Some(text), None) => Ok(Some(Secret::text(text))),
            (None, Some(path)) => Ok(Some(Secret::file(path))),
            (None, None) => Ok(None),
        };
        let client_certificate = match (get("CERT_FILE")?, get("KEY_FILE")?) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            _ => {
                return Err(StoreError::refused(format!(
                    "{prefix}CERT_FILE and {prefix}KEY_FILE go together; set both"
                )));
            }
        };
        Ok(Self {
            user: get("USER")?,
            password: secret("PASSWORD")?,
            token: secret("TOKEN")?,
            ca_file: get("CA_FILE")?.map(PathBuf::from),
            client_certificate,
            read_deadline: None,
        })
    }

    /// Sets the name that the password is for.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the password.
    pub fn password(mut self, password: Secret) -> Self {
        self.password = Some(password);
        self
    }

    /// Sets the token, where a store takes one in place of a name and a password.
    pub fn token(mut self, token: Secret) -> Self {
        self.token = Some(token);
        self
    }

    /// Sets a file of PEM certificates to trust, in place of those of the system.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Sets the PEM files of the certificate to show, and of its key.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.client_certificate = Some((certificate.into(), key.into()));
        self
    }

    /// Sets the read deadline that a store begins with: how long connecting and an answer may take, and how
    /// long it may be silent until the connection is given up; 5 s by default. What waits over HTTP for events, or
    /// for the answer of a long poll, has 30 s if this is less.
    ///
    /// It is for what is made by a URL alone, as [`from_url`](crate::from_url()) does; the handle of each store
    /// has a method of this name.
    pub fn read_deadline(mut self, deadline: Duration) -> Self {
        self.read_deadline = Some(deadline);
        self
    }

    /// The deadline, for a handle.
    #[cfg(feature = "_stores")]
    pub(crate) fn deadline(&self) -> Duration {
        self.read_deadline.unwrap_or(READ_DEADLINE)
    }
}

/// Longer than a chain of certificates ever is.
const MAX_BYTES: u64 = 1024 * 1024;

/// Reads a file of credentials.
pub(crate) async fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let told = |what: &str| StoreError::refused(format!("{} {what}", path.display()));
    let unreadable = |error: io::Error| told("can't be read; put it there").because(error);
    // Before it is opened, as that waits for ever at a pipe that nobody writes to.
    let metadata = fs::metadata(path).await.map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(told("is no regular file"));
    }
    let file = fs::File::open(path).await.map_err(unreadable)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).await.map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(told("is too large to be that"));
    }
    Ok(bytes)
}

/// A password or a token: given, or in a file that may be replaced at any time.
#[derive(Clone)]
pub struct Secret(From);

#[derive(Clone)]
enum From {
    Text(Zeroizing<String>),
    File(PathBuf),
}

impl Secret {
    /// Takes `text` itself.
    pub fn text(text: impl Into<String>) -> Self {
        Self(From::Text(Zeroizing::new(text.into())))
    }

    /// Takes what the file at `path` holds when it is needed, without a newline at its end.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(From::File(path.into()))
    }

    /// Returns it as it is now.
    ///
    /// # Errors
    ///
    /// When its file can't be read, or is not UTF-8.
    pub async fn read(&self) -> Result<Zeroizing<String>, StoreError> {
        match &self.0 {
            From::Text(text) => Ok(text.clone()),
            From::File(path) => {
                let bytes = read(path).await?;
                let text = std::str::from_utf8(&bytes)
                    .map_err(|_| StoreError::refused(format!("{} is not UTF-8", path.display())))?;
                Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
        }
    }
}

/// Tells where it is from, and never what it is.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            From::Text(_) => f.write_str("Secret(…)"),
            From::File(path) => f.debug_tuple("Secret").field(path).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(variables: &[(&str, &str)]) -> Result<Access, String> {
        let look_up = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            Ok(found.map(|(_, value)| (*value).to_owned()))
        };
        Access::from_lookup("CONFIG_", look_up).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn is_taken_from_the_environment() {
        let access = access(&[("CONFIG_USER", "app"), ("CONFIG_PASSWORD", "hunter2")]).unwrap();
        assert_eq!(access.user.as_deref(), Some("app"));
        assert_eq!(*access.password.unwrap().read().await.unwrap(), "hunter2");
    }

    #[test]
    fn what_is_empty_is_unset() {
        let variables =
            [("CONFIG_PASSWORD", ""), ("CONFIG_PASSWORD_FILE", "a"), ("CONFIG_TOKEN", "")];
        let access = access(&variables).unwrap();
        assert!(access.password.is_some() && access.token.is_none());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (variables, want) in [
            ([("CONFIG_TOKEN", "a"), ("CONFIG_TOKEN_FILE", "b")], "both set"),
            ([("CONFIG_CERT_FILE", "a"), ("CONFIG_USER", "b")], "go together"),
        ] {
            let told = access(&variables).unwrap_err();
            assert!(told.contains(want), "{told}");
        }
    }

    #[tokio::test]
    async fn a_secret_in_a_file_may_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let secret = Secret::file(&path);
        assert!(secret.read().await.unwrap_err().is_refused());
        for text in ["one", "two"] {
            std::fs::write(&path, format!("{text}\n")).unwrap();
            assert_eq!(*secret.read().await.unwrap(), text);
        }
    }

    #[test]
    fn no_secret_is_printed() {
        let access = Access::new().user("app").password(Secret::text("hunter2"));
        assert!(!format!("{access:?}").contains("hunter2"));
    }
}
