//! Filesystems that don't tell of every change.

use std::path::Path;

use rustix::fs::statfs;

/// Names the kind of filesystem that a folder is on, where changes may be made behind this kernel's
/// back: on another machine, or in a lower layer.
///
/// By the numbers of statfs(2), and of the kernel's `linux/magic.h`.
#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "the type differs by platform")]
pub(super) fn silent(folder: &Path) -> Option<&'static str> {
    // Of one that can't be asked, nothing is known.
    let kind = statfs(folder).ok()?.f_type as u64 & 0xffff_ffff;
    Some(match kind {
        0x794c_7630 => "overlayfs",
        0x6969 => "NFS",
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        // virtiofs, and the shared folders of desktop container engines, are FUSE as well.
        0x6573_5546 => "FUSE",
        0x0102_1997 => "9p",
        0x00c3_6400 => "Ceph",
        0x0bd0_0bd0 => "Lustre",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        0x5346_414f => "AFS",
        0x786f_4256 => "a VirtualBox shared folder",
        0xbacb_acbc => "a VMware shared folder",
        _ => return None,
    })
}
