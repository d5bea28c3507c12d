//! Whether the sockets of a service can be had, and who holds them where they can't.

use std::{error::Error, net::SocketAddr, path::Path};

use super::Finding;
use crate::{
    sockets::{Sockets, holders},
    spec::{Address, Spec},
};

pub(super) fn check<'a>(sockets: impl IntoIterator<Item = &'a Spec>) -> Vec<Finding> {
    sockets.into_iter().map(of_socket).collect()
}

fn of_socket(spec: &Spec) -> Finding {
    match &spec.place {
        Address::Ip(address) if address.port() == 0 => {
            Finding::fine(format!("{address}: any port that is free"))
        }
        Address::Ip(address) => of_address(spec, *address),
        Address::Path(path) => of_path(path),
    }
}

fn of_address(spec: &Spec, address: SocketAddr) -> Finding {
    // Closed again at once.
    let Err(error) = Sockets::open(std::slice::from_ref(spec)) else {
        return Finding::fine(format!("{address} is free"));
    };
    if !error.is_taken() {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        let hint = if error.is_forbidden() {
            "; ports below net.ipv4.ip_unprivileged_port_start are root's"
        } else {
            ""
        };
        return Finding::error(format!("{address} can't be had: {cause}{hint}"));
    }
    Finding::error(error.to_string())
}

fn of_path(path: &Path) -> Finding {
    let shown = path.display();
    if let Some(by) = holders::of_path(path) {
        return Finding::error(format!("{shown} is held by {by}"));
    }
    let folder = path.parent().filter(|it| *it != Path::new("")).unwrap_or(Path::new("."));
    match (path.symlink_metadata(), folder.is_dir()) {
        (_, false) => Finding::error(format!("{shown}: there is no folder {}", folder.display())),
        (Ok(found), _) if !std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => {
            Finding::error(format!("{shown} is there, and is no socket"))
        }
        (Ok(_), _) => Finding::fine(format!("{shown} is left over, and is replaced")),
        (Err(_), _) => Finding::fine(format!("{shown} is free")),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, UdpSocket},
        os::unix::net::UnixListener,
    };

    use super::{super::Level, *};

    fn of(spec: &str) -> Finding {
        of_socket(&spec.parse().unwrap())
    }

    #[test]
    fn names_the_process_that_holds_a_socket() {
        let me = format!("held by pid {} (", std::process::id());
        let tcp = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let udp_port = udp.local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let unix = UnixListener::bind(&path).unwrap();
        let specs = [
            format!("http::{port}"),
            format!("udp::{udp_port}"),
            format!("unix::{}", path.display()),
        ];
        for spec in &specs {
            let found = of(spec);
            assert_eq!(found.level, Level::Error);
            assert!(found.text.contains(&me), "{found:?}");
        }
        drop((tcp, udp, unix));
        for spec in &specs {
            assert_eq!(of(spec).level, Level::Fine, "{spec}");
        }
        // Nothing is taken away from who looks.
        assert!(path.exists());
    }

    #[test]
    fn says_why_else_a_socket_can_not_be_had() {
        for (spec, words) in [
            ("tcp::192.0.2.1:80", "can't be had: Cannot assign requested address"),
            ("unix::/missing/a.sock", "there is no folder /missing"),
            ("unix::/proc/self/status", "is no socket"),
        ] {
            let found = of(spec);
            assert_eq!(found.level, Level::Error);
            assert!(found.text.contains(words), "{found:?}");
        }
        assert_eq!(of("tcp::0").level, Level::Fine);
    }
}
