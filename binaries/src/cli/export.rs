//! `export`: keys as lines of JSON, for whatever reads such; `import` takes them back. Each key is as it is at the moment when
//! it is read, and not all at the same: whoever needs that makes a backup.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgMatches};
use mneme_kernel::resp::Value;
use serde_json::value::RawValue;

use super::Words;
use super::backup::bar;
use super::connection::Connection;
use super::fields::fields;
use super::keys::{Content, Entry, Source, loaded};
use super::line::{self, Database, Line, Text};
use super::options::Options;
use super::stop::Stop;
use super::survey::Walk;

/// What is to be written, and where to.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// Standard output if none is named.
    file: Option<PathBuf>,
    walk: Walk,
    /// All if none is named.
    database: Option<String>,
}

impl Command {
    /// The command that these words are, if it is one of them.
    ///
    /// # Errors
    /// If it is, and its arguments are wrong.
    pub fn of(words: &Words) -> Result<Option<Command>, Stop> {
        let [first, rest @ ..] = words.as_slice() else { return Ok(None) };
        if !first.eq_ignore_ascii_case(b"export") {
            return Ok(None);
        }
        let given = flags().try_get_matches_from(rest.iter().map(|word| OsStr::from_bytes(word)));
        given.map_err(Stop::of_flags).map(|given| Some(Command::given(&given)))
    }

    fn given(given: &ArgMatches) -> Command {
        let text = |name: &str| given.get_one::<String>(name).cloned();
        let file = given.get_one::<PathBuf>("file").filter(|file| file.as_os_str() != "-");
        let walk = Walk { pattern: text("match"), kind: text("type") };
        Command { file: file.cloned(), walk, database: text("database") }
    }

    /// Writes the lines.
    ///
    /// # Errors
    /// If keys cannot be read, or lines not be written.
    pub fn run(&self, options: &Options) -> Result<(), Stop> {
        let mut connection = Connection::open(&options.target, &options.opening)?;
        let databases = match self.database.clone().or_else(|| options.database()) {
            Some(database) => vec![database],
            None => databases(&mut connection)?,
        };
        let mut source = Source::new(connection)?;
        let Some(path) = &self.file else {
            return self.write(&mut source, &databases, BufWriter::new(io::stdout().lock()));
        };
        // It has the data, and no one else is to read it.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|error| Stop::Usage(format!("{}: {error}: give another name", path.display())))?;
        let written = self.write(&mut source, &databases, BufWriter::new(&file));
        written.and_then(|()| Ok(file.sync_all()?)).map_err(|stop| {
            // A part of it could be taken for all.
            let _ = fs::remove_file(path);
            stop.of_file(path)
        })
    }

    fn write(&self, source: &mut Source, databases: &[String], mut out: impl Write) -> Result<(), Stop> {
        let bar = bar("export", None);
        for database in databases {
            source.all(database, &self.walk, |entries| {
                for entry in entries {
                    bar.inc(entry.content.len() as u64);
                    if let Some(line) = line_of(entry)? {
                        serde_json::to_writer(&mut out, &line).map_err(io::Error::from)?;
                        out.write_all(b"\n")?;
                    }
                }
                Ok(())
            })?;
        }
        out.flush()?;
        bar.finish_and_clear();
        Ok(())
    }
}

/// Those that the user may use, by their names or numbers.
fn databases(connection: &mut Connection) -> Result<Vec<String>, Stop> {
    let Value::Array(rows) = connection.ask(&[b"DATABASE", b"LIST"])? else { return Ok(Vec::new()) };
    let name = |row: Value| {
        let mut fields = fields(row);
        match (fields.remove("name"), fields.remove("number")) {
            (Some(Value::Bulk(name)), _) => Some(String::from_utf8_lossy(&name).into_owned()),
            (_, Some(Value::Int(number))) => Some(number.to_string()),
            _ => None,
        }
    };
    Ok(rows.into_iter().filter_map(name).collect())
}

/// `None` of a key that is gone by now.
fn line_of(entry: Entry) -> Result<Option<Line>, Stop> {
    let bad = |why: &dyn std::fmt::Display| {
        Stop::Damaged(format!("key \"{}\" in database {}: {why}", entry.key.escape_ascii(), entry.database))
    };
    let (kind, value) = match &entry.content {
        Content::Gone => return Ok(None),
        Content::Unknown(why) => return Err(bad(why)),
        Content::Document(text) => {
            let text = String::from_utf8(text.clone()).map_err(|error| bad(&error))?;
            ("json", RawValue::from_string(text).map_err(|error| bad(&error))?)
        }
        Content::Dumped(dumped) => {
            let loaded = loaded(dumped).ok_or_else(|| bad(&"what DUMP gives is not known here"))?;
            (loaded.type_name(), line::value(&loaded).map_err(|error| bad(&error))?)
        }
    };
    let db = match entry.database.parse() {
        Ok(number) => Database::Number(number),
        Err(_) => Database::Name(entry.database),
    };
    let (key, expires_at_ms) = (Text::of(&entry.key), entry.deadline);
    Ok(Some(Line { db, key, kind: kind.to_owned(), expires_at_ms, value }))
}

fn flags() -> clap::Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    clap::Command::new("mneme-cli export")
        .about("Write keys as lines of JSON, each as it is when it is read")
        .no_binary_name(true)
        .override_usage("mneme-cli export [FILE|-] [FLAGS]")
        .term_width(100)
        .args([
            Arg::new("file").value_name("FILE").value_parser(ValueParser::path_buf()),
            text("match", "GLOB", "Only these keys"),
            text("type", "TYPE", "Only keys of this type, as TYPE says it"),
            text("database", "N", "Only this database, a number or a name"),
        ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_command_is_taken() {
        let of = |line: &str| Command::of(&line.split(' ').map(|word| word.as_bytes().to_vec()).collect());
        assert!(of("get export").expect("not its own").is_none());
        let walk = Walk { pattern: Some("a*".to_owned()), kind: Some("hash".to_owned()) };
        assert_eq!(
            of("export f --match a* --type hash --database shop").expect("good"),
            Some(Command { file: Some("f".into()), walk, database: Some("shop".to_owned()) })
        );
        assert_eq!(of("EXPORT -").expect("good"), Some(Command { file: None, walk: Walk::default(), database: None }));
        assert!(matches!(of("export a b"), Err(Stop::Usage(_))));
        assert!(matches!(of("export --help"), Err(Stop::Answer(_))));
    }
}
