//! What is written where nothing is known: a file to fill in.

use crate::{draft::Draft, schema};

/// Has every line that a service may have, none of which counts.
pub(super) fn text() -> String {
    let mut text = schema::head();
    text.push_str(
        "# What `server-dev` is to run here; nothing counts until these two lines begin without their #:\n\
         #[services.server]\n#command = \"./server --port 3000\"\n\n",
    );
    text.push_str(&Draft::new("server").others());
    text
}

/// Whether a file is that still, or empty.
pub(super) fn says_nothing(file: &str) -> bool {
    file.trim().is_empty() || file == text()
}

#[cfg(test)]
mod tests {
    use toml::Table;

    use super::*;
    use crate::config::Config;

    #[test]
    fn counts_once_its_lines_do() {
        let config: Config = toml::from_str(&text()).unwrap();
        assert!(config.services.is_empty());
        let filled =
            text().replacen("#[services", "[services", 1).replacen("#command", "command", 1);
        let config: Config = toml::from_str(&filled).unwrap();
        assert_eq!(config.services["server"].command.program(), "./server");
        assert!(says_nothing(&text()) && says_nothing(" \n") && !says_nothing(&filled));
        assert!(toml::from_str::<Table>(&text()).unwrap().is_empty());
    }
}
