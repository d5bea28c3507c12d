//! A path that is asked about again and again, as the kernel takes it.

use std::{
    ffi::{CStr, CString},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use super::{Identity, identity};

/// Longest path that is kept in place, with the NUL at its end; of those of services, most are
/// shorter.
const IN_PLACE: usize = 63;

/// Where a file is, as the kernel takes it.
#[derive(Debug)]
pub(in crate::file_reloader) enum Address {
    /// Whoever has the address in a processor's cache has the path there as well.
    Short([u8; IN_PLACE]),
    Long(CString),
}

impl Address {
    pub(in crate::file_reloader) fn of(path: &Path) -> Self {
        let bytes = path.as_os_str().as_bytes();
        if bytes.len() < IN_PLACE && !bytes.contains(&0) {
            let mut short = [0; IN_PLACE];
            short[..bytes.len()].copy_from_slice(bytes);
            return Self::Short(short);
        }
        // No name has a NUL in it, and nothing is found by none at all.
        Self::Long(CString::new(bytes).unwrap_or_default())
    }

    /// Returns the identity of what is there, or `None` where nothing is.
    pub(in crate::file_reloader) fn identity(&self) -> Option<Identity> {
        identity(self.as_c_str())
    }

    fn as_c_str(&self) -> &CStr {
        match self {
            // It has its NUL.
            Self::Short(path) => CStr::from_bytes_until_nul(path).unwrap_or_default(),
            Self::Long(path) => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_any_length_is_asked_for_as_it_is() {
        for length in [0, 1, IN_PLACE - 1, IN_PLACE, IN_PLACE + 1, 4_000] {
            let path = "a".repeat(length);
            let address = Address::of(Path::new(&path));
            assert_eq!(address.as_c_str().to_bytes(), path.as_bytes(), "{length}");
            assert_eq!(matches!(address, Address::Short(_)), length < IN_PLACE, "{length}");
        }
    }

    /// What comes before it is another file.
    #[test]
    #[cfg_attr(miri, ignore = "Miri has no stat(2)")]
    fn behind_a_path_with_a_nul_is_nothing() {
        assert!(Address::of(Path::new("/")).identity().is_some());
        for rest in ["a", &"a".repeat(IN_PLACE)] {
            let path = format!("/\0{rest}");
            assert_eq!(Address::of(Path::new(&path)).identity(), None, "{rest}");
        }
    }
}
