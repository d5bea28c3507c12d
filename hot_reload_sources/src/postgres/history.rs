//! How far a table has come, so that one that was set back is not held for older than itself.

use std::sync::Mutex;

use super::link::lock;

/// The newest revision that the connections of a handle have seen.
#[derive(Default)]
pub(super) struct History(Mutex<Reached>);

#[derive(Default)]
struct Reached {
    table: String,
    number: u64,
    /// How often it was set back.
    setbacks: u64,
}

impl History {
    /// Takes note of what a new connection reads first, and returns how often its table was set back.
    ///
    /// A primary knows best: if it has less than was seen before, its disk is that of an earlier day. A
    /// standby may merely lag behind.
    pub(super) fn joins(&self, table: &str, number: u64, is_primary: bool) -> u64 {
        self.with(|reached| {
            if reached.table != table {
                table.clone_into(&mut reached.table);
                reached.number = number;
            } else if number < reached.number && is_primary {
                reached.setbacks += 1;
                reached.number = number;
            }
            reached.number = reached.number.max(number);
            reached.setbacks
        })
    }

    /// Takes note of what a connection has seen after that.
    pub(super) fn reaches(&self, table: &str, number: u64) {
        self.with(|reached| {
            if reached.table == table {
                reached.number = reached.number.max(number);
            }
        });
    }

    fn with<R>(&self, act: impl FnOnce(&mut Reached) -> R) -> R {
        act(&mut lock(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primary_that_has_less_was_set_back_and_a_standby_lags() {
        let history = History::default();
        for (table, number, is_primary, setbacks) in [
            ("a", 7, true, 0),
            ("a", 7, true, 0),
            ("a", 6, false, 0),
            ("a", 6, true, 1),
            ("a", 6, true, 1),
            ("b", 1, true, 1),
        ] {
            let told = history.joins(table, number, is_primary);
            assert_eq!(told, setbacks, "{table} {number} {is_primary}");
        }
        history.reaches("a", 9);
        assert_eq!(history.joins("b", 1, true), 1);
        history.reaches("b", 9);
        assert_eq!(history.joins("b", 8, true), 2);
    }
}
