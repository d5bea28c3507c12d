//! Filesystems that don't tell of every change.

use std::path::Path;

use procfs::process::Process;
use rustix::fs::statfs;

/// Names the kind of filesystem that a folder or file is on, where changes may be made behind this
/// kernel's back: on another machine, or in a lower layer.
///
/// By the numbers of statfs(2), of the kernel's `linux/magic.h`, and of `stat -f` in GNU coreutils.
#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "the type differs by platform")]
pub(crate) fn silent(path: &Path) -> Option<&'static str> {
    // Of one that can't be asked, nothing is known.
    let number = statfs(path).ok()?.f_type as u64 & 0xffff_ffff;
    Some(match number {
        0x794c_7630 => "overlayfs",
        0x6175_6673 => "aufs",
        0x6969 => "NFS",
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        // virtiofs, and the shared folders of desktop container engines, are FUSE as well.
        0x6573_5546 => "FUSE",
        0x0102_1997 => "9p",
        0x00c3_6400 => "Ceph",
        0x0bd0_0bd0 => "Lustre",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x786f_4256 => "a VirtualBox shared folder",
        0xbacb_acbc => "a VMware shared folder",
        0x7c7c_6673 => "a Parallels shared folder",
        // Docker Desktop's, whose number nobody has written down.
        _ if kind(path)? == "fakeowner" => "fakeowner",
        _ => return None,
    })
}

/// The type of the filesystem that a path is on, by `proc_pid_mountinfo(5)`.
pub(crate) fn kind(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let mounts = Process::myself().and_then(|me| me.mountinfo()).ok()?;
    let above = mounts.into_iter().filter(|mount| path.starts_with(&mount.mount_point));
    // Of two at one place, the later is on top.
    let mount = above.max_by_key(|mount| mount.mount_point.components().count())?;
    Some(mount.fs_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_filesystem_of_a_path() {
        assert_eq!(kind(Path::new("/proc/self")).as_deref(), Some("proc"));
        assert_eq!(silent(Path::new("/proc/self")), None, "it is made by this kernel");
    }
}
