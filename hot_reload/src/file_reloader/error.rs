//! What a file source has to say when it has no value.

use std::{error::Error, fmt, io, path::Path};

use crate::redact::mask;

/// Why a file gave no value: which one, where in it, and what to do.
///
/// It is found in a [`ReloaderError`](crate::ReloaderError) with
/// [`file_error`](crate::ReloaderError::file_error). Printed, a parse error shows the offending
/// line, as a compiler does:
///
/// ```text
/// config.toml:3:8: invalid type: string "http", expected u16
///   |
/// 3 | port = "http"
///   |        ^^^^^^
/// ```
#[derive(Debug)]
pub struct FileError {
    path: Box<Path>,
    problem: Box<Problem>,
}

#[derive(Debug)]
pub(super) enum Problem {
    /// It, or a directory on the way to it, is not there.
    Missing(io::Error),
    /// The system would not let it be read.
    Io(io::Error),
    /// It is not a regular file, but this.
    NotAFile(&'static str),
    TooLarge {
        size: u64,
        limit: u64,
    },
    Empty,
    #[cfg_attr(
        not(any(feature = "toml", feature = "json", feature = "yaml")),
        expect(dead_code, reason = "a hand-written loader's errors are its own")
    )]
    Parse(ParseProblem),
    /// A loader's own words.
    Refused(String),
    /// What kept it from being looked at or loaded, which may pass.
    Stuck(String),
}

/// Where a parser stopped, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParseProblem {
    /// From 1.
    pub(super) line: usize,
    /// From 1, in characters.
    pub(super) column: usize,
    /// How many characters of the line are meant; at least 1.
    pub(super) width: usize,
    pub(super) line_text: String,
    pub(super) message: String,
    /// What may be logged of the message, where quotes don't tell what the file holds.
    pub(super) loggable: Option<&'static str>,
}

impl FileError {
    #[cold]
    pub(super) fn new(path: &Path, problem: Problem) -> Self {
        Self { path: path.into(), problem: Box::new(problem) }
    }

    #[cold]
    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        let problem = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Problem::Missing(error),
            _ => Problem::Io(error),
        };
        Self::new(path, problem)
    }

    /// Creates an error at a place in the text of the file at `path`, for what only the
    /// application can know to be wrong; `span` is in bytes, as parsers have it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::path::Path;
    /// use hot_reload::FileError;
    ///
    /// let text = "name = 'one'\nport = 80\n";
    /// let error = FileError::at(Path::new("config.toml"), text, 20..22, "port 80 is taken");
    /// assert_eq!((error.line(), error.column()), (Some(2), Some(8)));
    /// ```
    #[cfg(any(feature = "toml", feature = "json", feature = "yaml"))]
    pub fn at(
        path: &Path,
        text: &str,
        span: std::ops::Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        let problem = super::format::at(text, span.start, span.len(), message.into());
        Self::new(path, Problem::Parse(problem))
    }

    /// Returns the file that is meant; of a set of files, the one that has the problem.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file, or a directory on the way to it, is not there.
    pub fn is_missing(&self) -> bool {
        matches!(*self.problem, Problem::Missing(_))
    }

    /// Whether the file was read, and what it holds is no value.
    pub fn is_parse(&self) -> bool {
        matches!(*self.problem, Problem::Parse(_))
    }

    /// Whether the file is empty, or one of `TomlFile` and the like holds nothing but blanks, which is
    /// refused unless `allow_empty` admits it.
    pub fn is_empty(&self) -> bool {
        matches!(*self.problem, Problem::Empty)
    }

    /// Returns the line of a parse error, counted from 1.
    pub fn line(&self) -> Option<usize> {
        self.parse().map(|problem| problem.line)
    }

    /// Returns the column of a parse error, counted from 1 in characters.
    pub fn column(&self) -> Option<usize> {
        self.parse().map(|problem| problem.column)
    }

    /// Returns the text of the offending line of a parse error; it may hold a secret.
    pub fn line_text(&self) -> Option<&str> {
        self.parse().map(|problem| problem.line_text.as_str())
    }

    /// Returns the parser's own words of a parse error; they may quote a secret.
    pub fn message(&self) -> Option<&str> {
        self.parse().map(|problem| problem.message.as_str())
    }

    /// Returns what and where, on one line, without anything that the file holds.
    ///
    /// This is what the service logs.
    pub fn without_content(&self) -> String {
        let path = self.path.display();
        match &*self.problem {
            Problem::Parse(at) => {
                let message = at.loggable.map_or_else(|| mask(&at.message), str::to_owned);
                format!("{path}:{}:{}: {message}", at.line, at.column)
            }
            Problem::Refused(words) => format!("{path}: its loader says: {}", mask(words)),
            Problem::Stuck(words) => format!("{path}: {}", mask(words)),
            Problem::Missing(cause) | Problem::Io(cause) => format!("{self}: {cause}"),
            _ => self.to_string(),
        }
    }

    /// Returns the same once more, for whoever has to tell it again.
    ///
    /// Seam between the file source and sources that are made of others, not part of the stable
    /// interface.
    #[doc(hidden)]
    #[must_use]
    pub fn again(&self) -> Self {
        let again = |error: &io::Error| match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(error.kind(), error.to_string()),
        };
        let problem = match &*self.problem {
            Problem::Missing(error) => Problem::Missing(again(error)),
            Problem::Io(error) => Problem::Io(again(error)),
            Problem::NotAFile(what) => Problem::NotAFile(what),
            &Problem::TooLarge { size, limit } => Problem::TooLarge { size, limit },
            Problem::Empty => Problem::Empty,
            Problem::Parse(problem) => Problem::Parse(problem.clone()),
            Problem::Refused(words) => Problem::Refused(words.clone()),
            Problem::Stuck(words) => Problem::Stuck(words.clone()),
        };
        Self::new(&self.path, problem)
    }

    /// Whether the words are a loader's own.
    pub(super) fn is_refused(&self) -> bool {
        matches!(*self.problem, Problem::Refused(_))
    }

    fn parse(&self) -> Option<&ParseProblem> {
        match &*self.problem {
            Problem::Parse(problem) => Some(problem),
            _ => None,
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &*self.problem {
            Problem::Missing(_) => write!(f, "{path}: not there; create it, or mend its links"),
            Problem::Io(_) => write!(f, "{path}: can't be read"),
            Problem::NotAFile(what) => write!(f, "{path}: {what}, not a regular file"),
            Problem::TooLarge { size, limit } => write!(
                f,
                "{path}: {size} bytes, of which at most {limit} are read; raise max_size if it \
                 is meant to be so large"
            ),
            Problem::Empty => {
                write!(f, "{path}: empty, or nothing but blanks; write into it what it is to hold")
            }
            Problem::Parse(at) => write!(f, "{path}:{at}"),
            Problem::Refused(words) => write!(f, "{path}: its loader says: {words}"),
            Problem::Stuck(words) => write!(f, "{path}: {words}"),
        }
    }
}

impl Error for FileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &*self.problem {
            Problem::Missing(cause) | Problem::Io(cause) => Some(cause),
            _ => None,
        }
    }
}

impl fmt::Display for ParseProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, width, .. } = self;
        let message = self.message.trim_end();
        writeln!(f, "{line}:{column}: {message}")?;
        let gutter = line.to_string().len();
        let excerpt = Excerpt::around(&self.line_text, *column, *width);
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{line} | {}", excerpt.text)?;
        write!(
            f,
            "{:gutter$} | {:before$}{:^<marks$}",
            "",
            "",
            "^",
            before = excerpt.before,
            marks = excerpt.marks
        )
    }
}

/// As much of a line as fits a terminal, with the meant part in view.
struct Excerpt {
    text: String,
    /// Characters before the meant part.
    before: usize,
    marks: usize,
}

impl Excerpt {
    /// Lines of configuration are shorter than this; minified JSON is not.
    const WIDEST: usize = 100;
    /// What is kept in front of the meant part of a line that is cut.
    const LEAD: usize = 40;

    fn around(line: &str, column: usize, width: usize) -> Self {
        let from = if line.chars().count() <= Self::WIDEST {
            0
        } else {
            (column - 1).saturating_sub(Self::LEAD)
        };
        // A tab is as wide as the blank that marks its place below; other control characters
        // would move the cursor.
        let text: String = line
            .chars()
            .skip(from)
            .take(Self::WIDEST)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let before = (column - 1).saturating_sub(from);
        let room = text.chars().count().saturating_sub(before).max(1);
        Self { before, marks: width.clamp(1, room), text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_error(line_text: &str, column: usize, width: usize) -> FileError {
        let problem = ParseProblem {
            line: 3,
            column,
            width,
            line_text: line_text.to_owned(),
            message: "invalid type: string \"http\", expected u16".to_owned(),
            loggable: None,
        };
        FileError::new(Path::new("config.toml"), Problem::Parse(problem))
    }

    #[test]
    fn prints_like_a_compiler() {
        assert_eq!(
            parse_error("port = \"http\"", 8, 6).to_string(),
            "config.toml:3:8: invalid type: string \"http\", expected u16\n  \
             |\n\
             3 | port = \"http\"\n  \
             |        ^^^^^^"
        );
    }

    #[test]
    fn marks_at_least_one_character_even_behind_the_line() {
        let printed = parse_error("port =", 7, 0).to_string();
        assert!(printed.ends_with("  |       ^"), "{printed}");
    }

    #[test]
    fn cuts_a_line_that_no_terminal_holds() {
        let long = "x".repeat(10_000);
        let printed = parse_error(&long, 5_000, 3).to_string();
        assert!(printed.lines().all(|line| line.len() <= 110), "{printed}");
        assert!(printed.ends_with(" ^^^"), "{printed}");
    }

    #[test]
    fn without_content_has_no_content() {
        let error = parse_error("port = \"http\"", 8, 6);
        assert_eq!(
            error.without_content(),
            "config.toml:3:8: invalid type: string \"…\", expected u16"
        );
    }

    #[test]
    fn is_told_again_in_the_same_words() {
        let at = || Path::new("a.toml");
        for error in [
            FileError::io(at(), io::Error::from_raw_os_error(2)),
            FileError::io(at(), io::ErrorKind::PermissionDenied.into()),
            FileError::new(at(), Problem::NotAFile("a directory")),
            FileError::new(at(), Problem::TooLarge { size: 2, limit: 1 }),
            FileError::new(at(), Problem::Empty),
            FileError::new(at(), Problem::Refused("no".into())),
            FileError::new(at(), Problem::Stuck("no".into())),
            parse_error("port = \"http\"", 8, 6),
        ] {
            let again = error.again();
            assert_eq!(again.to_string(), error.to_string());
            assert_eq!(again.without_content(), error.without_content());
            assert_eq!(again.is_missing(), error.is_missing());
        }
    }
}
