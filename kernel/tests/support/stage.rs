//! A Core that is asked one request after the other.

use std::collections::VecDeque;
use std::time::Duration;

use mneme_kernel::agreed::NEWEST;
use mneme_kernel::connection::{Connection, Step};
use mneme_kernel::core::{Content, Core, Input, Now, Output, Proposal};
use mneme_kernel::effect::{self, Effect};
use mneme_kernel::entry::Entry;
use mneme_kernel::gate::Marks;
use mneme_kernel::ids::{Epoch, Incarnation, Index, Seq};
use mneme_kernel::password::PasswordCheck;
use mneme_kernel::resp::encode_command;
use mneme_kernel::session::{Peer, Port};
use mneme_kernel::time::{Monotonic, Wall};
use mneme_kernel::users::Role;

use crate::support;

/// A primary whose batches are accepted at once.
pub struct Stage {
    pub core: Core,
    pub now: Now,
    entries: u64,
    accepted: Seq,
    /// Bytes of the entries in its log.
    #[allow(dead_code, reason = "not every test asks")]
    pub logged: usize,
}

impl Stage {
    pub fn new() -> Self {
        let now = Now { wall: Wall(1_700_000_000_000), monotonic: Monotonic::default() };
        let mut stage = Stage { core: support::core(), now, entries: 0, accepted: Seq::ZERO, logged: 0 };
        stage.commit(&Entry::Hello { node: "node-0", nonce: 0, address: "", origin: None }.encode());
        let claim = Entry::Claim { incarnation: Incarnation(0), previous_epoch: Epoch::ZERO, last_renewal: Index(0) };
        stage.commit(&claim.encode());
        let mut effects = Vec::new();
        effect::record(&Effect::User { name: "admin", password_hash: "hash", role: Role::Admin }, &mut effects);
        stage.commit(&Entry::Batch { epoch: Epoch(1), seq: Seq(1), wall: now.wall.0, effects: &effects }.encode());
        stage.commit(&Entry::Format { format: NEWEST }.encode());
        stage.tell(Input::Begin { nonce: 1 });
        stage
    }

    fn tell(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.core.handle(self.now, input, &mut outputs).expect("readable entries");
        let mut proposals: VecDeque<Proposal> = VecDeque::new();
        for output in outputs {
            match output {
                Output::Propose(proposal) => proposals.push_back(proposal),
                Output::Accepted(seq) => self.accepted = seq,
                Output::Leads(_) | Output::Follows(_) | Output::Deposed(_) | Output::Void(_) | Output::Removed => {}
            }
        }
        proposals.iter().for_each(|proposal| self.commit(proposal));
    }

    fn commit(&mut self, entry: &[u8]) {
        let index = Index(self.entries);
        self.entries += 1;
        self.logged += entry.len();
        self.tell(Input::Committed { index, content: Content::Core(entry), age: Duration::ZERO });
    }

    pub fn stranger(&mut self) -> Connection {
        self.core.connect(Port::Main, Peer::default(), self.now.monotonic).expect("there is room")
    }

    pub fn client(&mut self) -> Connection {
        let mut client = self.stranger();
        assert_eq!(self.ask(&mut client, &["AUTH", "secret"]), ("+OK\r\n".into(), Step::Read));
        client
    }

    /// What leaves, and what the connection does next.
    pub fn send(&mut self, client: &mut Connection, bytes: &[u8]) -> (String, Step) {
        client.input().extend_from_slice(bytes);
        let step = loop {
            match client.run(&mut self.core, self.now) {
                Step::CheckPassword(_) => client.password_checked(&mut self.core, self.now, PasswordCheck::Right(0)),
                step => break step,
            }
        };
        self.tell(Input::CloseBatch);
        client.advance(Marks::alone(self.accepted), &[], self.now.monotonic);
        let replies = String::from_utf8_lossy(client.ready()).into_owned();
        client.sent(client.ready().len());
        (replies, step)
    }

    pub fn ask(&mut self, client: &mut Connection, command: &[&str]) -> (String, Step) {
        let mut bytes = Vec::new();
        encode_command(command, &mut bytes);
        self.send(client, &bytes)
    }
}
