//! What a primary makes of the frames of another Core.

use std::collections::BTreeSet;
use std::time::Duration;

use mneme_kernel::codec;
use mneme_kernel::core::{Input, Now};
use mneme_kernel::forward::{FromPrimary, Proxies, Request, ToPrimary};
use mneme_kernel::ids::Epoch;
use mneme_kernel::resp::{Decoder, OwnedArgs, Trust, encode_command};
use mneme_kernel::users::{Role, User};

use crate::world::World;

/// The first node of a cluster, and a link to it.
struct Primary {
    world: World,
    proxies: Proxies,
}

impl Primary {
    fn new() -> Self {
        Self { world: World::new(&[1000, 1000]), proxies: Proxies::default() }
    }

    fn now(&self) -> Now {
        self.world.now(0)
    }

    fn request(&self, number: u64, user: &str, words: &[&str]) -> Request {
        let epoch = self.world.nodes[0].core.epoch();
        let (user, args, stamp) = (user.into(), args(words), stamp());
        Request { number, epoch, session: 1, user, stamp, db: 0, protocol: 2, level: 1, args, queue: Vec::new() }
    }

    /// Whether it was taken.
    fn run(&mut self, request: Request) -> bool {
        let mut frame = Vec::new();
        codec::encode(&ToPrimary::Run(request), &mut frame);
        let now = self.now();
        let core = &mut self.world.nodes[0].core;
        core.run_forwarded(now, &mut self.proxies, &frame).expect("a frame")
    }

    /// What is answered once everything executed is accepted.
    fn answers(&mut self) -> Vec<String> {
        let now = self.now().monotonic;
        self.world.nodes[0].core.settle_forwarded(&mut self.proxies, now);
        self.world.tell(0, Input::CloseBatch);
        self.world.commit_pending();
        let node = &self.world.nodes[0];
        self.proxies.advance(node.accepted, &node.voids, now);
        let text = |answer| match answer {
            FromPrimary::Reply { number, reply, .. } => {
                let reply = String::from_utf8(reply).expect("text");
                let word = reply.split_whitespace().next().unwrap_or_default();
                format!("{number} {word}")
            }
            FromPrimary::Refused { number } => format!("{number} refused"),
        };
        self.proxies.take_ready().into_iter().map(text).collect()
    }

    fn ask(&mut self, request: Request) -> String {
        assert!(self.run(request));
        self.answers().join(", ")
    }
}

/// That of every user of the world: all have the same hash.
fn stamp() -> u64 {
    let (password_hash, granted) = (String::new(), BTreeSet::new());
    User { password_hash, role: Role::Admin, everywhere: true, granted, level: None }.stamp()
}

fn args(words: &[&str]) -> OwnedArgs {
    let (mut bytes, mut decoder) = (Vec::new(), Decoder::default());
    encode_command(words, &mut bytes);
    decoder.decode(&bytes, Trust::Known).expect("a request").expect("a whole one");
    OwnedArgs::from(decoder.args(&bytes))
}

#[test]
fn the_rights_of_the_client_count_at_the_primary() {
    let mut primary = Primary::new();
    for (number, user, words, answer) in [
        (1, "admin", &["SET", "k", "v"][..], "1 +OK"),
        (2, "reader", &["SET", "k", "w"], "2 -NOPERM"),
        (3, "reader", &["GET", "k"], "3 $1"),
        (4, "nobody", &["GET", "k"], "4 -NOAUTH"),
        (5, "", &["GET", "k"], "5 -NOAUTH"),
        (6, "reader", &["CONFIG", "GET", "*"], "6 -NOPERM"),
    ] {
        assert_eq!(primary.ask(primary.request(number, user, words)), answer);
    }
    let mut exec = primary.request(7, "reader", &["EXEC"]);
    exec.queue = vec![args(&["SET", "k", "x"]), args(&["GET", "k"])];
    assert_eq!(primary.ask(exec), "7 *2");
    assert_eq!(primary.ask(primary.request(8, "admin", &["STRLEN", "k"])), "8 :1");
}

#[test]
fn a_request_is_executed_in_its_epoch_only() {
    let mut primary = Primary::new();
    let mut late = primary.request(1, "admin", &["INCR", "k"]);
    late.epoch = Epoch(late.epoch.0 - 1);
    assert_eq!(primary.ask(late), "1 refused");
    let mut early = primary.request(2, "admin", &["INCR", "k"]);
    early.epoch = early.epoch.next();
    assert!(!primary.run(early.clone()));
    assert_eq!(primary.answers(), Vec::<String>::new());
    assert_eq!(primary.ask(primary.request(3, "admin", &["INCR", "k"])), "3 :1");
}

#[test]
fn a_number_is_executed_once() {
    let mut primary = Primary::new();
    assert_eq!(primary.ask(primary.request(2, "admin", &["INCR", "k"])), "2 :1");
    assert_eq!(primary.ask(primary.request(2, "admin", &["INCR", "k"])), "2 refused");
    assert_eq!(primary.ask(primary.request(1, "admin", &["INCR", "k"])), "1 refused");
    assert_eq!(primary.ask(primary.request(3, "admin", &["INCR", "k"])), "3 :2");
}

#[test]
fn what_another_version_sends_ends_the_link() {
    let mut primary = Primary::new();
    let now = primary.now();
    let core = &mut primary.world.nodes[0].core;
    assert!(core.run_forwarded(now, &mut primary.proxies, &[9, 9, 9]).is_err());
    assert!(core.forwarded_answer(&[9, 9, 9]).is_err());
}

#[test]
fn a_request_without_words_is_refused() {
    let mut primary = Primary::new();
    assert_eq!(primary.ask(primary.request(1, "admin", &[])), "1 refused");
}

#[test]
fn what_a_session_watches_ends_with_it() {
    let mut primary = Primary::new();
    assert_eq!(primary.ask(primary.request(1, "admin", &["WATCH", "k"])), "1 +OK");
    assert_eq!(primary.ask(primary.request(2, "admin", &["SET", "k", "v"])), "2 +OK");
    let mut end = Vec::new();
    codec::encode(&ToPrimary::End { session: 1 }, &mut end);
    let now = primary.now();
    assert_eq!(primary.world.nodes[0].core.run_forwarded(now, &mut primary.proxies, &end), Ok(true));
    let mut exec = primary.request(3, "admin", &["EXEC"]);
    exec.queue = vec![args(&["GET", "k"])];
    assert_eq!(primary.ask(exec.clone()), "3 *1");
    exec.number = 4;
    assert_eq!(primary.ask(primary.request(5, "admin", &["WATCH", "k"])), "5 +OK");
    assert_eq!(primary.ask(exec), "4 refused");
}

#[test]
fn proxies_are_no_clients() {
    let mut primary = Primary::new();
    primary.ask(primary.request(1, "admin", &["PING"]));
    assert_eq!(primary.world.nodes[0].core.clients.len(), 0);
    let mut proxies = std::mem::take(&mut primary.proxies);
    primary.world.nodes[0].core.close_proxies(&mut proxies);
    assert_eq!(primary.world.nodes[0].core.clients.len(), 0);
    primary.world.time += Duration::from_millis(1);
    primary.world.check();
}
