//! The endings of the files that count.

use std::ffi::OsStr;

/// Each without a dot before it; any file counts where there is none.
#[derive(Debug, Default)]
pub(super) struct Extensions(Vec<String>);

/// A text that is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no extension such as rs; folders and files are named by `watch` (-w), globs by `rules`, and by \
     `ignore` (-i) where they don't count"
)]
pub(crate) struct InvalidExtension(String);

impl Extensions {
    /// Takes them as people write them: `.rs`, or with blanks around.
    pub(super) fn of(texts: &[String]) -> Result<Self, InvalidExtension> {
        let of = |text: &String| {
            let extension = text.trim().trim_start_matches('.');
            let is_glob = extension.contains(['*', '?', '[', ']', '{', '}', '!', '/']);
            if extension.is_empty() || is_glob {
                return Err(InvalidExtension(text.clone()));
            }
            Ok(extension.to_owned())
        };
        texts.iter().map(of).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a file of this name has one.
    pub(super) fn fit(&self, name: &OsStr) -> bool {
        let has = |extension: &String| {
            let before = name.as_encoded_bytes().strip_suffix(extension.as_bytes());
            before.and_then(|before| before.strip_suffix(b".")).is_some_and(|stem| !stem.is_empty())
        };
        self.0.is_empty() || self.0.iter().any(has)
    }

    pub(super) fn as_slice(&self) -> &[String] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_them_as_they_are_written_and_no_glob() {
        let of = |texts: &[&str]| {
            Extensions::of(&texts.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let some = of(&[".rs", " toml", "html.erb", ".d.ts "]).unwrap();
        for (name, fits) in [
            ("a.rs", true),
            ("Cargo.toml", true),
            ("a.html.erb", true),
            ("a.d.ts", true),
            ("a.ts", false),
            (".rs", false),
            ("rs", false),
            ("xrs", false),
        ] {
            assert_eq!(some.fit(OsStr::new(name)), fits, "{name}");
        }
        assert!(of(&[]).unwrap().fit(OsStr::new("Makefile")));
        for text in ["*.py", "*", "src/", "{rs,toml}", "", " . "] {
            let error = of(&["rs", text]).unwrap_err().to_string();
            assert!(
                error.contains(text) && error.contains("-w") && error.contains("-i"),
                "{error}"
            );
        }
    }
}
