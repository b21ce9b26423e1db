//! What makes room when memory is full, and that every copy follows.

mod support;

use std::time::Duration;

use mneme_kernel::agreed::NEWEST;
use mneme_kernel::connection::{Connection, Step};
use mneme_kernel::core::{Config, Content, Core, Input, Now, Output};
use mneme_kernel::effect::{Effect, Effects};
use mneme_kernel::entry::Entry;
use mneme_kernel::eviction::Policy;
use mneme_kernel::gate::Marks;
use mneme_kernel::ids::{Index, Seq};
use mneme_kernel::password::PasswordCheck;
use mneme_kernel::resp::{Value, encode_command};
use mneme_kernel::session::{Peer, Port};
use mneme_kernel::time::{Monotonic, Wall};
use proptest::prelude::*;

const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";

/// What a key of [`World::fill`] is accounted for: its bytes, rounded up, and what is around them.
const COST: usize = 112 + 24;

/// A primary with one client, an admin, and a standby that is told what the log accepts and has no room at all.
struct World {
    core: Core,
    standby: Core,
    client: Connection,
    now: Now,
    index: u64,
    accepted: Seq,
    /// What the batches in the log change, in order: `+key` and `-key`.
    log: Vec<String>,
}

impl World {
    fn new(policy: Policy, keys: usize) -> Self {
        let config = |node: &str, max_memory| Config {
            node: node.into(),
            max_memory,
            memory_policy: policy,
            ..support::config()
        };
        let mut core = support::of(config("n1", (keys * COST) as u64));
        let now = Now { wall: Wall(1_700_000_000_000), monotonic: Monotonic(Duration::from_secs(1)) };
        let client = core.connect(Port::Main, Peer::default(), now.monotonic).expect("there is room");
        let standby = Core::new(config("n2", 1));
        let mut world = Self { core, standby, client, now, index: 0, accepted: Seq::ZERO, log: Vec::new() };
        world.tell(Input::Begin { nonce: 1 });
        world.tell(Input::Found { admin: "admin", password_hash: "hash", sealed_ca: None });
        world.tell(Input::CloseBatch);
        world.commit(&Entry::Format { format: NEWEST }.encode());
        assert_eq!(world.ask("AUTH p"), "OK");
        // A sample is everything, so that what goes is exact.
        assert_eq!(world.ask("CONFIG SET maxmemory-samples 64"), "OK");
        world
    }

    fn tell(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.core.handle(self.now, input, &mut outputs).expect("readable entries");
        for output in outputs {
            match output {
                Output::Propose(proposal) => self.commit(&proposal),
                Output::Accepted(seq) => self.accepted = seq,
                Output::Leads(_) | Output::Follows(_) | Output::Deposed(_) | Output::Void(_) | Output::Removed => {}
            }
        }
    }

    /// Both are told what the log accepts.
    fn commit(&mut self, entry: &[u8]) {
        let index = Index(self.index);
        self.index += 1;
        if let Ok(Entry::Batch { effects, .. }) = Entry::decode(entry) {
            self.note(effects);
        }
        let committed = || Input::Committed { index, content: Content::Core(entry), age: Duration::ZERO };
        self.standby.handle(self.now, committed(), &mut Vec::new()).expect("readable entries");
        self.standby.handle(self.now, Input::Expire, &mut Vec::new()).expect("nothing to read");
        self.tell(committed());
    }

    fn note(&mut self, effects: &[u8]) {
        for effect in Effects::new(effects).flatten() {
            let sign = if matches!(effect, Effect::Delete { .. }) { '-' } else { '+' };
            if let Some((_, key)) = effect.key() {
                self.log.push(format!("{sign}{}", String::from_utf8_lossy(key)));
            }
        }
    }

    /// The answers to requests of these words that come at once, as text.
    fn ask_all(&mut self, requests: &[&str]) -> Vec<String> {
        for request in requests {
            let words: Vec<&str> = request.split(' ').collect();
            encode_command(&words, self.client.input());
        }
        let mut answers = Vec::new();
        loop {
            match self.client.run(&mut self.core, self.now) {
                Step::CheckPassword(_) => {
                    self.client.password_checked(&mut self.core, self.now, PasswordCheck::Right(0))
                }
                step => {
                    self.tell(Input::CloseBatch);
                    self.client.advance(Marks::alone(self.accepted), &[], self.now.monotonic);
                    while let Some((value, len)) = Value::decode(self.client.ready()).expect("the protocol") {
                        self.client.sent(len);
                        answers.push(text(&value));
                    }
                    // Held: until what it wrote so far is accepted.
                    if step != Step::Held {
                        return answers;
                    }
                }
            }
        }
    }

    fn ask(&mut self, request: &str) -> String {
        self.ask_all(&[request]).join(" | ")
    }

    fn pass(&mut self, time: Duration) {
        self.now.wall.0 += time.as_millis() as u64;
        self.now.monotonic = self.now.monotonic + time;
    }

    /// Sets keys with these numbers, each of which is accounted for [`COST`] bytes, one after the other in time.
    fn fill(&mut self, name: &str, numbers: std::ops::Range<usize>, options: &str) {
        for i in numbers {
            self.pass(Duration::from_millis(100));
            let key = format!("{name}{i:04}");
            let head = if options.is_empty() { 1 } else { 9 };
            let value = "x".repeat(112 - head - key.len());
            let request = format!("SET {key} {value} {options}");
            assert_eq!(self.ask(request.trim_end()), "OK", "{request}");
        }
    }

    /// How many keys with such names there are.
    fn count(&mut self, name: &str) -> usize {
        let found = self.ask(&format!("KEYS {name}*"));
        found.split_ascii_whitespace().count()
    }

    fn evicted(&mut self) -> u64 {
        let stats = self.ask("INFO stats");
        let line = stats.lines().find_map(|line| line.strip_prefix("evicted_keys:")).expect("it is there");
        line.trim().parse().expect("a number")
    }

    /// Every copy is the same, and the limit holds.
    fn check(&mut self) {
        self.core.check();
        self.standby.check();
        let (own, other) = (self.core.digest(self.now.monotonic), self.standby.digest(self.now.monotonic));
        assert!(own.is_some() && own == other, "{own:?} {other:?}");
        let limit = self.core.config().max_memory as usize;
        assert!(self.core.used_memory() < limit + 2 * COST, "{} of {limit}", self.core.used_memory());
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Simple(text) | Value::Error(text) => text.clone(),
        Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Int(n) => n.to_string(),
        Value::Null => "(nil)".into(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        other => panic!("no text: {other:?}"),
    }
}

const ALL: [Policy; 7] = [
    Policy::VolatileLru,
    Policy::VolatileLfu,
    Policy::VolatileRandom,
    Policy::VolatileTtl,
    Policy::AllkeysLru,
    Policy::AllkeysLfu,
    Policy::AllkeysRandom,
];

#[test]
fn whatever_the_policy_the_limit_holds_and_every_copy_follows() {
    for policy in ALL {
        let mut world = World::new(policy, 50);
        for db in [0, 3] {
            assert_eq!(world.ask(&format!("SELECT {db}")), "OK");
            world.fill("k", 0..100, "EX 100000");
        }
        world.check();
        let there = world.count("k") + {
            world.ask("SELECT 0");
            world.count("k")
        };
        assert!((49..=51).contains(&there), "{policy:?}: {there}");
        assert_eq!(world.evicted(), 200 - there as u64, "{policy:?}");
    }
}

/// Each that goes makes messages that take more memory than it did.
#[test]
fn that_clients_are_told_of_what_goes_makes_no_more_go() {
    let mut world = World::new(Policy::AllkeysLru, 200);
    world.fill("k", 0..100, "");
    let connect = |world: &mut World| {
        world.core.connect(Port::Main, Peer::default(), world.now.monotonic).expect("there is room")
    };
    let other = connect(&mut world);
    let reader = std::mem::replace(&mut world.client, other);
    world.ask("AUTH p");
    let id = world.ask("CLIENT ID");
    world.ask("SUBSCRIBE __redis__:invalidate");
    let listener = std::mem::replace(&mut world.client, reader);
    let mut trackers = Vec::new();
    for _ in 0..10 {
        let tracker = connect(&mut world);
        let reader = std::mem::replace(&mut world.client, tracker);
        world.ask("AUTH p");
        assert_eq!(world.ask(&format!("CLIENT TRACKING ON REDIRECT {id}")), "OK");
        for i in 0..100 {
            world.ask(&format!("GET k{i:04}"));
        }
        trackers.push(std::mem::replace(&mut world.client, reader));
    }
    let used = world.ask("INFO memory");
    let counted = |name: &str| -> usize {
        let value = used.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        value.trim().parse().expect("a number")
    };
    let bounded = counted("used_memory:") - counted("mem_not_counted_for_evict:");
    assert_eq!(world.ask(&format!("CONFIG SET maxmemory {}", bounded - 9 * COST)), "OK");
    world.tell(Input::Expire);
    assert_eq!(world.evicted(), 10);
    drop((listener, trackers));
}

#[test]
fn without_a_policy_nothing_goes_and_writes_are_refused() {
    let mut world = World::new(Policy::NoEviction, 50);
    world.fill("k", 0..50, "");
    assert_eq!(world.ask("SET another one"), OOM);
    assert_eq!((world.count("k"), world.evicted()), (50, 0));
    world.check();
}

#[test]
fn a_subcommand_that_needs_memory_is_refused_and_its_kin_are_not() {
    let mut world = World::new(Policy::NoEviction, 50);
    assert_eq!(world.ask("XADD s 1-1 f v"), "1-1");
    assert_eq!(world.ask("XGROUP CREATE s there 0"), "OK");
    assert_eq!(world.ask("CONFIG SET maxmemory 1"), "OK");
    for refused in [
        "FUNCTION LOAD code",
        "function restore dump",
        "XGROUP CREATE s group 0",
        "XGROUP CREATE new group 0 MKSTREAM",
        "XGROUP CREATECONSUMER s there c",
    ] {
        assert_eq!(world.ask(refused), OOM, "{refused}");
    }
    assert_eq!(world.ask_all(&["MULTI", "XGROUP CREATE s group 0", "EXEC"])[1], OOM);
    assert_eq!(world.ask("XGROUP SETID s there 1-1"), "OK");
    assert_eq!(world.ask("XGROUP DESTROY s there"), "1");
    assert_eq!(world.ask("FUNCTION FLUSH"), "OK");
}

#[test]
fn only_keys_with_a_deadline_go_if_the_policy_says_so() {
    for policy in [Policy::VolatileLru, Policy::VolatileLfu, Policy::VolatileRandom, Policy::VolatileTtl] {
        let mut world = World::new(policy, 50);
        world.fill("stays", 0..20, "");
        world.fill("goes", 0..30, "EX 100000");
        world.fill("more", 0..30, "");
        assert_eq!((world.count("stays"), world.count("goes"), world.count("more")), (20, 0, 30), "{policy:?}");
        // Nothing that may go is left: nothing is lost, and what needs no memory is done.
        assert_eq!(world.ask("SET another one"), OOM, "{policy:?}");
        assert_eq!((world.count("stays"), world.count("more"), world.evicted()), (20, 30, 30));
        assert_eq!(world.ask("DEL more0000"), "1");
        assert_eq!(world.ask("SET another one"), "OK", "{policy:?}");
        world.check();
    }
}

#[test]
fn what_lives_shortest_goes_first() {
    let mut world = World::new(Policy::VolatileTtl, 40);
    for i in 0..40 {
        let seconds = 1000 + (i * 17) % 40;
        world.fill("k", i..i + 1, &format!("EX {seconds}"));
    }
    world.fill("new", 0..10, "");
    let gone: Vec<usize> = (0..40).filter(|i| world.ask(&format!("EXISTS k{i:04}")) == "0").collect();
    let mut shortest: Vec<usize> = (0..40).collect();
    // By their deadlines: each was set a tenth of a second later.
    shortest.sort_by_key(|i| ((1000 + (i * 17) % 40) * 1000 + i * 100) as u64);
    shortest.truncate(gone.len());
    shortest.sort_unstable();
    assert_eq!(gone, shortest);
    assert!((9..=11).contains(&gone.len()));
    world.check();
}

#[test]
fn what_was_read_last_stays() {
    for policy in [Policy::AllkeysLru, Policy::VolatileLru] {
        let mut world = World::new(policy, 40);
        world.fill("k", 0..40, "EX 100000");
        for i in 0..20 {
            world.pass(Duration::from_millis(100));
            assert_ne!(world.ask(&format!("GET k{i:04}")), "(nil)");
        }
        // Looking is not reading.
        for i in 20..40 {
            world.ask(&format!("TTL k{i:04}"));
            world.ask(&format!("EXISTS k{i:04}"));
            world.ask(&format!("OBJECT IDLETIME k{i:04}"));
        }
        world.ask("SCAN 0 COUNT 1000");
        world.fill("new", 0..15, "EX 100000");
        let there = |world: &mut World, range: std::ops::Range<usize>| {
            range.filter(|i| world.ask(&format!("EXISTS k{i:04}")) == "1").count()
        };
        assert_eq!((there(&mut world, 0..20), world.count("new")), (20, 15), "{policy:?}");
        assert!((4..=6).contains(&there(&mut world, 20..40)), "{policy:?}");
        world.check();
    }
}

#[test]
fn what_is_used_often_stays_whatever_came_last() {
    for policy in [Policy::AllkeysLfu, Policy::VolatileLfu] {
        let mut world = World::new(policy, 40);
        world.fill("often", 0..10, "EX 100000");
        for _ in 0..100 {
            for i in 0..10 {
                world.ask(&format!("GET often{i:04}"));
            }
        }
        world.fill("once", 0..200, "EX 100000");
        assert_eq!(world.count("often"), 10, "{policy:?}");
        world.check();
    }
}

#[test]
fn a_deletion_comes_before_the_write_that_it_makes_room_for() {
    let mut world = World::new(Policy::AllkeysLru, 10);
    world.fill("k", 0..10, "");
    world.log.clear();
    world.fill("k", 10..12, "");
    assert_eq!(world.log, ["-k0000", "+k0010", "-k0001", "+k0011"]);
}

#[test]
fn nothing_goes_while_a_transaction_runs() {
    let mut world = World::new(Policy::AllkeysLru, 10);
    world.fill("k", 0..10, "");
    world.log.clear();
    let value = "x".repeat(100);
    let sets: Vec<String> = (0..5).map(|i| format!("SET t{i} {value}")).collect();
    let mut requests = vec!["MULTI"];
    requests.extend(sets.iter().map(String::as_str));
    requests.push("EXEC");
    let answers = world.ask_all(&requests);
    assert_eq!(answers.last().map(String::as_str), Some("OK OK OK OK OK"), "{answers:?}");
    let first = world.log.iter().position(|change| change.starts_with('+')).expect("there was a write");
    assert_eq!(world.log[first..], ["+t0", "+t1", "+t2", "+t3", "+t4"]);
    // What it brought beyond the limit goes with what comes next.
    assert_eq!(world.ask("SET next 1"), "OK");
    world.check();
}

#[test]
fn a_watched_key_that_went_has_changed() {
    let mut world = World::new(Policy::AllkeysLru, 10);
    world.fill("k", 0..10, "");
    assert_eq!(world.ask_all(&["WATCH k0000", "SET other 1", "MULTI", "PING", "EXEC"]).last().expect("five"), "(nil)");
}

#[test]
fn whoever_wants_to_know_is_told_of_what_went() {
    let mut world = World::new(Policy::AllkeysLru, 10);
    assert_eq!(world.ask("CONFIG SET notify-keyspace-events Ee"), "OK");
    world.fill("k", 0..10, "");
    let mut subscriber = world.core.connect(Port::Main, Peer::default(), world.now.monotonic).expect("there is room");
    std::mem::swap(&mut subscriber, &mut world.client);
    world.ask_all(&["AUTH p", "SUBSCRIBE __keyevent@0__:evicted"]);
    std::mem::swap(&mut subscriber, &mut world.client);
    world.fill("k", 10..11, "");
    std::mem::swap(&mut subscriber, &mut world.client);
    assert_eq!(world.ask_all(&[]), ["message __keyevent@0__:evicted k0000"]);
}

#[test]
fn a_limit_that_is_lowered_is_reached_with_time() {
    let mut world = World::new(Policy::AllkeysRandom, 6000);
    for start in (0..6000).step_by(100) {
        let value = "x".repeat(100);
        let sets: Vec<String> = (start..start + 100).map(|i| format!("SET k{i:05} {value}")).collect();
        world.ask_all(&sets.iter().map(String::as_str).collect::<Vec<_>>());
    }
    assert_eq!(world.ask("DBSIZE"), "6000");
    assert_eq!(world.ask(&format!("CONFIG SET maxmemory {}", 100 * COST)), "OK");
    // Not at once: nobody is to wait for it.
    assert_eq!(world.ask("SET k 1"), "OK");
    let left: usize = world.ask("DBSIZE").parse().expect("a number");
    assert!((5000..6000).contains(&left), "{left}");
    for _ in 0..3 {
        world.tell(Input::Expire);
        world.tell(Input::CloseBatch);
    }
    world.check();
    // A write that needs more than a few keys' room gets it at once.
    assert_eq!(world.ask(&format!("SET large {}", "x".repeat(50 * COST))), "OK");
    assert_eq!(world.ask("SET next 1"), "OK");
    world.check();
}

#[test]
fn a_value_larger_than_the_limit_goes_with_the_next() {
    let mut world = World::new(Policy::AllkeysLru, 10);
    world.fill("k", 0..10, "");
    assert_eq!(world.ask(&format!("SET large {}", "x".repeat(100 * COST))), "OK");
    assert_eq!(world.ask("SET next 1"), "OK");
    assert_eq!(world.ask("KEYS *"), "next");
    world.check();
}

#[test]
fn object_tells_what_the_policy_notes() {
    let mut world = World::new(Policy::AllkeysLru, 100);
    assert_eq!(world.ask("SET k v"), "OK");
    world.pass(Duration::from_secs(10));
    assert_eq!(world.ask("OBJECT IDLETIME k"), "10");
    assert!(world.ask("OBJECT FREQ k").starts_with("ERR An LFU maxmemory policy is not selected"));
    assert_eq!(world.ask_all(&["CLIENT NO-TOUCH ON", "GET k", "OBJECT IDLETIME k"])[2], "10");
    assert_eq!(world.ask_all(&["TOUCH k", "OBJECT IDLETIME k"])[1], "0", "TOUCH is what it is for");
    world.pass(Duration::from_secs(10));
    assert_eq!(world.ask_all(&["CLIENT NO-TOUCH OFF", "GET k", "OBJECT IDLETIME k"])[2], "0");
    world.pass(Duration::from_secs(10));
    assert_eq!(world.ask_all(&["SET k w", "OBJECT IDLETIME k"])[1], "0");

    assert_eq!(world.ask("CONFIG SET maxmemory-policy allkeys-lfu"), "OK");
    assert_eq!(world.ask("SET new v"), "OK");
    assert_eq!(world.ask_all(&["OBJECT FREQ new", "OBJECT FREQ k"]), ["5", "5"]);
    assert_eq!(world.ask_all(&["GET new", "OBJECT FREQ new"])[1], "6", "the first use counts");
    world.pass(Duration::from_secs(120));
    assert_eq!(world.ask("OBJECT FREQ new"), "4");
    assert!(world.ask("OBJECT IDLETIME k").starts_with("ERR An LRU maxmemory policy is not selected"));
}

#[test]
fn the_policy_is_a_setting() {
    let mut world = World::new(Policy::VolatileTtl, 100);
    assert_eq!(
        world.ask("CONFIG GET maxmemory-* lfu-*"),
        "lfu-decay-time 1 lfu-log-factor 10 maxmemory-policy volatile-ttl maxmemory-samples 64"
    );
    for (name, _) in Policy::ALL {
        assert_eq!(world.ask(&format!("CONFIG SET maxmemory-policy {name}")), "OK");
        assert_eq!(world.ask("CONFIG GET maxmemory-policy"), format!("maxmemory-policy {name}"));
        assert!(world.ask("INFO memory").contains(&format!("maxmemory_policy:{name}\r\n")));
    }
    assert_eq!(
        world.ask("CONFIG SET maxmemory-policy lru"),
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory-policy') - argument(s) must be one of the \
         following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, \
         allkeys-random, noeviction"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 100, ..ProptestConfig::default() })]

    /// Whatever is done under whatever policy: copies agree, the limit holds, and only what may go goes.
    #[test]
    fn copies_agree_whatever_went(
        policy in 0..7usize,
        keys in 5..40usize,
        steps in proptest::collection::vec((0..60usize, 0..9u8, 1..300usize), 1..120),
    ) {
        let mut world = World::new(ALL[policy], keys);
        let volatile = matches!(policy, 0..=3);
        for (key, action, size) in steps {
            world.pass(Duration::from_millis(size as u64));
            let value = "v".repeat(size);
            let before: Vec<String> = world.ask("KEYS *").split_ascii_whitespace().map(String::from).collect();
            let mortal: Vec<String> =
                before.iter().filter(|key| world.ask(&format!("PTTL {key}")) != "-1").cloned().collect();
            let request = match action {
                0 | 1 => format!("SET k{key} {value}"),
                2 => format!("SET k{key} {value} PX 100000"),
                3 => format!("RPUSH l{key} {value} b"),
                4 => format!("HSET h{key} f {value} g 1"),
                5 => format!("GET k{key}"),
                6 => format!("PEXPIRE h{key} 50000"),
                7 => format!("DEL k{key} l{key}"),
                _ => format!("ZADD z{key} 1 {value} 2 b"),
            };
            let answer = world.ask(&request);
            if answer == OOM {
                let left = world.ask("KEYS *");
                let may_go = left.split_ascii_whitespace().filter(|key| world.ask(&format!("PTTL {key}")) != "-1").count();
                prop_assert!(volatile && may_go == 0, "refused though {} may go", may_go);
            }
            let after = world.ask("KEYS *");
            let named: Vec<&str> = request.split(' ').collect();
            for gone in before.iter().filter(|key| !after.split_ascii_whitespace().any(|other| other == *key)) {
                prop_assert!(!volatile || mortal.contains(gone) || named.contains(&gone.as_str()), "{} lost {}", request, gone);
            }
            world.tell(Input::CloseBatch);
            world.core.check();
            prop_assert_eq!(world.core.digest(world.now.monotonic), world.standby.digest(world.now.monotonic));
        }
    }
}

#[test]
fn what_clients_have_waiting_counts_and_is_forgotten_when_it_has_left() {
    let mut world = World::new(Policy::AllkeysLru, 100);
    world.fill("k", 0..50, "");
    assert_eq!(world.evicted(), 0);
    let before = world.ask("MEMORY STATS");
    assert!(before.contains("clients.normal 0 "), "{before}");
    // Half a request of another client, larger than the limit.
    let mut other = world.core.connect(Port::Main, Peer::default(), world.now.monotonic).expect("there is room");
    let mut half = Vec::new();
    encode_command(&["SET", "large", &"x".repeat(100 * COST)], &mut half);
    half.truncate(half.len() / 2 + 50 * COST);
    std::mem::swap(&mut other, &mut world.client);
    world.ask_all(&["AUTH p"]);
    world.client.input().extend_from_slice(&half[..half.len() - 1]);
    assert_eq!(world.ask_all(&[]), [""; 0]);
    std::mem::swap(&mut other, &mut world.client);
    let waiting = format!("clients.normal {} ", half.len() - 1);
    assert!(world.ask("MEMORY STATS").contains(&waiting), "{waiting}");
    assert!(world.ask("INFO memory").contains(&format!("mem_clients_normal:{}\r\n", half.len() - 1)));
    assert_eq!(world.ask("SET next 1"), OOM, "nothing that could go is left");
    assert_eq!(world.ask("DBSIZE"), "0");
    world.core.disconnect(&other);
    drop(other);
    assert!(world.ask("MEMORY STATS").contains("clients.normal 0 "));
    assert_eq!(world.ask("SET next 1"), "OK");
    world.check();
}

#[test]
fn memory_tells_what_it_is_used_for_and_what_to_do() {
    let mut world = World::new(Policy::NoEviction, 10);
    assert_eq!(world.ask("MEMORY DOCTOR"), "Nothing is noteworthy: 0 bytes of data and 0 bytes beside them.\n");
    world.fill("k", 0..10, "");
    let stats = world.ask("MEMORY STATS");
    let data = format!("dataset.bytes {} keys.count 10 keys.volatile 0", 10 * COST);
    assert!(stats.contains(&data) && stats.contains(&format!("keys.bytes-per-key {COST} ")), "{stats}");
    assert!(world.ask("MEMORY DOCTOR").starts_with("maxmemory is reached and the policy is noeviction"));
    assert_eq!(world.ask("CONFIG SET maxmemory-policy volatile-lru"), "OK");
    assert!(world.ask("MEMORY DOCTOR").contains("finds no key that may go"));
    assert_eq!(world.ask("CONFIG SET maxmemory-policy allkeys-lru"), "OK");
    assert!(world.ask("MEMORY DOCTOR").contains("bytes of maxmemory are used; the policy is allkeys-lru"));
    assert_eq!(world.ask("MEMORY USAGE k0000"), COST.to_string());
    assert_eq!(world.ask("MEMORY USAGE none"), "(nil)");
    assert!(world.ask("MEMORY PURGE").starts_with("ERR unknown subcommand 'PURGE'"));
}
