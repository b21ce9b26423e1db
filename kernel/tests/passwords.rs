//! What a connection is answered once its password has been checked, which takes a while.

mod support;

use std::time::Duration;

use mneme_kernel::connection::Step;
use mneme_kernel::core::{Content, Core, Input, Now};
use mneme_kernel::effect::{self, Effect};
use mneme_kernel::entry::Entry;
use mneme_kernel::ids::{Epoch, Incarnation, Index, Seq};
use mneme_kernel::password::PasswordCheck;
use mneme_kernel::session::{Peer, Port};
use mneme_kernel::system::System;
use mneme_kernel::time::{Monotonic, Wall};
use mneme_kernel::users::Role;

const NOW: Now = Now { wall: Wall(1_700_000_000_000), monotonic: Monotonic(Duration::ZERO) };

/// A Core that follows a log, and the log.
struct Follower {
    core: Core,
    system: System,
    index: u64,
    seq: u64,
}

impl Follower {
    fn new() -> Self {
        let mut follower = Self { core: support::core(), system: System::default(), index: 0, seq: 0 };
        follower.commit(&Entry::Hello { node: "node-0", nonce: 0, address: "", origin: None });
        let (previous_epoch, last_renewal) = (follower.system.verdicts.epoch, follower.system.verdicts.last_renewal);
        follower.commit(&Entry::Claim { incarnation: Incarnation(0), previous_epoch, last_renewal });
        follower.set_hash("first");
        follower.core.handle(NOW, Input::Begin { nonce: 1 }, &mut Vec::new()).expect("nothing is read");
        follower.commit(&Entry::Hello { node: "node-1", nonce: 1, address: "", origin: None });
        assert!(follower.core.is_hot());
        follower
    }

    fn set_hash(&mut self, password_hash: &str) {
        self.seq += 1;
        let mut effects = Vec::new();
        effect::record(&Effect::User { name: "admin", password_hash, role: Role::Admin }, &mut effects);
        self.commit(&Entry::Batch { epoch: Epoch(1), seq: Seq(self.seq), wall: NOW.wall.0, effects: &effects });
    }

    fn commit(&mut self, entry: &Entry<'_>) {
        let index = Index(self.index);
        self.index += 1;
        self.system.judge(index, entry);
        let entry = entry.encode();
        let input = Input::Committed { index, content: Content::Core(&entry), age: Duration::ZERO };
        self.core.handle(NOW, input, &mut Vec::new()).expect("a readable entry");
    }

    /// What is answered if `meanwhile` happens and the check ends so.
    fn answer(&mut self, request: &str, meanwhile: impl FnOnce(&mut Self), check: PasswordCheck) -> String {
        let mut connection = self.core.connect(Port::Main, Peer::default(), NOW.monotonic).expect("there is room");
        connection.input().extend(format!("{request}\r\n").bytes());
        assert!(matches!(connection.run(&mut self.core, NOW), Step::CheckPassword(_)));
        meanwhile(self);
        connection.password_checked(&mut self.core, NOW, check);
        String::from_utf8_lossy(connection.ready()).lines().next().unwrap_or_default().into()
    }
}

#[test]
fn each_outcome_of_a_check_has_its_answer_and_its_count() {
    for (check, wanted, rejected) in [
        (PasswordCheck::Right(0), "+OK", 0),
        (PasswordCheck::Wrong, "-WRONGPASS invalid username-password pair or user is disabled.", 1),
        (
            PasswordCheck::TooMany,
            "-ERR too many wrong passwords from this address for this user, try again in a few seconds",
            1,
        ),
    ] {
        let mut follower = Follower::new();
        assert_eq!(follower.answer("AUTH secret", |_| {}, check), wanted);
        assert_eq!(follower.core.stats.rejected_passwords, rejected);
    }
}

#[test]
fn a_password_that_is_changed_while_it_is_checked_is_wrong() {
    for request in ["AUTH secret", "HELLO 2 AUTH admin secret"] {
        let mut follower = Follower::new();
        let answer = follower.answer(request, |log| log.set_hash("second"), PasswordCheck::Right(0));
        assert!(answer.starts_with("-WRONGPASS"), "{request}: {answer}");
        let answer = follower.answer(request, |_| {}, PasswordCheck::Right(0));
        assert!(!answer.starts_with('-'), "{request}: {answer}");
    }
}
