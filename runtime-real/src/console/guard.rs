//! Who may talk to the console, whatever is asked: the way it came, the host that it was meant for, the page that it came
//! from. And what browsers are told about every answer.

use std::time::Duration;

use axum::Extension;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::door::Caller;

/// What a request's body may take to arrive and its answer to be made: longer than a conversation's patience.
const PATIENCE: Duration = Duration::from_secs(30);
/// Only a script of the same origin can set it without being asked beforehand, which is refused.
const OWN_HEADER: &str = "x-mneme-console";

const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Lets a request through, or says why not.
pub(super) async fn guard(Extension(caller): Extension<Caller>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&caller, &request) {
        Some(why) => (StatusCode::FORBIDDEN, format!("{why}\n")).into_response(),
        None => match tokio::time::timeout(PATIENCE, next.run(request)).await {
            Ok(response) => response,
            Err(_) => (StatusCode::REQUEST_TIMEOUT, "this took too long\n").into_response(),
        },
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn refusal(caller: &Caller, request: &Request) -> Option<String> {
    let headers = request.headers();
    let host = text(headers, "host").unwrap_or_default();
    if !caller.is_private() {
        let host = if host.is_empty() { caller.local.to_string() } else { host.to_owned() };
        return Some(format!("Off loopback the console is served over TLS only: open https://{host}/"));
    }
    // A name of somebody else's that leads to this machine: its pages would be of one origin with ours.
    if !caller.tls && !is_own_host(host, caller) {
        return Some(format!("The console is not known as {host}: open http://{}/", caller.local));
    }
    if !request.uri().path().starts_with("/api/") {
        return None;
    }
    let scheme = if caller.tls { "https" } else { "http" };
    let is_foreign = text(headers, "origin").is_some_and(|origin| origin != format!("{scheme}://{host}"))
        || text(headers, "sec-fetch-site").is_some_and(|site| site != "same-origin");
    let is_unmarked = request.method() != Method::GET && !headers.contains_key(OWN_HEADER);
    (is_foreign || is_unmarked).then(|| "The console answers only its own pages.".to_owned())
}

fn is_own_host(host: &str, caller: &Caller) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.contains(']') { host } else { name });
    let address = caller.local.ip().to_canonical().to_string();
    ["localhost", "127.0.0.1", "[::1]"].contains(&name) || name == address || name == format!("[{address}]")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // What is no text is nobody's.
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(listen: &str, peer: &str, tls: bool) -> Caller {
        let [local, peer] = [listen, peer].map(|address| address.parse().expect("an address"));
        Caller { peer, local, is_on_loopback: Caller::is_loopback(local) && Caller::is_loopback(peer), tls }
    }

    fn is_refused(caller: &Caller, path: &str, headers: &[(&str, &str)]) -> bool {
        let method = if path == "/api/command" { Method::POST } else { Method::GET };
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        refusal(caller, &request.body(axum::body::Body::empty()).expect("a request")).is_some()
    }

    #[test]
    fn off_loopback_there_is_nothing_in_clear() {
        let host = [("host", "localhost:9090")];
        assert!(!is_refused(&caller("127.0.0.1:9090", "127.0.0.1:5", false), "/", &host));
        assert!(!is_refused(&caller("[::1]:9090", "[::1]:5", false), "/", &host));
        assert!(is_refused(&caller("0.0.0.0:9090", "127.0.0.1:5", false), "/", &host));
        assert!(is_refused(&caller("127.0.0.1:9090", "10.0.0.1:5", false), "/", &host));
        assert!(!is_refused(&caller("0.0.0.0:9090", "10.0.0.1:5", true), "/", &[("host", "n1.example:9090")]));
    }

    #[test]
    fn another_name_that_leads_here_is_refused() {
        let here = caller("127.0.0.1:9090", "127.0.0.1:5", false);
        for own in ["localhost", "localhost:9090", "127.0.0.1:1", "[::1]:9090", "[::1]"] {
            assert!(!is_refused(&here, "/", &[("host", own)]), "{own}");
        }
        for foreign in ["evil.example:9090", "", "localhost.evil.example", "127.0.0.1.evil.example:9090"] {
            assert!(is_refused(&here, "/", &[("host", foreign)]), "{foreign}");
        }
        assert!(is_refused(&here, "/", &[]));
    }

    #[test]
    fn only_own_pages_may_ask() {
        let here = caller("127.0.0.1:9090", "127.0.0.1:5", false);
        let host = ("host", "localhost:9090");
        let mark = ("x-mneme-console", "1");
        assert!(is_refused(&here, "/api/command", &[host]));
        assert!(!is_refused(&here, "/api/command", &[host, mark]));
        assert!(!is_refused(&here, "/api/command", &[host, mark, ("origin", "http://localhost:9090")]));
        assert!(is_refused(&here, "/api/command", &[host, mark, ("origin", "http://evil.example")]));
        assert!(is_refused(&here, "/api/command", &[host, mark, ("origin", "null")]));
        for site in ["cross-site", "same-site", "none"] {
            assert!(is_refused(&here, "/api/command", &[host, mark, ("sec-fetch-site", site)]), "{site}");
        }
        assert!(!is_refused(&here, "/api/events", &[host, ("sec-fetch-site", "same-origin")]));
        assert!(is_refused(&here, "/api/events", &[host, ("sec-fetch-site", "cross-site")]));
        assert!(!is_refused(&here, "/", &[host, ("sec-fetch-site", "cross-site")]));
    }
}
