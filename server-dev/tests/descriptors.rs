//! Which sockets a server finds, and where; and that nobody else finds any.

mod common;

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::net::{UnixListener, UnixStream},
    process::Command,
};

use common::{Dev, Folder, SERVER_DEV};

/// Has a server say what it finds, and returns that.
fn found(dev: &mut Dev) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let output = dev.wait("output");
        match output["line"].as_str().expect("a line") {
            "end" => return lines,
            line => lines.push(line.to_owned()),
        }
    }
}

const SAYS: &str = r#"
    for fd in /proc/$$/fd/*; do echo "${fd##*/} $(readlink $fd)"; done
    echo "fds=$LISTEN_FDS names=$LISTEN_FDNAMES"
    [ "$LISTEN_PID" = "$$" ] && echo "its pid" || echo "pid=$LISTEN_PID"
    echo "host=$HOST port=$PORT dev=$DEV_MODE"
    echo end
    exec sleep 600
"#;

fn says(folder: &Folder, flags: &[&str]) -> Dev {
    folder.write("server", SAYS);
    folder.dev(&[flags, &["--ready", "1ms", "--", "sh", "./server"]].concat())
}

/// The sockets among its descriptors; a shell has others of its own.
fn passed(lines: &[String]) -> Vec<&str> {
    lines.iter().filter(|line| line.contains(" socket:[")).map(String::as_str).collect()
}

fn has(lines: &[String], want: &str) {
    assert!(lines.iter().any(|line| line == want), "no {want}: {lines:#?}");
}

#[test]
fn a_server_finds_its_sockets_at_3_and_up_with_their_names() {
    let folder = Folder::with(&[]);
    let flags =
        ["-s", "http::0", "-s", "admin=tcp::[::1]:0", "-s", "dns=udp::0", "-s", "unix::./a.sock"];
    let mut dev = says(&folder, &flags);
    let port = dev.address().rsplit(':').next().expect("a port").to_owned();
    let lines = found(&mut dev);
    let passed = passed(&lines);
    assert_eq!(passed.len(), 4, "{lines:#?}");
    for (line, fd) in passed.iter().zip(3..) {
        assert!(line.starts_with(&format!("{fd} socket:[")), "{lines:#?}");
    }
    has(&lines, "fds=4 names=http:admin:dns:unix");
    has(&lines, "its pid");
    has(&lines, &format!("host=127.0.0.1 port={port} dev=1"));
    assert!(lines.iter().any(|line| line == "0 /dev/null"), "{lines:#?}");
}

#[test]
fn the_same_sockets_are_passed_to_every_generation() {
    let folder = Folder::with(&[]);
    let mut dev = says(&folder, &["-s", "http::0"]);
    let first = found(&mut dev);
    folder.write("edit", "");
    let second = found(&mut dev);
    assert_eq!(passed(&first), passed(&second));
    has(&second, "its pid");
}

#[test]
fn the_number_of_the_process_is_left_out_where_asked() {
    let folder = Folder::with(&[]);
    folder.write("server", SAYS);
    // Nor is that of whoever has started this.
    let env = [("LISTEN_PID", "1"), ("LISTEN_PIDFDID", "1")];
    let arguments = ["--no-pid", "-s", "http::0", "--", "sh", "./server"];
    let lines = found(&mut folder.dev_with(&arguments, &env));
    has(&lines, "pid=");
    has(&lines, "fds=1 names=http");
}

#[test]
fn a_server_without_sockets_is_told_of_none() {
    let folder = Folder::with(&[]);
    let lines = found(&mut says(&folder, &[]));
    assert_eq!(passed(&lines), [""; 0], "{lines:#?}");
    has(&lines, "fds= names=");
    has(&lines, "pid=");
}

#[test]
fn a_build_finds_none() {
    let folder = Folder::with(&[]);
    folder.write("build", SAYS.trim_end().trim_end_matches("exec sleep 600"));
    let mut dev = says(&folder, &["-s", "http::0", "--build", "sh ./build"]);
    let lines = found(&mut dev);
    dev.wait("built");
    assert_eq!(passed(&lines), [""; 0], "{lines:#?}");
    has(&lines, "fds= names=");
}

#[test]
fn a_unix_socket_is_made_and_removed_again() {
    let folder = Folder::with(&[]);
    let path = folder.path().join("a.sock");
    // Nobody answers at this one.
    drop(UnixListener::bind(&path).unwrap());
    let mut dev = says(&folder, &["-s", "unix::./a.sock"]);
    found(&mut dev);
    UnixStream::connect(&path).unwrap();
    assert!(dev.end().success());
    assert!(!path.exists());
}

#[test]
fn a_unix_socket_of_a_file_is_in_the_folder_of_its_service() {
    let folder = Folder::with(&[("web/value.txt", ""), ("run/here", "")]);
    let command = r#"["sleep", "600"]"#;
    let service = format!(
        "[services.web]\ncommand = {command}\ndirectory = 'web'\nready = {{ delay = '1ms' }}\n\
         sockets = ['unix::./a.sock', 'unix::{}/b.sock']\n",
        folder.path().display()
    );
    folder.write("server-dev.toml", &service);
    let mut command = folder.command(&["--json", "-c", "../server-dev.toml"]);
    let mut dev = Dev::spawn(command.current_dir(folder.path().join("run")));
    dev.wait("ready");
    UnixStream::connect(folder.path().join("web/a.sock")).unwrap();
    UnixStream::connect(folder.path().join("b.sock")).unwrap();
    assert!(dev.end().success());
}

#[test]
fn the_same_socket_twice_is_said_to_be_so() {
    let folder = Folder::with(&[]);
    let error = |arguments: &[&str]| {
        // Where it is not refused, it runs.
        let mut command = Command::new("timeout");
        command.args(["60", SERVER_DEV]).args(arguments);
        let output = command.current_dir(folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let twice = error(&["-s", "http::28399", "-s", "b=tcp::[::]:28399", "--", "sleep", "600"]);
    assert_eq!(twice, "server-dev: [::]:28399 is asked for twice\n");
    let service = |name: &str| {
        format!("[services.{name}]\ncommand = 'sleep 600'\nsockets = ['unix::a.sock']\n")
    };
    folder.write("server-dev.toml", &(service("one") + &service("two")));
    let twice = error(&[]);
    assert!(twice.contains("a.sock is asked for by one and by two"), "{twice}");
}

#[test]
fn a_datagram_waits_for_the_server() {
    if Command::new("python3").arg("--version").output().is_err() {
        return eprintln!("skipped: python3 is not to be had here");
    }
    let folder = Folder::with(&[]);
    let read = "import socket; s = socket.socket(fileno=3); print(s.recv(99).decode(), flush=True)";
    let mut dev =
        folder.dev(&["-s", "udp::0", "--build", "sleep 0.3", "--", "python3", "-c", read]);
    let address = dev.address();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(b"early", address.trim_start_matches("udp:")).unwrap();
    dev.wait_for("output", |output| output["line"] == "early");
}

#[test]
fn who_holds_a_port_already_is_not_pushed_aside() {
    let folder = Folder::with(&[]);
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let taken = |spec: &str| {
        let output = folder.command(&["-s", spec, "--", "sleep", "600"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let error = taken(&format!("http::{}", address.port()));
    let by = format!("{address} is held by pid {} (", std::process::id());
    assert!(error.contains(&by), "{error}");
    let path = folder.path().join("a.sock");
    fs::write(&path, "").unwrap();
    let error = taken("unix::./a.sock");
    assert!(error.contains("a.sock is there, and is no socket"), "{error}");
    fs::remove_file(&path).unwrap();
    let _held = UnixListener::bind(&path).unwrap();
    let error = taken("unix::./a.sock");
    let by = format!("a.sock is held by pid {} (", std::process::id());
    assert!(error.contains(&by), "{error}");
    assert!(fs::exists(path).unwrap());
}
