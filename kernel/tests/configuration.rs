//! What clients see of the configuration, and of the command table.

mod support;

use std::time::Duration;

use mneme_kernel::connection::{Connection, Step};
use mneme_kernel::core::{Content, Core, Input, Now, Output, Setting};
use mneme_kernel::gate::Marks;
use mneme_kernel::ids::{Index, Seq};
use mneme_kernel::password::PasswordCheck;
use mneme_kernel::resp::{Value, encode_command};
use mneme_kernel::session::{Peer, Port};
use mneme_kernel::time::{Monotonic, Wall};

const NOW: Now = Now { wall: Wall(1_700_000_000_000), monotonic: Monotonic(Duration::from_secs(1)) };

/// A primary with one client, an admin.
struct World {
    core: Core,
    client: Connection,
    index: u64,
    accepted: Seq,
}

impl World {
    fn new() -> Self {
        Self::of(support::core())
    }

    fn of(mut core: Core) -> Self {
        let client = core.connect(Port::Main, Peer::default(), NOW.monotonic).expect("there is room");
        let mut world = Self { core, client, index: 0, accepted: Seq::ZERO };
        world.tell(Input::Begin { nonce: 1 });
        world.tell(Input::Found { admin: "admin", password_hash: "hash", sealed_ca: None });
        assert_eq!(world.ask("AUTH p"), "OK");
        world
    }

    fn tell(&mut self, input: Input<'_>) {
        let mut outputs = Vec::new();
        self.core.handle(NOW, input, &mut outputs).expect("readable entries");
        for output in outputs {
            match output {
                Output::Propose(proposal) => {
                    let index = Index(self.index);
                    self.index += 1;
                    self.tell(Input::Committed { index, content: Content::Core(&proposal), age: Duration::ZERO });
                }
                Output::Accepted(seq) => self.accepted = seq,
                Output::Leads(_) | Output::Follows(_) | Output::Deposed(_) | Output::Void(_) | Output::Removed => {}
            }
        }
    }

    /// The answer to a request of these words, as text.
    fn ask(&mut self, request: &str) -> String {
        let words: Vec<&str> = request.split(' ').collect();
        encode_command(&words, self.client.input());
        while let Step::CheckPassword(_) = self.client.run(&mut self.core, NOW) {
            self.client.password_checked(&mut self.core, NOW, PasswordCheck::Right(0));
        }
        self.tell(Input::CloseBatch);
        self.client.advance(Marks::alone(self.accepted), &[], NOW.monotonic);
        let (value, len) = Value::decode(self.client.ready()).expect("the protocol").expect("an answer");
        self.client.sent(len);
        assert!(self.client.ready().is_empty(), "{request}: two answers");
        text(&value)
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
fn what_was_set_is_what_get_and_info_show() {
    let mut world = World::new();
    assert_eq!(
        world.ask("CONFIG GET slowlog-* maxm*"),
        "maxmemory 0 maxmemory-policy noeviction maxmemory-samples 5 slowlog-log-slower-than 10000 slowlog-max-len 128"
    );
    assert_eq!(world.ask("CONFIG SET maxmemory 100mb MaxClients 7 latency-monitor-threshold 5"), "OK");
    assert_eq!(
        world.ask("CONFIG GET max* latency*"),
        "latency-monitor-threshold 5 maxclients 7 maxmemory 104857600 maxmemory-policy noeviction maxmemory-samples 5"
    );
    assert!(world.ask("INFO clients").contains("maxclients:7\r\n"));
    let memory = world.ask("INFO memory");
    assert!(memory.contains("maxmemory:104857600\r\n") && memory.contains("maxmemory_human:100.00M\r\n"), "{memory}");
    assert_eq!(world.ask("CONFIG GET n?de"), "node node-1");
}

#[test]
fn each_setting_says_who_has_given_it() {
    let setting = |name: &str, value: &str, origin: &str| Setting {
        name: name.into(),
        value: value.into(),
        origin: origin.into(),
    };
    let mut config = support::config();
    config.max_clients = 7;
    config.settings = vec![setting("max-clients", "7", "flag"), setting("node", "node-1", "$MNEME_NODE")];
    let mut world = World::of(Core::new(config));
    assert_eq!(
        world.ask("CONFIG ORIGIN max* NODE"),
        "maxclients 7 flag maxmemory 0 default maxmemory-policy noeviction default maxmemory-samples 5 default node node-1 $MNEME_NODE"
    );
    assert_eq!(world.ask("CONFIG SET maxclients 5 lua-time-limit 1000"), "OK");
    assert_eq!(world.ask("CONFIG ORIGIN maxclients"), "maxclients 5 CONFIG SET");
    // Two names of one setting.
    assert_eq!(world.ask("CONFIG ORIGIN busy-*"), "busy-reply-threshold 1000 CONFIG SET");
    assert!(world.ask("CONFIG ORIGIN").contains("slowlog-max-len 128 default"));
}

#[test]
fn constants_have_the_names_of_redis_and_are_only_shown() {
    let mut world = World::new();
    let hash = "hash-max-listpack-entries 512 hash-max-listpack-value 64";
    assert_eq!(world.ask("CONFIG GET hash-*"), hash);
    assert!(world.ask("CONFIG GET *max-*-entries* maxmemory").contains("zset-max-listpack-entries 128"));
    assert!(world.ask("CONFIG SET hash-max-listpack-entries 1").ends_with("can't set immutable config"));
    assert_eq!(world.ask("CONFIG GET hash-*"), hash);
}

#[test]
fn sizes_have_the_units_of_redis() {
    let mut world = World::new();
    for (size, bytes) in [("1024", "1024"), ("2k", "2000"), ("2KB", "2048"), ("1m", "1000000"), ("1Gb", "1073741824")] {
        assert_eq!(world.ask(&format!("CONFIG SET maxmemory {size}")), "OK");
        assert_eq!(world.ask("CONFIG GET maxmemory"), format!("maxmemory {bytes}"));
    }
    for size in ["-1", "1tb", "mb", "1.5gb", "99999999999gb"] {
        let why = "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value";
        assert_eq!(world.ask(&format!("CONFIG SET maxmemory {size}")), why);
    }
}

#[test]
fn all_is_set_or_nothing() {
    let mut world = World::new();
    let related =
        |name: &str, why: &str| format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}");
    for (last, error) in [
        ("nosuch 1", "ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'".to_string()),
        ("node n2", related("node", "can't set immutable config")),
        ("maxclients 0", related("maxclients", "argument must be between 1 and 10000 inclusive")),
        ("maxclients 10001", related("maxclients", "argument must be between 1 and 10000 inclusive")),
        ("maxclients x", related("maxclients", "argument couldn't be parsed into an integer")),
        (
            "slowlog-log-slower-than -2",
            related("slowlog-log-slower-than", "argument must be between -1 and 9223372036854775807 inclusive"),
        ),
        ("maxmemory 2", related("maxmemory", "duplicate parameter")),
        // Names are looked at before values are.
        ("slowlog-max-len x nosuch 1", "ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'".into()),
        ("SLOWLOG-MAX-LEN x", related("slowlog-max-len", "argument couldn't be parsed into an integer")),
        ("slowlog-max-len", "ERR syntax error".into()),
    ] {
        assert_eq!(world.ask(&format!("CONFIG SET maxmemory 1 {last}")), error);
        assert_eq!(world.ask("CONFIG GET maxmemory"), "maxmemory 0", "after {last}");
    }
}

#[test]
fn what_is_set_takes_effect_at_once() {
    let mut world = World::new();
    assert_eq!(world.ask("SET k v"), "OK");
    assert_eq!(world.ask("CONFIG SET maxmemory 1"), "OK");
    assert_eq!(world.ask("SET k w"), "OOM command not allowed when used memory > 'maxmemory'.");
    assert_eq!(world.ask("CONFIG SET maxmemory 0 slowlog-log-slower-than 0 slowlog-max-len 2"), "OK");
    for _ in 0..3 {
        assert_eq!(world.ask("SET k w"), "OK");
    }
    assert_eq!(world.ask("SLOWLOG LEN"), "2");
    assert_eq!(world.ask("CONFIG SET slowlog-log-slower-than -1 slowlog-max-len 1"), "OK");
    assert_eq!(world.ask("SLOWLOG LEN"), "1");
    assert_eq!(world.ask("CONFIG SET maxclients 1"), "OK");
    assert!(world.core.connect(Port::Main, Peer::default(), NOW.monotonic).is_none());
}

#[test]
fn a_wrong_use_of_config_is_told() {
    let mut world = World::new();
    for subcommand in ["get", "set"] {
        let error = format!("ERR wrong number of arguments for 'config|{subcommand}' command");
        assert_eq!(world.ask(&format!("CONFIG {subcommand}")), error);
    }
    assert_eq!(world.ask("CONFIG NOSUCH"), "ERR unknown subcommand 'NOSUCH'. Try CONFIG HELP.");
    assert_eq!(world.ask("CONFIG REWRITE x"), "ERR wrong number of arguments for 'config|rewrite' command");
    assert!(world.ask("CONFIG HELP").contains("SET parameter value"));
}

#[test]
fn the_operators_file_is_not_rewritten() {
    let mut world = World::new();
    assert_eq!(world.ask("CONFIG REWRITE"), "ERR The server is running without a config file");
    let mut config = support::config();
    config.parameters.push(("config".into(), "mneme.toml".into()));
    let mut world = World::of(support::of(config));
    assert!(world.ask("CONFIG REWRITE").starts_with("ERR CONFIG REWRITE is not supported"));
}

#[test]
fn names_are_shown_as_they_were_asked_for() {
    let mut world = World::new();
    assert_eq!(world.ask("CONFIG GET MaxMemory"), "MaxMemory 0");
    assert_eq!(world.ask("CONFIG GET MAXM*"), "maxmemory 0 maxmemory-policy noeviction maxmemory-samples 5");
}

#[test]
fn wrong_arguments_are_told_in_the_words_of_redis() {
    let mut world = World::new();
    let not_a_number = "ERR value is not an integer or out of range";
    let not_of_32_bits = "ERR value is out of range, value must between -2147483648 and 2147483647";
    let pause = "ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.";
    let unblock = "ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.";
    for (request, reply) in [
        ("SELECT x", not_a_number),
        ("SELECT 16", "ERR DB index is out of range"),
        ("SELECT 2147483648", not_of_32_bits),
        ("SWAPDB 2147483648 0", "ERR invalid first DB index"),
        ("SWAPDB 0 x", "ERR invalid second DB index"),
        ("SWAPDB 0 16", "ERR DB index is out of range"),
        ("CLIENT PAUSE x NOSUCH", "ERR CLIENT PAUSE mode must be WRITE or ALL"),
        ("CLIENT PAUSE 1 ALL x", pause),
        ("CLIENT UNBLOCK x NOSUCH", "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        ("CLIENT UNBLOCK 1 ERROR x", unblock),
        ("CLIENT LIST ID 0 -1", ""),
        ("CLIENT LIST ID x", "ERR Invalid client ID"),
        ("CLIENT KILL ID 0", "ERR client-id should be greater than 0"),
        ("COMMAND GETKEYS PING x y", "ERR The command has no key arguments"),
        ("COMMAND GETKEYS ZUNION 0 a", "ERR Invalid arguments specified for command"),
        // Commands that need not have any.
        ("COMMAND GETKEYS EVAL x 0 a", ""),
        ("COMMAND GETKEYS FCALL f x a", ""),
        ("DEBUG NOSUCH", "ERR unknown subcommand or wrong number of arguments for 'NOSUCH'. Try DEBUG HELP."),
        ("OBJECT HELP k", "ERR wrong number of arguments for 'object|help' command"),
        ("MEMORY USAGE k SAMPLES 1 SAMPLES x", not_a_number),
        ("MEMORY USAGE k SAMPLES 1 SAMPLES", "ERR syntax error"),
        ("SLOWLOG GET x", "ERR count should be greater than or equal to -1"),
    ] {
        assert_eq!(world.ask(request), reply, "{request}");
    }
}

#[test]
fn the_commands_are_documented() {
    let mut world = World::new();
    let get = "get summary Returns the string value of a key. since 0.1.0 group string";
    assert_eq!(world.ask("COMMAND DOCS get nosuch"), get);
    assert!(world.ask("COMMAND DOCS").contains(get));
    assert!(world.ask("COMMAND HELP").contains("FILTERBY"));
    assert_eq!(world.ask("COMMAND HELP x"), "ERR wrong number of arguments for 'command|help' command");
    assert_eq!(world.ask("COMMAND NOSUCH"), "ERR unknown subcommand 'NOSUCH'. Try COMMAND HELP.");
}

#[test]
fn the_list_of_commands_can_be_filtered() {
    let mut world = World::new();
    assert_eq!(world.ask("COMMAND LIST FILTERBY PATTERN GETB*"), "getbit");
    assert_eq!(world.ask("COMMAND LIST FILTERBY MODULE json"), "");
    let admin = world.ask("COMMAND LIST FILTERBY ACLCAT admin");
    assert!(admin.contains("config") && !admin.split(' ').any(|name| name == "get"), "{admin}");
    assert_eq!(world.ask("COMMAND LIST FILTERBY SIZE 1"), "ERR syntax error");
    assert_eq!(world.ask("COMMAND LIST FILTERBY PATTERN"), "ERR syntax error");
}

#[test]
fn info_tells_of_what_kind_the_server_is() {
    let server = World::new().ask("INFO server");
    for line in ["redis_version:7.2.", "redis_mode:standalone\r\n", "arch_bits:64\r\n"] {
        assert!(server.contains(line), "{line} is not in {server}");
    }
}

#[test]
fn who_was_killed_is_no_client_any_more() {
    let mut world = World::new();
    // Its connection has not heard of it yet.
    let _other = world.core.connect(Port::Main, Peer::default(), NOW.monotonic).expect("there is room");
    assert!(world.ask("CLIENT LIST").contains("id=2 "));
    assert_eq!(world.ask("CLIENT KILL ID 2"), "1");
    assert!(!world.ask("CLIENT LIST").contains("id=2 "));
    assert_eq!(world.ask("CLIENT KILL ID 2"), "0");
    assert_eq!(world.ask("CLIENT UNBLOCK 2"), "0");
}

#[test]
fn clients_are_told_any_error_to_try_themselves_on() {
    let mut world = World::new();
    assert_eq!(world.ask("DEBUG ERROR LOADING"), "LOADING");
    assert_eq!(world.ask("DEBUG ERROR OOM\r\nx"), "OOM  x");
    let wrong = "ERR unknown subcommand or wrong number of arguments for 'ERROR'. Try DEBUG HELP.";
    assert_eq!(world.ask("DEBUG ERROR"), wrong);
}
