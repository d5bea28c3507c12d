//! PostgreSQL servers of a test's own.

use std::{
    fmt::Write,
    fs,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use hot_reload_sources::postgres::TABLE_SQL;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;
use tokio::time::sleep;
use tokio_postgres::{Client, Config, NoTls};

use crate::common::{authority::Pair, server, server::Server, within};

pub const PASSWORD: &str = "hunter2-of-the-owner";
pub const READER_PASSWORD: &str = "hunter2-of-the-reader";

/// The programs of the server, which Debian has in a directory of their version.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        versions.map(|version| version.path().join("bin").join(name)).collect();
    found.retain(|path| path.exists());
    found.sort();
    found.pop().unwrap_or_else(|| name.into())
}

/// Who runs the server, since it refuses to run as root.
fn owner() -> Option<(u32, u32)> {
    if !geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user =
        users.lines().find_map(|line| line.strip_prefix("postgres:")).expect("a user for it");
    let mut fields = user.split(':').skip(1).map(|field| field.parse().unwrap());
    Some((fields.next().unwrap(), fields.next().unwrap()))
}

/// A command that is run by whoever owns the server, and killed with the test.
fn command(name: &str) -> Command {
    command_of(&program(name))
}

/// The same, of any program.
pub fn command_of(program: &Path) -> Command {
    let mut command = server::command("setpriv");
    // Before it becomes somebody else, which would clear it.
    if let Some((user, group)) = owner() {
        command.args([format!("--reuid={user}"), format!("--regid={group}")]);
        command.arg("--clear-groups");
    }
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// A directory of whoever owns the server.
pub fn owned_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    give(dir.path());
    dir
}

fn give(path: &Path) {
    if let Some((user, group)) = owner() {
        chown(path, Some(user), Some(group)).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

pub struct Postgresql {
    dir: TempDir,
    address: SocketAddr,
    server: Server,
    settings: String,
}

impl Postgresql {
    /// Starts one with the table in it, and a role `reader` that may read it.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts one that speaks TLS only, by a certificate.
    pub async fn start_tls(pair: &Pair, ca_file: &Path) -> Self {
        let settings = format!(
            "ssl = on\nssl_cert_file = '{}'\nssl_key_file = 'server.key'\nssl_ca_file = '{}'\n",
            pair.certificate.display(),
            ca_file.display()
        );
        let server = Self::prepared(&settings);
        let readable = fs::Permissions::from_mode(0o755);
        for path in [&pair.certificate, ca_file] {
            fs::set_permissions(path.parent().unwrap(), readable.clone()).unwrap();
        }
        let key = server.data().join("server.key");
        fs::copy(&pair.key, &key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        give(&key);
        server.write_access("hostssl all all all scram-sha-256\nlocal all all password\n");
        server.run().await;
        server.set_up().await;
        server
    }

    pub async fn start_with(settings: &str) -> Self {
        let server = Self::prepared(settings);
        server.run().await;
        server.set_up().await;
        server
    }

    fn prepared(settings: &str) -> Self {
        let server = Self {
            dir: owned_dir(),
            address: server::address(),
            server: Server::default(),
            settings: settings.to_owned(),
        };
        server.lay_out();
        server
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn write_access(&self, lines: &str) {
        fs::write(self.data().join("pg_hba.conf"), lines).unwrap();
    }

    fn lay_out(&self) {
        let password = self.dir.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        give(&password);
        let mut initdb = command("initdb");
        initdb.args(["--username=owner", "--auth=scram-sha-256", "--no-sync", "--no-locale"]);
        initdb.args(["--encoding=UTF8", "--no-instructions", "--wal-segsize=1"]);
        initdb.arg(format!("--pwfile={}", password.display())).arg("-D").arg(self.data());
        let status = initdb.status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "{initdb:?} has failed; ./test installs what is missing"
        );
        // What SCRAM makes of a password takes a fifth of a second where nothing is optimized.
        self.write_access("host all all all password\nlocal all all password\n");
        let mut settings = self.settings.clone();
        let (ip, port) = (self.address.ip(), self.address.port());
        let sockets = self.dir.path().display();
        write!(
            settings,
            "listen_addresses = '{ip}'\nport = {port}\nunix_socket_directories = '{sockets}'\n\
             fsync = off\nshared_buffers = '1MB'\nautovacuum = off\nmax_wal_senders = 0\n\
             max_worker_processes = 0\nmax_logical_replication_workers = 0\n\
             dynamic_shared_memory_type = mmap\n"
        )
        .unwrap();
        let path = self.data().join("postgresql.conf");
        fs::write(&path, settings).unwrap();
    }

    pub async fn run(&self) {
        let mut postgres = command("postgres");
        postgres.arg("-D").arg(self.data());
        self.server.start(&mut postgres, self.address).await;
    }

    /// Creates the table, and who reads it.
    pub async fn set_up(&self) {
        let owner = self.owner().await;
        owner.batch_execute(TABLE_SQL).await.unwrap();
        let reader = format!(
            "CREATE ROLE reader LOGIN PASSWORD '{READER_PASSWORD}';
             GRANT SELECT ON hot_reload, hot_reload_state TO reader;"
        );
        owner.batch_execute(&reader).await.unwrap();
    }

    /// Connects as the owner, once it takes connections.
    pub async fn owner(&self) -> Client {
        let mut config = Config::new();
        config.host_path(self.dir.path()).port(self.address.port());
        config.user("owner").password(PASSWORD).dbname("postgres");
        within(async {
            loop {
                if let Ok((client, connection)) = config.connect(NoTls).await {
                    tokio::spawn(connection);
                    return client;
                }
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    pub async fn run_sql(&self, sql: &str) {
        self.owner().await.batch_execute(sql).await.unwrap();
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its Unix socket is.
    pub fn sockets(&self) -> &Path {
        self.dir.path()
    }

    /// Has it be a standby of nobody, from its next start on.
    pub fn write_standby(&self) {
        fs::write(self.data().join("standby.signal"), "").unwrap();
    }

    /// Has it be one from now on.
    pub async fn make_standby(&self) {
        self.kill();
        self.write_standby();
        self.run().await;
        drop(self.owner().await);
    }

    /// Has it be in timeline `number`, from its next start on.
    pub fn write_timeline(&self, number: u32) {
        // Left by one that was killed.
        fs::remove_file(self.data().join("postmaster.pid")).unwrap();
        let mut reset = command("pg_resetwal");
        reset.arg("--force").arg("--next-wal-file").arg(format!("{number:08X}0000000000000080"));
        assert!(reset.arg("-D").arg(self.data()).status().unwrap().success());
    }

    /// Ends it and all its processes. Those that outlive the first would end by themselves, but only
    /// while their directory is there.
    pub fn kill(&self) {
        self.server.kill();
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            for process in left {
                // It may have ended by itself.
                let _ = kill_process(process, Signal::KILL);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn processes(&self) -> Vec<Pid> {
        let data = self.data();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let own = processes.filter(|process| {
            fs::read_link(process.path().join("cwd")).is_ok_and(|directory| directory == data)
        });
        own.filter_map(|process| Pid::from_raw(process.file_name().to_str()?.parse().ok()?))
            .collect()
    }

    /// Keeps what it has, while it does not run.
    pub fn back_up(&self) {
        copy(&self.data(), &self.dir.path().join("backup"));
    }

    /// Has it start with what was kept, next time.
    pub fn restore(&self) {
        fs::remove_dir_all(self.data()).unwrap();
        copy(&self.dir.path().join("backup"), &self.data());
    }

    /// Has it start with nothing in it, next time.
    pub fn empty(&self) {
        fs::remove_dir_all(self.data()).unwrap();
        self.lay_out();
    }
}

impl Drop for Postgresql {
    fn drop(&mut self) {
        self.kill();
    }
}
