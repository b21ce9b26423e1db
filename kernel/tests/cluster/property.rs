//! Whatever happens between three Cores and their log: they hold the same data at the same index, one at most answers
//! reads on its own word, and what clients are told is true.
//!
//! Clients append words of their own to one key, so that its value is the history: what was acknowledged stands in it
//! where it was said to, what a read showed is its beginning, and a read shows all that was acknowledged before it.

use std::collections::VecDeque;
use std::time::Duration;

use mneme_kernel::connection::{Connection, Step};
use mneme_kernel::core::Input;
use mneme_kernel::ids::DbId;
use mneme_kernel::password::PasswordCheck;
use mneme_kernel::resp::Value;
use mneme_kernel::session::{Peer, Port};
use mneme_kernel::store::{Kind, Store};
use proptest::prelude::*;

use crate::world::World;

/// Nodes, with the rates of their clocks in thousandths: as far apart as is allowed.
const RATES: [u32; 3] = [990, 1010, 1000];
/// Clients of each node.
const CLIENTS: usize = 2;
/// How long a command waits at least before its fate is said to be unknown: for its level, or for a primary.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a word that is appended.
const WORD: usize = 7;

#[derive(Clone, Debug)]
enum Action {
    Append(usize),
    AppendEventually(usize),
    AppendAtAll(usize),
    Read(usize),
    /// WATCH, GET, and an append if nothing has changed.
    AppendIfUnchanged(usize),
    Close(usize),
    Commit(usize),
    Lose(usize),
    Duplicate(usize),
    /// The proposal in this place overtakes those before it.
    Overtake(usize),
    Resend(usize),
    Renew(usize),
    /// A primary asks the others what they have.
    Spread(usize),
    Tick(usize),
    Release(usize),
    Restart(usize, bool),
    Snapshot,
    /// So many committed entries.
    Feed(usize, usize),
    Listen(usize, bool),
    /// Frames move: from the origin, through the primary, back; in any part.
    Forward(usize, [bool; 3]),
    LoseLink(usize),
    Pass(u64),
    Blank,
}

fn any_action() -> impl Strategy<Value = Action> {
    let node = || 0..RATES.len();
    let client = || 0..RATES.len() * CLIENTS;
    prop_oneof![
        10 => client().prop_map(Action::Append),
        2 => client().prop_map(Action::AppendEventually),
        4 => client().prop_map(Action::AppendAtAll),
        10 => client().prop_map(Action::Read),
        4 => client().prop_map(Action::AppendIfUnchanged),
        14 => node().prop_map(Action::Close),
        20 => (1usize..5).prop_map(Action::Commit),
        2 => (0usize..8).prop_map(Action::Lose),
        2 => (0usize..8).prop_map(Action::Duplicate),
        2 => (0usize..8).prop_map(Action::Overtake),
        5 => node().prop_map(Action::Resend),
        10 => node().prop_map(Action::Renew),
        8 => node().prop_map(Action::Spread),
        12 => node().prop_map(Action::Tick),
        2 => node().prop_map(Action::Release),
        1 => (node(), any::<bool>()).prop_map(|(i, from_snapshot)| Action::Restart(i, from_snapshot)),
        1 => Just(Action::Snapshot),
        12 => (node(), 1usize..8).prop_map(|(i, n)| Action::Feed(i, n)),
        4 => (node(), prop::bool::weighted(0.7)).prop_map(|(i, listens)| Action::Listen(i, listens)),
        24 => (node(), any::<[bool; 3]>()).prop_map(|(i, parts)| Action::Forward(i, parts)),
        1 => node().prop_map(Action::LoseLink),
        12 => prop_oneof![3 => 1u64..60, 1 => 100u64..400].prop_map(Action::Pass),
        1 => Just(Action::Blank),
    ]
}

proptest! {
    #[test]
    fn what_clients_are_told_is_true(actions in prop::collection::vec(any_action(), 1..250)) {
        let mut run = Run::new();
        for action in &actions {
            run.act(action);
            run.check();
        }
        run.settle();
    }
}

/// What was asked and is not answered.
#[derive(Clone, Debug)]
enum Asked {
    Append(String),
    AppendEventually(String),
    AppendAtAll(String),
    /// All that was acknowledged before it, bytes of the value.
    Read(usize),
    Watch,
    /// As [`Asked::Read`]; what it shows is what the transaction rests on.
    ReadWatched(usize),
    Auth,
    Multi,
    Queue(String),
    Exec(String),
}

#[derive(Debug)]
struct Client {
    connection: Connection,
    node: usize,
    asked: VecDeque<Asked>,
    /// When each of them was.
    since: VecDeque<Duration>,
    /// The key is watched, and was then read as this.
    seen: Option<Vec<u8>>,
    watched: bool,
    queued: bool,
    /// There was no MULTI: the command meant for it was executed by itself.
    direct: bool,
}

#[derive(Debug)]
struct Run {
    world: World,
    clients: Vec<Client>,
    words: usize,
    /// Bytes of the value that somebody was told of.
    known: usize,
    /// Words that were said to have no effect.
    void: Vec<String>,
}

impl Run {
    fn new() -> Self {
        let mut run = Self { world: World::new(&RATES), clients: Vec::new(), words: 0, known: 0, void: Vec::new() };
        for i in 0..RATES.len() * CLIENTS {
            let node = i / CLIENTS;
            let client = run.client(node);
            run.clients.push(client);
        }
        run
    }

    /// A new client; its password is checked as soon as the node can.
    fn client(&mut self, node: usize) -> Client {
        let now = self.world.now(node);
        let connection = self.world.nodes[node].core.connect(Port::Main, Peer::default(), now.monotonic);
        let mut connection = connection.expect("there is room");
        connection.input().extend_from_slice(b"AUTH secret\r\n");
        let asked = VecDeque::from([Asked::Auth]);
        let since = VecDeque::from([self.world.time]);
        Client { connection, node, asked, since, seen: None, watched: false, queued: false, direct: false }
    }

    fn ask(&mut self, i: usize, asked: Asked, request: &str) {
        let client = &mut self.clients[i];
        client.asked.push_back(asked);
        client.since.push_back(self.world.time);
        client.connection.input().extend(format!("{request}\r\n").bytes());
    }

    fn word(&mut self) -> String {
        self.words += 1;
        format!("{:0width$},", self.words, width = WORD - 1)
    }

    fn act(&mut self, action: &Action) {
        let world = &mut self.world;
        match *action {
            Action::Append(i) => {
                let word = self.word();
                self.ask(i, Asked::Append(word.clone()), &format!("APPEND k {word}"));
            }
            Action::AppendEventually(i) => {
                let word = self.word();
                let request = format!("CONSISTENCY EVENTUAL APPEND k {word}");
                self.ask(i, Asked::AppendEventually(word), &request);
            }
            Action::AppendAtAll(i) => {
                let word = self.word();
                self.ask(i, Asked::AppendAtAll(word.clone()), &format!("CONSISTENCY ALL APPEND k {word}"));
            }
            Action::Read(i) => self.ask(i, Asked::Read(self.known), "GET k"),
            Action::AppendIfUnchanged(i) => {
                let word = self.word();
                self.ask(i, Asked::Watch, "WATCH k");
                self.ask(i, Asked::ReadWatched(self.known), "GET k");
                self.ask(i, Asked::Multi, "MULTI");
                self.ask(i, Asked::Queue(word.clone()), &format!("APPEND k {word}"));
                self.ask(i, Asked::Exec(word), "EXEC");
            }
            Action::Close(i) => world.tell(i, Input::CloseBatch),
            Action::Commit(n) => {
                for _ in 0..n {
                    if let Some(proposal) = world.pending.pop_front() {
                        world.commit(Some(&proposal));
                    }
                }
            }
            Action::Lose(at) => drop(world.pending.remove(at)),
            Action::Duplicate(at) => {
                if let Some(proposal) = world.pending.get(at).cloned() {
                    world.pending.push_back(proposal);
                }
            }
            Action::Overtake(at) => {
                if let Some(proposal) = world.pending.remove(at) {
                    world.pending.push_front(proposal);
                }
            }
            Action::Resend(i) => world.tell(i, Input::Resend),
            Action::Renew(i) => world.renew(i),
            Action::Spread(i) => world.ask_others(i),
            Action::Tick(i) => world.tick(i),
            Action::Release(i) => world.tell(i, Input::Release),
            Action::Restart(i, from_snapshot) => {
                world.restart(i, from_snapshot);
                for client in 0..self.clients.len() {
                    if self.clients[client].node == i {
                        self.clients[client] = self.client(i);
                    }
                }
            }
            Action::Snapshot => world.take_snapshot(),
            Action::Feed(i, n) => world.feed(i, n),
            Action::Listen(i, listens) => {
                world.nodes[i].listens = listens;
                if listens {
                    world.feed(i, usize::MAX);
                }
            }
            Action::Forward(i, [there, through, back]) => {
                if there {
                    world.send(i);
                }
                if through {
                    world.serve(i);
                }
                if back {
                    world.receive(i);
                }
            }
            Action::LoseLink(i) => world.lose_link(i),
            Action::Pass(ms) => world.time += Duration::from_millis(ms),
            Action::Blank => world.commit(None),
        }
        world_is_quiet(&mut self.world);
        self.run_clients();
    }

    fn run_clients(&mut self) {
        for i in 0..self.clients.len() {
            let client = &mut self.clients[i];
            let now = self.world.now(client.node);
            let node = &mut self.world.nodes[client.node];
            client.connection.advance(node.marks(), &node.voids, now.monotonic);
            while let Step::CheckPassword(_) = client.connection.run(&mut node.core, now) {
                client.connection.password_checked(&mut node.core, now, PasswordCheck::Right(0));
            }
            while let Some((value, len)) = Value::decode(client.connection.ready()).expect("the protocol") {
                client.connection.sent(len);
                let asked = client.asked.pop_front().expect("somebody asked");
                let since = client.since.pop_front().expect("somebody asked");
                if matches!(&value, Value::Error(text) if text.starts_with("UNCERTAIN")) {
                    let waited = self.world.time - since;
                    assert!(waited >= PATIENCE * 99 / 100, "{asked:?} is uncertain after {waited:?}");
                }
                check_answer(&self.world, client, &mut self.known, &mut self.void, asked, value);
            }
        }
    }

    fn check(&mut self) {
        self.world.check();
    }

    /// Nothing is lost any more: everything is answered, and everybody has the same.
    fn settle(&mut self) {
        for _ in 0..400 {
            self.world.time += Duration::from_millis(50);
            for i in 0..RATES.len() {
                self.world.nodes[i].listens = true;
                self.world.feed(i, usize::MAX);
                self.world.renew(i);
                self.world.tick(i);
                self.world.tell(i, Input::CloseBatch);
                self.world.send(i);
                self.world.serve(i);
                self.world.receive(i);
                self.world.ask_others(i);
            }
            // What reached the log and what did not is not known to who sent it.
            (0..RATES.len()).for_each(|i| self.world.tell(i, Input::Resend));
            self.world.commit_pending();
            world_is_quiet(&mut self.world);
            self.run_clients();
            self.check();
            let answered = self.clients.iter().all(|client| client.asked.is_empty());
            if answered && (0..RATES.len()).any(|i| self.world.leads_with_lease(i)) {
                let value = value(&self.world);
                for word in &self.void {
                    assert!(!value.chunks(WORD).any(|there| there == word.as_bytes()), "{word} had no effect");
                }
                let mut words: Vec<&[u8]> = value.chunks(WORD).collect();
                words.sort_unstable();
                words.dedup();
                assert_eq!(words.len() * WORD, value.len(), "a word was appended twice");
                return;
            }
        }
        let roles: Vec<_> = self.world.nodes.iter().map(|node| node.core.role_name()).collect();
        let asked: Vec<_> = self.clients.iter().map(|client| (client.node, &client.asked)).collect();
        panic!("it does not come to rest: {roles:?}, {asked:?}");
    }
}

/// Nobody looks at what happened.
fn world_is_quiet(world: &mut World) {
    world.events.clear();
}

/// The key's value as the log says it.
fn value(world: &World) -> Vec<u8> {
    text(&world.keeper.store)
}

fn text(store: &Store) -> Vec<u8> {
    store.database(DbId(0)).get(b"k").and_then(|item| <[u8]>::of(item.value)).unwrap_or_default().to_vec()
}

fn check_answer(
    world: &World,
    client: &mut Client,
    known: &mut usize,
    void: &mut Vec<String>,
    asked: Asked,
    answer: Value,
) {
    let committed = value(world);
    let uncertain = matches!(&answer, Value::Error(text) if text.starts_with("UNCERTAIN"));
    let said_void = ["LOADING", "NOAUTH"];
    let refused = matches!(&answer, Value::Error(text) if said_void.iter().any(|word| text.starts_with(word)));
    let rests_on_it = matches!(asked, Asked::ReadWatched(_));
    // An acknowledged word ends where its reply says.
    let mut acknowledged = |word: &str, end: i64| {
        let end = end as usize;
        assert!(committed.get(..end).is_some_and(|value| value.ends_with(word.as_bytes())), "{word} is not at {end}");
        *known = end.max(*known);
    };
    match (asked, answer) {
        (Asked::Append(word), Value::Int(end)) => acknowledged(&word, end),
        (Asked::Append(word), _) if refused => void.push(word),
        (Asked::Append(_), _) if uncertain => {}
        (Asked::AppendEventually(_), Value::Int(_)) => {}
        (Asked::AppendAtAll(word), Value::Int(end)) => {
            acknowledged(&word, end);
            for node in world.nodes.iter().filter(|node| node.core.is_hot()) {
                let there = text(node.core.store());
                assert!(there.chunks(WORD).any(|there| there == word.as_bytes()), "{word} is not everywhere");
            }
        }
        (Asked::AppendAtAll(word), _) if refused => void.push(word),
        (Asked::AppendAtAll(_), _) if uncertain => {}
        (Asked::AppendAtAll(word), Value::Error(text)) if text.starts_with("NOQUORUM on disk") => {
            assert!(committed.chunks(WORD).any(|there| there == word.as_bytes()), "{word} was said to be durable");
        }
        (Asked::AppendEventually(word), _) if refused => void.push(word),
        (Asked::AppendEventually(_), _) if uncertain => {}
        (Asked::Read(_) | Asked::ReadWatched(_), _) if refused || uncertain => client.seen = None,
        (Asked::Read(before) | Asked::ReadWatched(before), answer) => {
            let read = match answer {
                Value::Bulk(bytes) => bytes.to_vec(),
                Value::Null => Vec::new(),
                other => panic!("a read is answered {other:?}"),
            };
            assert!(committed.starts_with(&read), "what was read is not committed");
            assert!(read.len() >= before, "a read of {} bytes after {before} were known", read.len());
            *known = read.len().max(*known);
            client.seen = Some(read).filter(|_| rests_on_it && client.watched);
        }
        (Asked::Watch, answer) => client.watched = answer == Value::Simple("OK".into()),
        // A node that reads the log does not let anybody in.
        (Asked::Auth, _) if refused => {
            client.asked.push_back(Asked::Auth);
            client.since.push_back(world.time);
            client.connection.input().extend_from_slice(b"AUTH secret\r\n");
        }
        (Asked::Multi, _) if refused => client.queued = false,
        (Asked::Auth | Asked::Multi, answer) => assert_eq!(answer, Value::Simple("OK".into())),
        (Asked::Queue(word), answer) => {
            client.queued = answer == Value::Simple("QUEUED".into());
            client.direct = uncertain;
            if let Value::Int(end) = answer {
                client.direct = true;
                acknowledged(&word, end);
            }
        }
        (Asked::Exec(word), Value::Array(replies)) => {
            let [Value::Int(end)] = replies[..] else { panic!("EXEC is answered {replies:?}") };
            acknowledged(&word, end);
            if let Some(seen) = client.seen.take() {
                assert_eq!(seen.len() + WORD, end as usize, "the key had changed since it was watched");
            }
        }
        (Asked::Exec(word), Value::Null) => void.push(word),
        (Asked::Exec(_), _) if uncertain => {}
        (Asked::Exec(word), Value::Error(text)) => {
            assert!(refused || text.starts_with("EXECABORT") || !client.queued, "{text}");
            if !client.direct {
                void.push(word);
            }
        }
        (asked, answer) => panic!("{asked:?} is answered {answer:?}"),
    }
}
