//! `PgBouncer` in between.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use hot_reload_sources::{Entry, Store, postgres::Postgres};
use tempfile::TempDir;

use crate::{
    access, by,
    common::{server, server::Server, within},
    server::{Postgresql, READER_PASSWORD, command_of, owned_dir},
    until,
};

struct Pooler {
    address: SocketAddr,
    _server: Server,
    _dir: TempDir,
}

impl Pooler {
    /// Starts one in front of `server`.
    async fn start(server: &Postgresql, settings: &str) -> Self {
        let (dir, address) = (owned_dir(), server::address());
        let path = |name: &str| dir.path().join(name);
        let (to, own) = (server.address(), address);
        let users = path("users.txt");
        let config = format!(
            "[databases]\npostgres = host={} port={}\n\
             [pgbouncer]\nlisten_addr = {}\nlisten_port = {}\nunix_socket_dir =\n\
             auth_type = plain\nauth_file = {}\n{settings}\n",
            to.ip(),
            to.port(),
            own.ip(),
            own.port(),
            users.display()
        );
        write(&users, &format!("\"reader\" \"{READER_PASSWORD}\"\n"));
        let file = path("pgbouncer.ini");
        write(&file, &config);
        let pooler = Server::default();
        pooler.start(command_of(&program()).arg(file), address).await;
        Self { address, _server: pooler, _dir: dir }
    }
}

/// Whoever it runs as may read it.
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

/// Debian has it where only root looks for programs.
fn program() -> PathBuf {
    let path = PathBuf::from("/usr/sbin/pgbouncer");
    if path.exists() { path } else { "pgbouncer".into() }
}

/// What was set for a session was once left to whoever had the server's next.
#[tokio::test]
async fn a_pooler_that_would_lose_settings_is_refused_and_nobody_else_has_them() {
    let server = Postgresql::start().await;
    let pooler = Pooler::start(&server, "pool_mode = transaction\ndefault_pool_size = 1").await;
    let connected = within(by(pooler.address).key("a").connect()).await;
    let error = connected.err().unwrap();
    let told = error.to_string();
    assert!(error.is_refused() && told.contains("ignore_startup_parameters"), "{told}");
}

#[tokio::test]
async fn a_pooler_of_sessions_is_listened_through() {
    let server = Postgresql::start().await;
    server.run_sql("INSERT INTO hot_reload VALUES ('a', 'one')").await;
    let settings = "pool_mode = session\n\
         ignore_startup_parameters = options, statement_timeout";
    let pooler = Pooler::start(&server, settings).await;
    let mut a = by(pooler.address).key("a").text().watch().await.unwrap();
    server.run_sql("UPDATE hot_reload SET value = 'two'").await;
    until(&mut a, &"two".to_owned()).await;
}

#[tokio::test]
async fn statements_are_limited_from_the_start_of_a_session() {
    let server = Postgresql::start().await;
    for (options, want) in [
        ("", "2000 client"),
        ("?options=-c%20work_mem%3D1MB", "2000 client"),
        ("?options=-c%20statement_timeout%3D7", "7 client"),
    ] {
        let url = format!("postgres://{}/postgres{options}", server.address());
        let places = Postgres::from_url(&url, access()).unwrap();
        let sql = "SELECT setting || ' ' || source FROM pg_settings
             WHERE name = 'statement_timeout'";
        let entry = places.query(sql).connect().await.unwrap().read().await.unwrap();
        assert!(entry == Entry::one(want), "{options}");
    }
}
