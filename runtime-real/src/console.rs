//! The console: pages for a browser, and what they ask. It knows nothing that a command would not tell its user.

mod conversation;
mod door;
mod encoding;
mod feed;
mod files;
mod guard;
mod outline;
mod refused;
mod sessions;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use futures::Stream;
use mneme_driver::node::Node;
use mneme_kernel::resp::Value;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use self::conversation::{Conversation, Silence, Words};
pub(crate) use self::door::{Caller, Door};
use self::sessions::{Refusal, Session, Sessions};
use crate::admin::Admin;
use crate::env::RealEnv;

/// The longest body of a request, in bytes.
const MAX_BODY: usize = 1 << 20;
/// The most commands of one request: a page of keys, four questions about each.
const MAX_COMMANDS: usize = 1024;
/// How often sessions whose time is over are looked for.
const TIDY: Duration = Duration::from_secs(60);

/// What the console works with.
#[derive(Clone, Debug)]
struct Console {
    admin: Admin,
    sessions: Arc<Sessions>,
}

/// The console's part of the admin port.
pub(crate) fn routes(admin: Admin) -> Router {
    let console = Console { admin, sessions: Arc::default() };
    let sessions = console.sessions.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(TIDY).await;
            sessions.tidy();
        }
    });
    Router::new()
        .route("/", get(files::page))
        .route("/console/{file}", get(files::file))
        .route("/api/node", get(who))
        .route("/api/login", post(sign_in))
        .route("/api/logout", post(sign_out))
        .route("/api/command", post(typed))
        .route("/api/batch", post(batch))
        .route("/api/events", get(events))
        .with_state(console)
        .layer(axum::middleware::from_fn(guard::guard))
}

/// What the page needs to know before anybody has signed in.
async fn who(State(console): State<Console>, Extension(caller): Extension<Caller>, headers: HeaderMap) -> Response {
    let server = console.admin.server.get();
    let state = match server {
        None => "starting",
        Some(server) if server.node().is_none() => "keeper",
        Some(_) => "core",
    };
    let user = console.session(&caller, &headers).map(|(_, session)| session.user.clone());
    let (node, version) = (&console.admin.node, mneme_kernel::VERSION);
    answer(&json!({ "node": node, "version": version, "state": state, "user": user }))
}

async fn sign_in(
    State(console): State<Console>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let body = read(body).await;
    let field = |name: &str| body.as_ref()?.get(name)?.as_str();
    let (Some(user), Some(password)) = (field("user"), field("password")) else {
        return failed(StatusCode::BAD_REQUEST, "a user and a password are wanted");
    };
    let node = match console.node() {
        Ok(node) => node,
        Err(why) => return failed(StatusCode::SERVICE_UNAVAILABLE, why),
    };
    let opened = Session::open(node, &caller, user, password).await;
    match opened.and_then(|session| console.sessions.add(session)) {
        Ok(number) => {
            let cookie = Console::cookie(&caller, &headers, &number);
            ([(header::SET_COOKIE, cookie)], answer(&json!({ "user": user }))).into_response()
        }
        Err(why @ Refusal::Refused(_)) => failed(StatusCode::UNAUTHORIZED, &why.to_string()),
        Err(why) => failed(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
    }
}

async fn sign_out(
    State(console): State<Console>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    if let Some((number, _)) = console.session(&caller, &headers) {
        console.sessions.remove(&number);
    }
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, Console::cookie(&caller, &headers, ""))]).into_response()
}

/// Runs the command that the user has typed.
async fn typed(
    State(console): State<Console>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some((number, session)) = console.session(&caller, &headers) else { return signed_out() };
    let Some(command) = read(body).await.as_ref().and_then(encoding::command) else {
        return failed(StatusCode::BAD_REQUEST, "a command is an array of words");
    };
    let replies = console.ask(&number, &session.typed, vec![command]).await;
    match replies {
        Ok(mut replies) => answer(&json!({ "reply": replies.pop() })),
        Err(response) => response,
    }
}

/// Runs what a page asks.
async fn batch(
    State(console): State<Console>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some((number, session)) = console.session(&caller, &headers) else { return signed_out() };
    let body = read(body).await;
    let commands = body.as_ref().and_then(|body| body.as_array()).filter(|all| all.len() <= MAX_COMMANDS);
    let Some(commands) = commands.and_then(|all| all.iter().map(encoding::command).collect::<Option<Vec<_>>>()) else {
        let wanted = format!("an array of at most {MAX_COMMANDS} commands is wanted, each an array of words");
        return failed(StatusCode::BAD_REQUEST, &wanted);
    };
    match console.ask(&number, &session.pages, commands).await {
        Ok(replies) => answer(&json!({ "replies": replies })),
        Err(response) => response,
    }
}

/// Tells once a second how the node and its cluster are.
async fn events(State(console): State<Console>, Extension(caller): Extension<Caller>, headers: HeaderMap) -> Response {
    let Some((number, session)) = console.session(&caller, &headers) else { return signed_out() };
    let Ok(place) = session.viewers.clone().try_acquire_owned() else {
        return failed(StatusCode::TOO_MANY_REQUESTS, "too many pages of this session watch: close some");
    };
    drop(session);
    let mut ticks = interval(feed::EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watched = futures::stream::unfold((console, number, ticks), move |(console, number, mut ticks)| {
        let _ = &place;
        async move {
            ticks.tick().await;
            // Whoever watches uses the session; one that is over ends the stream.
            let session = console.sessions.get(&number)?;
            let event = match console.told(&session).await {
                Ok(told) => Event::default().data(told),
                Err(Silence::Late) => Event::default().event("late").data("late"),
                Err(Silence::Ended) => {
                    console.sessions.remove(&number);
                    return None;
                }
            };
            Some((Ok::<_, Infallible>(event), (console, number, ticks)))
        }
    });
    stream_of(watched)
}

fn stream_of(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    Sse::new(events).into_response()
}

impl Console {
    /// The Core, or why there is none.
    fn node(&self) -> Result<&Arc<Node<RealEnv>>, &'static str> {
        let server = self.admin.server.get().ok_or("this node is starting: it does not belong to a cluster yet")?;
        server.node().ok_or("this node is a Keeper alone, without users or data: open the console of a Core")
    }

    /// The session that the browser names.
    fn session(&self, caller: &Caller, headers: &HeaderMap) -> Option<(String, Arc<Session>)> {
        let name = Self::cookie_name(caller, headers);
        let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|cookies| cookies.to_str().ok());
        let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, number) = pairs.find(|(cookie, _)| *cookie == name)?;
        Some((number.to_owned(), self.sessions.get(number)?))
    }

    /// With the port that the browser uses, for browsers do not tell ports of a host apart; by its prefix, nobody else can set
    /// one that is for TLS.
    fn cookie_name(caller: &Caller, headers: &HeaderMap) -> String {
        let (prefix, usual) = if caller.tls { ("__Host-", 443) } else { ("", 80) };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let port = host.and_then(|host| host.rsplit_once(':')?.1.parse::<u16>().ok());
        format!("{prefix}mneme-{}", port.unwrap_or(usual))
    }

    /// Has the browser keep a session's number, or forget it if that is empty.
    fn cookie(caller: &Caller, headers: &HeaderMap, number: &str) -> HeaderValue {
        let secure = if caller.tls { "; Secure" } else { "" };
        let gone = if number.is_empty() { "; Max-Age=0" } else { "" };
        let name = Self::cookie_name(caller, headers);
        let cookie = format!("{name}={number}; Path=/; HttpOnly; SameSite=Strict{secure}{gone}");
        HeaderValue::try_from(cookie).unwrap_or_else(|_| panic!("a cookie of letters, digits and signs"))
    }

    /// The replies to commands, as JSON; the answer in their place if there are none.
    async fn ask(
        &self,
        number: &str,
        conversation: &tokio::sync::Mutex<Conversation>,
        commands: Vec<Words>,
    ) -> Result<Vec<serde_json::Value>, Response> {
        let node = self.node().map_err(|why| failed(StatusCode::SERVICE_UNAVAILABLE, why))?;
        let refused: Vec<Option<String>> = commands.iter().map(|command| refused::why(node, command)).collect();
        let run: Vec<Words> =
            commands.into_iter().zip(&refused).filter(|(_, why)| why.is_none()).map(|(command, _)| command).collect();
        let replies = match conversation.lock().await.ask(&run).await {
            Ok(replies) => replies,
            Err(Silence::Late) => {
                let why = "no answer in time: the node waits for a primary or for Keepers; what was to be done may still happen";
                return Err(failed(StatusCode::GATEWAY_TIMEOUT, why));
            }
            Err(Silence::Ended) => {
                self.sessions.remove(number);
                return Err(signed_out());
            }
        };
        if replies.iter().any(feed::has_no_user) {
            self.sessions.remove(number);
            return Err(signed_out());
        }
        let mut replies = replies.into_iter();
        let each = |why| match why {
            Some(why) => encoding::reply(&Value::Error(why)),
            None => replies.next().as_ref().map_or(serde_json::Value::Null, encoding::reply),
        };
        Ok(refused.into_iter().map(each).collect())
    }

    async fn told(&self, session: &Session) -> Result<Arc<str>, Silence> {
        let Ok(node) = self.node() else { return Err(Silence::Ended) };
        let (_, ready) = self.admin.readiness();
        session.feed.lock().await.told(node, ready.trim_end()).await
    }
}

async fn read(body: Body) -> Option<serde_json::Value> {
    serde_json::from_slice(&to_bytes(body, MAX_BODY).await.ok()?).ok()
}

fn signed_out() -> Response {
    failed(StatusCode::UNAUTHORIZED, "nobody is signed in, or the session has ended: sign in again")
}

fn failed(status: StatusCode, why: &str) -> Response {
    (status, answer(&json!({ "error": why }))).into_response()
}

fn answer(json: &serde_json::Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json.to_string()).into_response()
}
