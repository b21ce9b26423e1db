//! `completions SHELL` and `man DIR`: what packages of Mneme install beside the programs, derived from the same flags.

use std::path::PathBuf;

use clap::{Command as Flags, ValueEnum};
use clap_complete::Shell;

use super::{Words, demo, options};
use crate::bench;
use crate::cli::stop::Stop;
use crate::config::{self, Program};

/// What is to be written.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// The completions of all programs for a shell, to standard output.
    Completions(Shell),
    /// The manual pages of all programs, into this folder.
    Man(PathBuf),
}

impl Command {
    /// The command that these words are, if it is one of them.
    ///
    /// # Errors
    /// If it is, and its arguments are wrong.
    pub fn of(words: &Words) -> Result<Option<Command>, Stop> {
        let words: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word)).collect();
        match words.iter().map(|word| &**word).collect::<Vec<_>>().as_slice() {
            ["completions", shell] => match Shell::from_str(shell, true) {
                Ok(shell) => Ok(Some(Command::Completions(shell))),
                Err(problem) => {
                    Err(Stop::Usage(format!("completions: {problem}: bash, zsh, fish, elvish or powershell")))
                }
            },
            ["man", folder] => Ok(Some(Command::Man(folder.into()))),
            ["completions", ..] => Err(Stop::Usage("usage: mneme-cli completions SHELL".to_owned())),
            ["man", ..] => Err(Stop::Usage("usage: mneme-cli man DIR".to_owned())),
            _ => Ok(None),
        }
    }

    /// What it prints.
    ///
    /// # Errors
    /// If a page cannot be written.
    pub fn run(&self) -> Result<Vec<u8>, Stop> {
        let mut out = Vec::new();
        match self {
            Command::Completions(shell) => {
                for mut program in programs() {
                    let name = program.get_name().to_owned();
                    clap_complete::generate(*shell, &mut program, name, &mut out);
                }
            }
            Command::Man(folder) => {
                for program in programs() {
                    // Subcommands have pages of their own.
                    let written = clap_mangen::generate_to(program, folder);
                    written.map_err(|error| Stop::Usage(format!("{}: {error}", folder.display())))?;
                }
            }
        }
        Ok(out)
    }
}

fn programs() -> [Flags; 4] {
    let cli = options::command().subcommand(demo::flags());
    [config::flags(Program::Core), config::flags(Program::Keeper), cli, bench::command()]
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn of(line: &str) -> Result<Option<Command>, Stop> {
        Command::of(&line.split(' ').map(|word| word.as_bytes().to_vec()).collect())
    }

    #[test]
    fn every_program_is_completed_in_every_shell() {
        for shell in ["bash", "zsh", "fish"] {
            let command = of(&format!("completions {shell}")).expect("a shell").expect("its own command");
            let text = String::from_utf8(command.run().expect("completions")).expect("text");
            for word in [
                "mneme-core",
                "mneme-keeper",
                "mneme-cli",
                "mneme-bench",
                "expect-keepers",
                "askpass",
                "warm-up",
                "script",
            ] {
                assert!(text.contains(word), "{shell}: {word}");
            }
        }
        assert!(matches!(of("completions csh"), Err(Stop::Usage(m)) if m.contains("zsh")));
        assert_eq!(of("get man").expect("no command of its own"), None);
    }

    #[test]
    fn every_program_has_a_page() {
        let folder = std::env::temp_dir().join(format!("mneme-man-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        Command::Man(folder.clone()).run().expect("pages");
        for (page, word) in [
            ("mneme-core.1", "maxmemory"),
            ("mneme-keeper.1", "join"),
            ("mneme-cli.1", "Exit codes"),
            ("mneme-bench.1", "pipeline"),
            ("mneme-cli-demo.1", "seconds"),
        ] {
            let text = fs::read_to_string(folder.join(page)).expect("a page");
            assert!(text.contains(word) && text.contains(".TH mneme"), "{page}: {text}");
        }
        let _ = fs::remove_dir_all(folder);
    }
}
