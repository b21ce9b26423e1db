//! What a client gets that goes beyond a limit, and that the others are served as before.

#[path = "support/stage.rs"]
mod stage;
mod support;

use mneme_kernel::connection::{Connection, Step};
use mneme_kernel::limits;
use mneme_kernel::resp::{Decoder, ProtocolError, Trust, encode_command};
use mneme_kernel::session::{Peer, Port};
use stage::Stage;

impl Stage {
    /// It is answered an error and lives on.
    fn refuses(&mut self, client: &mut Connection, command: &[&str], error: &str) {
        assert_eq!(self.ask(client, command), (format!("-{error}\r\n"), Step::Read));
        assert_eq!(self.ask(client, &["PING"]), ("+PONG\r\n".into(), Step::Read));
    }

    fn serves_others(&mut self) {
        let mut other = self.client();
        assert_eq!(self.ask(&mut other, &["SET", "key", "value"]), ("+OK\r\n".into(), Step::Read));
        self.core.disconnect(&other);
    }
}

fn word(len: usize) -> String {
    "x".repeat(len)
}

#[test]
fn a_request_beyond_a_limit_is_told_which_and_the_connection_closes() {
    let mut stage = Stage::new();
    for (request, error) in [
        (format!("*{}\r\n", limits::MAX_ARGS + 1), "invalid multibulk length"),
        (format!("*1\r\n${}\r\n", limits::MAX_BULK + 1), "invalid bulk length"),
        (word(limits::MAX_LINE), "too big inline request"),
        (format!("*{}", "1".repeat(limits::MAX_LINE)), "too big mbulk count string"),
        (format!("*1\r\n${}", "1".repeat(limits::MAX_LINE)), "too big bulk count string"),
    ] {
        let mut client = stage.client();
        let told = format!("-ERR Protocol error: {error}\r\n");
        assert_eq!(stage.send(&mut client, request.as_bytes()), (told, Step::Close));
        stage.core.disconnect(&client);
        stage.serves_others();
    }
}

#[test]
fn what_is_just_within_a_limit_is_waited_for() {
    let mut stage = Stage::new();
    for request in
        [format!("*{}\r\n", limits::MAX_ARGS), format!("*1\r\n${}\r\n", limits::MAX_BULK), word(limits::MAX_LINE - 1)]
    {
        let mut client = stage.client();
        assert_eq!(stage.send(&mut client, request.as_bytes()), (String::new(), Step::Read));
    }
}

#[test]
fn a_stranger_gets_no_memory() {
    let mut stage = Stage::new();
    for (request, error) in [
        (format!("*{}\r\n", limits::MAX_ARGS_STRANGER + 1), "unauthenticated multibulk length"),
        (format!("*1\r\n${}\r\n", limits::MAX_BULK_STRANGER + 1), "unauthenticated bulk length"),
    ] {
        let mut stranger = stage.stranger();
        let told = format!("-ERR Protocol error: {error}\r\n");
        assert_eq!(stage.send(&mut stranger, request.as_bytes()), (told, Step::Close));
        let mut client = stage.client();
        assert_eq!(stage.send(&mut client, request.as_bytes()), (String::new(), Step::Read));
        stage.serves_others();
    }
}

/// Told by the decoder itself, on memory that is never touched.
#[test]
fn a_request_is_bounded_as_a_whole() {
    let mut start = format!("*3\r\n${}\r\n", limits::MAX_BULK).into_bytes();
    let second = start.len() + limits::MAX_BULK;
    let mut request = vec![0; second + 64];
    request[..start.len()].copy_from_slice(&start);
    start = format!("\r\n${}\r\n", limits::MAX_BULK).into_bytes();
    request[second..second + start.len()].copy_from_slice(&start);
    assert_eq!(Decoder::default().decode(&request, Trust::Known), Err(ProtocolError::Request));
    assert_eq!(ProtocolError::Request.to_string(), "too big request");
}

#[test]
fn a_value_grows_no_longer_than_an_argument_may_be() {
    let mut stage = Stage::new();
    let mut client = stage.client();
    let end = limits::MAX_BULK.to_string();
    let error = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    stage.refuses(&mut client, &["SETRANGE", "key", &end, "x"], error);
    let bit = (limits::MAX_BULK * 8).to_string();
    stage.refuses(&mut client, &["SETBIT", "key", &bit, "1"], "ERR bit offset is not an integer or out of range");
    assert_eq!(stage.ask(&mut client, &["EXISTS", "key"]).0, ":0\r\n");
    stage.serves_others();
}

#[test]
fn a_name_is_bounded() {
    let mut stage = Stage::new();
    let mut client = stage.client();
    let (longest, longer) = (word(limits::MAX_CLIENT_NAME), word(limits::MAX_CLIENT_NAME + 1));
    let error = "ERR Client names cannot contain spaces, newlines or special characters.";
    stage.refuses(&mut client, &["CLIENT", "SETNAME", &longer], error);
    assert_eq!(stage.ask(&mut client, &["CLIENT", "SETNAME", &longest]).0, "+OK\r\n");
}

/// However long it is to check: a right one of that length would be taken by this stage.
#[test]
fn a_password_that_is_too_long_is_wrong_and_not_checked() {
    let mut stage = Stage::new();
    let mut stranger = stage.stranger();
    assert_eq!(stage.ask(&mut stranger, &["AUTH", &word(limits::MAX_PASSWORD)]).0, "+OK\r\n");
    let error = "WRONGPASS invalid username-password pair or user is disabled.";
    stage.refuses(&mut stranger, &["AUTH", &word(limits::MAX_PASSWORD + 1)], error);
}

#[test]
fn a_connection_watches_so_many_keys() {
    let mut stage = Stage::new();
    let mut client = stage.client();
    let keys: Vec<String> = (0..limits::MAX_WATCHED - 1).map(|key| key.to_string()).collect();
    let mut watch = vec!["WATCH"];
    watch.extend(keys.iter().map(String::as_str));
    assert_eq!(stage.ask(&mut client, &watch), ("+OK\r\n".into(), Step::Read));
    stage.refuses(&mut client, &["WATCH", "one", "more"], "ERR too many watched keys");
    stage.serves_others();
}

#[test]
fn a_monitor_that_reads_nothing_is_closed() {
    let mut stage = Stage::new();
    let (mut monitor, mut client) = (stage.client(), stage.client());
    assert_eq!(stage.ask(&mut monitor, &["MONITOR"]).0, "+OK\r\n");
    let large = word(1 << 20);
    for _ in 0..limits::MAX_MAIL >> 20 {
        assert_eq!(stage.ask(&mut client, &["EXISTS", &large]).0, ":0\r\n");
    }
    assert_eq!(stage.send(&mut monitor, b""), (String::new(), Step::Kill));
    stage.serves_others();
}

/// Whether its connection runs meanwhile or not: what it has been given and does not take counts too.
#[test]
fn a_subscriber_that_reads_nothing_is_closed() {
    for runs in [false, true] {
        let mut stage = Stage::new();
        let (mut subscriber, mut client) = (stage.client(), stage.client());
        subscriber.input().extend_from_slice(b"SUBSCRIBE c\r\n");
        assert_eq!(subscriber.run(&mut stage.core, stage.now), Step::Read);
        let large = word(1 << 20);
        let (mut heard, mut last) = (0, Step::Read);
        while stage.ask(&mut client, &["PUBLISH", "c", &large]).0 == ":1\r\n" && last != Step::Kill {
            heard += 1;
            assert!(heard <= (limits::MAX_MAIL + limits::MAX_REPLIES_WAITING) >> 20, "{heard} messages wait");
            if runs {
                last = subscriber.run(&mut stage.core, stage.now);
            }
            if heard == limits::MAX_MAIL >> 20 && !runs {
                last = subscriber.run(&mut stage.core, stage.now);
            }
        }
        assert_eq!((last, stage.core.clients.overflowed()), (Step::Kill, 1));
        stage.core.disconnect(&subscriber);
        assert_eq!(stage.ask(&mut client, &["PUBLISH", "c", "nobody"]).0, ":0\r\n");
        stage.serves_others();
    }
}

#[test]
fn a_subscriber_that_reads_late_hears_all() {
    let mut stage = Stage::new();
    let (mut subscriber, mut client) = (stage.client(), stage.client());
    subscriber.input().extend_from_slice(b"SUBSCRIBE c\r\n");
    let large = word(1 << 20);
    let (mut sent, mut taken) = (0, 0);
    for _ in 0..limits::MAX_MAIL >> 20 {
        let _ = subscriber.run(&mut stage.core, stage.now);
        sent += stage.ask(&mut client, &["PUBLISH", "c", &large]).0.len();
    }
    while subscriber.run(&mut stage.core, stage.now) == Step::Full || !subscriber.ready().is_empty() {
        taken += subscriber.ready().len();
        subscriber.sent(subscriber.ready().len());
    }
    assert!(taken > limits::MAX_MAIL - (1 << 20) && sent > 0, "{taken}");
}

#[test]
fn a_connection_subscribes_to_so_many_channels() {
    let mut stage = Stage::new();
    let mut client = stage.client();
    let names: Vec<String> = (0..limits::MAX_SUBSCRIPTIONS).map(|name| name.to_string()).collect();
    let mut subscribe = vec!["SUBSCRIBE"];
    subscribe.extend(names.iter().map(String::as_str));
    let (replies, _) = stage.ask(&mut client, &subscribe[..subscribe.len() - 1]);
    assert!(replies.ends_with(&format!(":{}\r\n", limits::MAX_SUBSCRIPTIONS - 1)));
    let error = "-ERR too many subscriptions\r\n";
    assert_eq!(stage.ask(&mut client, &["PSUBSCRIBE", "one", "more"]), (error.into(), Step::Read));
    stage.serves_others();
}

#[test]
fn a_pipeline_whose_replies_nobody_takes_is_executed_no_further() {
    let mut stage = Stage::new();
    let mut client = stage.client();
    let large = word(1 << 20);
    let asked = 2 * (limits::MAX_REPLIES_WAITING >> 20);
    (0..asked).for_each(|_| encode_command(&["ECHO", large.as_str()], client.input()));
    assert_eq!(client.run(&mut stage.core, stage.now), Step::Full);
    let waiting = client.ready().len();
    assert!((limits::MAX_REPLIES_WAITING..limits::MAX_REPLIES_WAITING + (2 << 20)).contains(&waiting), "{waiting}");
    assert!(client.unread() > limits::MAX_REPLIES_WAITING / 2);
    assert_eq!(client.run(&mut stage.core, stage.now), Step::Full, "nor later");
    assert_eq!(client.ready().len(), waiting);
    stage.serves_others();
    // Once they are taken, it goes on.
    client.sent(waiting);
    while client.run(&mut stage.core, stage.now) == Step::Full {
        client.sent(client.ready().len());
    }
    assert_eq!(client.unread(), 0);
}

#[test]
fn so_many_clients_and_no_more() {
    let mut stage = Stage::new();
    let clients: Vec<Connection> = (0..10_000).map(|_| stage.stranger()).collect();
    assert!(stage.core.connect(Port::Main, Peer::default(), stage.now.monotonic).is_none());
    stage.core.disconnect(&clients[17]);
    stage.serves_others();
}

/// Every limit that a client can meet is in the table of docs/OPERATIONS.md, with its value.
#[test]
fn the_documents_tell_every_limit() {
    let documented = include_str!("../../docs/OPERATIONS.md");
    let rows = [
        ("MAX_BULK", limits::MAX_BULK),
        ("MAX_ARGS", limits::MAX_ARGS),
        ("MAX_REQUEST", limits::MAX_REQUEST),
        ("MAX_LINE", limits::MAX_LINE),
        ("MAX_BULK_STRANGER", limits::MAX_BULK_STRANGER),
        ("MAX_ARGS_STRANGER", limits::MAX_ARGS_STRANGER),
        ("MAX_REPLIES_WAITING", limits::MAX_REPLIES_WAITING),
        ("MAX_MAIL", limits::MAX_MAIL),
        ("MAX_TRANSACTION", limits::MAX_TRANSACTION),
        ("MAX_DRAWN", limits::MAX_DRAWN),
        ("MAX_JSON_DEPTH", limits::MAX_JSON_DEPTH),
        ("MAX_JSON_PATH", limits::MAX_JSON_PATH),
        ("MAX_JSON_FILTERS", limits::MAX_JSON_FILTERS),
        ("MAX_JSON_PARENTHESES", limits::MAX_JSON_PARENTHESES),
        ("MAX_JSON_PATTERNS", limits::MAX_JSON_PATTERNS),
        ("MAX_JSON_VISITS", limits::MAX_JSON_VISITS),
        ("MAX_JSON_PATTERN", limits::MAX_JSON_PATTERN),
        ("MAX_JSON_PATTERN_TEXT", limits::MAX_JSON_PATTERN_TEXT),
        ("MAX_JSON_NAME", limits::MAX_JSON_NAME),
        ("MAX_PREFIXES", limits::MAX_PREFIXES),
        ("MAX_PREFIX_BYTES", limits::MAX_PREFIX_BYTES),
        ("TRACKED_BYTES", limits::TRACKED_BYTES),
        ("MAX_WATCHED", limits::MAX_WATCHED),
        ("MAX_SUBSCRIPTIONS", limits::MAX_SUBSCRIPTIONS),
        ("MAX_CLIENT_NAME", limits::MAX_CLIENT_NAME),
        ("MAX_PASSWORD", limits::MAX_PASSWORD),
        ("MAX_PASSWORDS", limits::MAX_PASSWORDS),
        ("MAX_RULES", limits::MAX_RULES),
        ("MAX_SLOWLOG", limits::MAX_SLOWLOG),
        ("MAX_SAMPLES", limits::MAX_SAMPLES),
        ("MAX_ACL_LOG", limits::MAX_ACL_LOG),
        ("MAX_USERS", limits::MAX_USERS),
        ("MAX_NAME", limits::MAX_NAME),
        ("NAMED_DATABASES", limits::NAMED_DATABASES.into()),
    ];
    for (name, value) in rows {
        let row = format!("| `{name}` | {value} |");
        assert!(documented.contains(&row), "the table has no row {row}");
    }
    let internal = ["MAX_ENTRY", "MAX_PAUSE"];
    let source = include_str!("../src/limits.rs");
    let names = source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    for name in names.filter(|name| name.starts_with("MAX_") && !internal.contains(name)) {
        assert!(rows.iter().any(|(known, _)| *known == name), "{name} is in no table");
    }
}

/// The log has a bound for what goes into it together, and each of a command's changes names its key.
#[test]
fn changes_that_would_not_fit_into_the_log_with_their_keys_are_refused() {
    let mut stage = Stage::new();
    let mut client = stage.client();
    let (key, count) = (word(2 << 20), 300);
    assert!(key.len() * count > limits::MAX_BULK);
    let error = "ERR not executed: what is to be stored is too large for one command";
    let offsets: Vec<String> = (0..count).map(|n| format!("#{n}")).collect();
    let sets = offsets.iter().flat_map(|offset| ["SET", "u8", offset.as_str(), "1"]);
    let fields: Vec<&str> = ["BITFIELD", &key].into_iter().chain(sets).collect();
    stage.refuses(&mut client, &fields, error);
    let members: Vec<String> = (0..count).map(|n| format!("{n:016384}")).collect();
    for set in [key.as_str(), "set"] {
        let add: Vec<&str> = ["SADD", set].into_iter().chain(members.iter().map(String::as_str)).collect();
        assert_eq!(stage.ask(&mut client, &add).0, format!(":{count}\r\n"));
    }
    stage.refuses(&mut client, &["SPOP", &key, "299"], error);
    stage.refuses(&mut client, &["SUNIONSTORE", &key, "set"], error);
    assert_eq!(stage.ask(&mut client, &["SCARD", &key]).0, format!(":{count}\r\n"));
    assert_eq!(stage.ask(&mut client, &["BITFIELD", "k", "SET", "u8", "0", "1"]).0, "*1\r\n:0\r\n");
}
