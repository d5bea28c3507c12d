//! Linux: nothing that is not in the kernel's memory is waited for on an async worker.

mod address;
mod lease;

use std::{
    fs::File,
    io::{self, IoSliceMut},
    os::fd::AsFd,
    path::Path,
    sync::Arc,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, RawMode, ResolveFlags, Stat, StatFs, Statx,
        StatxFlags, fstat, fstatfs, lstat, makedev, openat, openat2, stat, statfs, statx,
    },
    io::{Errno, ReadWriteFlags, preadv2},
    path::Arg,
    process::geteuid,
};

pub(in crate::file_reloader) use self::address::Address;
use super::{
    Failed, Filesystem, Filesystems, Found, Glance, How, Identity, Opened, WouldBlock, Writers,
    filesystem::{NFS, SMB},
};

/// Smallest buffer for a file that says it is empty: those of /proc and /sys do, and are not.
const SHORTEST_READ: usize = 512;

pub(super) fn writers(file: &File) -> Writers {
    lease::writers(file.as_fd())
}

pub(super) fn hold_up_writers(file: &File) -> bool {
    lease::hold(file.as_fd())
}

pub(super) fn let_writers_go(file: &File) {
    lease::let_go(file.as_fd());
}

pub(super) fn open(path: &Path, how: How, filesystems: &Filesystems) -> Result<Found, Failed> {
    // Opening a FIFO or a device does something to it, so what it is decides first.
    let (by_own_name, owner) = match inspect(path, how, filesystems)? {
        Inspected::File { by_own_name, owner } => (by_own_name, owner),
        Inspected::Other(other) => return Ok(other),
    };
    let file = open_file(path, owner, how)?;
    let found = fstat(&file).map_err(failed)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Ok(Found::Special("replaced by something else", identity_of(&found)));
    }
    let (identity, links, owner) = (identity_of(&found), links_of(&found), found.st_uid);
    let filesystem = filesystems.get(identity.device).unwrap_or_else(|| filesystem_of(&file));
    let file = file.into();
    let opened = Opened { file, identity, links, owner, by_own_name, filesystem };
    Ok(Found::File(Arc::new(opened)))
}

/// What a path leads to, as far as that decides whether it is opened.
enum Inspected {
    File { by_own_name: bool, owner: u32 },
    Other(Found),
}

/// Opens a file of that owner for reading, if it may be without a time of access: that would cost the kernel a change
/// of the inode after every edit, and nobody needs it of a look.
fn open_file(path: &Path, owner: u32, how: How) -> Result<OwnedFd, Failed> {
    // Should a FIFO take its place right now, NONBLOCK keeps the opening from waiting for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    // It is the owner's to leave out (open(2), `O_NOATIME`).
    if owner == geteuid().as_raw() {
        // It may be another's by now, or on a server that sees another user, or does not know the flag.
        if let Ok(file) = open_with(path, flags | OFlags::NOATIME, how) {
            return Ok(file);
        }
    }
    open_with(path, flags, how)
}

fn inspect(path: &Path, how: How, filesystems: &Filesystems) -> Result<Inspected, Failed> {
    if how == How::Cached
        && let Some(owner) = owner_of_plain(path, filesystems)
    {
        return Ok(Inspected::File { by_own_name: true, owner });
    }
    inspect_closely(path, how, filesystems)
}

/// Follows the path by the opening of what it leads to, which does nothing to that.
#[cold]
fn inspect_closely(path: &Path, how: How, filesystems: &Filesystems) -> Result<Inspected, Failed> {
    let mut place = open_with(path, OFlags::PATH | OFlags::NOFOLLOW, how)?;
    let mut found = look_at(&place, how, filesystems)?;
    let by_own_name = FileType::from_raw_mode(found.st_mode) != FileType::Symlink;
    if !by_own_name {
        place = open_with(path, OFlags::PATH, how)?;
        found = look_at(&place, how, filesystems)?;
    }
    let special = |what| Found::Special(what, identity_of(&found));
    Ok(Inspected::Other(match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => {
            return Ok(Inspected::File { by_own_name, owner: found.st_uid });
        }
        FileType::Directory => Found::Directory(identity_of(&found)),
        FileType::Fifo => special("a FIFO"),
        FileType::Socket => special("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => special("a device"),
        _ => special("something else"),
    }))
}

/// The user that a regular file belongs to, if a path leads to one by its own name, and no server has to be
/// asked for it: the common case, told by one system call.
///
/// The name is in memory where somebody has just told of it, or looked at it, as of every file that
/// is looked at here.
fn owner_of_plain(path: &Path, filesystems: &Filesystems) -> Option<u32> {
    let found = statx(CWD, path, GLANCE, StatxFlags::TYPE | StatxFlags::UID).ok()?;
    let is_file = FileType::from_raw_mode(found.stx_mode.into()) == FileType::RegularFile;
    let answers = is_file && answers(device_of(&found), filesystems).is_ok();
    answers.then_some(found.stx_uid)
}

/// How a name is looked at without following it, and without asking a server for what is in memory.
const GLANCE: AtFlags =
    AtFlags::SYMLINK_NOFOLLOW.union(AtFlags::NO_AUTOMOUNT).union(AtFlags::STATX_DONT_SYNC);

/// Tells what a place is, which with [`How::Cached`] no server is asked for.
fn look_at(place: &OwnedFd, how: How, filesystems: &Filesystems) -> Result<Stat, Failed> {
    if how == How::Cached {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let found = statx(place, "", flags, StatxFlags::TYPE).map_err(|_| Failed::WouldBlock)?;
        answers(device_of(&found), filesystems).map_err(|WouldBlock| Failed::WouldBlock)?;
    }
    fstat(place).map_err(failed)
}

pub(super) fn glance(
    path: &Path,
    how: How,
    filesystems: &Filesystems,
) -> Result<Option<Glance>, WouldBlock> {
    if how == How::Blocking {
        let found = lstat(path).map(|found| {
            let Identity { device, inode, changed, .. } = identity_of(&found);
            glance_at(device, inode, found.st_mode, changed)
        });
        return Ok(found.ok());
    }
    match statx(CWD, path, GLANCE, StatxFlags::TYPE | StatxFlags::INO | StatxFlags::CTIME) {
        Ok(found) => {
            let device = device_of(&found);
            answers(device, filesystems)?;
            let changed = nanos(found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec.into());
            Ok(Some(glance_at(device, found.stx_ino, found.stx_mode.into(), changed)))
        }
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        // Sandboxes that don't know it say so in one of several ways.
        Err(_) => Err(WouldBlock),
    }
}

fn glance_at(device: u64, inode: u64, mode: RawMode, changed: i64) -> Glance {
    let kind = FileType::from_raw_mode(mode);
    let (is_link, is_dir) = (kind == FileType::Symlink, kind == FileType::Directory);
    Glance { device, inode, is_link, is_dir, changed }
}

fn device_of(found: &Statx) -> u64 {
    makedev(found.stx_dev_major, found.stx_dev_minor)
}

/// Whether no server has to be asked for what is on `device`.
fn answers(device: u64, filesystems: &Filesystems) -> Result<(), WouldBlock> {
    match filesystems.get(device) {
        Some(Filesystem::Local | Filesystem::Memory | Filesystem::Layered) => Ok(()),
        None | Some(Filesystem::Remote(_)) => Err(WouldBlock),
    }
}

fn open_with(path: &Path, flags: OFlags, how: How) -> Result<OwnedFd, Failed> {
    let flags = flags | OFlags::CLOEXEC;
    match how {
        How::Blocking => open_blocking(path, flags),
        // `RESOLVE_CACHED` (openat2(2), Linux 5.12) fails with EAGAIN where the way to the file is
        // not in memory. Older kernels and some sandboxes don't have it.
        How::Cached => match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED) {
            Err(Errno::AGAIN | Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::TOOBIG) => {
                Err(Failed::WouldBlock)
            }
            other => other.map_err(failed),
        },
    }
}

#[cold]
fn open_blocking(path: &Path, flags: OFlags) -> Result<OwnedFd, Failed> {
    openat(CWD, path, flags, Mode::empty()).map_err(failed)
}

pub(super) fn read(opened: &Opened, limit: u64, how: How) -> Result<Vec<u8>, Failed> {
    // `RWF_NOWAIT` (preadv2(2), Linux 4.14) fails with EAGAIN where the content is not in memory.
    let flags = match how {
        How::Cached => ReadWriteFlags::NOWAIT,
        How::Blocking => ReadWriteFlags::empty(),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
    // One byte more than the file's size shows in one call that it ends there.
    let expected = usize::try_from(opened.identity.size).unwrap_or(usize::MAX).saturating_add(1);
    let mut room = expected.max(SHORTEST_READ);
    let mut bytes = Vec::new();
    let mut length = 0;
    loop {
        if length == bytes.len() {
            if length == limit {
                break;
            }
            bytes.resize(room.min(limit), 0);
            room = room.saturating_mul(2);
        }
        let rest = &mut [IoSliceMut::new(&mut bytes[length..])];
        match preadv2(&opened.file, rest, length as u64, flags) {
            Ok(0) => break,
            Ok(read) => {
                length += read;
                // It ends where its size says, with room for more: that need not be asked again.
                if length as u64 == opened.identity.size && length < bytes.len() {
                    break;
                }
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN | Errno::OPNOTSUPP) if how == How::Cached => {
                return Err(Failed::WouldBlock);
            }
            Err(error) => return Err(failed(error)),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

pub(super) fn identity(path: impl Arg) -> Option<Identity> {
    stat(path).ok().map(|found| identity_of(&found))
}

#[allow(
    clippy::unnecessary_cast,
    clippy::cast_lossless,
    clippy::cast_possible_wrap,
    reason = "the types differ by platform"
)]
fn identity_of(found: &Stat) -> Identity {
    Identity {
        device: found.st_dev as u64,
        inode: found.st_ino as u64,
        size: u64::try_from(found.st_size).unwrap_or(0),
        modified: nanos(found.st_mtime as i64, found.st_mtime_nsec as i64),
        changed: nanos(found.st_ctime as i64, found.st_ctime_nsec as i64),
    }
}

fn nanos(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

#[allow(clippy::unnecessary_cast, clippy::cast_lossless, reason = "the type differs by platform")]
fn links_of(found: &Stat) -> u64 {
    found.st_nlink as u64
}

pub(super) fn mount_table() -> Option<File> {
    File::open("/proc/self/mounts").ok()
}

/// The kernel tells whoever polls it (`proc_pid_mountinfo(5)`).
pub(super) fn has_changed(mount_table: &File) -> bool {
    let mut table = [PollFd::new(mount_table, PollFlags::PRI)];
    let at_once = Timespec::default();
    poll(&mut table, Some(&at_once)).map_or(true, |changed| changed > 0)
}

pub(super) fn filesystem_at(path: &Path) -> Filesystem {
    statfs(path).as_ref().map_or(Filesystem::Local, kind)
}

fn filesystem_of(file: &OwnedFd) -> Filesystem {
    fstatfs(file).as_ref().map_or(Filesystem::Local, kind)
}

/// Tells filesystems apart by the numbers of `statfs(2)`.
#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "the type differs by platform")]
fn kind(found: &StatFs) -> Filesystem {
    match (found.f_type as u64) & 0xffff_ffff {
        // tmpfs and ramfs.
        0x0102_1994 | 0x8584_58f6 => Filesystem::Memory,
        0x794c_7630 => Filesystem::Layered,
        0x6969 => Filesystem::Remote(NFS),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Filesystem::Remote(SMB),
        // virtiofs, and the shared folders of desktop container engines, are FUSE as well.
        0x6573_5546 => Filesystem::Remote("FUSE"),
        0x0102_1997 => Filesystem::Remote("9p"),
        0x00c3_6400 => Filesystem::Remote("Ceph"),
        0x0bd0_0bd0 => Filesystem::Remote("Lustre"),
        0x0116_1970 => Filesystem::Remote("GFS2"),
        0x7461_636f => Filesystem::Remote("OCFS2"),
        0x5346_414f => Filesystem::Remote("AFS"),
        0x786f_4256 => Filesystem::Remote("a VirtualBox shared folder"),
        0xbacb_acbc => Filesystem::Remote("a VMware shared folder"),
        _ => Filesystem::Local,
    }
}

fn failed(error: Errno) -> Failed {
    Failed::Io(io::Error::from(error))
}
