//! The flags of `demo`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command};

use super::ports::HIGHEST_BASE;
use super::script::{self, Step};
use crate::cli::Words;
use crate::cli::stop::Stop;

/// How the demonstration is to be.
#[derive(Debug)]
pub struct Options {
    /// How long it runs; `None`: until it is told to end.
    pub time: Option<Duration>,
    /// Where everything is kept; `None`: in a folder that is removed at the end.
    pub data: Option<PathBuf>,
    /// The first of the ports; `None`: whichever are free.
    pub port: Option<u16>,
    /// What happens by itself.
    pub script: Vec<Step>,
    /// Lines instead of a screen, also on a terminal.
    pub plain: bool,
}

impl Options {
    /// Reads the words behind `mneme-cli`, of which the first is `demo`.
    ///
    /// # Errors
    /// If they are wrong, or `--help` was asked for.
    pub fn parse(words: &Words) -> Result<Options, Stop> {
        let words = words.iter().map(|word| OsString::from_vec(word.clone()));
        let given = flags().try_get_matches_from(words).map_err(|e| match e.use_stderr() {
            true => Stop::Usage(e.to_string()),
            false => Stop::Answer(e.to_string()),
        })?;
        Ok(Options {
            time: given.get_one("seconds").copied(),
            data: given.get_one("data").cloned(),
            port: given.get_one("port").copied(),
            script: given.get_one("script").cloned().unwrap_or_default(),
            plain: given.get_flag("plain"),
        })
    }
}

/// The flags.
pub fn flags() -> Command {
    let value = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("demo")
        .about("Three nodes on this machine, with a load, and keys that break them while you watch")
        .override_usage("mneme-cli demo [FLAGS]")
        .after_help(
            "Keys on a terminal: 1 2 3 select a node, k kills it, p pauses it, c cuts it off from the others,\n\
             h heals it; v compares every counter with what was acknowledged; ? shows how to connect; q ends.\n\
             A script does by itself what keys do: \"2s kill primary; 3s heal\". A step is [WAIT] ACTION [WHOM],\n\
             ACTION one of kill, pause, cut, heal, verify; WHOM one of primary, standby, n1, n2, n3, all.\n\
             Exit codes: 0 nothing was lost, 1 something was or could not be read again, 2 wrong usage.",
        )
        .term_width(100)
        .args([
            value("seconds", "N", "End after N seconds of running").value_parser(script::seconds),
            value("script", "STEPS", "What happens by itself").value_parser(script::parse),
            value("port", "BASE", "n1, n2, n3 listen at BASE, BASE+1, BASE+2; their other ports are further up")
                .value_parser(clap::value_parser!(u16).range(1..=i64::from(HIGHEST_BASE))),
            value(
                "data",
                "DIR",
                "Keep data and logs here, an empty folder or a new one; else they are removed at the end",
            )
            .value_parser(ValueParser::path_buf()),
            Arg::new("plain")
                .long("plain")
                .help("Print lines instead of a screen, as without a terminal")
                .action(ArgAction::SetTrue),
        ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Options, Stop> {
        Options::parse(&["demo"].iter().chain(line).map(|word| word.as_bytes().to_vec()).collect())
    }

    #[test]
    fn flags_are_understood() {
        let all = ["--seconds", "1.5", "--port", "7000", "--data", "d", "--script", "1s kill", "--plain"];
        let options = parse(&all).expect("good flags");
        assert_eq!((options.time, options.port), (Some(Duration::from_millis(1500)), Some(7000)));
        assert_eq!((options.data, options.script.len(), options.plain), (Some("d".into()), 1, true));
        assert!(parse(&[]).expect("nothing is needed").script.is_empty());
    }

    #[test]
    fn wrong_flags_are_refused() {
        for (flags, why) in [
            (&["--seconds", "soon"][..], "soon"),
            (&["--seconds", "-1"], "-1"),
            (&["--port", "65535"], "65535"),
            (&["--script", "kill bill"], "bill"),
            (&["now"], "now"),
        ] {
            assert!(matches!(parse(flags), Err(Stop::Usage(m)) if m.contains(why)), "{flags:?}");
        }
        assert!(matches!(parse(&["--help"]), Err(Stop::Answer(m)) if m.contains("mneme-cli demo [FLAGS]")));
    }
}
