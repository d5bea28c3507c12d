//! Whether the filesystem of each root tells of edits.

use std::path::Path;

use procfs::process::Process;

use super::{Finding, below};
use crate::config::Service;

/// What is known of a filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    Everything,
    /// Edits from elsewhere, as on another machine or outside of the container, are not told of.
    OwnEdits,
    /// An edit in a lower layer is not told of.
    UpperLayer,
}

pub(super) fn check(service: &Service) -> Vec<Finding> {
    service.watch.iter().map(|root| of_root(service, root)).collect()
}

fn of_root(service: &Service, root: &Path) -> Finding {
    let path = below(service, root);
    let shown = path.display();
    let Some(kind) = kind(&path) else {
        return Finding::warning(format!("{shown}: its filesystem can't be told"));
    };
    let hint = "say poll = \"500ms\" if edits are missed";
    match tells(&kind) {
        _ if service.poll.is_some() => {
            Finding::fine(format!("{shown} is on {kind}, and is polled"))
        }
        Tells::Everything => Finding::fine(format!("{shown} is on {kind}")),
        Tells::OwnEdits => Finding::warning(format!(
            "{shown} is on {kind}, which doesn't tell of edits from outside: {hint}"
        )),
        Tells::UpperLayer => Finding::warning(format!(
            "{shown} is on {kind}, which doesn't tell of edits in its lower layers: {hint}"
        )),
    }
}

/// The type of the filesystem of a path, by `proc_pid_mountinfo(5)`.
fn kind(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let mounts = Process::myself().and_then(|me| me.mountinfo()).ok()?;
    let above = mounts.into_iter().filter(|mount| path.starts_with(&mount.mount_point));
    // Of two at one place, the later is on top.
    let mount = above.max_by_key(|mount| mount.mount_point.components().count())?;
    Some(mount.fs_type)
}

fn tells(kind: &str) -> Tells {
    let name = kind.split('.').next().unwrap_or_default();
    match name {
        "nfs" | "nfs4" | "cifs" | "smb3" | "smbfs" | "9p" | "virtiofs" | "fuse" | "fuseblk"
        | "ceph" | "lustre" | "gfs2" | "ocfs2" | "afs" | "vboxsf" | "vmhgfs" | "prl_fs"
        | "grpcfuse" | "fakeowner" => Tells::OwnEdits,
        "overlay" | "aufs" => Tells::UpperLayer,
        _ => Tells::Everything,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};
    use crate::config::Words;

    #[test]
    fn knows_the_filesystems_that_do_not_tell_of_every_edit() {
        for (kind, want) in [
            ("ext4", Tells::Everything),
            ("tmpfs", Tells::Everything),
            ("btrfs", Tells::Everything),
            ("nfs4", Tells::OwnEdits),
            ("fuse.sshfs", Tells::OwnEdits),
            ("virtiofs", Tells::OwnEdits),
            ("9p", Tells::OwnEdits),
            ("overlay", Tells::UpperLayer),
        ] {
            assert_eq!(tells(kind), want, "{kind}");
        }
    }

    #[test]
    fn finds_the_filesystem_of_a_root() {
        assert_eq!(kind(Path::new("/proc/self")).as_deref(), Some("proc"));
        let mut service = Service::of(Words::parse("server").unwrap());
        service.directory = "/proc".into();
        service.poll = Some(crate::config::DEFAULT_POLL);
        let found = &check(&service)[0];
        assert_eq!(
            (found.level, found.text.as_str()),
            (Level::Fine, "/proc is on proc, and is polled")
        );
    }
}
