//! A primary whose batches are accepted when the test says so, and its clients by name.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mneme_kernel::agreed::NEWEST;
use mneme_kernel::connection::{Connection, Step};
use mneme_kernel::core::{Config, Content, Core, Input, Now, Output, Proposal};
use mneme_kernel::entry::Entry;
use mneme_kernel::facade::Facade;
use mneme_kernel::gate::Marks;
use mneme_kernel::ids::{Index, Seq};
use mneme_kernel::password::{PasswordCheck, hashed};
use mneme_kernel::resp::{Value, encode_command};
use mneme_kernel::session::{Peer, Port};
use mneme_kernel::time::{Monotonic, Wall};

use crate::support;

const NOW: Now = Now { wall: Wall(1_700_000_000_000), monotonic: Monotonic(Duration::from_secs(1)) };

pub struct Stage {
    pub core: Core,
    clients: BTreeMap<String, Connection>,
    index: u64,
    accepted: Seq,
    /// Passwords that were hashed.
    pub hashed: u64,
}

impl Stage {
    /// With one user: admin.
    pub fn new() -> Self {
        Self::of(support::core())
    }

    /// As [`Stage::new`], on a node that answers as Redis Cluster or as a Sentinel too.
    pub fn with_facade(facade: Facade) -> Self {
        Self::of(support::of(Config { facade, ..support::config() }))
    }

    fn of(core: Core) -> Self {
        let mut stage = Self { core, clients: BTreeMap::new(), index: 0, accepted: Seq::ZERO, hashed: 0 };
        stage.tell(Input::Begin { nonce: 1 });
        let agreed = Entry::Format { format: NEWEST }.encode();
        stage.commit(&agreed);
        stage.tell(Input::Found { admin: "admin", password_hash: "hash 0 of secret", sealed_ca: None });
        stage.accept();
        stage.log_in("admin", "secret");
        stage
    }

    fn tell(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.core.handle(NOW, input, &mut outputs).expect("readable entries");
        let mut proposals: VecDeque<Proposal> = VecDeque::new();
        for output in outputs {
            match output {
                Output::Propose(proposal) => proposals.push_back(proposal),
                Output::Accepted(seq) => self.accepted = seq,
                Output::Leads(_) | Output::Follows(_) | Output::Deposed(_) | Output::Void(_) | Output::Removed => {}
            }
        }
        for proposal in proposals {
            self.commit(&proposal);
        }
    }

    fn commit(&mut self, entry: &[u8]) {
        let index = Index(self.index);
        self.index += 1;
        self.tell(Input::Committed { index, content: Content::Core(entry), age: Duration::ZERO });
    }

    /// Everything that was executed is accepted.
    pub fn accept(&mut self) {
        self.tell(Input::CloseBatch);
    }

    pub fn connect(&mut self, client: &str, port: Port) {
        let peer = Peer { address: format!("{client}:1"), local_address: String::new() };
        let connection = self.core.connect(port, peer, NOW.monotonic).expect("there is room");
        self.clients.insert(client.into(), connection);
    }

    /// A connection named after its user, who authenticates.
    pub fn log_in(&mut self, user: &str, password: &str) {
        self.log_in_as(user, user, password);
    }

    pub fn log_in_as(&mut self, client: &str, user: &str, password: &str) {
        self.connect(client, Port::Main);
        assert_eq!(self.ask(client, &format!("AUTH {user} {password}")), "OK");
    }

    /// What leaves at once, before anything more is accepted, and what the connection does next.
    pub fn send(&mut self, client: &str, request: &str) -> (Vec<Value>, Step) {
        let words: Vec<&str> = request.split(' ').collect();
        let connection = self.clients.get_mut(client).expect("it is connected");
        encode_command(&words, connection.input());
        let step = loop {
            match connection.run(&mut self.core, NOW) {
                Step::CheckPassword(credentials) => {
                    let is_right = |stored: &String| {
                        let (text, hash) = hashed(&credentials.password, stored);
                        is_hash_of(&text, hash)
                    };
                    let right = credentials.hashes.iter().position(is_right);
                    let check = right.map_or(PasswordCheck::Wrong, PasswordCheck::Right);
                    connection.password_checked(&mut self.core, NOW, check);
                }
                Step::Backup(_) => connection.backed_up(&mut self.core, Ok::<_, &str>((Index::ZERO, &[][..]))),
                Step::HashPassword(password) => {
                    // Salted: no two are the same.
                    self.hashed += 1;
                    let number = self.hashed;
                    let make = |text: &[u8]| format!("hash {number} of {}", String::from_utf8_lossy(text));
                    let hash = password.hash(is_hash_of, make);
                    connection.password_hashed(&mut self.core, password, hash);
                }
                step => break step,
            }
        };
        (self.receive(client), step)
    }

    /// What may leave by now.
    pub fn receive(&mut self, client: &str) -> Vec<Value> {
        let connection = self.clients.get_mut(client).expect("it is connected");
        connection.advance(Marks::alone(self.accepted), &[], NOW.monotonic);
        let mut values = Vec::new();
        while let Some((value, len)) = Value::decode(connection.ready()).expect("the protocol") {
            connection.sent(len);
            values.push(value);
        }
        values
    }

    /// The answer to a request once everything is accepted, as text.
    pub fn ask(&mut self, client: &str, request: &str) -> String {
        let (mut values, _) = self.send(client, request);
        self.accept();
        values.extend(self.receive(client));
        let [value] = values.as_slice() else { panic!("{client}: {request} is answered {values:?}") };
        text(value)
    }

    /// Each request gets this answer.
    pub fn asks(&mut self, client: &str, requests: &[(&str, &str)]) {
        for (request, answer) in requests {
            assert_eq!(self.ask(client, request), *answer, "{client}: {request}");
        }
    }

    /// Whether the request is answered before its batch is accepted.
    pub fn is_answered_at_once(&mut self, client: &str, request: &str) -> bool {
        let (values, _) = self.send(client, request);
        self.accept();
        let late = self.receive(client);
        assert_eq!(values.len() + late.len(), 1, "{request}: {values:?} {late:?}");
        late.is_empty()
    }

    /// Whether the connection is to be closed.
    pub fn is_closed(&mut self, client: &str) -> bool {
        let connection = self.clients.get_mut(client).expect("it is connected");
        connection.run(&mut self.core, NOW) == Step::Kill
    }
}

/// Every facade.
pub fn facades() -> Facade {
    Facade { cluster: true, sentinel: Some("mymaster".into()), ..Facade::default() }
}

fn is_hash_of(text: &[u8], hash: &str) -> bool {
    hash.ends_with(&format!(" of {}", String::from_utf8_lossy(text)))
}

pub fn text(value: &Value) -> String {
    match value {
        Value::Simple(text) | Value::Error(text) => text.clone(),
        Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Int(n) => n.to_string(),
        Value::Null => "(nil)".into(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        other => panic!("no text: {other:?}"),
    }
}
