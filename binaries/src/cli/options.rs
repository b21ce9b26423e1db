//! The client's flags.

use std::ffi::OsString;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, ValueParser};
use clap::{ArgGroup, ArgMatches, Command};

use super::Words;
use super::dial::Target;
use super::flags::{self, flag, value, words_of};
use super::output::Form;
use super::stop::Stop;
use super::survey::Walk;

/// What the client was asked to do.
#[derive(Debug)]
pub struct Options {
    pub target: Target,
    /// The commands that begin a connection: who, which protocol, which database and level.
    pub opening: Vec<Words>,
    /// The form of the output, if one was asked for.
    pub form: Option<Form>,
    /// Empty: commands come from standard input.
    pub command: Words,
    /// What else is to be done with the server, instead of a command.
    pub watch: Option<Watch>,
    /// How often the command is sent, or a line is shown, and how long after the one before.
    pub repeat: u64,
    pub interval: Option<Duration>,
}

/// What is done instead of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watch {
    Scan(Walk),
    BigKeys(Walk),
    Latency,
    LatencyDist,
    Stat,
}

impl Options {
    /// Reads the flags; `password` is the environment's.
    ///
    /// # Errors
    /// If they are wrong, or `--help` was asked for.
    pub fn parse(args: impl IntoIterator<Item = OsString>, password: Option<String>) -> Result<Options, Stop> {
        let flags = command().try_get_matches_from(args).map_err(Stop::of_flags)?;
        Ok(Options {
            target: flags::target(&flags)?,
            opening: opening(&flags, password)?,
            form: form(&flags),
            command: words(&flags),
            watch: watch(&flags)?,
            repeat: flags.get_one("repeat").copied().unwrap_or(if flags.get_flag("stat") { u64::MAX } else { 1 }),
            interval: flags.get_one::<f64>("interval").map(|seconds| interval(*seconds)).transpose()?,
        })
    }
}

impl Options {
    /// The database that was asked for.
    pub fn database(&self) -> Option<String> {
        let selects = self.opening.iter().find(|words| words.first().is_some_and(|word| word == b"SELECT"))?;
        selects.get(1).map(|database| String::from_utf8_lossy(database).into_owned())
    }
}

/// The flags.
pub fn command() -> Command {
    let levels = PossibleValuesParser::new(["EVENTUAL", "QUORUM", "ALL"]);
    Command::new("mneme-cli")
        .about("Every command of a Mneme server: one-shot, piped or interactive")
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage("mneme-cli [FLAGS] [COMMAND [ARG]...]")
        .after_help(
            "Without a command, commands are read from standard input, one a line, quoted as in redis-cli.\n\
             cluster status, transfer, remove NODE [--keeper], rotate-certs and secret [--data DIR] look after the cluster.\n\
             backup create|verify FILE, backup restore FILE [--dry-run] [--replace] [--keep-users]: all data in a file.\n\
             demo starts three nodes on this machine, to watch and to break; demo --help tells more.\n\
             import FILE|redis[s]://HOST:PORT brings keys from Redis, export [FILE|-] writes them as JSON: see their --help.\n\
             doctor looks at every host of -H, and tells what is wrong and what to do.\n\
             top [--count N] shows what the nodes of -H do, again and again.\n\
             completions SHELL and man DIR write completions and manual pages of all programs.\n\
             Exit codes: 0 done, 1 the server answered an error or a file is damaged, 2 wrong usage, 3 no connection.",
        )
        .term_width(100)
        .args(flags::whereto())
        .args([
            value("database", "DB", "Number or name of the database").short('n'),
            value("consistency", "LEVEL", "Level of every command").short('c').ignore_case(true).value_parser(levels),
            flag("json", "Print JSON, one value a reply"),
            flag("csv", "Print CSV").conflicts_with("json"),
            flag("raw", "Print values as they are, one a line").conflicts_with_all(["json", "csv"]),
            value("repeat", "N", "Send the command so many times; lines of --stat")
                .short('r')
                .value_parser(clap::value_parser!(u64)),
            value("interval", "SECONDS", "Wait so long between two; between two looks of top")
                .short('i')
                .value_parser(clap::value_parser!(f64)),
            flag("scan", "Print all keys of the database"),
            flag("bigkeys", "Count keys and bytes by type, and find the largest"),
            flag("latency", "Measure how long the server takes to answer"),
            flag("latency-dist", "Show how these times are spread, a row of colours every second"),
            flag("stat", "Print a line of figures every second"),
            value("pattern", "GLOB", "Only these keys, of --scan and --bigkeys"),
            value("type", "TYPE", "Only keys of this type, of --scan and --bigkeys"),
            flag("resp2", "Speak RESP2").short('2'),
            flag("resp3", "Speak RESP3, which is the default").short('3').conflicts_with("resp2"),
        ])
        .group(ArgGroup::new("watch").args(["scan", "bigkeys", "latency", "latency-dist", "stat"]))
        // What follows the flags is the server's business, dashes included.
        .disable_help_subcommand(true)
        .allow_external_subcommands(true)
        .external_subcommand_value_parser(ValueParser::os_string())
}

fn opening(flags: &ArgMatches, password: Option<String>) -> Result<Vec<Words>, Stop> {
    let mut opening = Vec::from_iter(flags::login(flags, password)?);
    if !flags.get_flag("resp2") {
        opening.push(words_of(&["HELLO", "3"]));
    }
    if let Some(database) = flags.get_one::<String>("database") {
        opening.push(words_of(&["SELECT", database]));
    }
    if let Some(level) = flags.get_one::<String>("consistency") {
        opening.push(words_of(&["CLIENT", "CONSISTENCY", &level.to_uppercase()]));
    }
    Ok(opening)
}

fn watch(flags: &ArgMatches) -> Result<Option<Watch>, Stop> {
    let text = |name: &str| flags.get_one::<String>(name).cloned();
    let walk = Walk { pattern: text("pattern"), kind: text("type") };
    let watches = [
        ("scan", Watch::Scan(walk.clone())),
        ("bigkeys", Watch::BigKeys(walk)),
        ("latency", Watch::Latency),
        ("latency-dist", Watch::LatencyDist),
        ("stat", Watch::Stat),
    ];
    let watch = watches.into_iter().find(|(flag, _)| flags.get_flag(flag)).map(|(_, watch)| watch);
    match (&watch, flags.subcommand()) {
        (Some(_), Some(_)) => {
            let why = "--scan, --bigkeys, --latency, --latency-dist and --stat stand instead of a command";
            Err(Stop::Usage(why.to_owned()))
        }
        _ => Ok(watch),
    }
}

fn interval(seconds: f64) -> Result<Duration, Stop> {
    Duration::try_from_secs_f64(seconds).map_err(|error| Stop::Usage(format!("--interval: {error}")))
}

fn form(flags: &ArgMatches) -> Option<Form> {
    let forms = [("json", Form::Json), ("csv", Form::Csv), ("raw", Form::Raw)];
    forms.into_iter().find(|(flag, _)| flags.get_flag(flag)).map(|(_, form)| form)
}

/// The command behind the flags.
fn words(flags: &ArgMatches) -> Words {
    let Some((name, rest)) = flags.subcommand() else {
        return Words::new();
    };
    let rest = rest.get_many::<OsString>("").into_iter().flatten();
    let bytes = |word: &OsString| word.as_encoded_bytes().to_vec();
    [name.as_bytes().to_vec()].into_iter().chain(rest.map(bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str], password: Option<&str>) -> Result<Options, Stop> {
        let args = ["mneme-cli"].iter().chain(args).map(OsString::from);
        Options::parse(args, password.map(str::to_owned))
    }

    fn opening(args: &[&str], password: Option<&str>) -> String {
        let opening = parse(args, password).expect("good flags").opening;
        let lines: Vec<_> = opening.iter().map(|words| words.join(&b' ')).collect();
        String::from_utf8(lines.join(&b';')).expect("text")
    }

    #[test]
    fn what_follows_the_flags_is_sent_as_typed() {
        for (args, command) in [
            (&["get", "a"][..], "get a"),
            (&["--json", "set", "-k", "--json", "-1"], "set -k --json -1"),
            (&["help", "@list"], "help @list"),
            (&["set", "k", ""], "set k "),
            (&["cluster", "status"], "cluster status"),
            (&[], ""),
        ] {
            let options = parse(args, None).expect("good flags");
            assert_eq!(options.command.join(&b' '), command.as_bytes(), "{args:?}");
        }
    }

    #[test]
    fn a_connection_opens_as_asked() {
        for (args, password, commands) in [
            (&[][..], None, "HELLO 3"),
            (&["-u", "ann", "-p", "s"], None, "AUTH ann s;HELLO 3"),
            (&["-u", "ann"], Some("env"), "AUTH ann env;HELLO 3"),
            (&["-u", "ann", "-p", "s"], Some("env"), "AUTH ann s;HELLO 3"),
            (&[], Some("env"), "AUTH env;HELLO 3"),
            (&["-2"], None, ""),
            (&["-3", "-n", "7", "-c", "all"], None, "HELLO 3;SELECT 7;CLIENT CONSISTENCY ALL"),
        ] {
            assert_eq!(opening(args, password), commands, "{args:?}");
        }
    }

    #[test]
    fn hosts_are_read_in_order() {
        let options = parse(&["-H", "n1:1,[::1]:2,n3"], None).expect("good flags");
        let Target::Hosts { hosts, .. } = options.target else {
            panic!("hosts are hosts");
        };
        let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["n1:1", "[::1]:2", "n3:6379"]);
    }

    #[test]
    fn wrong_usage_is_refused() {
        for args in [
            &["--nope", "ping"][..],
            &["-H", "::1", "ping"],
            &["-H", "", "ping"],
            &["-u", "ann", "ping"],
            &["-c", "sometimes", "ping"],
            &["--json", "--csv", "ping"],
            &["-2", "-3", "ping"],
            &["-p", "x", "--askpass", "ping"],
            &["--insecure", "--ca-cert", "f", "ping"],
            &["--unix-socket", "s", "-H", "h", "ping"],
            &["--scan", "--stat"],
            &["--latency", "--latency-dist"],
            &["--latency-dist", "ping"],
            &["--scan", "ping"],
            &["-i", "-1", "ping"],
            &["-r", "often", "ping"],
        ] {
            assert!(matches!(parse(args, None), Err(Stop::Usage(_))), "{args:?}");
        }
        assert!(matches!(parse(&["--help"], None), Err(Stop::Answer(_))));
    }
}
