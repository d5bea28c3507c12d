//! What is read of a key: all of it, or nothing.

use std::{collections::BTreeMap, sync::Arc};

use ::redis::{Cmd, Value, cmd, from_redis_value};
use bytes::Bytes;

use super::{fault, link::Link};
use crate::{
    content::{Content, Entry},
    error::StoreError,
};

/// How a value is read, best first; of a string whose start tells all, no script has to measure it. The first
/// that runs a script is for whoever may only read, and unknown before Redis 7.
const WAYS: [Way; 3] = [Way::Range, Way::Script("EVAL_RO"), Way::Script("EVAL")];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By its first bytes, one more than is taken.
    Range,
    Script(&'static str),
    /// Whatever its size.
    Whole,
}

/// Returns a string, or a number in place of one that is too large.
const TEXT: &str = "\
local size = redis.pcall('STRLEN', KEYS[1])
if type(size) == 'table' or size > tonumber(ARGV[1]) then return size end
return redis.call('GET', KEYS[1])";

/// Returns a hash, or a number in place of one that is too large, or that would take long to measure.
const HASH: &str = "\
local fields = redis.pcall('HLEN', KEYS[1])
if type(fields) == 'table' or fields > 1000000 then return fields end
local size = 0
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  size = size + #name + redis.call('HSTRLEN', KEYS[1], name)
  if size > tonumber(ARGV[1]) then return size end
end
return redis.call('HGETALL', KEYS[1])";

/// What is read, and how.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) key: Arc<str>,
    pub(super) shape: Shape,
    pub(super) max_size: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Hash,
}

impl Query {
    /// Reads it by `link`, to a node that its slot may be on the way to.
    ///
    /// Of a string no more is asked for than is taken. Of a hash, and of a string that is empty or not there, a
    /// script measures and reads at one moment, and has none of what is too large sent. Of one that reads,
    /// the server remembers all keys that it was given, as if they had been asked for (`call`, in `server.c`
    /// of Redis). Where none can be run, size is found out after.
    pub(super) async fn read(&self, link: &Link, is_ahead: bool) -> Result<Entry, StoreError> {
        let mut way = link.way().max(usize::from(self.shape == Shape::Hash));
        let mut open = way;
        loop {
            let by = WAYS.get(way).copied().unwrap_or(Way::Whole);
            let answer = self.ask(link, &self.command(by), is_ahead).await;
            match answer {
                Err(error) if by != Way::Whole && fault::is_without_scripts(&error) => {
                    // One that can be gone by stays so, whatever it leads to.
                    open += usize::from(open == way);
                    way += 1;
                }
                // There is none, or it is empty.
                Ok(Value::BulkString(bytes)) if by == Way::Range && bytes.is_empty() => way += 1,
                answer => {
                    if answer.is_ok() {
                        link.keeps_to(open);
                    }
                    return self.entry(answer);
                }
            }
        }
    }

    async fn ask(&self, link: &Link, command: &Cmd, is_ahead: bool) -> Result<Value, StoreError> {
        let wanted = format!("{} {}", self.shape.command(), self.key);
        if is_ahead {
            link.ask_ahead(command, &wanted).await
        } else {
            link.ask(command, &wanted).await
        }
    }

    fn command(&self, by: Way) -> Cmd {
        let mut command;
        match by {
            Way::Range => {
                command = cmd("GETRANGE");
                command.arg(&*self.key).arg(0).arg(self.max_size);
            }
            Way::Script(run) => {
                command = cmd(run);
                command.arg(self.shape.script()).arg(1).arg(&*self.key).arg(self.max_size);
            }
            Way::Whole => {
                command = cmd(self.shape.command());
                command.arg(&*self.key);
            }
        }
        command
    }

    /// What can't be a value is an entry as well, so that the watch goes on until it is mended.
    fn entry(&self, answer: Result<Value, StoreError>) -> Result<Entry, StoreError> {
        let entry = match answer {
            Ok(Value::Nil) => Ok(Entry::gone()),
            Ok(Value::Int(_)) => Err(self.too_large()),
            Ok(answer) => self.shape.entry(answer),
            Err(error) => Err(error),
        };
        let is_too_large = |content: &Content| content.size() > self.max_size;
        match entry {
            Ok(entry) if entry.content().is_some_and(is_too_large) => {
                Ok(Entry::invalid(self.too_large()))
            }
            Err(error) if error.is_invalid() => Ok(Entry::invalid(error)),
            entry => entry,
        }
    }

    fn too_large(&self) -> StoreError {
        StoreError::invalid(format!(
            "more than {} bytes{}; raise max_size of the place if it is meant to be so large",
            self.max_size,
            if self.shape == Shape::Hash { ", or than a million fields" } else { "" },
        ))
    }
}

impl Shape {
    fn script(self) -> &'static str {
        match self {
            Self::Text => TEXT,
            Self::Hash => HASH,
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::Text => "GET",
            Self::Hash => "HGETALL",
        }
    }

    fn entry(self, answer: Value) -> Result<Entry, StoreError> {
        match (self, answer) {
            (Self::Text, Value::BulkString(bytes)) => Ok(Entry::one(bytes)),
            (Self::Text, _) => Err(StoreError::invalid("the server answers GET with no string")),
            (Self::Hash, answer) => hash(answer),
        }
    }
}

/// A hash without a field does not exist.
fn hash(answer: Value) -> Result<Entry, StoreError> {
    let fields: Vec<(Vec<u8>, Vec<u8>)> = from_redis_value(answer).map_err(|error| {
        StoreError::invalid("the server answers HGETALL with no hash").because(error)
    })?;
    if fields.is_empty() {
        return Ok(Entry::gone());
    }
    let set: Result<BTreeMap<String, Bytes>, StoreError> =
        fields.into_iter().map(|(name, value)| Ok((text(name)?, value.into()))).collect();
    Ok(Entry::set(set?))
}

fn text(name: Vec<u8>) -> Result<String, StoreError> {
    String::from_utf8(name).map_err(|error| {
        StoreError::invalid(format!(
            "the name of a field there is not UTF-8 ({}); remove it",
            error.as_bytes().escape_ascii()
        ))
    })
}
