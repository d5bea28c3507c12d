//! `status`, `reload`, `rollback` and `resume`: what the daemon that runs is asked.

use std::{io, ops::Range, process::ExitCode, time::Duration};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{CONNECTION, HOST},
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use server_lib::Address;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use toml::de::DeTable;

use crate::{
    Failure,
    place::Place,
    print::print,
    report::{Entry, Status, harmless, report},
    source,
    task::{Order, Where},
};

/// What is asked is at hand, so a daemon that takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(5);

/// What is ordered may have a store asked, which has a minute to answer.
const ORDER_DEADLINE: Duration = Duration::from_secs(70);

/// Many times what there is to say, and little to hold: whoever else may answer there.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// It is running, but not as it should, or doesn't do what it is told.
const AMISS: u8 = 1;
const NOBODY: u8 = 3;
const NOWHERE: u8 = 4;

/// Why there is no answer.
struct Unanswered {
    code: u8,
    why: String,
}

impl Unanswered {
    fn tell(self) -> ExitCode {
        eprintln!("error: {}", self.why);
        ExitCode::from(self.code)
    }
}

/// Prints how the daemon is doing, and has the exit code say it as well.
pub(crate) async fn status(at: &Where, as_json: bool) -> Result<ExitCode, Failure> {
    match try_status(at).await {
        Err(unanswered) => Ok(unanswered.tell()),
        Ok((status, history, raw)) => {
            if as_json {
                print(&raw)?;
                print("\n")?;
            } else {
                print(report(&status, &history))?;
            }
            Ok(if status.is_well() { ExitCode::SUCCESS } else { AMISS.into() })
        }
    }
}

/// Has the daemon carry out an order, and prints what came of it.
pub(crate) async fn order(at: &Where, order: Order) -> Result<ExitCode, Failure> {
    let path = match order {
        Order::Reload => "/reload",
        Order::Rollback(generation) => &format!("/rollback/{generation}"),
        Order::Resume => "/resume",
    };
    let answer = async {
        let address = address(at).await?;
        ask(&address, Method::POST, path).await
    };
    let (code, said) = match answer.await {
        Ok(answer) => answer,
        Err(unanswered) => return Ok(unanswered.tell()),
    };
    let said = harmless(&String::from_utf8_lossy(&said));
    if code.is_success() {
        print(said)?;
        return Ok(ExitCode::SUCCESS);
    }
    // That it has failed is said already.
    let said = said.trim_end();
    let said = said.strip_prefix("failed: ").unwrap_or(said);
    eprintln!("error: {}", with_advice(order, said));
    Ok(AMISS.into())
}

/// Says which command is of use where an order comes to nothing.
fn with_advice(order: Order, said: &str) -> String {
    let not_kept = |to| format!("generation {to} is not kept");
    match order {
        Order::Rollback(to) if said.starts_with(&not_kept(to)) => {
            format!("{}: 'server-bin status' lists those that are", not_kept(to))
        }
        Order::Reload if said.starts_with("pinned to ") => {
            format!("{said}, as by 'server-bin resume'")
        }
        _ => said.to_owned(),
    }
}

async fn try_status(at: &Where) -> Result<(Status, Vec<Entry>, Bytes), Unanswered> {
    let address = address(at).await?;
    let (status, history) = (get(&address, "/status"), get(&address, "/history"));
    // Both within one deadline.
    let (status, history) = tokio::join!(status, history);
    let ((status, raw), (history, _raw)) = (status?, history?);
    Ok((status, history, raw))
}

async fn get<T: DeserializeOwned>(address: &Address, path: &str) -> Result<(T, Bytes), Unanswered> {
    let (code, body) = ask(address, Method::GET, path).await?;
    let parsed = serde_json::from_slice(&body).ok().filter(|_| code == StatusCode::OK);
    let why = || format!("whoever answers at {address} is no server-bin: {path} is {code}");
    let value = parsed.ok_or_else(|| Unanswered { code: NOBODY, why: why() })?;
    Ok((value, body))
}

/// Returns the address to ask at.
async fn address(at: &Where) -> Result<Address, Unanswered> {
    match at {
        Where::Given(address) => Ok(address.clone()),
        Where::Configured(place) => configured(place).await.map_err(|why| Unanswered {
            code: NOWHERE,
            why: format!("{why}; --admin ADDRESS says where to ask"),
        }),
    }
}

/// Reads no more of the configuration than it takes, so that a daemon can be asked about one that is bad;
/// what is wrong is told with its name.
async fn configured(place: &Place) -> Result<Address, String> {
    let text = source::text_at(place).await?;
    let address = admin_address(&text).map_err(|why| format!("{place}: {why}"))?;
    match address.socket_addr() {
        Some(tcp) if tcp.port() == 0 => {
            Err(format!("{place}: port 0 of admin_address is any port"))
        }
        _ => Ok(address),
    }
}

/// Finds the address in a text that may be broken elsewhere.
fn admin_address(text: &str) -> Result<Address, String> {
    #[derive(Deserialize)]
    struct Part {
        admin_address: Option<Address>,
    }

    let error = match toml::from_str(text) {
        Ok(Part { admin_address: Some(address) }) => return Ok(address),
        Ok(Part { admin_address: None }) => return Err("no admin_address is configured".to_owned()),
        Err(error) => error,
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    let whole = table.get_ref().get("admin_address").filter(|value| {
        // What is wrong with its own line may be that it was cut short.
        let line = line_around(text, value.span());
        let is_apart = |at: Range<usize>| at.end < line.start || line.end < at.start;
        errors.iter().all(|error| error.span().is_some_and(is_apart))
    });
    let address = whole.and_then(|value| value.get_ref().as_str()?.parse().ok());
    address.ok_or_else(|| error.message().to_owned())
}

/// The bytes of the lines that hold `span`.
fn line_around(text: &str, span: Range<usize>) -> Range<usize> {
    let is_end = |byte: &u8| *byte == b'\n';
    let (before, after) = (&text.as_bytes()[..span.start], &text.as_bytes()[span.end..]);
    let start = before.iter().rposition(is_end).map_or(0, |end| end + 1);
    let end = after.iter().position(is_end).map_or(text.len(), |end| span.end + end);
    start..end
}

async fn ask(
    address: &Address,
    method: Method,
    path: &str,
) -> Result<(StatusCode, Bytes), Unanswered> {
    let deadline = if method == Method::POST { ORDER_DEADLINE } else { DEADLINE };
    let answered = async {
        match address {
            Address::Tcp(tcp) => over(TcpStream::connect(tcp).await?, method, path).await,
            Address::Unix(file) => over(UnixStream::connect(file).await?, method, path).await,
            _ => Err("no such address is known".into()),
        }
    };
    let nobody = |why: String| Unanswered {
        code: NOBODY,
        why: format!("nobody answers at {address}: {why}"),
    };
    match timeout(deadline, answered).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(failure)) if is_not_there(&failure) => {
            Err(nobody(format!("{failure}; does the daemon run?")))
        }
        Ok(Err(failure)) => Err(nobody(failure.to_string())),
        Err(_elapsed) => Err(nobody(format!("not within {} s", deadline.as_secs()))),
    }
}

/// Whether nobody listens there: of a socket of the file system there may not even be the file.
fn is_not_there(failure: &Failure) -> bool {
    let kind = failure.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound))
}

/// Sends a request on a connection of its own.
async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    method: Method,
    path: &str,
) -> Result<(StatusCode, Bytes), Failure> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Why it ends, the answer says as well.
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "localhost")
        .header(CONNECTION, "close")
        .header("x-requested-by", env!("CARGO_PKG_NAME"))
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let code = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await?;
    Ok((code, body.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_where_to_ask_in_what_is_broken_elsewhere() {
        let at = "admin_address = '127.0.0.1:8081'";
        for text in [
            at.to_owned(),
            format!("name = \n{at}\n"),
            format!("{at}\ngreeting = 'never closed\nid = 1"),
            format!("{at}\n[table\n"),
            format!("id = 1\nid = 2\n{at} # where\n"),
        ] {
            assert_eq!(admin_address(&text).unwrap().to_string(), "127.0.0.1:8081", "{text}");
        }
    }

    #[test]
    fn takes_no_address_that_may_be_cut_short() {
        for (text, why) in [
            ("name = 'x'", "no admin_address is configured"),
            ("admin_address = '127.0.0.1:80", "invalid literal string"),
            ("admin_address = 'unix:/run/app.so\nid = 1", "invalid literal string"),
            ("admin_address = ['127.0.0.1:80'", "unclosed array"),
            ("admin_address = '127.0.0.1:80' 81", "unexpected key or value"),
            ("admin_address = 80", "expected an address"),
            (
                "greeting = \"\"\"\nadmin_address = '127.0.0.1:80'\n",
                "invalid multi-line basic string",
            ),
        ] {
            let told = admin_address(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
