//! The variables that a program finds.

use std::{ffi::OsString, io, net::SocketAddr, path::PathBuf};

use crate::{cargo::Built, config::Service, process::OURS, sockets::Sockets};

pub(super) type Variables = Vec<(OsString, OsString)>;

/// Why a file of variables can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .file.display())]
pub(crate) struct BadEnvironment {
    file: PathBuf,
    problem: String,
}

/// What has programs write in colours though it is no terminal that they write to (force-color.org,
/// bixense.com/clicolors, and "term.color" in The Cargo Book).
const COLOURS: [(&str, &str); 3] =
    [("FORCE_COLOR", "1"), ("CLICOLOR_FORCE", "1"), ("CARGO_TERM_COLOR", "always")];

/// What a build finds beside what this process has; `is_coloured` where it is shown in colours.
pub(super) fn of_build(service: &Service, is_coloured: bool) -> Result<Variables, BadEnvironment> {
    let colours = COLOURS.into_iter().filter(|(name, _)| std::env::var_os(name).is_none());
    let colours = colours.filter(|_| is_coloured);
    let mut variables: Variables =
        colours.map(|(name, value)| (name.into(), value.into())).collect();
    variables.extend(of_file(service)?);
    variables.extend(service.env.iter().map(|(name, value)| (name.into(), value.into())));
    // No file may say these: they tell of what this process does.
    variables.retain(|(name, _)| !OURS.iter().any(|ours| name == ours));
    Ok(variables)
}

/// What a server finds.
pub(super) fn of_server(
    service: &Service,
    sockets: &Sockets,
    private: Option<SocketAddr>,
    built: Option<&Built>,
    is_coloured: bool,
) -> Result<Variables, BadEnvironment> {
    // As under `cargo run`.
    let mut variables: Variables = built.into_iter().flat_map(Built::variables).collect();
    variables.push(("DEV_MODE".into(), "1".into()));
    if private.is_none() {
        variables.extend(sockets.first_ip().into_iter().flat_map(place));
    }
    variables.extend(of_build(service, is_coloured)?);
    // Where the proxy looks for it is nobody else's choice.
    let private = private.map(|at| (at.ip().to_string(), at.port().to_string()));
    variables.extend(private.into_iter().flat_map(place));
    if !sockets.is_empty() {
        variables.push(("LISTEN_FDS".into(), sockets.len().to_string().into()));
        variables.push(("LISTEN_FDNAMES".into(), sockets.names().into()));
    }
    Ok(variables)
}

fn place((host, port): (String, String)) -> [(OsString, OsString); 2] {
    [("HOST".into(), host.into()), ("PORT".into(), port.into())]
}

/// What the file says that this process's own environment doesn't.
fn of_file(service: &Service) -> Result<Variables, BadEnvironment> {
    let file = service.directory.join(service.env_file());
    let failed = |problem: String| BadEnvironment { file: file.clone(), problem };
    let read = match dotenvy::from_path_iter(&file) {
        Ok(read) => read,
        Err(dotenvy::Error::Io(error))
            if error.kind() == io::ErrorKind::NotFound && service.env_file.is_none() =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error.to_string())),
    };
    let mut variables = Vec::new();
    for variable in read {
        // Its own words would quote the line, which may be a secret.
        let (name, value) = variable.map_err(|error| failed(without_line(&error)))?;
        if std::env::var_os(&name).is_none() {
            variables.push((name.into(), value.into()));
        }
    }
    Ok(variables)
}

fn without_line(error: &dotenvy::Error) -> String {
    match error {
        dotenvy::Error::LineParse(_, at) => {
            format!("a line can't be read, at its character {at}; each is NAME=value")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Words;

    fn service(directory: &Path, text: &str) -> Service {
        std::fs::write(directory.join(".env"), text).unwrap();
        let mut service = Service::of(Words::parse("server").unwrap());
        service.directory = directory.to_owned();
        service
    }

    #[test]
    fn takes_the_file_then_the_service() {
        let directory = tempfile::tempdir().unwrap();
        let mut service =
            service(directory.path(), "A=1\nB='two words'\nPATH=/nowhere\nLISTEN_FDS=9\n");
        service.env.insert("A".into(), "3".into());
        let pairs: Variables = [("A", "1"), ("B", "two words"), ("A", "3")]
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        assert_eq!(of_build(&service, false).unwrap(), pairs);
        let coloured = of_build(&service, true).unwrap();
        assert!(coloured.ends_with(&pairs) && coloured.len() <= pairs.len() + COLOURS.len());
    }

    #[test]
    fn tells_of_a_bad_line_without_quoting_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut service = service(directory.path(), "GOOD=1\nTOKEN = sesame seed\n");
        let error = of_build(&service, false).unwrap_err().to_string();
        assert!(error.contains(".env") && !error.contains("sesame"), "{error}");
        service.env_file = Some("missing.env".into());
        assert!(of_build(&service, false).unwrap_err().to_string().contains("missing.env"));
    }
}
