//! The load generator's flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::keys::Distribution;
use super::mix::Mix;
use super::request::{MAX_KEYS, Sizes};
use super::work::{self, Own};
use crate::cli::Words;
use crate::cli::dial::Target;
use crate::cli::flags::{self, flag, value, words_of};
use crate::cli::stop::Stop;

/// More clients than ports that a machine has for them make no sense.
const MAX_CLIENTS: u64 = 60_000;
/// Of a connection, requests without an answer.
const MAX_PIPELINE: u64 = 100_000;
const MAX_THREADS: u64 = 256;
const LEVELS: [&str; 3] = ["EVENTUAL", "QUORUM", "ALL"];
/// How long it runs if nothing is said.
const DURATION: Duration = Duration::from_secs(10);

/// What is to be done.
#[derive(Debug)]
pub enum Task {
    Run(Box<Options>),
    Compare { before: PathBuf, after: PathBuf },
}

/// What load is put on, and what is told of it.
#[derive(Debug)]
pub struct Options {
    pub target: Target,
    /// What begins a connection, without its level.
    pub opening: Vec<Words>,
    pub levels: Option<Mix>,
    pub mix: Mix,
    pub own: Vec<Own>,
    pub clients: usize,
    pub pipeline: usize,
    pub threads: usize,
    /// Requests a second, of an open loop.
    pub rate: Option<f64>,
    pub duration: Option<Duration>,
    pub requests: Option<u64>,
    pub warm_up: Duration,
    pub keys: u64,
    pub distribution: Distribution,
    pub sizes: Sizes,
    pub seed: u64,
    pub spread: bool,
    pub strict: bool,
    pub load: bool,
    pub before: Vec<Words>,
    pub answer_timeout: Duration,
    pub json: Option<PathBuf>,
    pub series: Option<PathBuf>,
    pub percentiles: Option<PathBuf>,
    /// What of this shapes the numbers, for the report.
    pub shown: BTreeMap<String, String>,
}

impl Task {
    /// Reads the flags; `password` is the environment's.
    ///
    /// # Errors
    /// If they are wrong, or `--help` was asked for.
    pub fn parse(args: impl IntoIterator<Item = OsString>, password: Option<String>) -> Result<Task, Stop> {
        let flags = command().try_get_matches_from(args).map_err(|e| match e.use_stderr() {
            true => Stop::Usage(e.to_string()),
            false => Stop::Answer(e.to_string()),
        })?;
        match flags.subcommand() {
            Some(("compare", files)) => {
                let file = |name: &str| files.get_one::<PathBuf>(name).cloned().unwrap_or_default();
                Ok(Task::Compare { before: file("before"), after: file("after") })
            }
            _ => Ok(Task::Run(Box::new(Options::of(&flags, password)?))),
        }
    }
}

/// The flags.
pub fn command() -> Command {
    let number = |name, hint, help| value(name, hint, help).value_parser(value_parser!(u64));
    let seconds = |name, help| value(name, "SECONDS", help).value_parser(value_parser!(f64));
    let path = |name, help| value(name, "FILE", help).value_parser(ValueParser::path_buf());
    let compared = |name| Arg::new(name).required(true).value_parser(ValueParser::path_buf());
    Command::new("mneme-bench")
        .about("Puts load on a server that speaks the Redis protocol, and tells how fast it answers")
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage("mneme-bench [FLAGS] [COMMAND [ARG]...]\n       mneme-bench compare A.json B.json")
        .after_help(
            "COMMAND is sent instead of --mix. In it, {key}, {member}, {number} and {value} are drawn anew for each request;\n\
             __rand_int__ and __data__ of redis-benchmark mean {number} and {value}.\n\
             Exit codes: 0 done, 1 the server answered an error at the start, 2 wrong usage, 3 no connection.",
        )
        .term_width(100)
        .args(flags::whereto())
        .args([
            flag("plain", "Without TLS, as a Redis has it by default")
                .visible_alias("no-tls")
                .conflicts_with_all(["insecure", "ca-cert", "unix-socket"]),
            flag("spread", "Share the connections among all hosts of -H"),
            value("database", "DB", "Number or name of the database").short('n'),
            value("consistency", "LEVEL[=WEIGHT],..", "EVENTUAL, QUORUM or ALL; several: shared among the connections")
                .short('c'),
            value("mix", "NAME[=WEIGHT],..", "Commands by name, such as get=80,set=20; an unknown name lists all")
                .default_value("get=80,set=20"),
            value("command", "NAME=COMMAND", "A command of one's own, for --mix: 'visit=ZINCRBY board 1 {member}'")
                .action(ArgAction::Append),
            number("clients", "N", "Connections").default_value("50"),
            number("pipeline", "N", "Requests of a connection that wait for their answer at a time")
                .short('P')
                .default_value("1"),
            number("threads", "N", "Threads of this program").default_value("1"),
            value("rate", "N", "So many requests a second, whatever the server does; latency counts from when each was due")
                .value_parser(value_parser!(f64)),
            seconds("duration", "How long; 10 unless --requests says otherwise"),
            number("requests", "N", "So many requests at most"),
            seconds("warm-up", "How long nothing is counted at first").default_value("0"),
            number("keys", "N", "Keys and members that are drawn from").default_value("100000"),
            value("distribution", "HOW", "uniform, sequential, zipf[:THETA] or hotspot[:REQUESTS:KEYS]")
                .default_value("uniform"),
            value("size", "BYTES", "Of values; a range such as 16-1024").default_value("64"),
            number("seed", "N", "Of what is drawn").default_value("1"),
            flag("load", "First make what the mix reads: every key once"),
            value("before", "COMMAND", "First send this; may be repeated").action(ArgAction::Append),
            flag("strict", "A missing key or a value of another length counts as an error"),
            seconds("answer-timeout", "A connection that does not answer for so long is opened anew").default_value("10"),
            path("json", "Write all numbers here; -: instead of the report"),
            path("series", "Write a line of JSON here for each second"),
            path("hgrm", "Write all percentiles here, in HdrHistogram's form; -: below the report"),
        ])
        .subcommand(
            Command::new("compare")
                .about("Compare two runs, of which --json has written the numbers")
                .args([compared("before"), compared("after")]),
        )
        .disable_help_subcommand(true)
        .args_conflicts_with_subcommands(false)
        .allow_external_subcommands(true)
        .external_subcommand_value_parser(ValueParser::string())
}

impl Options {
    fn of(flags: &ArgMatches, password: Option<String>) -> Result<Options, Stop> {
        let usage = |name: &str, problem: String| Stop::Usage(format!("--{name}: {problem}"));
        let text = |name: &str| flags.get_one::<String>(name).map(String::as_str);
        let path = |name: &str| flags.get_one::<PathBuf>(name).cloned();
        let (mix, own) = asked(flags)?;
        let levels = text("consistency").map(levels).transpose().map_err(|e| usage("consistency", e))?;
        let (duration, requests) = (seconds(flags, "duration")?, flags.get_one::<u64>("requests").copied());
        let rate = flags.get_one::<f64>("rate").copied();
        if rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
            return Err(usage("rate", "more than 0 requests a second".to_owned()));
        }
        let clients = count(flags, "clients", MAX_CLIENTS)?;
        let threads = count(flags, "threads", MAX_THREADS)?.min(clients);
        let target = match flags::target(flags)? {
            Target::Hosts { hosts, .. } if flags.get_flag("plain") => Target::Plain(hosts),
            target => target,
        };
        let mut opening = Vec::from_iter(flags::login(flags, password)?);
        opening.extend(text("database").map(|database| words_of(&["SELECT", database])));
        let before = flags.get_many::<String>("before").into_iter().flatten().map(|line| {
            let words = work::words(line).map_err(|e| usage("before", e))?;
            match words.is_empty() {
                true => Err(usage("before", "no command".to_owned())),
                false => Ok(words.into_iter().map(String::into_bytes).collect()),
            }
        });
        Ok(Options {
            before: before.collect::<Result<_, _>>()?,
            target,
            opening,
            levels,
            mix,
            own,
            clients: clients as usize,
            pipeline: count(flags, "pipeline", MAX_PIPELINE)? as usize,
            threads: threads as usize,
            rate,
            duration: duration.or(if requests.is_none() { Some(DURATION) } else { None }),
            requests,
            warm_up: seconds(flags, "warm-up")?.unwrap_or_default(),
            keys: count(flags, "keys", MAX_KEYS)?,
            distribution: parsed(flags, "distribution")?,
            sizes: parsed(flags, "size")?,
            seed: flags.get_one("seed").copied().unwrap_or_default(),
            spread: flags.get_flag("spread"),
            strict: flags.get_flag("strict"),
            load: flags.get_flag("load"),
            answer_timeout: seconds(flags, "answer-timeout")?.unwrap_or_default(),
            json: path("json"),
            series: path("series"),
            percentiles: path("hgrm"),
            shown: shown(flags),
        })
    }
}

/// What is to be sent.
fn asked(flags: &ArgMatches) -> Result<(Mix, Vec<Own>), Stop> {
    let own = flags.get_many::<String>("command").into_iter().flatten().map(|text| Own::parse(text));
    let own: Result<Vec<Own>, _> = own.collect();
    let own = own.map_err(|problem| Stop::Usage(format!("--command: {problem}")))?;
    let is_given = is_given(flags, "mix");
    if let Some((name, rest)) = flags.subcommand() {
        if is_given || !own.is_empty() {
            return Err(Stop::Usage("a command stands instead of --mix and --command".to_owned()));
        }
        let rest = rest.get_many::<String>("").into_iter().flatten().cloned();
        let words: Vec<String> = [name.to_owned()].into_iter().chain(rest).collect();
        let own = Own { name: name.to_lowercase(), words };
        return Ok((Mix::of([own.name.clone()]), vec![own]));
    }
    if !is_given && !own.is_empty() {
        return Ok((Mix::of(own.iter().map(|own| own.name.clone())), own));
    }
    let mix = flags.get_one::<String>("mix").map_or("", String::as_str);
    let mix = Mix::parse(&mix.to_lowercase()).map_err(|problem| Stop::Usage(format!("--mix: {problem}")))?;
    Ok((mix, own))
}

fn is_given(flags: &ArgMatches, name: &str) -> bool {
    flags.value_source(name) == Some(ValueSource::CommandLine)
}

fn levels(text: &str) -> Result<Mix, String> {
    let levels = Mix::parse(&text.to_uppercase())?;
    match levels.parts.iter().find(|part| !LEVELS.contains(&part.name.as_str())) {
        Some(unknown) => Err(format!("\"{}\" is not {}", unknown.name, LEVELS.join(", "))),
        None => Ok(levels),
    }
}

fn parsed<T: std::str::FromStr<Err = String>>(flags: &ArgMatches, name: &str) -> Result<T, Stop> {
    let text = flags.get_one::<String>(name).map_or("", String::as_str);
    text.parse().map_err(|problem| Stop::Usage(format!("--{name}: {problem}")))
}

fn count(flags: &ArgMatches, name: &str, most: u64) -> Result<u64, Stop> {
    match flags.get_one::<u64>(name) {
        Some(count) if (1..=most).contains(count) => Ok(*count),
        _ => Err(Stop::Usage(format!("--{name}: from 1 to {most}"))),
    }
}

fn seconds(flags: &ArgMatches, name: &str) -> Result<Option<Duration>, Stop> {
    let seconds = flags.get_one::<f64>(name).map(|seconds| Duration::try_from_secs_f64(*seconds));
    seconds.transpose().map_err(|problem| Stop::Usage(format!("--{name}: {problem}")))
}

/// The flags that shape the numbers, and the command.
fn shown(flags: &ArgMatches) -> BTreeMap<String, String> {
    /// What says where and who, and where the numbers go.
    const LEFT_OUT: [&str; 9] =
        ["user", "pass", "askpass", "insecure", "ca-cert", "json", "series", "hgrm", "answer-timeout"];
    let mut shown = BTreeMap::new();
    for id in flags.ids().map(clap::Id::as_str).filter(|id| !LEFT_OUT.contains(id)) {
        let raw = flags.get_raw_occurrences(id).into_iter().flatten();
        let values: Vec<String> =
            raw.map(|words| words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")).collect();
        let value = values.join("; ");
        if value != "false" {
            shown.insert(id.to_owned(), value);
        }
    }
    if shown.contains_key("command") && !is_given(flags, "mix") {
        shown.remove("mix");
    }
    if let Some((name, rest)) = flags.subcommand() {
        let rest = rest.get_many::<String>("").into_iter().flatten().map(String::as_str);
        shown.insert("mix".to_owned(), [name].into_iter().chain(rest).collect::<Vec<_>>().join(" "));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Result<Options, Stop> {
        let args = ["mneme-bench"].iter().chain(args).map(OsString::from);
        match Task::parse(args, None)? {
            Task::Run(options) => Ok(*options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_run_is_described_by_its_flags() {
        let run = options(&["--clients", "5", "--threads", "9", "-P", "3", "-c", "eventual", "--mix", "GET=1"]);
        let run = run.expect("good flags");
        assert_eq!((run.clients, run.threads, run.pipeline), (5, 5, 3));
        assert_eq!(run.levels, Some(Mix::of(["EVENTUAL".to_owned()])));
        assert_eq!((run.mix, run.duration), (Mix::of(["get".to_owned()]), Some(DURATION)));
        assert_eq!(run.shown.get("pipeline").map(String::as_str), Some("3"));
        assert!(!run.shown.contains_key("user"));
        let counted = options(&["--requests", "10"]).expect("good flags");
        assert_eq!((counted.duration, counted.requests), (None, Some(10)));
    }

    #[test]
    fn a_command_of_ones_own_is_sent_as_typed() {
        let run = options(&["--clients", "1", "HSET", "user:{key}", "-x", "{value}"]).expect("good flags");
        assert_eq!(run.own[0].words, ["HSET", "user:{key}", "-x", "{value}"]);
        assert_eq!(run.mix, Mix::of(["hset".to_owned()]));
        let several = options(&["--command", "a=GET {key}", "--command", "b=DEL {key}"]).expect("good flags");
        assert_eq!(several.mix, Mix::of(["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn two_runs_are_compared_by_their_files() {
        let task = Task::parse(["mneme-bench", "compare", "a", "b"].map(OsString::from), None).expect("good flags");
        assert!(matches!(task, Task::Compare { before, after } if before.ends_with("a") && after.ends_with("b")));
    }

    #[test]
    fn wrong_usage_is_refused() {
        for args in [
            &["--nope"][..],
            &["--clients", "0"],
            &["--clients", "x"],
            &["--pipeline", "0"],
            &["--rate", "0"],
            &["--rate", "inf"],
            &["--duration", "-1"],
            &["--size", "9-3"],
            &["--keys", "0"],
            &["--distribution", "gauss"],
            &["--mix", "get=x"],
            &["-c", "SOMETIMES"],
            &["-u", "ann"],
            &["--plain", "--insecure"],
            &["--before", ""],
            &["--command", "GET"],
            &["--mix", "get", "PING"],
            &["compare", "a"],
        ] {
            assert!(matches!(options(args), Err(Stop::Usage(_))), "{args:?}");
        }
        assert!(matches!(options(&["--help"]), Err(Stop::Answer(_))));
    }
}
