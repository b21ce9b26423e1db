//! Plays a script.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use mneme_kernel::agreed::NEWEST;
use mneme_kernel::connection::{Connection, Step};
use mneme_kernel::core::{Input, Output};
use mneme_kernel::entry::Entry;
use mneme_kernel::forward::{FromPrimary, ToPrimary};
use mneme_kernel::ids::Seq;
use mneme_kernel::password::PasswordCheck;
use mneme_kernel::resp::Value;
use mneme_kernel::session::{Peer, Port};

use crate::words::{describe, show};
use crate::world::{Event, World};

/// What the script's `>` lines lead to, with those lines.
pub fn play(script: &str) -> String {
    play_among(2, script)
}

/// The same with more nodes.
pub fn play_among(nodes: usize, script: &str) -> String {
    play_in(World::new(&vec![1000; nodes]), show, script)
}

/// The same in this world, with replies shown so.
pub fn play_in(world: World, show: fn(&Value) -> String, script: &str) -> String {
    let mut stage = Stage { out: String::new(), world, show, clients: BTreeMap::new(), waits: BTreeMap::new() };
    for line in script.lines().filter_map(|line| line.trim().strip_prefix("> ")) {
        stage.line(format_args!("> {line}"));
        stage.step(line);
        stage.show_events();
        stage.run_clients();
        stage.world.check();
    }
    stage.out
}

struct Stage {
    out: String,
    world: World,
    show: fn(&Value) -> String,
    /// By name and node: `a@1`.
    clients: BTreeMap<String, Connection>,
    /// What was last said that each waits for.
    waits: BTreeMap<String, Option<Seq>>,
}

impl Stage {
    fn line(&mut self, text: impl std::fmt::Display) {
        writeln!(self.out, "{text}").expect("writing into memory");
    }

    fn step(&mut self, line: &str) {
        if let Some((client, request)) = line.split_once(": ") {
            return self.ask(client, request);
        }
        let words: Vec<&str> = line.split(' ').collect();
        let node = words[0].parse::<usize>().map(|n| n - 1);
        match (node, &words[..]) {
            (Ok(i), [_, "closes"]) => self.world.tell(i, Input::CloseBatch),
            (Ok(i), [_, "ticks"]) => self.world.tick(i),
            (Ok(i), [_, "renews"]) => self.world.renew(i),
            (Ok(i), [_, "releases"]) => {
                self.world.tell(i, Input::Release);
                self.world.tell(i, Input::CloseBatch);
                self.world.tick(i);
            }
            (Ok(i), [_, "hears", "that", "all", "have", "it"]) => self.world.spread(i, None),
            (Ok(i), [_, "hears", "that", other, "has", "it"]) => {
                let other: usize = other.parse().expect("a node");
                self.world.spread(i, Some(other - 1));
            }
            (Ok(i), [_, "resends"]) => self.world.tell(i, Input::Resend),
            (_, [client, "leaves"]) => {
                let connection = self.clients.remove(*client).expect("it is connected");
                self.world.nodes[node_of(client)].core.disconnect(&connection);
            }
            (Ok(i), [_, "restarts"]) => {
                self.clients.retain(|name, _| node_of(name) != i);
                self.world.restart(i, false);
            }
            (Ok(i), [_, "hears", "nothing"]) => self.world.nodes[i].listens = false,
            (Ok(i), [_, "hears", "all"]) => {
                self.world.nodes[i].listens = true;
                self.world.feed(i, usize::MAX);
            }
            (Ok(i), [_, "sends"]) => self.world.send(i),
            (Ok(i), [_, "is", "served"]) => self.world.serve(i),
            (Ok(i), [_, "receives"]) => self.world.receive(i),
            (Ok(i), [_, "forwards"]) => {
                self.world.send(i);
                self.world.serve(i);
                self.world.receive(i);
            }
            (Ok(i), [_, "posts"]) => self.world.post(i),
            (Ok(i), [_, "is", "passed", "on"]) => self.world.pass_on(i),
            (Ok(i), [_, "hears", "the", "others"]) => self.world.hear(i),
            (Ok(i), [_, "exchanges"]) => {
                self.world.post(i);
                self.world.pass_on(i);
                self.world.hear(i);
            }
            (Ok(i), [_, "loses", "its", "link"]) => self.world.lose_link(i),
            (Ok(i), [_, "loses", "its", "link", "unnoticed"]) => self.world.lose_link_unnoticed(i),
            (Ok(i), [_, "is", "what?"]) => {
                let text = format!(
                    "  {}{} of epoch {}",
                    self.world.nodes[i].core.role_name(),
                    if self.world.leads_with_lease(i) { " with a lease" } else { "" },
                    self.world.nodes[i].core.epoch()
                );
                self.line(text);
            }
            (Ok(i), [_, "tells", other, "where", "it", "is"]) => self.world.tell_reach(i, node_number(other), true),
            (Ok(i), [_, "answers", other, "nothing"]) => self.world.tell_reach(i, node_number(other), false),
            (_, ["commit"]) => {
                let proposal = self.world.pending.pop_front().expect("something was proposed");
                self.world.commit(Some(&proposal));
            }
            (_, ["agree"]) => self.world.commit(Some(&Entry::Format { format: NEWEST }.encode())),
            (_, ["lose"]) => drop(self.world.pending.pop_front()),
            (_, ["last", "first"]) => {
                let last = self.world.pending.pop_back().expect("something was proposed");
                self.world.pending.push_front(last);
            }
            (_, ["after", ms, "ms"]) => self.world.time += Duration::from_millis(ms.parse().expect("milliseconds")),
            _ => panic!("not a step: {line}"),
        }
    }

    fn ask(&mut self, client: &str, request: &str) {
        if !self.clients.contains_key(client) {
            let i = node_of(client);
            let now = self.world.now(i).monotonic;
            let port = if client.starts_with("read-") { Port::Read } else { Port::Main };
            let connection = self.world.nodes[i].core.connect(port, Peer::default(), now);
            self.clients.insert(client.into(), connection.expect("there is room"));
            let user = if client.starts_with("reader") { "reader" } else { "admin" };
            self.input(client, &format!("AUTH {user} secret"));
            let connection = self.clients.get_mut(client).expect("it was just made");
            assert_eq!(connection.ready(), b"+OK\r\n");
            connection.sent(connection.ready().len());
        }
        self.input(client, request);
    }

    /// Requests with ` | ` between them arrive together.
    fn input(&mut self, client: &str, requests: &str) {
        let connection = self.clients.get_mut(client).expect("it is connected");
        for request in requests.split(" | ") {
            connection.input().extend(format!("{request}\r\n").bytes());
        }
        let now = self.world.now(node_of(client));
        let core = &mut self.world.nodes[node_of(client)].core;
        loop {
            match connection.run(core, now) {
                Step::CheckPassword(_) => connection.password_checked(core, now, PasswordCheck::Right(0)),
                Step::HashPassword(password) => {
                    let make = |text: &[u8]| format!("hash-of-{}", String::from_utf8_lossy(text));
                    let hash = password.hash(|text, hash| make(text) == hash, make);
                    connection.password_hashed(core, password, hash);
                }
                _ => break,
            }
        }
    }

    fn show_events(&mut self) {
        for event in std::mem::take(&mut self.world.events) {
            let text = match event {
                Event::Output(i, output) => format!("  {} {}", i + 1, describe_output(&output)),
                // It has nothing to ask for again.
                Event::Sent(_, _, ToPrimary::Resume { open }) if open.is_empty() => continue,
                Event::Sent(from, to, message) => format!("  {} asks {} {}", from + 1, to + 1, describe_sent(&message)),
                Event::Answered(from, to, answer) => {
                    format!("  {} answers {} {}", from + 1, to + 1, describe_answer(&answer))
                }
            };
            self.line(text);
        }
    }

    /// Runs every client, and says what leaves and who goes on waiting.
    fn run_clients(&mut self) {
        let (mut lines, mut closed) = (Vec::new(), Vec::new());
        for (name, connection) in &mut self.clients {
            let i = node_of(name);
            let now = self.world.now(i);
            let node = &mut self.world.nodes[i];
            connection.advance(node.marks(), &node.voids, now.monotonic);
            let step = connection.run(&mut node.core, now);
            if step == Step::Kill {
                lines.push(format!("  {name} is closed"));
                node.core.disconnect(connection);
                closed.push(name.clone());
                continue;
            }
            assert!(matches!(step, Step::Read | Step::Held | Step::Count(_) | Step::Delay(_)), "{step:?}");
            connection.advance(node.marks(), &node.voids, now.monotonic);
            while let Some((value, len)) = Value::decode(connection.ready()).expect("the protocol") {
                let bytes = String::from_utf8_lossy(&connection.ready()[..len]).into_owned();
                let shown = match value {
                    // It differs between the protocols.
                    Value::Null => format!("{bytes:?}"),
                    Value::Map(_) => "a map".into(),
                    _ => (self.show)(&value),
                };
                lines.push(format!("  {name} gets {shown}"));
                connection.sent(len);
            }
            let waits_for = connection.waits_for().map(|(seq, _)| seq);
            if self.waits.insert(name.clone(), waits_for).flatten() != waits_for {
                lines.extend(waits_for.map(|seq| format!("  {name} waits for batch {seq}")));
            }
        }
        self.clients.retain(|name, _| !closed.contains(name));
        lines.iter().for_each(|line| self.line(line));
    }
}

fn node_of(client: &str) -> usize {
    let (_, node) = client.split_once('@').expect("client@node");
    node_number(node)
}

fn node_number(node: &str) -> usize {
    node.parse::<usize>().expect("a number") - 1
}

fn describe_output(output: &Output) -> String {
    match output {
        Output::Propose(proposal) => format!("proposes {}", describe(proposal)),
        Output::Accepted(seq) => format!("is accepted up to {seq}"),
        Output::Void(void) => format!("has void batches {} to {}", void.first, void.last),
        Output::Leads(epoch) => format!("leads epoch {epoch}"),
        Output::Follows(epoch) => format!("follows epoch {epoch}"),
        Output::Removed => "is removed".into(),
        Output::Deposed(epoch) => format!("is deposed by epoch {epoch}"),
    }
}

fn describe_sent(message: &ToPrimary) -> String {
    match message {
        ToPrimary::Run(request) => {
            let words: Vec<_> = request.args.args().iter().map(String::from_utf8_lossy).collect();
            let queued = if request.queue.is_empty() { String::new() } else { format!(" of {}", request.queue.len()) };
            format!("in epoch {}, {}: {}{queued}", request.epoch, request.number, words.join(" "))
        }
        ToPrimary::End { session } => format!("to forget session {session}"),
        ToPrimary::Resume { open } => {
            let open: Vec<_> = open.iter().map(|(session, lowest)| format!("{session} from {lowest}")).collect();
            format!("to resume sessions {}", open.join(", "))
        }
        ToPrimary::Acknowledge { session, number } => format!("to forget {session} up to {number}"),
    }
}

fn describe_answer(answer: &FromPrimary) -> String {
    match answer {
        FromPrimary::Reply { number, reply, .. } => format!("{number}: {:?}", String::from_utf8_lossy(reply)),
        FromPrimary::Refused { number, .. } => format!("{number}: refused"),
        FromPrimary::Beat => "to be there".into(),
    }
}
