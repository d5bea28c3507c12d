//! What a module in Python serves.

/// What makes an application for an ASGI server, and one of Flask.
const ASGI: [&str; 5] = ["FastAPI", "Starlette", "Litestar", "Quart", "Sanic"];
const FLASK: [&str; 1] = ["Flask"];
/// What a module says that serves by itself.
const SERVES: [&str; 9] = [
    "HTTPServer(",
    "TCPServer(",
    "serve_forever(",
    "uvicorn.run(",
    "web.run_app(",
    "make_server(",
    "hypercorn",
    "tornado",
    "start_server(",
];

/// What there is to be served.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Application {
    /// The variable that is one for an ASGI server.
    Asgi(String),
    /// The variable that is one of Flask.
    Flask(String),
    /// The whole module, which is run.
    Itself,
}

impl Application {
    pub(super) fn of(text: &str) -> Option<Self> {
        let made = |classes: &[&str]| text.lines().find_map(|line| made(line, classes));
        let asgi = made(&ASGI).or_else(|| text.lines().find_map(function));
        asgi.map(Self::Asgi)
            .or_else(|| made(&FLASK).map(Self::Flask))
            .or_else(|| serves(text).then_some(Self::Itself))
    }
}

fn serves(text: &str) -> bool {
    let mut code = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    code.any(|line| SERVES.iter().any(|sign| line.contains(sign)))
}

/// The variable of a line `app = FastAPI(…)` or `app: FastAPI = FastAPI(…)`, at the module's level.
fn made(line: &str, classes: &[&str]) -> Option<String> {
    let (left, right) = line.split_once('=')?;
    let name = left.split(':').next()?.trim_end();
    let class = right.trim_start().split_once('(')?.0;
    let class = class.rsplit('.').next()?;
    (is_name(name) && classes.contains(&class)).then(|| name.to_owned())
}

/// The name of a function that is an application itself: `async def app(scope, receive, send):`.
fn function(line: &str) -> Option<String> {
    let (name, arguments) = line.strip_prefix("async def ")?.split_once('(')?;
    let first = arguments.split([',', ':', ')']).next()?.trim();
    (is_name(name) && first == "scope" && arguments.contains("receive")).then(|| name.to_owned())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}
