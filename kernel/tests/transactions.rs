//! MULTI, EXEC and WATCH: all or nothing, and only if what was watched is as it was.

mod support;

use std::time::Duration;

use mneme_kernel::connection::{Connection, Step};
use mneme_kernel::core::{Content, Core, Input, KeeperState, Now, Output};
use mneme_kernel::gate::Marks;
use mneme_kernel::ids::{Index, Seq};
use mneme_kernel::password::PasswordCheck;
use mneme_kernel::resp::encode_command;
use mneme_kernel::session::{Peer, Port};
use mneme_kernel::time::{Monotonic, Wall};

/// A primary whose batches are accepted as soon as they are closed.
struct World {
    core: Core,
    now: Now,
    index: u64,
    accepted: Seq,
    batches: usize,
}

impl World {
    fn new() -> Self {
        let now = Now { wall: Wall(1_700_000_000_000), monotonic: Monotonic(Duration::from_secs(1)) };
        let mut world = Self { core: support::core(), now, index: 0, accepted: Seq::ZERO, batches: 0 };
        world.tell(Input::Begin { nonce: 1 });
        world.tell(Input::Found { admin: "admin", password_hash: "hash", sealed_ca: None });
        world
    }

    fn stranger(&mut self) -> Connection {
        self.core.connect(Port::Main, Peer::default(), self.now.monotonic).expect("there is room")
    }

    fn client(&mut self) -> Connection {
        let mut client = self.stranger();
        assert_eq!(self.ask(&mut client, "AUTH p"), "+OK");
        client
    }

    fn tell(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.core.handle(self.now, input, &mut outputs).expect("readable entries");
        for output in outputs {
            match output {
                Output::Propose(proposal) => {
                    let index = Index(self.index);
                    self.index += 1;
                    self.batches += 1;
                    self.tell(Input::Committed { index, content: Content::Core(&proposal), age: Duration::ZERO });
                }
                Output::Accepted(seq) => self.accepted = seq,
                Output::Leads(_) | Output::Follows(_) | Output::Deposed(_) | Output::Void(_) | Output::Removed => {}
            }
        }
    }

    /// What leaves for a request of these words, its lines with spaces between them.
    fn ask(&mut self, client: &mut Connection, request: &str) -> String {
        encode_command(&request.split(' ').collect::<Vec<_>>(), client.input());
        while let Step::CheckPassword(_) = client.run(&mut self.core, self.now) {
            client.password_checked(&mut self.core, self.now, PasswordCheck::Right(0));
        }
        self.tell(Input::CloseBatch);
        client.advance(Marks::alone(self.accepted), &[], self.now.monotonic);
        let reply = String::from_utf8_lossy(client.ready()).trim_end().replace("\r\n", " ");
        client.sent(client.ready().len());
        reply
    }

    fn asks(&mut self, client: &mut Connection, script: &[(&str, &str)]) {
        for (request, reply) in script {
            assert_eq!(self.ask(client, request), *reply, "{request}");
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.wall.0 += time.as_millis() as u64;
        self.now.monotonic = self.now.monotonic + time;
    }
}

const ABORTED: &str = "-EXECABORT Transaction discarded because of previous errors.";

#[test]
fn nobody_sees_the_middle_and_the_log_holds_it_whole() {
    let mut world = World::new();
    let (mut client, mut other) = (world.client(), world.client());
    let queue = [("MULTI", "+OK"), ("SET a 1", "+QUEUED"), ("INCR a", "+QUEUED"), ("GET a", "+QUEUED")];
    world.asks(&mut client, &queue);
    assert_eq!(world.ask(&mut other, "GET a"), "$-1");
    let before = world.batches;
    assert_eq!(world.ask(&mut client, "EXEC"), "*3 +OK :2 $1 2");
    assert_eq!(world.batches, before + 1, "one batch holds the effects of one EXEC");
    assert_eq!(world.ask(&mut other, "GET a"), "$1 2");
}

#[test]
fn what_fails_inside_leaves_the_rest() {
    let mut world = World::new();
    let mut client = world.client();
    world.asks(
        &mut client,
        &[
            ("MULTI", "+OK"),
            ("SET a x", "+QUEUED"),
            ("INCR a", "+QUEUED"),
            ("SET b 1", "+QUEUED"),
            ("EXEC", "*3 +OK -ERR value is not an integer or out of range +OK"),
            ("GET b", "$1 1"),
        ],
    );
}

#[test]
fn a_request_that_cannot_be_queued_breaks_the_transaction() {
    let mut world = World::new();
    let mut client = world.client();
    for (request, error) in [
        ("NOSUCH x", "-ERR unknown command 'NOSUCH', with args beginning with: 'x'"),
        ("GET", "-ERR wrong number of arguments for 'get' command"),
        ("MULTI", "-ERR MULTI calls can not be nested"),
        ("WATCH a", "-ERR WATCH inside MULTI is not allowed"),
        ("CLIENT NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP."),
        ("CLIENT REPLY", "-ERR wrong number of arguments for 'client|reply' command"),
        ("OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command"),
    ] {
        // Redis says these two without harm to what is queued.
        let is_harmless = ["MULTI", "WATCH a"].contains(&request);
        world.asks(&mut client, &[("MULTI", "+OK"), ("SET a 1", "+QUEUED"), (request, error)]);
        assert_eq!(world.ask(&mut client, "EXEC"), if is_harmless { "*1 +OK" } else { ABORTED }, "after {request}");
        assert_eq!(world.ask(&mut client, "DEL a"), if is_harmless { ":1" } else { ":0" }, "after {request}");
    }
}

#[test]
fn an_exec_that_is_refused_ends_the_transaction() {
    let mut world = World::new();
    let mut client = world.client();
    let wrong = "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command";
    world.asks(
        &mut client,
        &[
            ("MULTI", "+OK"),
            ("SET a 1", "+QUEUED"),
            ("EXEC x", wrong),
            ("EXEC", "-ERR EXEC without MULTI"),
            ("EXEC x", wrong),
            ("DISCARD", "-ERR DISCARD without MULTI"),
        ],
    );
    let mut stranger = world.stranger();
    let refused = "-EXECABORT Transaction discarded because of: NOAUTH Authentication required.";
    assert_eq!(world.ask(&mut stranger, "EXEC"), refused);
}

#[test]
fn without_memory_exec_is_refused_as_a_whole() {
    let mut world = World::new();
    let (mut client, mut other) = (world.client(), world.client());
    let oom = "OOM command not allowed when used memory > 'maxmemory'.";
    world.asks(&mut other, &[("SET full x", "+OK")]);
    world.asks(&mut client, &[("MULTI", "+OK"), ("DEL full", "+QUEUED"), ("SET a 1", "+QUEUED")]);
    world.asks(&mut other, &[("CONFIG SET maxmemory 1", "+OK")]);
    let refused = format!("-EXECABORT Transaction discarded because of: {oom}");
    world.asks(&mut client, &[("EXEC", &refused), ("EXEC", "-ERR EXEC without MULTI"), ("EXISTS full", ":1")]);
    world.asks(&mut client, &[("MULTI", "+OK"), ("SET a 1", &format!("-{oom}")), ("EXEC", ABORTED)]);
    // What needs no room runs.
    world.asks(&mut client, &[("MULTI", "+OK"), ("DEL full", "+QUEUED"), ("EXEC", "*1 :1")]);
}

#[test]
fn without_disk_exec_is_refused_if_it_writes() {
    let mut world = World::new();
    let mut client = world.client();
    let keeper = |disk_full| Input::Keeper(KeeperState { disk_full, ..KeeperState::default() });
    world.asks(&mut client, &[("MULTI", "+OK"), ("SET a 1", "+QUEUED")]);
    world.tell(keeper(true));
    let reply = world.ask(&mut client, "EXEC");
    assert!(reply.starts_with("-EXECABORT Transaction discarded because of: NOQUORUM not executed"), "{reply}");
    world.asks(&mut client, &[("MULTI", "+OK"), ("GET a", "+QUEUED"), ("EXEC", "*1 $-1")]);
    world.tell(keeper(false));
    world.asks(&mut client, &[("MULTI", "+OK"), ("SET a 1", "+QUEUED"), ("EXEC", "*1 +OK")]);
}

#[test]
fn what_another_client_changes_of_the_watched_stops_exec() {
    let mut world = World::new();
    let (mut client, mut other) = (world.client(), world.client());
    for (change, stops) in [
        ("SET k v", true),
        ("APPEND k x", true),
        ("EXPIRE k 100", true),
        ("DEL k", true),
        ("FLUSHALL", true),
        ("SWAPDB 0 1", true),
        ("GET k", false),
        ("SETNX k w", false),
        ("SET other v", false),
    ] {
        world.asks(&mut client, &[("FLUSHALL", "+OK"), ("SET k v", "+OK"), ("WATCH k absent", "+OK")]);
        world.ask(&mut other, change);
        let reply = if stops { "*-1" } else { "*1 +OK" };
        world.asks(&mut client, &[("MULTI", "+OK"), ("SET done 1", "+QUEUED"), ("EXEC", reply)]);
        let done = if stops { ":0" } else { ":1" };
        // It is forgotten with EXEC, whatever became of it.
        world.asks(&mut client, &[("EXISTS done", done), ("SET k w", "+OK"), ("MULTI", "+OK"), ("EXEC", "*0")]);
    }
}

#[test]
fn what_is_no_longer_watched_stops_nothing() {
    let mut world = World::new();
    let (mut client, mut other) = (world.client(), world.client());
    for forget in ["UNWATCH", "DISCARD", "RESET"] {
        world.asks(&mut client, &[("WATCH k", "+OK"), ("SET k mine", "+OK")]);
        if forget == "DISCARD" {
            world.ask(&mut client, "MULTI");
        }
        world.ask(&mut client, forget);
        world.ask(&mut client, "AUTH p");
        world.ask(&mut other, "SET k theirs");
        world.asks(&mut client, &[("MULTI", "+OK"), ("GET k", "+QUEUED"), ("EXEC", "*1 $6 theirs")]);
    }
}

#[test]
fn a_watched_key_whose_deadline_passes_has_changed() {
    let mut world = World::new();
    let mut client = world.client();
    world.asks(&mut client, &[("SET k v PX 50", "+OK"), ("WATCH k", "+OK"), ("MULTI", "+OK"), ("SET a 1", "+QUEUED")]);
    world.pass(Duration::from_millis(51));
    world.asks(&mut client, &[("EXEC", "*-1"), ("EXISTS a", ":0")]);
    // One that had passed before is watched as absent.
    world.ask(&mut client, "SET k v PX 50");
    world.pass(Duration::from_millis(51));
    world.asks(&mut client, &[("WATCH k", "+OK"), ("MULTI", "+OK"), ("EXISTS k", "+QUEUED"), ("EXEC", "*1 :0")]);
}

#[test]
fn databases_are_watched_apart() {
    let mut world = World::new();
    let (mut client, mut other) = (world.client(), world.client());
    world.asks(&mut client, &[("WATCH k", "+OK"), ("SELECT 1", "+OK")]);
    world.asks(&mut other, &[("SELECT 1", "+OK"), ("SET k v", "+OK")]);
    world.asks(&mut client, &[("MULTI", "+OK"), ("GET k", "+QUEUED"), ("EXEC", "*1 $1 v"), ("WATCH k", "+OK")]);
    world.ask(&mut other, "SET k w");
    world.asks(&mut client, &[("SELECT 0", "+OK"), ("MULTI", "+OK"), ("EXEC", "*-1")]);
}
