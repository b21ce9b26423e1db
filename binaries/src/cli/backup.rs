//! `backup create`, `verify` and `restore`.
//!
//! A backup is what the log says up to one entry: a snapshot, the changes behind it, and the databases and users there.
//! It is read from whatever node is asked, which reads it from a Keeper, and does not hold anybody back. Restoring writes
//! the same changes into another cluster's log, as commands like any other.

mod create;
mod file;
mod restore;

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use mneme_kernel::backup::{End, Outline};
use mneme_kernel::resp::Value;

use super::Words;
use super::options::Options;
use super::output::Form;
use super::stop::Stop;
use file::Reader;

const USAGE: &str = "usage: mneme-cli backup create FILE\n       \
    mneme-cli backup verify FILE\n       \
    mneme-cli backup restore FILE [--dry-run] [--replace] [--keep-users]";

/// What is to be done with a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Create(PathBuf),
    Verify(PathBuf),
    Restore(PathBuf, Restoring),
}

/// How a backup is restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restoring {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Remove first what the cluster holds.
    pub replace: bool,
    /// Leave the cluster's users as they are.
    pub keep_users: bool,
}

impl Command {
    /// The command that these words are, if it is one of them.
    ///
    /// # Errors
    /// If it is, and its arguments are wrong.
    pub fn of(words: &Words) -> Result<Option<Command>, Stop> {
        let [backup, rest @ ..] = words.as_slice() else { return Ok(None) };
        // What the server itself knows by this name is for this program.
        let known = |word: &Vec<u8>| ["next", "outline", "end", "help"].iter().any(|known| is(word, known));
        if !is(backup, "backup") || rest.len() == 1 && known(&rest[0]) {
            return Ok(None);
        }
        let usage = || Stop::Usage(USAGE.to_owned());
        let [what, rest @ ..] = rest else { return Err(usage()) };
        let (flags, files): (Vec<_>, Vec<_>) = rest.iter().partition(|word| word.starts_with(b"--"));
        let [file] = files.as_slice() else { return Err(usage()) };
        let file = PathBuf::from(String::from_utf8_lossy(file).into_owned());
        let mut restoring = Restoring::default();
        for flag in &flags {
            match flag.as_slice() {
                b"--dry-run" => restoring.dry_run = true,
                b"--replace" => restoring.replace = true,
                b"--keep-users" => restoring.keep_users = true,
                _ => return Err(usage()),
            }
        }
        Ok(Some(match () {
            () if is(what, "restore") => Command::Restore(file, restoring),
            () if is(what, "create") && flags.is_empty() => Command::Create(file),
            () if is(what, "verify") && flags.is_empty() => Command::Verify(file),
            () => return Err(usage()),
        }))
    }

    /// What it prints.
    ///
    /// # Errors
    /// If it cannot be done.
    pub fn run(&self, options: &Options) -> Result<Vec<u8>, Stop> {
        let (done, facts) = match self {
            Command::Create(path) => ("created", create::create(path, options)?),
            Command::Verify(path) => ("sound", verify(path)?),
            Command::Restore(path, how) => {
                let facts = restore::restore(path, *how, options)?;
                (if how.dry_run { "would be restored" } else { "restored" }, facts)
            }
        };
        Ok(facts.shown(done, options.form))
    }
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// Reads all of a file: every checksum must be right, and every change known.
fn verify(path: &std::path::Path) -> Result<Facts, Stop> {
    let mut reader = Reader::open(path)?;
    let bar = bar("verify", Some(reader.len()));
    while reader.changes()?.is_some() {
        bar.set_position(reader.position());
    }
    bar.finish_and_clear();
    Ok(Facts::of(reader.end()?, reader.len()))
}

/// What is said about a backup.
#[derive(Debug)]
struct Facts {
    index: u64,
    /// Changes, which are at least as many as keys.
    changes: u64,
    bytes: u64,
    databases: u64,
    users: u64,
    /// Unix time in milliseconds.
    made_at: u64,
}

impl Facts {
    fn of(end: &End, bytes: u64) -> Facts {
        let End { index, changes, made_at, outline, .. } = end;
        let Outline { databases, users } = outline;
        let (databases, users) = (databases.len() as u64, users.len() as u64);
        Facts { index: *index, changes: *changes, bytes, databases, users, made_at: *made_at }
    }

    fn shown(&self, done: &str, form: Option<Form>) -> Vec<u8> {
        let Facts { index, changes, bytes, databases, users, made_at } = *self;
        let numbers = [
            ("index", index),
            ("changes", changes),
            ("bytes", bytes),
            ("databases", databases),
            ("users", users),
            ("made_at", made_at / 1000),
        ];
        let Some(form) = form else {
            let text = format!(
                "{done}: {changes} changes up to index {index}, {databases} databases, {users} users, {bytes} bytes\n"
            );
            return text.into_bytes();
        };
        let key = |name: &str| Value::Bulk(name.as_bytes().to_vec());
        let mut pairs = vec![(key("backup"), key(done))];
        pairs.extend(numbers.into_iter().map(|(name, number)| (key(name), Value::Int(number as i64))));
        let mut out = Vec::new();
        form.write(&Value::Map(pairs), &mut out);
        out
    }
}

/// Progress for people: nothing is shown where standard error is no terminal.
pub(super) fn bar(what: &'static str, bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{msg} {wide_bar} {bytes}/{total_bytes} {eta}"),
        None => (ProgressBar::new_spinner(), "{msg} {spinner} {bytes} {bytes_per_sec} {elapsed}"),
    };
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Option<Command>, Stop> {
        Command::of(&line.split(' ').map(|word| word.as_bytes().to_vec()).collect())
    }

    #[test]
    fn only_its_own_commands_are_taken() {
        let forced = Restoring { dry_run: true, replace: true, keep_users: false };
        for (line, command) in [
            ("backup create f", Some(Command::Create("f".into()))),
            ("BACKUP verify f", Some(Command::Verify("f".into()))),
            ("backup restore f", Some(Command::Restore("f".into(), Restoring::default()))),
            ("backup restore --replace f --dry-run", Some(Command::Restore("f".into(), forced))),
            ("backup next", None),
            ("get backup", None),
        ] {
            assert_eq!(of(line).expect("good arguments"), command, "{line}");
        }
        for line in ["backup", "backup create", "backup create f --replace", "backup restore f g", "backup mend f"] {
            assert!(matches!(of(line), Err(Stop::Usage(m)) if m.contains("usage")), "{line}");
        }
    }
}
