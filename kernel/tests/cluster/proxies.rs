//! What a primary makes of the frames of another Core.

use std::time::Duration;

use mneme_kernel::codec;
use mneme_kernel::core::{Input, Now};
use mneme_kernel::forward::{FromPrimary, Lost, Proxies, Request, ToPrimary};
use mneme_kernel::ids::Epoch;
use mneme_kernel::limits;
use mneme_kernel::requests::Requests;
use mneme_kernel::resp::{Decoder, OwnedArgs, Trust, encode_command};

use crate::world::World;

/// The first node of a cluster, and a link to it.
struct Primary {
    world: World,
    proxies: Proxies,
}

impl Primary {
    fn new() -> Self {
        let world = World::new(&[1000, 1000]);
        let origin = world.nodes[1].core.origin_life().expect("it is hot");
        Self { world, proxies: Proxies::new(origin) }
    }

    fn now(&self) -> Now {
        self.world.now(0)
    }

    fn request(&self, number: u64, user: &str, words: &[&str]) -> Request {
        let epoch = self.world.nodes[0].core.epoch();
        let (user, args, stamp) = (user.into(), args(words), stamp());
        Request {
            number,
            epoch,
            session: 1,
            user,
            stamp,
            db: 0,
            protocol: 2,
            level: 1,
            args,
            queue: Vec::new(),
            acknowledged: 0,
            lost: Lost::Nothing,
            watches: false,
        }
    }

    /// Whether it is not waiting for its turn.
    fn run(&mut self, request: Request) -> bool {
        let waiting = self.proxies.waiting_requests();
        self.tell(&ToPrimary::Run(request));
        self.proxies.waiting_requests() == waiting
    }

    fn tell(&mut self, message: &ToPrimary) {
        let mut frame = Vec::new();
        codec::encode(message, &mut frame);
        let now = self.now();
        let core = &mut self.world.nodes[0].core;
        core.run_forwarded(now, &mut self.proxies, &frame).expect("a frame");
    }

    fn run_blocked(&mut self) {
        let now = self.now();
        self.world.nodes[0].core.run_blocked(now, &mut self.proxies);
    }

    /// What is answered once everything executed is accepted.
    fn answers(&mut self) -> Vec<String> {
        let now = self.now().monotonic;
        self.world.nodes[0].core.settle_forwarded(&mut self.proxies, now);
        self.world.tell(0, Input::CloseBatch);
        self.world.commit_pending();
        let node = &self.world.nodes[0];
        self.proxies.advance(node.marks(), &node.voids, now);
        let text = |answer| match answer {
            FromPrimary::Reply { number, reply, .. } => {
                let reply = String::from_utf8(reply).expect("text");
                let word = reply.split_whitespace().next().unwrap_or_default();
                format!("{number} {word}")
            }
            FromPrimary::Refused { number, .. } => format!("{number} refused"),
            FromPrimary::Beat => "beat".into(),
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
    mneme_kernel::users::stamp("hash")
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
    // Others do not wait for it.
    let other = Request { session: 2, ..primary.request(3, "admin", &["INCR", "k"]) };
    assert_eq!(primary.ask(other), "3 :1");
}

#[test]
fn a_number_is_executed_once() {
    let mut primary = Primary::new();
    assert_eq!(primary.ask(primary.request(2, "admin", &["INCR", "k"])), "2 :1");
    assert_eq!(primary.ask(primary.request(2, "admin", &["INCR", "k"])), "2 :1");
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
    let watching = |request| Request { watches: true, ..request };
    assert_eq!(primary.ask(watching(primary.request(2, "admin", &["SET", "k", "v"]))), "2 +OK");
    let mut end = Vec::new();
    codec::encode(&ToPrimary::End { session: 1 }, &mut end);
    let now = primary.now();
    assert_eq!(primary.world.nodes[0].core.run_forwarded(now, &mut primary.proxies, &end), Ok(()));
    let mut exec = watching(primary.request(3, "admin", &["EXEC"]));
    exec.queue = vec![args(&["GET", "k"])];
    assert_eq!(primary.ask(exec.clone()), "3 *1");
    exec.number = 4;
    assert_eq!(primary.ask(primary.request(5, "admin", &["WATCH", "k"])), "5 +OK");
    assert_eq!(primary.ask(exec), "4 refused");
}

#[test]
fn what_was_watched_for_a_transaction_that_was_given_up_ends_no_other() {
    let mut primary = Primary::new();
    let exec = |number, watches| {
        let queue = vec![args(&["GET", "k"])];
        Request { queue, watches, ..primary.request(number, "admin", &["EXEC"]) }
    };
    let (given_up, other) = (exec(3, false), exec(6, true));
    assert_eq!(primary.ask(primary.request(1, "admin", &["WATCH", "k"])), "1 +OK");
    // The EXEC of that WATCH never came: its client was told that it was not executed.
    assert_eq!(primary.ask(Request { session: 2, ..primary.request(2, "admin", &["SET", "k", "v"]) }), "2 +OK");
    assert_eq!(primary.ask(given_up), "3 *1");
    assert_eq!(primary.ask(primary.request(4, "admin", &["WATCH", "k"])), "4 +OK");
    assert_eq!(primary.ask(Request { session: 2, ..primary.request(5, "admin", &["SET", "k", "w"]) }), "5 +OK");
    assert_eq!(primary.ask(other), "6 *-1");
}

#[test]
fn proxies_are_no_clients() {
    let mut primary = Primary::new();
    primary.ask(primary.request(1, "admin", &["PING"]));
    assert_eq!(primary.world.nodes[0].core.clients.len(), 0);
    let origin = primary.world.nodes[1].core.origin_life().expect("it is hot");
    let mut proxies = std::mem::replace(&mut primary.proxies, Proxies::new(origin));
    primary.world.nodes[0].core.close_proxies(&mut proxies);
    assert_eq!(primary.world.nodes[0].core.clients.len(), 0);
    primary.world.time += Duration::from_millis(1);
    primary.world.check();
}

/// A primary whose key `big` takes a fourth of what is kept for an origin, and requests for it.
fn crowded() -> (Primary, impl Fn(&Primary, u64, &[&str]) -> Request) {
    let mut primary = Primary::new();
    let value = "v".repeat(limits::REPLIES_KEPT / 4);
    assert_eq!(primary.ask(primary.request(1, "admin", &["SET", "big", &value])), "1 +OK");
    (primary, |primary, number, words| primary.request(number, "admin", words))
}

fn acknowledge(primary: &mut Primary, session: u64, number: u64) {
    primary.tell(&ToPrimary::Acknowledge { session, number });
}

#[test]
fn an_origin_with_too_many_replies_waits_until_it_has_acknowledged_some() {
    let (mut primary, request) = crowded();
    for number in 2..6 {
        assert!(primary.run(request(&primary, number, &["GET", "big"])));
    }
    assert_eq!(primary.answers().len(), 4);
    // Reads that are in no batch, and then the same in one.
    assert!(!primary.run(request(&primary, 6, &["INCR", "k"])));
    assert!(!primary.run(Request { session: 2, ..request(&primary, 7, &["GET", "k"]) }));
    assert_eq!(primary.answers(), Vec::<String>::new());
    acknowledge(&mut primary, 1, 2);
    primary.run_blocked();
    assert_eq!(primary.answers(), ["6 :1", "7 $1"]);
    let kept = primary.world.keeper.system.requests.all_bytes();
    assert!(kept > limits::REPLIES_KEPT * 3 / 4, "{kept} bytes are kept");
    for number in 8..10 {
        assert_eq!(primary.run(request(&primary, number, &["GET", "big"])), number == 8);
    }
    acknowledge(&mut primary, 1, 6);
    primary.run_blocked();
    assert_eq!(primary.answers().len(), 2);
    assert_eq!(primary.world.keeper.system.requests, Requests::default());
    primary.world.check();
}

#[test]
fn an_origin_does_not_wait_for_the_replies_of_another() {
    let (mut primary, request) = crowded();
    for number in 2..7 {
        assert_eq!(primary.run(request(&primary, number, &["GET", "big"])), number < 6);
    }
    let origin = primary.world.nodes[0].core.origin_life().expect("it is hot");
    let first = std::mem::replace(&mut primary.proxies, Proxies::new(origin));
    assert_eq!(primary.ask(request(&primary, 1, &["INCR", "k"])), "1 :1");
    drop(first);
}

#[test]
fn a_reply_that_is_too_large_is_not_kept() {
    let (mut primary, request) = crowded();
    let twice = "v".repeat(limits::LARGEST_REPLY_KEPT);
    assert_eq!(primary.ask(request(&primary, 2, &["SET", "big", &twice])), "2 +OK");
    assert_eq!(primary.ask(request(&primary, 3, &["GETDEL", "big"])), "3 $16777216");
    let kept = primary.world.keeper.system.requests.all_bytes();
    assert!(kept < 1 << 10, "{kept} bytes are kept");
    assert_eq!(primary.ask(request(&primary, 3, &["GETDEL", "big"])), "3 -UNCERTAIN");
}

#[test]
fn a_replaced_life_is_refused() {
    let mut primary = Primary::new();
    assert_eq!(primary.ask(primary.request(1, "admin", &["INCR", "k"])), "1 :1");
    primary.world.restart(1, false);
    primary.world.commit_pending();
    assert_eq!(primary.ask(primary.request(1, "admin", &["INCR", "k"])), "1 refused");
    assert_eq!(primary.ask(primary.request(2, "admin", &["INCR", "k"])), "2 refused");
    assert_eq!(primary.world.keeper.system.requests, Requests::default());
}
