//! The console as a browser's requests see it: files, headers, sessions, rights, TLS off loopback.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use mneme_kernel::resp::Value;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use support::{Folder, Node, PASSWORD, PATIENCE, free_port};

/// An answer: status, head, body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Sends a request as a browser does, on a connection of its own.
fn ask_over(mut stream: impl Read + Write, request: &str, headers: &[&str], body: &str) -> Answer {
    let mut text = format!("{request} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    headers.iter().for_each(|header| text += &format!("{header}\r\n"));
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).expect("the request is taken");
    let mut answer = Vec::new();
    // A server over TLS may close without a farewell.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head: head.to_lowercase(), body: body.into() }
}

fn connect(node: &Node) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", node.admin_port)).expect("the admin port listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream
}

const OWN: [&str; 2] = ["Host: localhost", "X-Mneme-Console: 1"];

/// Who is signed in, or nobody.
struct Browser<'a> {
    node: &'a Node,
    cookie: String,
}

impl<'a> Browser<'a> {
    fn new(node: &'a Node) -> Self {
        Self { node, cookie: String::new() }
    }

    fn ask(&self, request: &str, body: &str) -> Answer {
        let cookie = format!("Cookie: {}", self.cookie);
        ask_over(connect(self.node), request, &[&OWN[..], &[&cookie]].concat(), body)
    }

    fn sign_in(&mut self, user: &str, password: &str) -> Answer {
        let body = format!("{{\"user\":\"{user}\",\"password\":\"{password}\"}}");
        let answer = self.ask("POST /api/login", &body);
        if let Some((_, cookie)) = answer.head.split_once("set-cookie: ") {
            self.cookie = cookie.split(';').next().unwrap_or_default().into();
        }
        answer
    }

    /// The reply to a command, as JSON.
    fn run(&self, words: &str) -> String {
        let answer = self.ask("POST /api/command", words);
        assert_eq!(answer.status, 200, "{words}: {answer:?}");
        answer.body
    }
}

fn start(folder: &Folder, options: &[&str]) -> Node {
    Node::start(&folder.0.join("data"), &folder.0.join("socket"), options)
}

#[test]
fn the_page_is_there_before_anybody_signs_in_and_is_whole_by_itself() {
    let folder = Folder::new("console");
    let node = start(&folder, &[]);
    let page = ask_over(connect(&node), "GET /", &["Host: 127.0.0.1"], "");
    assert_eq!(page.status, 200);
    assert!(page.body.contains("<html") && !page.body.contains("https://") && !page.body.contains("http://"));
    assert!(!page.body.contains("<style") && !page.body.contains("onclick"), "nothing is inline");
    for header in [
        "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; frame-ancestors 'none'",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "x-frame-options: deny",
    ] {
        assert!(page.head.contains(header), "{header} is not in {}", page.head);
    }
    for (file, kind) in [("main.js", "text/javascript"), ("console.css", "text/css"), ("icon.svg", "image/svg+xml")] {
        let file = ask_over(connect(&node), &format!("GET /console/{file}"), &["Host: localhost"], "");
        assert!(file.status == 200 && file.head.contains(kind), "{file:?}");
    }
    assert_eq!(ask_over(connect(&node), "GET /console/nothing", &["Host: localhost"], "").status, 404);
    let who = Browser::new(&node).ask("GET /api/node", "");
    assert!(who.body.contains(r#""node":"test""#) && who.body.contains(r#""state":"core""#), "{who:?}");
    assert!(who.body.contains(r#""user":null"#) && who.head.contains("cache-control: no-store"), "{who:?}");
}

#[test]
fn a_session_is_its_users_and_ends_when_it_is_left() {
    let folder = Folder::new("console-session");
    let node = start(&folder, &[]);
    let mut browser = Browser::new(&node);
    assert_eq!(browser.ask("POST /api/command", r#"["PING"]"#).status, 401);
    assert_eq!(browser.ask("GET /api/events", "").status, 401);
    let wrong = browser.sign_in("admin", "wrong");
    assert!(wrong.status == 401 && wrong.body.contains("WRONGPASS") && !wrong.head.contains("set-cookie"), "{wrong:?}");
    assert_eq!(browser.ask("POST /api/login", "{}").status, 400);

    let right = browser.sign_in("admin", PASSWORD);
    assert_eq!(right.status, 200);
    let cookie = right.head.split_once("set-cookie: ").expect("a cookie").1;
    assert!(
        cookie.contains("httponly") && cookie.contains("samesite=strict") && !cookie.contains("secure"),
        "{cookie}"
    );
    assert_eq!(browser.cookie.split_once('=').expect("a value").1.len(), 64);
    assert_eq!(browser.run(r#"["SET","a",{"base64":"/wA="}]"#), r#"{"reply":"OK"}"#);
    assert_eq!(browser.run(r#"["GET","a"]"#), r#"{"reply":{"base64":"/wA="}}"#);
    assert_eq!(browser.run(r#"["INCR","a"]"#), r#"{"reply":{"error":"ERR value is not an integer or out of range"}}"#);
    assert!(browser.run(r#"["CLIENT","LIST"]"#).contains("name=console"));
    // A page's commands have a database of their own.
    assert_eq!(browser.run(r#"["SELECT","3"]"#), r#"{"reply":"OK"}"#);
    let batch = browser.ask("POST /api/batch", r#"[["STRLEN","a"],["NOSUCH"],["HGETALL","none"]]"#).body;
    assert!(
        batch.starts_with(r#"{"replies":[2,{"error":"ERR unknown command"#) && batch.ends_with(r#",{"map":[]}]}"#),
        "{batch}"
    );
    for wrong in ["", "{}", "[]", "[1,2]", "[[]]"] {
        assert_eq!(browser.ask("POST /api/batch", wrong).status, if wrong == "[]" { 200 } else { 400 }, "{wrong}");
    }

    let stolen = Browser { node: &node, cookie: browser.cookie.clone() };
    assert_eq!(browser.ask("POST /api/logout", "").status, 204);
    assert_eq!(stolen.ask("POST /api/command", r#"["PING"]"#).status, 401);
}

#[test]
fn a_user_sees_what_its_role_may_and_nothing_once_it_is_dropped() {
    let folder = Folder::new("console-roles");
    let node = start(&folder, &[]);
    let mut admin = node.client().expect("it is ready");
    let made = admin.ask(&["USER", "CREATE", "reader", "PASSWORD", "p", "ROLE", "readonly"]).expect("a reply");
    assert_eq!(made, Value::Simple("OK".into()));
    let mut reader = Browser::new(&node);
    assert_eq!(reader.sign_in("reader", "p").status, 200);
    assert_eq!(reader.run(r#"["GET","a"]"#), r#"{"reply":null}"#);
    for forbidden in [r#"["SET","a","1"]"#, r#"["CLIENT","LIST"]"#, r#"["CONFIG","ORIGIN"]"#, r#"["USER","LIST"]"#] {
        assert!(reader.run(forbidden).contains("NOPERM"), "{forbidden}");
    }
    admin.ask(&["USER", "DROP", "reader"]).expect("a reply");
    assert_eq!(reader.ask("POST /api/command", r#"["GET","a"]"#).status, 401);
    assert_eq!(reader.ask("POST /api/batch", r#"[["GET","a"]]"#).status, 401);
}

#[test]
fn what_takes_over_a_connection_is_refused_and_what_waits_too_long_is_passed_over() {
    let folder = Folder::new("console-refused");
    let node = start(&folder, &[]);
    let mut browser = Browser::new(&node);
    browser.sign_in("admin", PASSWORD);
    for refused in [
        r#"["SUBSCRIBE","c"]"#,
        r#"["monitor"]"#,
        r#"["BLPOP","l","0"]"#,
        r#"["XREAD","BLOCK","0","STREAMS","s","$"]"#,
        r#"["CONSISTENCY","ALL","BLPOP","l","0"]"#,
        r#"["AUTH","x"]"#,
        r#"["HELLO","2"]"#,
        r#"["RESET"]"#,
        r#"["QUIT"]"#,
        r#"["CLIENT","REPLY","OFF"]"#,
        r#"["WAIT","3","0"]"#,
    ] {
        assert!(browser.run(refused).contains("is not for the console"), "{refused}");
    }
    assert_eq!(browser.run(r#"["XREAD","STREAMS","s","0"]"#), r#"{"reply":null}"#);
    // Far more than a page shows; what comes afterwards is answered all the same.
    assert_eq!(browser.run(r#"["SETRANGE","long","9000000","x"]"#), r#"{"reply":9000001}"#);
    assert!(browser.run(r#"["GET","long"]"#).contains("longer than the 8 MiB"));
    assert_eq!(browser.run(r#"["STRLEN","long"]"#), r#"{"reply":9000001}"#);
    let too_long = format!(r#"["SET","a","{}"]"#, "x".repeat(2 << 20));
    assert_eq!(browser.ask("POST /api/command", &too_long).status, 400);
}

#[test]
fn other_pages_and_other_names_get_nothing() {
    let folder = Folder::new("console-foreign");
    let node = start(&folder, &[]);
    let mut browser = Browser::new(&node);
    browser.sign_in("admin", PASSWORD);
    let cookie = format!("Cookie: {}", browser.cookie);
    let status = |headers: &[&str]| {
        ask_over(connect(&node), "POST /api/command", &[headers, &[&cookie]].concat(), r#"["PING"]"#).status
    };
    assert_eq!(status(&OWN), 200);
    assert_eq!(status(&["Host: localhost"]), 403, "a form cannot send the header");
    assert_eq!(status(&[&OWN[..], &["Origin: http://evil.example"]].concat()), 403);
    assert_eq!(status(&[&OWN[..], &["Sec-Fetch-Site: cross-site"]].concat()), 403);
    assert_eq!(status(&[&OWN[..], &["Origin: http://localhost", "Sec-Fetch-Site: same-origin"]].concat()), 200);
    assert_eq!(status(&["Host: evil.example", OWN[1]]), 403, "a name that was made to lead here");
    assert_eq!(ask_over(connect(&node), "GET /", &["Host: evil.example"], "").status, 403);
    // Monitoring calls a node what it likes.
    assert_eq!(ask_over(connect(&node), "GET /livez", &["Host: n1"], "").status, 200);
}

#[test]
fn off_loopback_the_console_speaks_tls_only_with_the_certificate_of_clients() {
    let folder = Folder::new("console-tls");
    let port = free_port();
    let mut node = start(&folder, &["--admin-listen", &format!("0.0.0.0:{port}")]);
    node.admin_port = port;
    for page in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(node.admin_status(page), "200", "{page}");
    }
    for page in ["GET /", "GET /console/main.js", "POST /api/login"] {
        let answer = ask_over(connect(&node), page, &OWN, "");
        assert!(answer.status == 403 && answer.body.contains("over TLS only: open https://localhost/"), "{answer:?}");
    }
    let tls = |request: &str, headers: &[&str], body: &str| ask_over(tls(&node, &folder), request, headers, body);
    assert_eq!(tls("GET /", &["Host: anything.example"], "").status, 200);
    assert_eq!(tls("GET /metrics", &["Host: x"], "").status, 200);
    let body = format!("{{\"user\":\"admin\",\"password\":\"{PASSWORD}\"}}");
    let signed_in = tls("POST /api/login", &OWN, &body);
    assert!(signed_in.status == 200 && signed_in.head.contains("set-cookie: __host-mneme-"), "{signed_in:?}");
    assert!(signed_in.head.contains("; secure"), "{signed_in:?}");
}

fn tls(node: &Node, folder: &Folder) -> StreamOwned<ClientConnection, TcpStream> {
    let ca = CertificateDer::from_pem_file(folder.0.join("data/ca.crt")).expect("the CA's certificate");
    let mut roots = RootCertStore::empty();
    roots.add(ca).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a configuration"), connect(node))
}

#[test]
fn who_watches_is_told_how_the_cluster_is() {
    let folder = Folder::new("console-events");
    let node = start(&folder, &["--max-clients", "20"]);
    let mut browser = Browser::new(&node);
    browser.sign_in("admin", PASSWORD);
    let mut stream = connect(&node);
    let request = format!("GET /api/events HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\r\n", browser.cookie);
    stream.write_all(request.as_bytes()).expect("the request is taken");
    let (mut told, begun) = (String::new(), Instant::now());
    // The first two: it goes on.
    while told.matches("data: {").count() < 2 {
        assert!(begun.elapsed() < PATIENCE, "{told}");
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).expect("it goes on");
        told += &String::from_utf8_lossy(&bytes[..read]);
    }
    assert!(told.to_lowercase().contains("content-type: text/event-stream"), "{told}");
    for said in [r#""ready":"ok""#, r#"["primary","test"]"#, r#"["heard",0]"#, "instantaneous_ops_per_sec:"] {
        assert!(told.contains(said), "{said} is not in {told}");
    }
    // Whoever is signed out is told no more: the stream ends.
    assert_eq!(browser.ask("POST /api/logout", "").status, 204);
    stream.read_to_end(&mut Vec::new()).expect("it ends");
}
