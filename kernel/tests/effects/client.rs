//! A client that counts its answers.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mneme_kernel::connection::{Connection, Step};
use mneme_kernel::core::{Core, Now};
use mneme_kernel::forward::Void;
use mneme_kernel::gate::Marks;
use mneme_kernel::ids::{Index, Seq};
use mneme_kernel::password::{Credentials, PasswordCheck};
use mneme_kernel::resp::{Protocol, Value};
use mneme_kernel::session::{Peer, Port};
use mneme_kernel::store::Digest;
use mneme_kernel::time::Monotonic;

use crate::requests::Request;

/// Whoever still waits so long for a key may do so when everybody else has answers.
const LONG: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Client {
    connection: Connection,
    protocol: Protocol,
    /// What was asked and is not answered.
    asked: VecDeque<Request>,
    received: Vec<u8>,
    last_answer: Option<(Request, Value)>,
    /// The server said that it will close, because of this.
    closing: Option<Step>,
    /// It waits for a key, for a long time or for ever.
    waits: bool,
}

impl Client {
    pub fn new(core: &mut Core, port: Port, since: Monotonic) -> Self {
        let connection = core.connect(port, Peer::default(), since).expect("there is room");
        Self {
            connection,
            protocol: Protocol::Resp2,
            asked: VecDeque::new(),
            received: Vec::new(),
            last_answer: None,
            closing: None,
            waits: false,
        }
    }

    pub fn leave(&mut self, core: &mut Core) {
        core.disconnect(&self.connection);
    }

    pub fn send(&mut self, request: &Request) {
        request.encode(self.connection.input());
        self.asked.push_back(request.clone());
    }

    pub fn run(&mut self, core: &mut Core, now: Now) {
        self.waits = false;
        loop {
            match self.connection.run(core, now) {
                Step::CheckPassword(credentials) => {
                    let check = if is_right(&credentials) { PasswordCheck::Right(0) } else { PasswordCheck::Wrong };
                    self.connection.password_checked(core, now, check);
                }
                Step::HashPassword(password) => {
                    let hash = [b"hash of ".as_slice(), &password.text].concat();
                    let hash = String::from_utf8_lossy(&hash).into_owned();
                    self.connection.password_hashed(core, password, hash);
                }
                Step::Remove(_) | Step::RotateCertificates | Step::Elsewhere => panic!("nobody asks for that"),
                Step::Save => self.connection.done(core, Ok::<(), &str>(())),
                Step::SaveLater => {}
                Step::Backup(_) => self.connection.backed_up(core, Err("not here")),
                step @ (Step::Close | Step::Shutdown | Step::Kill) => {
                    self.closing.get_or_insert(step);
                    return;
                }
                Step::Delay(time) => {
                    self.waits = time > LONG;
                    return;
                }
                Step::Read | Step::Held | Step::Full | Step::Count(_) => return,
            }
        }
    }

    /// Takes the answers that may leave, and looks at each.
    pub fn receive(&mut self, accepted: Seq, voids: &[Void], now: Monotonic, digests: &BTreeMap<Index, Digest>) {
        self.connection.advance(Marks::alone(accepted), voids, now);
        let ready = self.connection.ready().to_vec();
        self.connection.sent(ready.len());
        self.received.extend(ready);
        while let Some((value, len)) = Value::decode(&self.received).expect("the protocol") {
            let request = self.asked.pop_front().unwrap_or_else(|| panic!("nobody asked for {value:?}"));
            match &value {
                Value::Map(_) if request.is("hello") => self.protocol = Protocol::Resp3,
                Value::Array(_) if request.is("hello") => self.protocol = Protocol::Resp2,
                Value::Simple(_) if request.is("reset") => self.protocol = Protocol::Resp2,
                _ => {}
            }
            assert_eq!(len_in(self.protocol, &self.received), Some(len), "{request:?}: {:?}", self.received);
            check_digest(&request, &value, digests);
            self.received.drain(..len);
            self.last_answer = Some((request, value));
        }
    }

    pub fn has_all_answers(&self) -> bool {
        self.asked.is_empty() && self.received.is_empty() && self.connection.is_drained()
    }

    /// Whether nothing more comes unless others do something.
    pub fn is_at_rest(&self) -> bool {
        self.has_all_answers() || self.waits && self.connection.is_drained()
    }

    /// Whether the server has closed the connection: then it has answered everything up to the reason.
    pub fn has_gone(&self) -> bool {
        let Some(why) = &self.closing else { return false };
        if *why == Step::Kill {
            return true;
        }
        if !self.connection.is_drained() {
            return false;
        }
        match (why, &self.last_answer) {
            (Step::Shutdown, _) => assert!(self.asked.front().is_some_and(|request| request.is("shutdown"))),
            (_, Some((request, _))) if request.is("quit") || request.is("client") => {}
            (_, Some((_, Value::Error(text)))) => assert!(text.starts_with("ERR Protocol error"), "{text}"),
            (_, last) => panic!("closed after {last:?}"),
        }
        true
    }
}

fn is_right(credentials: &Credentials) -> bool {
    let hash = [b"hash of ".as_slice(), &credentials.password].concat();
    credentials.hashes.iter().any(|wanted| wanted.as_bytes() == hash)
}

/// `DEBUG DIGEST` tells what the log says at that index.
fn check_digest(request: &Request, value: &Value, digests: &BTreeMap<Index, Digest>) {
    if let (true, Value::Array(parts)) = (request.is("debug"), value) {
        let [Value::Int(index), Value::Bulk(digest)] = parts.as_slice() else { panic!("{value:?}") };
        assert_eq!(*digest, digests[&Index(*index as u64)].to_string().into_bytes());
    }
}

/// The length of the value at the front, if it is one of just this version of the protocol.
fn len_in(protocol: Protocol, bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let (head, text) = (end + 2, std::str::from_utf8(&bytes[1..end]).ok()?);
    let is_resp3 = protocol == Protocol::Resp3;
    let mut parts = match (bytes[0], text) {
        (b'$' | b'*', "-1") => return (!is_resp3).then_some(head),
        (b'+' | b'-' | b':', _) => return Some(head),
        (b'_', "") | (b',', _) => return is_resp3.then_some(head),
        (b'$', len) => return Some(head + len.parse::<usize>().ok()? + 2),
        (b'=', len) => return is_resp3.then_some(head + len.parse::<usize>().ok()? + 2),
        (b'*', count) => count.parse::<usize>().ok()?,
        (b'~', count) if is_resp3 => count.parse::<usize>().ok()?,
        (b'%', count) if is_resp3 => count.parse::<usize>().ok()? * 2,
        _ => return None,
    };
    let mut at = head;
    while parts > 0 {
        at += len_in(protocol, &bytes[at..])?;
        parts -= 1;
    }
    Some(at)
}
