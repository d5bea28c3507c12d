//! Whether the sockets of a service can be had, and who holds them where they can't.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    net::{IpAddr, SocketAddr},
    path::{Path, absolute},
};

use procfs::net::{TcpState, tcp, tcp6, udp, udp6, unix};

use super::{Finding, holders};
use crate::{
    config::Service,
    sockets::Sockets,
    spec::{Address, SocketKind, Spec},
};

pub(super) fn check(service: &Service) -> Vec<Finding> {
    service.sockets.iter().map(of_socket).collect()
}

/// Names the sockets that an earlier service asks for as well.
pub(super) fn twice(services: &BTreeMap<String, Service>) -> Vec<(&str, Finding)> {
    let all: Vec<_> = services
        .iter()
        .flat_map(|(name, service)| service.sockets.iter().map(move |spec| (name.as_str(), spec)))
        .collect();
    let mut found = Vec::new();
    for (at, (name, spec)) in all.iter().enumerate() {
        if let Some((other, _)) = all[..at].iter().find(|(_, other)| is_same(other, spec)) {
            let text = format!("{} is asked for by {other} as well", spec.place);
            found.push((*name, Finding::error(text)));
        }
    }
    found
}

fn is_same(one: &Spec, other: &Spec) -> bool {
    match (&one.place, &other.place) {
        (Address::Ip(a), Address::Ip(b)) => {
            a.port() != 0
                && (one.kind == SocketKind::Udp) == (other.kind == SocketKind::Udp)
                && conflicts(*a, *b)
        }
        (Address::Path(a), Address::Path(b)) => a == b,
        _ => false,
    }
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
    let held: Vec<_> = if spec.kind == SocketKind::Udp {
        let all = udp().into_iter().flatten().chain(udp6().into_iter().flatten());
        all.map(|it| (it.local_address, it.inode, it.uid)).collect()
    } else {
        let all = tcp().into_iter().flatten().chain(tcp6().into_iter().flatten());
        all.filter(|it| it.state == TcpState::Listen)
            .map(|it| (it.local_address, it.inode, it.uid))
            .collect()
    };
    let held: Vec<_> = held.into_iter().filter(|(at, ..)| conflicts(address, *at)).collect();
    let inodes = held.iter().map(|(_, inode, _)| *inode).collect();
    let by = holders::of(&inodes, held.first().map(|(.., uid)| *uid));
    Finding::error(format!("{address} is held by {by}"))
}

/// Whether two sockets can't be bound at once; `[::]` takes IPv4 as well, or may do so (ipv6(7)).
fn conflicts(wanted: SocketAddr, held: SocketAddr) -> bool {
    let is_any = |ip: IpAddr| ip.is_unspecified();
    wanted.port() == held.port()
        && match (wanted.ip().to_canonical(), held.ip().to_canonical()) {
            (IpAddr::V4(_), it @ IpAddr::V6(_)) | (it @ IpAddr::V6(_), IpAddr::V4(_)) => is_any(it),
            (a, b) => a == b || is_any(a) || is_any(b),
        }
}

fn of_path(path: &Path) -> Finding {
    let shown = path.display();
    // As the kernel tells it, from wherever it was bound.
    let names = [Some(path.to_owned()), absolute(path).ok()];
    let inodes: BTreeSet<_> = unix()
        .into_iter()
        .flatten()
        .filter(|it| it.path.is_some() && names.contains(&it.path))
        .map(|it| it.inode)
        .collect();
    if !inodes.is_empty() {
        return Finding::error(format!("{shown} is held by {}", holders::of(&inodes, None)));
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

    #[test]
    fn tells_which_sockets_are_in_each_others_way() {
        for (wanted, held, is_so) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "[::]:80", true),
            ("127.0.0.1:80", "[::1]:80", false),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", true),
            ("[::1]:80", "[::]:80", true),
            ("[::1]:80", "127.0.0.1:80", false),
            ("[::]:80", "0.0.0.0:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::1]:80", "0.0.0.0:80", false),
        ] {
            let got = conflicts(wanted.parse().unwrap(), held.parse().unwrap());
            assert_eq!(got, is_so, "{wanted}, {held}");
        }
    }

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
