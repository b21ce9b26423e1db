//! `import`: keys of a Redis file, of a running Redis, or of lines that `export` wrote, into a cluster.
//!
//! Every key goes as one command, `RESTORE`, whose payload is what Redis itself would dump; so what arrives is what was
//! there, whatever its type. Doing it twice does no harm: that is how an import goes on that was interrupted, how a running
//! source is followed, and how what was missed is mended. At the end everything is read back and compared.

mod changes;
mod cluster;
mod file;
mod lines;
mod live;
mod notifications;
mod rdb;
mod reader;
mod report;
mod state;
mod url;
mod verify;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches};

use super::Words;
use super::options::Options;
use super::stop::Stop;
use super::trust::Trust;
use url::Url;

/// What is to be imported, and how.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    from: From,
    how: How,
}

/// Where keys come from.
#[derive(Debug, PartialEq, Eq)]
enum From {
    File(PathBuf),
    Redis { url: Url, trust: Trust, until: Until, sets_notifications: bool },
}

/// When a running source is done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// When every key was read once.
    Copied,
    /// When nothing has changed any more that was not copied.
    CaughtUp,
    /// When somebody says so.
    Told,
}

/// How keys are written.
#[derive(Debug, Default, PartialEq, Eq)]
struct How {
    /// Only say what is there.
    dry_run: bool,
    /// Remove first what the databases hold.
    replace: bool,
    /// Leave what the databases hold, but for keys of the same names.
    merge: bool,
    /// Leave out, and count, what is not known here.
    skip_unknown: bool,
    /// Do not read back and compare.
    unverified: bool,
    /// Where it is noted how far it has come.
    state: Option<PathBuf>,
    /// The cluster's databases for the source's, where they are others.
    databases: BTreeMap<String, String>,
}

impl Command {
    /// The command that these words are, if it is one of them.
    ///
    /// # Errors
    /// If it is, and its arguments are wrong.
    pub fn of(words: &Words) -> Result<Option<Command>, Stop> {
        let [first, rest @ ..] = words.as_slice() else { return Ok(None) };
        if !first.eq_ignore_ascii_case(b"import") {
            return Ok(None);
        }
        let given = flags().try_get_matches_from(rest.iter().map(|word| OsStr::from_bytes(word)));
        given.map_err(Stop::of_flags).and_then(|given| Command::given(&given)).map(Some)
    }

    fn given(given: &ArgMatches) -> Result<Command, Stop> {
        let source = given.get_one::<PathBuf>("source").cloned().unwrap_or_default();
        let databases = given.get_many::<String>("database").into_iter().flatten().map(|pair| {
            let (from, to) = pair.split_once('=').ok_or_else(|| Stop::Usage(format!("--database {pair}: not A=B")))?;
            Ok((from.to_owned(), to.to_owned()))
        });
        let how = How {
            dry_run: given.get_flag("dry-run"),
            replace: given.get_flag("replace"),
            merge: given.get_flag("merge"),
            skip_unknown: given.get_flag("skip-unknown"),
            unverified: given.get_flag("no-verify"),
            state: given.get_one::<PathBuf>("state").cloned(),
            databases: databases.collect::<Result<_, Stop>>()?,
        };
        let from = match source.to_str().map(Url::parse).transpose().map_err(Stop::Usage)?.flatten() {
            None => From::File(source),
            Some(url) => From::Redis {
                url,
                trust: Trust::choose_of_source(given.get_flag("source-insecure"), given.get_one("source-ca-cert")),
                until: match () {
                    () if given.get_flag("once") => Until::Copied,
                    () if given.get_flag("until-caught-up") => Until::CaughtUp,
                    () => Until::Told,
                },
                sets_notifications: given.get_flag("set-notifications"),
            },
        };
        Ok(Command { from, how })
    }

    /// What it prints.
    ///
    /// # Errors
    /// If it cannot be done, or is not the same afterwards.
    pub fn run(&self, options: &Options) -> Result<Vec<u8>, Stop> {
        if options.database().is_some() {
            return Err(Stop::Usage(
                "import: not with -n: --database A=B says which database becomes which".to_owned(),
            ));
        }
        let report = match &self.from {
            From::File(path) => file::import(path, &self.how, options)?,
            From::Redis { .. } => live::import(&self.from, &self.how, options)?,
        };
        Ok(report.shown(options.form))
    }
}

fn flags() -> clap::Command {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).help(help).action(ArgAction::SetTrue);
    let file = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("FILE").help(help).value_parser(ValueParser::path_buf())
    };
    clap::Command::new("mneme-cli import")
        .about("Import keys of a Redis file, of a running Redis, or of lines that `export` wrote")
        .no_binary_name(true)
        .override_usage(
            "mneme-cli import FILE.rdb|FILE.jsonl [FLAGS]\n       \
             mneme-cli import redis[s]://[USER:PASSWORD@]HOST:PORT [--once|--until-caught-up] [FLAGS]",
        )
        .after_help(
            "A running Redis is followed by its keyspace notifications until you interrupt it once (Ctrl-C): what has \
             changed by then is copied, all is verified, and it ends. MNEME_SOURCE_PASSWORD is a password that the \
             address does not name.",
        )
        .term_width(100)
        .args([
            Arg::new("source").required(true).value_name("SOURCE").value_parser(ValueParser::path_buf()),
            flag("dry-run", "Only say what is there: keys by type and database, and the biggest"),
            flag("replace", "Empty the databases first that get keys"),
            flag("merge", "Keep what the databases hold, but for keys of the same names").conflicts_with("replace"),
            flag("skip-unknown", "Leave out what is not known here, such as types of modules, and count it"),
            flag("no-verify", "Do not read everything back and compare"),
            file("state", "Note here how far it has come [default: SOURCE.import-state]"),
            Arg::new("database")
                .long("database")
                .value_name("A=B")
                .action(ArgAction::Append)
                .help("The source's database A becomes B, a number or a name; may be repeated"),
            flag("once", "Of a running Redis: read every key once, and follow no changes"),
            flag("until-caught-up", "Of a running Redis: end as soon as nothing is left that has changed"),
            flag("follow", "Of a running Redis: follow changes until Ctrl-C, the default"),
            flag("set-notifications", "Set notify-keyspace-events of a running Redis, and put it back at the end"),
            file("source-ca-cert", "Of rediss://: trust this CA, PEM; else the system's roots"),
            flag("source-insecure", "Of rediss://: do not verify who the source is").conflicts_with("source-ca-cert"),
        ])
        .group(clap::ArgGroup::new("until").args(["once", "until-caught-up", "follow"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::trust::Roots;

    fn of(line: &str) -> Result<Option<Command>, Stop> {
        Command::of(&line.split(' ').map(|word| word.as_bytes().to_vec()).collect())
    }

    #[test]
    fn only_its_own_command_is_taken() {
        assert!(of("get import").expect("not its own").is_none());
        let command = of("IMPORT f.rdb --replace --database 0=3 --database 1=shop").expect("good").expect("its own");
        let databases = [("0", "3"), ("1", "shop")].map(|(from, to)| (from.to_owned(), to.to_owned()));
        let how = How { replace: true, databases: databases.into(), ..How::default() };
        assert_eq!(command, Command { from: From::File("f.rdb".into()), how });
        let live = of("import rediss://u:p@h:1 --until-caught-up --source-ca-cert ca").expect("good").expect("its own");
        assert!(
            matches!(live.from, From::Redis { trust: Trust { roots: Roots::File(_), .. }, until: Until::CaughtUp, .. }),
            "{:?}",
            live.from
        );
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "import",
            "import a b",
            "import f --replace --merge",
            "import f --database 1",
            "import redis://h:x",
            "import redis://h --once --follow",
        ] {
            assert!(matches!(of(line), Err(Stop::Usage(_))), "{line}");
        }
        assert!(matches!(of("import --help"), Err(Stop::Answer(_))));
    }
}
