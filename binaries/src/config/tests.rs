//! The settings as an operator meets them.

use std::fs;
use std::time::Duration;

use mneme_kernel::eviction::Policy;
use mneme_kernel::level::Level;

use super::*;
use crate::address::HostPort;

/// A folder for the files of one test; gone with it.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("mneme-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for the test");
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file for the test");
        path.to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(program: Program, args: &[&str], env: &[(&str, &str)]) -> Result<Loaded, Stop> {
    let machine = Machine { host_name: "box".to_owned(), cpus: 4 };
    let args = ["program"].iter().chain(args).map(OsString::from);
    let env = env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    load(program, args, env, &machine)
}

fn settings(args: &[&str], env: &[(&str, &str)]) -> Settings {
    match run(Program::Core, args, env) {
        Ok(loaded) => loaded.settings,
        Err(stop) => panic!("{args:?} {env:?}: {stop:?}"),
    }
}

fn problem(args: &[&str], env: &[(&str, &str)]) -> String {
    match run(Program::Core, args, env) {
        Err(Stop::Bad(message)) => message,
        other => panic!("{args:?} {env:?}: {other:?}"),
    }
}

fn help(program: Program, args: &[&str], env: &[(&str, &str)]) -> String {
    match run(program, args, env) {
        Err(Stop::Answer(text)) => text,
        other => panic!("{args:?}: {other:?}"),
    }
}

#[test]
fn the_defaults_are_those_of_a_node_on_loopback() {
    insta::assert_debug_snapshot!(settings(&[], &[]));
}

#[test]
fn each_setting_is_kept_as_it_was_written_with_who_wrote_it_and_no_secret_is() {
    let folder = Folder::new("written");
    let file = folder.write("c.toml", "\nthreads = 2\n");
    let env = [("MNEME_NODE", "n7"), ("MNEME_CLUSTER_SECRET", "hidden")];
    let settings = settings(&["--config", &file, "--maxmemory", "2gb"], &env);
    let written = |name: &str| {
        let setting = settings.written.iter().find(|setting| setting.name == name).expect("it is a setting");
        format!("{} {}", setting.value, setting.origin)
    };
    assert_eq!(written("threads"), format!("2 {file}:2"));
    assert_eq!(written("node"), "n7 $MNEME_NODE");
    assert_eq!(written("maxmemory"), "2gb flag");
    assert_eq!(written("advertise"), "the cluster address default");
    assert!(!format!("{:?}", settings.written).contains("hidden"));
}

#[test]
fn help_lists_every_setting() {
    insta::assert_snapshot!("help_of_core", help(Program::Core, &["--help"], &[]));
    insta::assert_snapshot!("help_of_keeper", help(Program::Keeper, &["-h"], &[]));
}

#[test]
fn help_tells_where_each_value_comes_from() {
    let folder = Folder::new("help");
    let file = folder.write("c.toml", "# addresses\n\nlisten = \"0.0.0.0:1\"\nthreads = 2\n");
    let args = ["--config", &file, "--node", "n7", "--help"];
    let env = [("MNEME_THREADS", "3"), ("MNEME_ADMIN_PASSWORD", "hush")];
    let text = help(Program::Core, &args, &env).replace(&file, "c.toml");
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "[now: 0.0.0.0:1, from c.toml:3; default: 127.0.0.1:6379]",
        "[now: 3, from $MNEME_THREADS; default: number of CPUs]",
        "[now: n7, from flag; default: host name]",
        "[default: 127.0.0.1:6380]",
        "[now: from $MNEME_ADMIN_PASSWORD]",
    ] {
        assert!(joined.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("hush"));
}

#[test]
fn help_is_given_even_where_the_configuration_is_bad() {
    let text = help(Program::Core, &["--help", "--config", "/nowhere/c.toml"], &[]);
    assert!(text.contains("--listen") && text.contains("But now: /nowhere/c.toml: "), "{text}");
}

#[test]
fn later_wins_of_default_file_environment_and_flag() {
    let folder = Folder::new("precedence");
    let file = folder.write("c.toml", "node = \"file\"");
    let with_file = ["--config", file.as_str()];
    let with_flag = ["--config", file.as_str(), "--node", "flag"];
    let env = [("MNEME_NODE", "env")];
    for (args, env, node) in [
        (&[][..], &[][..], "box"),
        (&with_file, &[], "file"),
        (&[], &[("MNEME_CONFIG", file.as_str())], "file"),
        (&[], &env, "env"),
        (&with_file, &env, "env"),
        (&with_flag, &[], "flag"),
        (&with_flag, &env, "flag"),
    ] {
        assert_eq!(settings(args, env).node, node, "{args:?} {env:?}");
    }
}

#[test]
fn a_file_may_say_everything() {
    let folder = Folder::new("all");
    let mut text: String = table::all()
        .filter_map(|s| Some((s, s.default.text(&Machine { host_name: "h".into(), cpus: 1 })?)))
        .map(|(s, value)| format!("{} = \"{value}\"\n", s.key()))
        .collect();
    text += "join = [\"a:1\", \"b:2\"]\nunix_socket = '/run/m'\nadvertise = 'n:1'\n";
    text += "tls_cert = 'c'\ntls_key = 'k'\ntls_san = ['x', '10.0.0.1']\n";
    let got = settings(&["--config", &folder.write("c.toml", &text)], &[]);
    assert_eq!(got.join.len(), 2);
    assert_eq!(got.tls_san, ["x", "10.0.0.1"]);
    assert_eq!(got.node, "h");
}

#[test]
fn every_setting_has_an_effect() {
    let texts =
        "x 1 2 127.0.0.1:1 1s 1mb 0660 replica none all quorum-check debug json sentinel allkeys-lru".split(' ');
    let unlike_default = |env: &[(&str, &str)]| match run(Program::Core, &[], env) {
        Ok(loaded) => format!("{:?}", loaded.settings) != format!("{:?}", settings(&[], &[])),
        Err(_) => false,
    };
    for setting in table::all() {
        let variable = setting.variable();
        // A certificate is nothing without its key.
        let partner = match setting.name {
            "tls-cert" => Some(("MNEME_TLS_KEY", "k")),
            "tls-key" => Some(("MNEME_TLS_CERT", "c")),
            _ => None,
        };
        let mut tried =
            texts.clone().map(|text| [(variable.as_str(), text)].into_iter().chain(partner).collect::<Vec<_>>());
        assert!(tried.any(|env| unlike_default(&env)), "{} is read by nobody", setting.name);
    }
}

#[test]
fn numbers_in_a_file_need_no_quotes() {
    let folder = Folder::new("numbers");
    let file = folder.write("c.toml", "threads = 3\nmax_clients = 1_000\nunix_socket_mode = 0o660");
    let got = settings(&["--config", &file], &[]);
    assert_eq!((got.threads, got.max_clients, got.unix_socket_mode), (3, 1000, 0o660));
}

#[test]
fn a_bad_file_is_refused_with_its_line() {
    let folder = Folder::new("bad");
    for (text, expected) in [
        ("listenn = 'x'", "c.toml:1: unknown key \"listenn\"; did you mean \"listen\"?"),
        ("\n# x\nread-listen = 'x'", "c.toml:3: unknown key \"read-listen\"; did you mean \"read_listen\"?"),
        ("zzz = 1", "c.toml:1: unknown key \"zzz\""),
        ("[listen]\na = 1", "c.toml:1: listen: neither text nor a decimal number"),
        ("threads = 0x10", "c.toml:1: threads: neither text nor a decimal number"),
        ("threads = 0o10", "c.toml:1: threads: neither text nor a decimal number"),
        ("node = ''", "c.toml:1: node: empty; leave it out for the default"),
        ("node = 'n'\nlisten = 'here'", "c.toml:2: listen: \"here\" is not HOST:PORT"),
        ("node = 'n'\nlisten = 1\n\nlisten = 2", "c.toml:4: duplicate key"),
        ("node = 'n'\nlisten 1", "c.toml:2: "),
        ("admin_password = 'x'", "c.toml:1: unknown key \"admin_password\""),
    ] {
        let file = folder.write("c.toml", text);
        let message = problem(&["--config", &file], &[]).replace(&file, "c.toml");
        assert!(message.starts_with(&format!("mneme-core: {expected}")), "{text:?}: {message}");
    }
    let message = problem(&["--config", "/nowhere/c.toml"], &[]);
    assert!(message.starts_with("mneme-core: /nowhere/c.toml: "), "{message}");
}

#[test]
fn a_bad_value_is_refused_with_its_place() {
    for (flag, value, expected) in [
        ("listen", "6379", "\"6379\" is not HOST:PORT"),
        ("listen", "127.0.0.1:70000", "\"127.0.0.1:70000\" is not HOST:PORT"),
        ("advertise", "0.0.0.0:7379", "\"0.0.0.0:7379\" is a wildcard, which nobody can dial; name a host"),
        ("advertise", "[::]:7379", "\"[::]:7379\" is a wildcard, which nobody can dial; name a host"),
        ("advertise", "n1:0", "\"n1:0\" has no port that could be dialled"),
        ("join", "a:1,,b:2", "\"\" is not HOST:PORT"),
        ("role", "boss", "\"boss\" is none of core, replica"),
        ("keeper", "yes", "\"yes\" is none of embedded, none"),
        ("reads", "dirty", "\"dirty\" is none of lease, quorum-check"),
        ("default-consistency", "some", "\"some\" is none of eventual, quorum, all"),
        ("threads", "0", "\"0\" is not a number from 1 up"),
        ("expect-keepers", "-1", "\"-1\" is not a number from 1 up"),
        ("newest-format", "0", "\"0\" is no format from 1 to 6"),
        ("newest-format", "7", "\"7\" is no format from 1 to 6"),
        ("expect-keepers", "4294967296", "\"4294967296\" is not a number from 1 up"),
        ("level-timeout", "5", "\"5\" is not a time such as 500ms, 5s or 15m"),
        ("park-timeout", "-1s", "\"-1s\" is not a time such as 500ms, 5s or 15m"),
        ("snapshot-interval", "99999999999999999d", "\"99999999999999999d\" is not a time such as 500ms, 5s or 15m"),
        ("maxmemory", "much", "\"much\" is not a size such as 1048576, 512mb or 2gb"),
        ("maxmemory", "20000000000gb", "\"20000000000gb\" is not a size such as 1048576, 512mb or 2gb"),
        (
            "maxmemory-policy",
            "lru",
            "\"lru\" is none of volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction",
        ),
        ("unix-socket-mode", "0888", "\"0888\" is not an octal file mode such as 0600"),
        ("unix-socket-mode", "1777", "\"1777\" is not an octal file mode such as 0600"),
        ("node", "a b", "\"a b\" is not a name of up to 64 letters, digits, dots, dashes and underscores"),
        ("tls-san", "a..b", "\"a..b\" is neither a host name nor an address"),
        ("tls-cert", "c.pem", "given without tls-key"),
        ("tls-key", "c.pem", "given without tls-cert"),
        ("log-level", "loud", "\"loud\" is none of off, error, warn, info, debug, trace"),
        ("log-format", "xml", "\"xml\" is none of text, json"),
        ("node", "", "empty; leave it out for the default"),
    ] {
        let by_flag = problem(&[&format!("--{flag}={value}")], &[]);
        assert_eq!(by_flag, format!("mneme-core: --{flag}: {expected}"));
        let variable = format!("MNEME_{}", flag.to_uppercase().replace('-', "_"));
        let by_env = problem(&[], &[(&variable, value)]);
        assert_eq!(by_env, format!("mneme-core: ${variable}: {expected}"));
    }
}

#[test]
fn unknown_flags_and_stray_words_are_refused() {
    for args in [&["--listenn", "x"][..], &["serve"], &["--listen"], &["--node", "a", "--node", "b"]] {
        assert!(problem(args, &[]).starts_with("error: "), "{args:?}");
    }
}

#[test]
fn values_are_understood() {
    let got = settings(
        &["--listen", "localhost:1", "--cluster-listen", "[::1]:2", "--join", "a:1, [::1]:7", "--role", "Replica"],
        &[
            ("MNEME_MAXMEMORY", "512MB"),
            ("MNEME_MAXMEMORY_POLICY", "allkeys-LFU"),
            ("MNEME_SNAPSHOT_LOG_BYTES", "2g"),
            ("MNEME_LEVEL_TIMEOUT", "250ms"),
            ("MNEME_SNAPSHOT_INTERVAL", "2h"),
            ("MNEME_DEFAULT_CONSISTENCY", "EVENTUAL"),
            ("MNEME_READS", "quorum-check"),
            ("MNEME_LOG_FORMAT", "json"),
            ("MNEME_KEEPER", "none"),
        ],
    );
    assert!(got.listen.ip().is_loopback());
    assert_eq!(got.cluster_listen.to_string(), "[::1]:2");
    assert_eq!(got.advertise.to_string(), "[::1]:2");
    assert_eq!(got.join.iter().map(HostPort::to_string).collect::<Vec<_>>(), ["a:1", "[::1]:7"]);
    assert_eq!(got.role, Role::Replica);
    assert_eq!(got.maxmemory.map(u64::from), Some(512 << 20));
    assert_eq!(got.maxmemory_policy, Policy::AllkeysLfu);
    assert_eq!(got.snapshot_log_bytes, 2_000_000_000);
    assert_eq!(got.level_timeout, Duration::from_millis(250));
    assert_eq!(got.snapshot_interval, Duration::from_secs(7200));
    assert_eq!(got.default_consistency, Level::Eventual);
    assert_eq!(got.reads, ReadSafety::QuorumCheck);
    assert_eq!(got.log_format, LogFormat::Json);
    assert_eq!(got.keeper, KeeperPlace::None);
}

#[test]
fn sizes_are_counted_as_redis_counts_them() {
    for (text, bytes) in [
        ("7", 7),
        ("7b", 7),
        ("2k", 2000),
        ("2kb", 2048),
        ("1m", 1_000_000),
        ("1Mb", 1 << 20),
        ("3g", 3_000_000_000),
        ("1GB", 1 << 30),
    ] {
        assert_eq!(parse::bytes(text), Ok(bytes), "{text}");
    }
}

#[test]
fn a_node_that_listens_everywhere_is_dialled_by_its_host_name() {
    let got = settings(&["--cluster-listen", "0.0.0.0:7000"], &[]);
    assert_eq!(got.advertise.to_string(), "box:7000");
}

#[test]
fn a_keeper_takes_its_own_settings_only() {
    let keeper = run(Program::Keeper, &["--join", "c1:7379"], &[("MNEME_LISTEN", "bad")]);
    assert_eq!(keeper.expect("the variable is for the Core beside it").settings.join.len(), 1);
    assert!(matches!(run(Program::Keeper, &["--listen", "a:1"], &[]), Err(Stop::Bad(_))));
    let folder = Folder::new("keeper");
    let file = folder.write("c.toml", "node = 'k1'\nlisten = 'a:1'");
    let Err(Stop::Bad(message)) = run(Program::Keeper, &["--config", &file], &[]) else {
        panic!("a Core's key was taken");
    };
    let expected = "c.toml:2: \"listen\" is a setting of mneme-core, not of mneme-keeper";
    assert!(message.ends_with(expected), "{message}");
}

#[test]
fn secrets_come_from_a_variable_or_a_file() {
    let folder = Folder::new("secrets");
    for (text, secret) in [("s3cret\n", "s3cret"), ("s3cret", "s3cret"), ("a\n\n", "a\n"), (" a \r\n", " a ")] {
        let file = folder.write("secret", text);
        let got = settings(&[], &[("MNEME_CLUSTER_SECRET_FILE", &file)]);
        assert_eq!(got.cluster_secret, Some(Secret::new(secret)), "{text:?}");
        assert_eq!(got.admin_password, None);
    }
    let got = settings(&[], &[("MNEME_ADMIN_PASSWORD", "p4ss")]);
    assert_eq!(got.admin_password.as_ref().map(Secret::expose), Some("p4ss"));
    assert!(!format!("{got:?}").contains("p4ss"));
}

#[test]
fn a_doubtful_secret_is_refused() {
    let folder = Folder::new("doubtful");
    let (good, empty) = (folder.write("good", "x"), folder.write("empty", "\n"));
    let (variable, file) = ("MNEME_CLUSTER_SECRET", "MNEME_CLUSTER_SECRET_FILE");
    for (env, expected) in [
        (&[(variable, "x"), (file, good.as_str())][..], "are both set"),
        (&[(file, "/nowhere/secret")], "$MNEME_CLUSTER_SECRET_FILE: /nowhere/secret: "),
        (&[(file, &empty)], "empty"),
        (&[(variable, "")], "$MNEME_CLUSTER_SECRET: empty"),
    ] {
        let message = problem(&[], env);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn variables_that_are_no_settings_are_warned_about() {
    let env = [("MNEME_LISTENN", "x"), ("MNEME_QQ", ""), ("MNEME_PASSWORD", "x"), ("PATH", "x")];
    let warnings = run(Program::Core, &[], &env).expect("only warnings").warnings;
    assert_eq!(
        warnings,
        ["$MNEME_LISTENN is not a setting; did you mean $MNEME_LISTEN?", "$MNEME_QQ is not a setting"]
    );
}

#[test]
fn the_version_is_told() {
    let text = help(Program::Core, &["--version"], &[]);
    assert_eq!(text, format!("mneme-core {}\n", env!("CARGO_PKG_VERSION")));
}

fn deployed(path: &str) -> String {
    format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_example_files_are_understood() {
    let core = settings(&["--config", &deployed("deploy/config/core.toml")], &[]);
    assert_eq!((core.expect_keepers, core.join.len(), core.maxmemory.map(Into::into)), (3, 3, Some(8u64 << 30)));
    let keeper = match run(Program::Keeper, &["--config", &deployed("deploy/config/keeper.toml")], &[]) {
        Ok(loaded) => loaded.settings,
        Err(stop) => panic!("{stop:?}"),
    };
    assert_eq!((keeper.join.len(), keeper.snapshot_log_bytes), (1, 4 << 30));
}

#[test]
fn what_images_and_compose_set_are_settings() {
    // What compose itself reads, and what its client does.
    let others = ["MNEME_TAG", "MNEME_BIND", "MNEME_SECRETS"];
    for path in ["compose.yaml", "deploy/Dockerfile"] {
        let text = fs::read_to_string(deployed(path)).expect("a file");
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names = words.filter(|word| word.starts_with("MNEME_") && !others.contains(word));
        let env = names.map(|name| (name.to_owned(), "x".to_owned())).collect();
        assert_eq!(values::strangers(&env), Vec::<String>::new(), "{path}");
        assert!(env.len() > 3, "{path}: {env:?}");
    }
}

#[test]
fn who_only_asks_starts_nothing() {
    let loaded = run(Program::Keeper, &["--healthcheck"], &[("MNEME_ADMIN_LISTEN", "0.0.0.0:9")]).expect("settings");
    assert!(loaded.health_check && loaded.settings.admin_listen.port() == 9);
    assert!(!run(Program::Core, &[], &[]).expect("settings").health_check);
}
