//! What `--help` and the manual page say beside the options; `-h` says where to find it.
//!
//! No line is longer than a terminal is wide, and each is printed as it is here.

/// How wide the text is: a terminal of 80 columns without the indent of a manual page.
pub(crate) const WIDTH: usize = 72;

/// A heading and what is below it.
pub(crate) type Section = (&'static str, &'static str);

pub(crate) const SHORT: &str = "'--help' says more: examples, exit codes, signals, what is hot.";

pub(crate) const USAGE: &str = "server-bin --config <FILE|URL> [OPTIONS]
       server-bin <COMMAND> [OPTIONS]";

pub(crate) const SECTIONS: [Section; 6] = [
    (
        "Examples",
        "\
server-bin --config config.toml
    Serve, and follow the file.
server-bin -c config.toml -w polling --poll-interval 500ms
    Follow it on a network file system.
server-bin -c nats://127.0.0.1:4222/config/server.toml
    Follow a key in a store.
server-bin -c config.toml --check
    Say whether the file is good, and where it would listen.
server-bin status -c config.toml
    Ask the daemon that runs how it is doing.
server-bin --print-schema > server-bin.schema.json
    Have an editor complete and check the file: Taplo and Even Better
    TOML take the schema that its first line names:
    #:schema ./server-bin.schema.json
source <(server-bin completions bash)
    Have the shell complete this command line.
server-bin man | man -l -
    Read the manual page.
RUST_LOG=debug server-bin -c config.toml
    Say more in the log, which goes to standard error.",
    ),
    (
        "Places",
        "\
config.toml                    a file
nats://host:4222/bucket/key    natss:// for TLS
redis://host:6379/0/key        rediss:// for TLS
postgres://host/database/key   by TLS, unless on this machine;
                               ?sslmode=disable for none
https://host/path              looked at every --poll-interval; with
                               #watch=sse or #watch=long-poll, told
etcd://host:2379/key           etcds:// for TLS; where it is built in",
    ),
    (
        "What is hot",
        "\
What is in the configuration file: save it, and it is in use, addresses,
certificates, the filter of the log, time-outs, limits, headers and
answers. A new address is opened before one that is gone is closed.
Connections that are open keep the limits of time and of heads that they
began with. What is broken is reported with its file, line and column,
and the last good configuration goes on.

In use from the next start on, as the log says when it changes:
worker_threads.
The command line holds for as long as the process does.

A socket that the daemon is started with (LISTEN_FDS) takes the place of
the addresses of its purpose, which aren't used then.",
    ),
    (
        "Signals",
        "\
HUP        load the configuration now; the log says what came of it
TERM, INT  end once the requests under way have been answered; a second
           one ends it at once
USR2       start the new executable with the same sockets, and drain
           this one once that serves

HUP and USR2 do nothing until the first configuration is loaded.",
    ),
    (
        "Environment",
        "\
RUST_LOG       what is logged, such as debug or server_lib=debug, where
               the configuration has no log; h2 only where it is named
NO_COLOR       no colours, also in a terminal
LISTEN_FDS     sockets to take over, with LISTEN_PID and LISTEN_FDNAMES
NOTIFY_SOCKET  whom to tell of readiness and reloads, with WATCHDOG_USEC

For a configuration in a store, each with SERVER_CONFIG_ in front:
USER, PASSWORD, TOKEN         credentials
PASSWORD_FILE, TOKEN_FILE     files that hold them, read each time
CA_FILE, CERT_FILE, KEY_FILE  PEM: whom to trust, what to show
A password in the URL is taken as well, and seen by all users.",
    ),
    (
        "Exit codes",
        "\
0  told to end by a signal; with --check: the configuration is good
1  the configuration is bad, its store is away and there is no last
   good one, or it can't be used, at the start or with --check; or a
   second signal ended it at once
2  the command line is wrong

Those of status, reload, rollback and resume are in the help of each.",
    ),
];

/// Exit codes of `status`.
pub(crate) const STATUS: &str = "\
Exit codes:
  0  it is ready, and serves the newest configuration
  1  it runs, but is not ready, or serves an earlier configuration, or
     does not follow its file or store as it should
  2  the command line is wrong
  3  nobody answers there
  4  where to ask is not known: the configuration has no admin_address,
     is broken, or its store is away; --admin helps";

/// Exit codes of what has the daemon do something.
pub(crate) const ORDER: &str = "\
Exit codes:
  0  it is done
  1  it is refused, and said why
  2  the command line is wrong
  3  nobody answers there
  4  where to ask is not known: the configuration has no admin_address,
     is broken, or its store is away; --admin helps";

/// Returns all sections, one below the other.
pub(crate) fn long() -> String {
    let section = |(heading, text): Section| {
        let lines: Vec<_> = text.lines().map(|line| format!("  {line}")).collect();
        format!("{heading}:\n{}", lines.join("\n"))
    };
    SECTIONS.map(section).join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_what_is_not_hot() {
        let text = long();
        let (_, rest) = text.split_once("when it changes:\n").unwrap();
        let listed = rest.split_once(".\n").unwrap().0.trim();
        assert_eq!(listed.split(", ").collect::<Vec<_>>(), server_lib::ServerConfig::NOT_HOT);
    }

    #[test]
    fn is_no_wider_than_a_terminal() {
        let texts = SECTIONS.map(|(_heading, text)| text).into_iter();
        for line in texts.chain([STATUS, ORDER, SHORT]).flat_map(str::lines) {
            assert!(line.len() <= WIDTH, "{line}");
        }
    }
}
