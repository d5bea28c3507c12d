//! Why a pair of files can't be served.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Why a certificate and its key can't be served: which file, and what is wrong with it.
///
/// It tells nothing of what a key file holds.
#[derive(Debug, Clone)]
pub struct CertificateError {
    path: PathBuf,
    is_of_key: bool,
    problem: Problem,
}

#[derive(Debug, Clone)]
pub(super) enum Problem {
    Unreadable(Arc<io::Error>),
    NotPem,
    NoCertificate,
    NoKey,
    Encrypted,
    /// The certificate of this number, counted from 1, is none.
    Malformed(usize),
    UnusableKey,
    Unusable(String),
    /// The certificate that the key is no key of.
    Mismatch(PathBuf),
    Expired,
    NotYetValid,
}

impl CertificateError {
    pub(super) fn new(path: &Path, problem: Problem) -> Self {
        Self { path: path.to_owned(), is_of_key: false, problem }
    }

    pub(super) fn of_key(path: &Path, problem: Problem) -> Self {
        Self { is_of_key: true, ..Self::new(path, problem) }
    }

    /// Returns the file that is meant.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is about the key, which may be in the same file as the certificate.
    pub fn is_of_key(&self) -> bool {
        self.is_of_key
    }

    /// Whether each file is good, and the key is one of another certificate: as for a moment while
    /// they are replaced one after the other.
    pub fn is_mismatch(&self) -> bool {
        matches!(self.problem, Problem::Mismatch(_))
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.problem {
            Problem::Unreadable(cause) if cause.kind() == io::ErrorKind::NotFound => {
                f.write_str("not there; create it, or mend its links")
            }
            Problem::Unreadable(_) => f.write_str("can't be read"),
            Problem::NotPem => f.write_str("not PEM, or cut off"),
            Problem::NoCertificate => f.write_str("no certificate in it"),
            Problem::NoKey => f.write_str("no private key in it"),
            Problem::Encrypted => {
                f.write_str("the key is encrypted; nobody is there to ask for its passphrase")
            }
            Problem::Malformed(n) => write!(f, "certificate {n} of the chain is malformed"),
            Problem::UnusableKey => {
                f.write_str("the key is malformed, or of no kind that is known")
            }
            Problem::Unusable(why) => write!(f, "can't be served: {why}"),
            Problem::Mismatch(certificate) => {
                write!(f, "not the key of the first certificate in {}", certificate.display())
            }
            Problem::Expired => f.write_str("expired, while the one in use is still valid"),
            Problem::NotYetValid => f.write_str("not valid yet, while the one in use is"),
        }
    }
}

impl Error for CertificateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.problem {
            Problem::Unreadable(cause) => Some(cause.as_ref()),
            _ => None,
        }
    }
}
