//! `--check`: says beforehand what the daemon would say.

use std::{
    io::{Write, stdout},
    path::Path,
};

use hot_reload::{Reload, TomlFile};
use server_lib::{ServerConfig, probe};

use crate::{Failure, locate, log};

/// Loads and validates the file, and tries its addresses; nothing is served.
///
/// An address that is in use is only worth a warning, since a daemon that runs on this very file
/// is what uses it.
pub(crate) async fn check(path: &Path) -> Result<(), Failure> {
    let reloader = TomlFile::<ServerConfig>::from_path(path)?;
    let config = reloader.reload().await?.ok_or("nothing to load")?;
    log::parse(reloader.path(), &config)?;
    for failure in probe(&config) {
        if !failure.is_in_use() {
            return Err(locate::tell(reloader.path(), &failure).into());
        }
        let address = failure.address();
        eprintln!("warning: {address} is in use now, maybe by a daemon that runs already");
    }
    writeln!(stdout(), "{}: good", reloader.path().display())?;
    Ok(())
}
