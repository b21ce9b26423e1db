//! Plays a script.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::time::Duration;

use mneme_kernel::agreed::NEWEST;
use mneme_kernel::connection::{Connection, Step};
use mneme_kernel::core::{Content, Core, Input, Now, Output, Proposal};
use mneme_kernel::effect::{self, Effect};
use mneme_kernel::entry::Entry;
use mneme_kernel::forward::Void;
use mneme_kernel::gate::Marks;
use mneme_kernel::ids::{Epoch, Incarnation, Index, Seq};
use mneme_kernel::password::PasswordCheck;
use mneme_kernel::resp::Value;
use mneme_kernel::session::{Peer, Port};
use mneme_kernel::system::System;
use mneme_kernel::time::{Monotonic, Wall};
use mneme_kernel::users::Role;

use crate::support;
use crate::words::{describe, show};

/// What the script's `>` lines lead to, with those lines.
pub fn play(script: &str) -> String {
    let mut stage = Stage::new();
    for line in script.lines().filter_map(|line| line.trim().strip_prefix("> ")) {
        stage.line(format_args!("> {line}"));
        stage.step(line);
        stage.core.check();
    }
    stage.out
}

struct Stage {
    out: String,
    now: Now,
    core: Core,
    /// What the log says beside the keys.
    system: System,
    log: Vec<Vec<u8>>,
    pending: VecDeque<Proposal>,
    accepted: Seq,
    voids: Vec<Void>,
    /// Lives of the Core.
    lives: u64,
    clients: BTreeMap<String, Connection>,
    /// What was last said that each waits for.
    waits: BTreeMap<String, Option<Seq>>,
}

impl Stage {
    /// A primary that took over from another one, which made the user.
    fn new() -> Self {
        let now = Now { wall: Wall(1_700_000_000_000), monotonic: Monotonic::default() };
        let mut stage = Self {
            out: String::new(),
            now,
            core: support::core(),
            system: System::default(),
            log: Vec::new(),
            pending: VecDeque::new(),
            accepted: Seq::ZERO,
            voids: Vec::new(),
            lives: 0,
            clients: BTreeMap::new(),
            waits: BTreeMap::new(),
        };
        // Index 0 is never an epoch: there, Raft has its first membership.
        stage.commit(&Entry::Hello { node: "node-0", nonce: 0, address: "node-0:7380", origin: None }.encode());
        stage.step("another claims");
        let mut effects = Vec::new();
        effect::record(&Effect::User { name: "admin", password_hash: "hash", role: Role::Admin }, &mut effects);
        stage.commit(&Entry::Batch { epoch: Epoch(1), seq: Seq(1), wall: now.wall.0, effects: &effects }.encode());
        stage.lives = 1;
        stage.tell(Input::Begin { nonce: 1 });
        stage.step("commit");
        stage.step("commit");
        stage.out.clear();
        stage
    }

    fn line(&mut self, text: impl std::fmt::Display) {
        writeln!(self.out, "{text}").expect("writing into memory");
    }

    fn step(&mut self, line: &str) {
        if let Some((client, request)) = line.split_once(": ") {
            self.ask(client, request);
            return self.answers(Some(client));
        }
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["close"] => self.tell(Input::CloseBatch),
            ["commit"] => {
                let proposal = self.pending.pop_front().expect("something was proposed");
                self.commit(&proposal);
            }
            ["tick"] => self.tell(Input::Tick { input_bytes: 0, output_bytes: 0 }),
            ["open"] => self.line(format_args!("  {:?}", self.core.open_batch())),
            ["lose"] => drop(self.pending.pop_front()),
            ["resend"] => self.tell(Input::Resend),
            ["after", ms, "ms"] => {
                let ms = ms.parse().expect("milliseconds");
                self.now.wall.0 += ms;
                self.now.monotonic = self.now.monotonic + Duration::from_millis(ms);
            }
            ["clock", ms, "ms"] => {
                self.now.wall.0 = self.now.wall.0.saturating_add_signed(ms.parse().expect("milliseconds"));
            }
            ["agree"] => self.commit(&Entry::Format { format: NEWEST }.encode()),
            ["agree", "on", format] => {
                self.commit(&Entry::Format { format: format.parse().expect("a format") }.encode());
            }
            ["another", "claims"] => {
                let verdicts = &self.system.verdicts;
                let (previous_epoch, last_renewal) = (verdicts.epoch, verdicts.last_renewal);
                self.commit(&Entry::Claim { incarnation: Incarnation(0), previous_epoch, last_renewal }.encode());
            }
            ["restart"] => self.restart(),
            _ => panic!("not a step: {line}"),
        }
        self.answers(None);
    }

    fn tell(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.core.handle(self.now, input, &mut outputs).expect("readable entries");
        for output in outputs {
            match output {
                Output::Propose(proposal) => {
                    self.line(format_args!("  propose {}", describe(&proposal)));
                    self.pending.push_back(proposal);
                }
                Output::Accepted(seq) => {
                    self.line(format_args!("  accepted {seq}"));
                    self.accepted = seq;
                }
                Output::Leads(epoch) => self.line(format_args!("  leads epoch {epoch}")),
                Output::Follows(epoch) => self.line(format_args!("  follows epoch {epoch}")),
                Output::Void(void) => {
                    self.line(format_args!("  void from {} to {}", void.first, void.last));
                    self.voids.push(void);
                }
                Output::Removed => self.line(format_args!("  removed")),
                Output::Deposed(epoch) => {
                    self.line(format_args!("  deposed by epoch {epoch}"));
                    self.begin();
                }
            }
        }
    }

    fn commit(&mut self, entry: &[u8]) {
        let index = Index(self.log.len() as u64);
        self.log.push(entry.into());
        self.system.judge(index, &Entry::decode(entry).expect("what a Core proposed"));
        self.tell(Input::Committed { index, content: Content::Core(entry), age: Duration::ZERO });
    }

    /// Ends the process and begins a new life; clients connect anew.
    fn restart(&mut self) {
        self.core = support::core();
        self.clients.clear();
        self.waits.clear();
        self.accepted = Seq::ZERO;
        self.voids.clear();
        self.begin();
    }

    /// Begins a life of a Core that is empty: it reads the log.
    fn begin(&mut self) {
        self.lives += 1;
        self.tell(Input::Begin { nonce: self.lives });
        for (index, entry) in self.log.clone().into_iter().enumerate() {
            let content = Content::Core(&entry);
            self.tell(Input::Committed { index: Index(index as u64), content, age: Duration::ZERO });
        }
    }

    fn ask(&mut self, client: &str, request: &str) {
        if !self.clients.contains_key(client) {
            let connection = self.core.connect(Port::Main, Peer::default(), self.now.monotonic);
            self.clients.insert(client.into(), connection.expect("there is room"));
            self.ask(client, "AUTH secret");
            let connection = self.clients.get_mut(client).expect("it was just made");
            connection.sent(connection.ready().len());
        }
        let connection = self.clients.get_mut(client).expect("it was just made");
        connection.input().extend(format!("{request}\r\n").bytes());
        run(connection, &mut self.core, self.now);
    }

    /// What leaves now, and who goes on waiting: of one client or of all.
    fn answers(&mut self, of: Option<&str>) {
        let mut lines = Vec::new();
        for (name, connection) in self.clients.iter_mut().filter(|(name, _)| of.is_none_or(|of| of == *name)) {
            connection.advance(Marks::alone(self.accepted), &self.voids, self.now.monotonic);
            run(connection, &mut self.core, self.now);
            connection.advance(Marks::alone(self.accepted), &self.voids, self.now.monotonic);
            while let Some((value, len)) = Value::decode(connection.ready()).expect("the protocol") {
                lines.push(format!("  {name} gets {}", show(&value)));
                connection.sent(len);
            }
            let waits_for = connection.waits_for().map(|(seq, _)| seq);
            if self.waits.insert(name.clone(), waits_for).flatten() != waits_for {
                lines.extend(waits_for.map(|seq| format!("  {name} waits for batch {seq}")));
            }
        }
        lines.iter().for_each(|line| self.line(line));
    }
}

fn run(connection: &mut Connection, core: &mut Core, now: Now) {
    while let Step::CheckPassword(_) = connection.run(core, now) {
        connection.password_checked(core, now, PasswordCheck::Right(0));
    }
}
