//! What a Core notes about commands: outcomes, times, errors, the slow log, the latency monitor.

mod support;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mneme_kernel::agreed::NEWEST;
use mneme_kernel::connection::{Connection, Step};
use mneme_kernel::core::{Content, Core, Input, Now, Output, Proposal};
use mneme_kernel::entry::Entry;
use mneme_kernel::gate::Marks;
use mneme_kernel::gate::{Delay, Ending};
use mneme_kernel::ids::{Index, Seq};
use mneme_kernel::level::Level;
use mneme_kernel::password::PasswordCheck;
use mneme_kernel::resp::{Value, encode_command};
use mneme_kernel::session::{Peer, Port};
use mneme_kernel::stats::Calls;
use mneme_kernel::stopwatch::Clock;
use mneme_kernel::time::{Monotonic, Wall};
use mneme_kernel::tunables::Tunables;

/// A clock that goes on by a step whenever it is looked at.
#[derive(Clone, Debug, Default)]
struct Steps {
    nanos: Arc<AtomicU64>,
    step: Arc<AtomicU64>,
    looks: Arc<AtomicU64>,
}

impl Clock for Steps {
    fn monotonic(&self) -> Monotonic {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let step = self.step.load(Ordering::Relaxed);
        Monotonic(Duration::from_nanos(self.nanos.fetch_add(step, Ordering::Relaxed) + step))
    }
}

/// A primary with one client.
struct Bench {
    core: Core,
    clock: Steps,
    connection: Connection,
    pending: VecDeque<Proposal>,
    accepted: Seq,
    index: u64,
    delays: Vec<Delay>,
}

impl Bench {
    /// Each look at the clock takes so many microseconds.
    fn new(micros: u64) -> Self {
        let clock = Steps::default();
        let mut core = support::core();
        let peer = Peer { address: "10.0.0.1:5000".into(), local_address: "10.0.0.2:6379".into() };
        let connection = core.connect(Port::Main, peer, Monotonic::default()).expect("there is room");
        let mut bench = Self {
            core,
            clock: clock.clone(),
            connection,
            pending: VecDeque::new(),
            accepted: Seq::ZERO,
            index: 1,
            delays: Vec::new(),
        };
        bench.core.set_clock(Box::new(clock));
        bench.tell(Input::Committed { index: Index(0), content: Content::Blank, age: Duration::ZERO });
        bench.tell(Input::Begin { nonce: 1 });
        bench.commit();
        bench.tell(Input::Found { admin: "admin", password_hash: "hash", sealed_ca: None });
        bench.flush();
        assert_eq!(bench.ask(&["AUTH", "right"]), Value::Simple("OK".into()));
        bench.core.stats.calls.iter_mut().for_each(|calls| *calls = Calls::default());
        bench.delays.clear();
        bench.clock.step.store(micros * 1000, Ordering::Relaxed);
        bench
    }

    fn now(&self) -> Now {
        let monotonic = Monotonic(Duration::from_nanos(self.clock.nanos.load(Ordering::Relaxed)));
        Now { wall: Wall(1_700_000_000_000 + monotonic.0.as_millis() as u64), monotonic }
    }

    fn pass(&self, time: Duration) {
        self.clock.nanos.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    fn tell(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.core.handle(self.now(), input, &mut outputs).expect("readable entries");
        for output in outputs {
            match output {
                Output::Propose(proposal) => self.pending.push_back(proposal),
                Output::Accepted(seq) => self.accepted = seq,
                Output::Leads(_) | Output::Follows(_) | Output::Deposed(_) | Output::Void(_) | Output::Removed => {}
            }
        }
    }

    fn commit(&mut self) {
        while let Some(proposal) = self.pending.pop_front() {
            let index = Index(self.index);
            self.index += 1;
            self.tell(Input::Committed { index, content: Content::Core(&proposal), age: Duration::ZERO });
        }
    }

    fn flush(&mut self) {
        self.tell(Input::CloseBatch);
        self.commit();
    }

    /// Runs what the client has sent. The password `right` is right, and the disk of snapshots is full.
    fn run(&mut self) {
        loop {
            let now = self.now();
            match self.connection.run(&mut self.core, now) {
                Step::CheckPassword(credentials) => {
                    let check =
                        if credentials.password == b"right" { PasswordCheck::Right(0) } else { PasswordCheck::Wrong };
                    self.connection.password_checked(&mut self.core, now, check);
                }
                Step::Save => self.connection.done(&mut self.core, Err("no space")),
                _ => return,
            }
        }
    }

    fn advance(&mut self) {
        self.connection.advance(Marks::alone(self.accepted), &[], self.now().monotonic);
        self.delays.extend(self.connection.take_delays());
    }

    /// Sends requests at once; their replies once the log has taken what they wrote.
    fn ask_all(&mut self, requests: &[&[&str]]) -> Vec<Value> {
        for request in requests {
            let mut bytes = Vec::new();
            encode_command(request, &mut bytes);
            self.connection.input().extend(bytes);
        }
        self.run();
        self.flush();
        self.advance();
        let mut values = Vec::new();
        while let Some((value, len)) = Value::decode(self.connection.ready()).expect("the protocol") {
            values.push(value);
            self.connection.sent(len);
        }
        values
    }

    fn ask(&mut self, request: &[&str]) -> Value {
        let mut values = self.ask_all(&[request]);
        assert_eq!(values.len(), 1, "{request:?}");
        values.remove(0)
    }

    fn calls(&self, command: &str) -> Calls {
        let (i, _) = self.core.commands().find(command.as_bytes()).expect("a command");
        self.core.stats.calls[i]
    }

    /// Calls that were ok, failed, were rejected.
    fn outcomes(&self, command: &str) -> (u64, u64, u64) {
        let calls = self.calls(command);
        (calls.ok, calls.failed, calls.rejected)
    }

    fn tune(&mut self, change: impl FnOnce(&mut Tunables)) {
        let mut tunables = self.core.tunables();
        change(&mut tunables);
        self.core.set_tunables(tunables);
    }

    /// The arguments of the slow log's entries, the newest first.
    fn slow(&mut self) -> Vec<String> {
        let Value::Array(entries) = self.ask(&["SLOWLOG", "GET", "-1"]) else { panic!("an array") };
        entries.iter().map(|entry| text(&items(entry)[3])).collect()
    }

    fn info(&mut self, section: &str) -> Vec<String> {
        text(&self.ask(&["INFO", section])).lines().map(Into::into).collect()
    }
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        other => panic!("not an array: {other:?}"),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Simple(text) | Value::Error(text) => text.clone(),
        Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Int(n) => n.to_string(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        other => panic!("no text: {other:?}"),
    }
}

#[test]
fn every_outcome_is_counted_once_where_it_belongs() {
    let mut bench = Bench::new(1);
    bench.ask(&["SET", "k", "text"]);
    bench.ask(&["GET", "k"]);
    bench.ask(&["GET", "absent"]);
    bench.ask(&["INCR", "k"]);
    bench.ask(&["INCR"]);
    bench.ask(&["NOSUCH", "a"]);
    bench.ask(&["CONSISTENCY", "EVENTUAL", "GET", "k"]);
    bench.ask(&["SAVE"]);
    bench.ask(&["AUTH", "wrong"]);
    bench.ask(&["AUTH", "right"]);
    bench.tell(Input::Keeper(mneme_kernel::core::KeeperState { disk_full: true, ..Default::default() }));
    bench.ask(&["SET", "k", "v"]);
    assert_eq!(bench.outcomes("set"), (1, 0, 1));
    assert_eq!(bench.outcomes("get"), (3, 0, 0));
    assert_eq!(bench.outcomes("incr"), (0, 1, 1));
    assert_eq!(bench.outcomes("consistency"), (0, 0, 0));
    assert_eq!(bench.outcomes("save"), (0, 1, 0));
    assert_eq!(bench.outcomes("auth"), (1, 1, 0));
    let stats = &bench.core.stats;
    assert_eq!((stats.unknown_commands, stats.rejected_passwords), (1, 1));
    assert_eq!((stats.keyspace_hits, stats.keyspace_misses), (2, 1));
    assert_eq!(stats.total_calls(), 11);
    let errors: Vec<_> = stats.errors.iter().map(|(word, n)| (word.as_str(), *n)).collect();
    assert_eq!(errors, [("ERR", 4), ("NOQUORUM", 1), ("WRONGPASS", 1)]);
}

#[test]
fn a_broken_request_is_an_error_reply_too() {
    let mut bench = Bench::new(1);
    bench.connection.input().extend(b"*1\r\n!\r\n");
    bench.run();
    assert_eq!(bench.core.stats.errors.get("ERR"), Some(&1));
}

#[test]
fn a_slow_command_is_kept_with_who_sent_it() {
    let mut bench = Bench::new(10_000);
    bench.ask(&["CLIENT", "SETNAME", "app"]);
    bench.ask(&["SLOWLOG", "RESET"]);
    let at = bench.now().wall.0 / 1000;
    bench.ask(&["CONSISTENCY", "EVENTUAL", "GET", "k"]);
    let entries = bench.ask(&["SLOWLOG", "GET"]);
    let entry = items(&items(&entries)[0]);
    assert_eq!(
        entry.iter().map(text).collect::<Vec<_>>()[1..],
        [at.to_string(), "10000".into(), "GET k".into(), "10.0.0.1:5000".into(), "app".into()]
    );
    // SETNAME was slow too, and RESET, and now GET.
    let Value::Int(first) = entry[0] else { panic!("a number") };
    assert_eq!(first, bench.core.slow_commands() as i64 - 2);
    assert_eq!(items(&entries).len(), 2, "RESET is noted after it has forgotten the others");
}

#[test]
fn the_slow_log_is_bounded_in_entries_and_bytes() {
    let mut bench = Bench::new(10_000);
    bench.tune(|tunables| tunables.slowlog_max_len = 2);
    let long = "x".repeat(130);
    let mut many: Vec<&str> = vec!["DEL", &long];
    many.resize(40, "k");
    bench.ask(&many);
    let shown = bench.slow().remove(0);
    assert!(shown.starts_with(&format!("DEL {}... (2 more bytes) k", "x".repeat(128))), "{shown}");
    assert!(shown.ends_with("k ... (9 more arguments)"), "{shown}");
    assert_eq!(shown.matches(" k").count(), 29);
    (0..5).for_each(|_| drop(bench.ask(&["GET", "k"])));
    assert_eq!(bench.ask(&["SLOWLOG", "LEN"]), Value::Int(2));
    bench.tune(|tunables| tunables.slowlog_max_len = 1);
    assert_eq!(bench.ask(&["SLOWLOG", "GET", "0"]), Value::Array(vec![]));
    assert_eq!(bench.slow().len(), 1);
}

#[test]
fn nothing_is_slow_below_the_threshold_or_without_one() {
    let mut bench = Bench::new(9_999);
    bench.ask(&["GET", "k"]);
    assert_eq!(bench.core.slow_commands(), 0);
    bench.tune(|tunables| tunables.slowlog_slower_than = -1);
    bench.pass(Duration::from_secs(1));
    bench.ask(&["GET", "k"]);
    assert_eq!(bench.core.slow_commands(), 0);
    bench.tune(|tunables| tunables.slowlog_slower_than = 9_999);
    bench.ask(&["GET", "k"]);
    assert_eq!(bench.slow(), ["GET k"]);
}

#[test]
fn passwords_are_not_kept() {
    let mut bench = Bench::new(10_000);
    for request in [
        &["AUTH", "right"][..],
        &["AUTH", "admin", "right"],
        &["HELLO", "2", "AUTH", "admin", "right", "SETNAME", "me"],
    ] {
        bench.ask(request);
    }
    assert_eq!(
        bench.slow(),
        ["HELLO 2 AUTH (redacted) (redacted) SETNAME me", "AUTH (redacted) (redacted)", "AUTH (redacted)"]
    );
}

#[test]
fn small_commands_of_a_pipeline_share_a_look_at_the_clock() {
    let mut bench = Bench::new(800);
    let looks = bench.clock.looks.load(Ordering::Relaxed);
    bench.ask_all(&[&["SET", "k", "v"][..]; 16]);
    assert_eq!(bench.clock.looks.load(Ordering::Relaxed) - looks, 1);
    assert_eq!(bench.calls("set").times.count(), 16);
    assert_eq!(bench.calls("set").times.sum().as_micros(), 800);

    // One that is not small has its own time.
    let value = "x".repeat(1 << 20);
    bench.ask_all(&[&["GET", "absent"], &["SET", "k", &value], &["DEL", "k"], &["GET", "absent"]]);
    assert_eq!(bench.clock.looks.load(Ordering::Relaxed) - looks, 5);
    assert_eq!(bench.calls("get").times.sum().as_micros(), 1600);
    assert_eq!(bench.calls("del").times.sum().as_micros(), 800);
    assert_eq!(bench.calls("set").times.sum().as_micros(), 1600);

    // For a low threshold each is timed alone.
    bench.tune(|tunables| tunables.slowlog_slower_than = 0);
    bench.ask_all(&[&["GET", "a"][..]; 5]);
    assert_eq!(bench.clock.looks.load(Ordering::Relaxed) - looks, 10);
    assert_eq!(bench.slow(), ["GET a"; 5]);
}

#[test]
fn a_slow_group_names_what_was_in_it() {
    let mut bench = Bench::new(10_000);
    bench.ask_all(&[&["GET", "a"], &["SET", "a", "b"], &["GET", "a"], &["DEL", "a"]]);
    assert_eq!(bench.slow(), ["DEL a", "(one of these) get set"]);
    let entries = bench.ask(&["SLOWLOG", "GET"]);
    assert_eq!(items(&items(&entries)[2])[2], Value::Int(10_000));
}

#[test]
fn after_a_slow_group_commands_are_timed_alone_for_a_while() {
    let mut bench = Bench::new(10_000);
    bench.ask_all(&[&["GET", "a"], &["SET", "a", "b"]]);
    bench.ask_all(&[&["GET", "a"], &["SET", "a", "b"]]);
    assert_eq!(bench.slow(), ["SET a b", "GET a", "(one of these) get set"]);
    bench.clock.step.store(0, Ordering::Relaxed);
    (0..1000).for_each(|_| drop(bench.ask(&["PING"])));
    let looks = bench.clock.looks.load(Ordering::Relaxed);
    bench.ask_all(&[&["GET", "a"], &["SET", "a", "b"]]);
    assert_eq!(bench.clock.looks.load(Ordering::Relaxed) - looks, 1);
}

#[test]
fn more_kinds_of_commands_than_are_told_apart_are_all_counted() {
    let mut bench = Bench::new(80);
    let requests: [&[&str]; 10] = [
        &["GET", "a"],
        &["SET", "a", "1"],
        &["INCR", "a"],
        &["DECR", "a"],
        &["STRLEN", "a"],
        &["TTL", "a"],
        &["PTTL", "a"],
        &["EXISTS", "a"],
        &["PING"],
        &["GET", "a"],
    ];
    bench.ask_all(&requests);
    assert_eq!((bench.calls("get").times.count(), bench.calls("get").times.sum().as_micros()), (2, 10 + 40));
    assert_eq!((bench.calls("ping").times.count(), bench.calls("ping").times.sum().as_micros()), (1, 40));
}

#[test]
fn what_a_transaction_runs_is_counted_and_timed_as_outside() {
    let mut bench = Bench::new(10_000);
    bench.ask_all(&[&["MULTI"], &["SET", "k", "text"], &["DEL", "k"], &["INCR"]]);
    bench.ask(&["EXEC"]);
    assert_eq!(
        (bench.outcomes("set"), bench.outcomes("incr"), bench.outcomes("exec")),
        ((0, 0, 0), (0, 0, 1), (0, 1, 0))
    );
    bench.ask(&["SLOWLOG", "RESET"]);
    bench.ask_all(&[&["MULTI"], &["SET", "k", "text"], &["INCR", "k"], &["DEL", "k"]]);
    bench.ask(&["EXEC"]);
    assert_eq!(
        (bench.outcomes("set"), bench.outcomes("incr"), bench.outcomes("del")),
        ((1, 0, 0), (0, 1, 1), (1, 0, 0))
    );
    assert_eq!((bench.outcomes("exec"), bench.outcomes("multi")), ((1, 1, 0), (2, 0, 0)));
    for command in ["set", "incr", "del", "exec"] {
        assert!(bench.calls(command).times.count() > 0, "{command}");
    }
    assert_eq!(
        bench.core.stats.errors.iter().map(|(word, n)| (word.as_str(), *n)).collect::<Vec<_>>(),
        [("ERR", 2), ("EXECABORT", 1)]
    );
    let slow = bench.slow();
    assert!(["SET k text", "INCR k", "DEL k"].iter().all(|shown| slow.contains(&(*shown).into())), "{slow:?}");
    assert!(!slow.iter().any(|shown| shown.to_lowercase().contains("exec")), "{slow:?}");
}

#[test]
fn spikes_are_kept_from_the_threshold_on() {
    let mut bench = Bench::new(20_000);
    bench.ask(&["GET", "k"]);
    assert_eq!(bench.ask(&["LATENCY", "LATEST"]), Value::Array(vec![]));
    assert!(text(&bench.ask(&["LATENCY", "DOCTOR"])).contains("latency-monitor-threshold is 0"));
    bench.tune(|tunables| tunables.latency_threshold = 20);
    let at = bench.now().wall.0 / 1000;
    bench.ask(&["GET", "k"]);
    bench.ask(&["DEL", "k"]);
    bench.tune(|tunables| tunables.latency_threshold = 21);
    assert_eq!(text(&bench.ask(&["LATENCY", "LATEST"])), format!("command {at} 20 20 fast-command {at} 20 20"));
    assert_eq!(text(&bench.ask(&["LATENCY", "HISTORY", "fast-command"])), format!("{at} 20"));
    assert_eq!(bench.ask(&["LATENCY", "HISTORY", "none"]), Value::Array(vec![]));
    assert!(text(&bench.ask(&["LATENCY", "DOCTOR"])).contains("command: 1 seconds with spikes, 20 ms on average"));
    assert_eq!(bench.ask(&["LATENCY", "RESET", "command", "none"]), Value::Int(1));
    assert_eq!(bench.ask(&["LATENCY", "RESET"]), Value::Int(1));
    assert_eq!(bench.ask(&["LATENCY", "RESET"]), Value::Int(0));
}

#[test]
fn the_histogram_of_a_command_is_cumulative() {
    let mut bench = Bench::new(15);
    (0..3).for_each(|_| drop(bench.ask(&["GET", "k"])));
    bench.clock.step.store(100_000, Ordering::Relaxed);
    bench.ask(&["GET", "k"]);
    let shown = bench.ask(&["LATENCY", "HISTOGRAM", "get", "nosuch", "del"]);
    assert_eq!(text(&shown), "get calls 4 histogram_usec 20 3 160 4");
    assert_eq!(bench.info("latencystats")[1..2], ["latency_percentiles_usec_get:p50=20.000,p99=160.000,p99.9=160.000"]);
}

#[test]
fn help_and_wrong_uses_are_answered() {
    let mut bench = Bench::new(1);
    for container in ["SLOWLOG", "LATENCY"] {
        assert!(items(&bench.ask(&[container, "HELP"])).len() > 5);
        let error = text(&bench.ask(&[container, "NOSUCH"]));
        assert_eq!(error, format!("ERR unknown subcommand 'NOSUCH'. Try {container} HELP."));
    }
    assert_eq!(text(&bench.ask(&["SLOWLOG", "LEN", "x"])), "ERR wrong number of arguments for 'slowlog|len' command");
    assert_eq!(text(&bench.ask(&["SLOWLOG", "GET", "x"])), "ERR count should be greater than or equal to -1");
    assert_eq!(text(&bench.ask(&["SLOWLOG", "GET", "-2"])), "ERR count should be greater than or equal to -1");
    assert_eq!(
        text(&bench.ask(&["LATENCY", "HISTORY"])),
        "ERR wrong number of arguments for 'latency|history' command"
    );
}

#[test]
fn how_long_replies_took_is_told_by_level() {
    let mut bench = Bench::new(0);
    let mut request = Vec::new();
    for words in [&["SET", "k", "v"][..], &["SET", "k", "w"], &["CONSISTENCY", "EVENTUAL", "GET", "k"]] {
        encode_command(words, &mut request);
    }
    bench.connection.input().extend(request);
    bench.connection.arrived(bench.now().monotonic);
    bench.pass(Duration::from_millis(1));
    bench.run();
    bench.pass(Duration::from_millis(2));
    bench.advance();
    bench.pass(Duration::from_millis(3));
    bench.flush();
    bench.advance();
    let told = |delays: &[Delay]| -> Vec<_> {
        let millis = |time: Duration| time.as_millis();
        let told =
            |delay: &Delay| (delay.level, millis(delay.took), delay.waited.map(millis), delay.replies, delay.ending);
        delays.iter().map(told).collect()
    };
    let read = (Level::Eventual, 1, None, 1, Ending::Reached);
    assert_eq!(told(&bench.delays), [read, (Level::Quorum, 6, Some(5), 2, Ending::Reached)]);

    bench.delays.clear();
    bench.connection.sent(bench.connection.ready().len());
    bench.connection.input().extend(b"SET k v\r\n");
    bench.run();
    bench.pass(Duration::from_secs(5));
    bench.advance();
    assert_eq!(told(&bench.delays), [(Level::Quorum, 5000, Some(5000), 1, Ending::Uncertain)]);
}

#[test]
fn info_tells_rates_traffic_and_what_commands_did() {
    let mut bench = Bench::new(100);
    bench.tell(Input::Tick { input_bytes: 1, output_bytes: 2 });
    for i in 1..=16 {
        bench.clock.step.store(0, Ordering::Relaxed);
        (0..10).for_each(|_| drop(bench.ask(&["GET", "k"])));
        bench.pass(Duration::from_millis(100));
        bench.tell(Input::Tick { input_bytes: 1 + i * 1024, output_bytes: 2 + i * 2048 });
    }
    let stats = bench.info("stats");
    for line in [
        "instantaneous_ops_per_sec:100",
        "instantaneous_input_kbps:10.00",
        "instantaneous_output_kbps:20.00",
        "total_net_input_bytes:16385",
        "total_net_output_bytes:32770",
        "total_error_replies:0",
        "total_commands_processed:160",
    ] {
        assert!(stats.iter().any(|shown| shown == line), "{line} in {stats:?}");
    }
    bench.clock.step.store(100_000, Ordering::Relaxed);
    bench.ask(&["INCR"]);
    bench.ask(&["DEL", "k"]);
    let commands = bench.info("commandstats");
    assert!(
        commands.contains(&"cmdstat_del:calls=1,usec=100,usec_per_call=100.00,rejected_calls=0,failed_calls=0".into())
    );
    assert!(
        commands.contains(&"cmdstat_incr:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0".into())
    );
    assert_eq!(bench.info("errorstats"), ["# Errorstats", "errorstat_ERR:count=1"]);
    let default = text(&bench.ask(&["INFO"]));
    assert!(!default.contains("# Commandstats") && default.contains("# Errorstats") && default.contains("# Cluster"));
    assert!(text(&bench.ask(&["INFO", "all"])).contains("# Commandstats"));
}

#[test]
fn a_wait_that_another_ends_by_an_error_is_counted_as_failed() {
    let mut bench = Bench::new(1);
    let format = Entry::Format { format: NEWEST }.encode();
    bench.tell(Input::Committed { index: Index(bench.index), content: Content::Core(&format), age: Duration::ZERO });
    bench.index += 1;
    let id = text(&bench.ask(&["CLIENT", "ID"]));
    encode_command(&["BLPOP", "list", "0"], bench.connection.input());
    bench.run();
    let other = bench.core.connect(Port::Main, Peer::default(), bench.now().monotonic).expect("there is room");
    let _waiting = std::mem::replace(&mut bench.connection, other);
    bench.ask(&["AUTH", "right"]);
    assert_eq!(bench.ask(&["CLIENT", "UNBLOCK", &id, "ERROR"]), Value::Int(1));
    assert_eq!(bench.info("errorstats"), ["# Errorstats", "errorstat_UNBLOCKED:count=1"]);
    assert_eq!(bench.outcomes("blpop"), (0, 1, 0));
}

#[test]
fn resetstat_begins_anew_but_for_what_is_so_now() {
    let mut bench = Bench::new(1);
    bench.ask(&["GET", "k"]);
    bench.ask(&["NOSUCH"]);
    bench.tell(Input::Tick { input_bytes: 7, output_bytes: 7 });
    assert_eq!(bench.ask(&["CONFIG", "RESETSTAT"]), Value::Simple("OK".into()));
    let stats = &bench.core.stats;
    assert_eq!(bench.outcomes("get"), (0, 0, 0));
    assert_eq!(bench.calls("get").times.count(), 0);
    assert_eq!((stats.unknown_commands, stats.keyspace_misses, stats.input_bytes, stats.total_errors()), (0, 0, 0, 0));
    assert_eq!(bench.core.clients.len(), 1);
}
