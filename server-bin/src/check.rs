//! `--check`: says beforehand what the daemon would say.

use std::fmt::Write;

use hot_reload::Reload;
use server_lib::{Endpoint, Expiry, probe, probe_certificates};

use crate::{
    Failure, levels, locate, log, on_this_thread,
    place::Place,
    print::print,
    source::{Patience, Source},
};

/// Loads and validates the configuration, and tries its addresses and certificates; nothing is served.
///
/// An address that is in use is only worth a warning, since a daemon that runs on it
/// is what uses it.
pub(crate) fn check(place: &Place, patience: Patience) -> Result<(), Failure> {
    let source = Source::at(place, patience)?;
    let config = on_this_thread()?.block_on(source.reload())?.ok_or("nothing to load")?;
    config.validate().map_err(|invalid| locate::tell_invalid(&source, &invalid))?;
    log::parse(&source, config.log.as_deref())?;
    if let Some(directives) = &config.log {
        for doubt in levels::doubts(directives) {
            eprintln!("warning: {}", locate::tell_doubt(&source, directives, &doubt));
        }
    }
    for probed in probe_certificates(&config) {
        let status = probed.map_err(|failure| locate::tell_certificate(&source, &failure))?;
        let (file, days) = (status.certificate.display(), status.days_left());
        match status.expiry {
            Expiry::Over => eprintln!("warning: {file} has expired, and clients refuse it"),
            Expiry::Near => eprintln!("warning: {file} expires in {days} days"),
            _ => {}
        }
    }
    for failure in probe(&config) {
        if !failure.is_in_use() {
            return Err(locate::tell(&source, &failure).into());
        }
        let address = failure.address();
        eprintln!("warning: {address} is in use now, maybe by a daemon that runs already");
    }
    let mut said = format!("{}: good\n", source.name());
    for Endpoint { role, address } in config.endpoints() {
        // Writing to a string can't fail.
        let _ = writeln!(said, "  {role:<6} {address}");
    }
    print(said)?;
    Ok(())
}
