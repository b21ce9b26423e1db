//! `cluster status`, `transfer`, `remove` and `secret`, for people. Every other `cluster ...` is sent as typed.

mod view;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use mneme_kernel::resp::{Value, encode_command};

use super::Words;
use super::connection::{Connection, Target};
use super::options::Options;
use super::output::Form;
use super::stop::Stop;
use view::View;

/// How long a primary may take to hand over; it does so within a few hundred milliseconds, or not at all.
const HAND_OVER: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

/// The folder that a server has by default.
const DATA: &str = "./mneme-data";

/// One of the commands that are more than what the server answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Status,
    Transfer,
    /// Have another node than that remove it, or only its Keeper.
    Remove {
        node: String,
        keeper_only: bool,
    },
    /// The secret of the founder whose data folder this is.
    Secret(PathBuf),
}

impl Command {
    /// The command that these words are, if it is one of them.
    ///
    /// # Errors
    /// If it is, and its arguments are wrong.
    pub fn of(words: &Words) -> Result<Option<Command>, Stop> {
        let [cluster, name, rest @ ..] = words.as_slice() else { return Ok(None) };
        if !cluster.eq_ignore_ascii_case(b"cluster") {
            return Ok(None);
        }
        let rest: Vec<_> = rest.iter().map(|word| String::from_utf8_lossy(word)).collect();
        let rest: Vec<&str> = rest.iter().map(|word| &**word).collect();
        Ok(match (name.to_ascii_lowercase().as_slice(), rest.as_slice()) {
            (b"status", []) => Some(Command::Status),
            (b"transfer", []) => Some(Command::Transfer),
            (b"remove", [node]) if !node.starts_with('-') => {
                Some(Command::Remove { node: (*node).to_owned(), keeper_only: false })
            }
            (b"remove", [node, keeper] | [keeper @ "--keeper", node])
                if keeper.trim_start_matches("--").eq_ignore_ascii_case("keeper") =>
            {
                Some(Command::Remove { node: (*node).to_owned(), keeper_only: true })
            }
            (b"remove", _) => return Err(Stop::Usage("usage: mneme-cli cluster remove NODE [--keeper]".to_owned())),
            (b"secret", ["--data", folder]) => Some(Command::Secret(folder.into())),
            (b"secret", []) => {
                Some(Command::Secret(env::var_os("MNEME_DATA").map_or_else(|| DATA.into(), PathBuf::from)))
            }
            (b"secret", _) => return Err(Stop::Usage("usage: mneme-cli cluster secret [--data DIR]".to_owned())),
            _ => None,
        })
    }

    /// What it prints.
    ///
    /// # Errors
    /// If it cannot be done.
    pub fn run(&self, options: &Options) -> Result<Vec<u8>, Stop> {
        let form = options.form;
        match self {
            Command::Status => {
                let status = ask_status(&mut Connection::open(&options.target, &options.opening)?)?;
                Ok(show(form, &status, |view| view.text()))
            }
            Command::Transfer => {
                let status = transfer(options)?;
                Ok(show(form, &status, |view| format!("primary {}\nepoch {}\n", view.primary(), view.epoch())))
            }
            Command::Remove { node, keeper_only } => {
                let done = remove(options, node, *keeper_only)?;
                let mut out = Vec::new();
                form.unwrap_or(Form::Raw).write(&done, &mut out);
                Ok(out)
            }
            Command::Secret(folder) => {
                let mut out = Vec::new();
                form.unwrap_or(Form::Raw).write(&Value::Bulk(secret(folder)?.into_bytes()), &mut out);
                Ok(out)
            }
        }
    }
}

/// A status in the form that was asked for; as text for people if none was.
fn show(form: Option<Form>, status: &Value, text: impl Fn(&View<'_>) -> String) -> Vec<u8> {
    let mut out = Vec::new();
    match form {
        Some(form) => form.write(status, &mut out),
        None => out.extend(text(&View(status)).bytes()),
    }
    out
}

fn ask(connection: &mut Connection, command: &[&str]) -> Result<Value, Stop> {
    let words: Words = command.iter().map(|word| word.as_bytes().to_vec()).collect();
    let mut bytes = Vec::new();
    encode_command(&words, &mut bytes);
    connection.send(&bytes)?;
    match connection.reply(&words)? {
        Value::Error(message) => Err(Stop::Server(message)),
        value => Ok(value),
    }
}

fn ask_status(connection: &mut Connection) -> Result<Value, Stop> {
    ask(connection, &["CLUSTER", "STATUS"]).map(view::with_maps)
}

/// Has the primary hand over, and waits until it has; the status afterwards, as it sees it.
fn transfer(options: &Options) -> Result<Value, Stop> {
    let (mut connection, name) = find_primary(options)?;
    ask(&mut connection, &["CLUSTER", "TRANSFER"])?;
    let until = Instant::now() + HAND_OVER;
    loop {
        let status = ask_status(&mut connection)?;
        let view = View(&status);
        if !view.primary().is_empty() && view.primary() != name {
            return Ok(status);
        }
        if Instant::now() >= until {
            return Err(Stop::Server(format!(
                "{name} was asked to hand over, and no other Core has taken over within {} seconds: see cluster status",
                HAND_OVER.as_secs()
            )));
        }
        thread::sleep(LOOK);
    }
}

/// Has the first host that answers, and is not the node itself, remove it. Only a Keeper that is inside no more is its own
/// node's to remove, if no other one answers.
fn remove(options: &Options, node: &str, keeper_only: bool) -> Result<Value, Stop> {
    let mut unreachable = Vec::new();
    let mut itself = None;
    let words = ["CLUSTER", "REMOVE", node, "KEEPER"];
    let command = if keeper_only { &words[..] } else { &words[..3] };
    for target in each(&options.target) {
        let mut connection = match Connection::open(&target, &options.opening) {
            Ok(connection) => connection,
            Err(Stop::Connection(problem)) => {
                unreachable.push(problem);
                continue;
            }
            Err(stop) => return Err(stop),
        };
        let status = ask_status(&mut connection)?;
        if View(&status).node() == node {
            itself = Some(connection);
            continue;
        }
        return ask(&mut connection, command);
    }
    let problems = unreachable.join("\n");
    let Some(mut itself) = itself else { return Err(Stop::Connection(problems)) };
    if keeper_only {
        return ask(&mut itself, command);
    }
    let why = format!("{node} does not remove itself: pass another node with -H HOST:PORT");
    Err(match problems.is_empty() {
        true => Stop::Usage(why),
        false => Stop::Connection(format!("{problems}\n{why}")),
    })
}

/// A connection with the primary, and its name. The addresses that clients use are not known to the cluster: it must be
/// among the hosts that were given.
fn find_primary(options: &Options) -> Result<(Connection, String), Stop> {
    let mut known = None;
    let mut unreachable = Vec::new();
    for target in each(&options.target) {
        let mut connection = match Connection::open(&target, &options.opening) {
            Ok(connection) => connection,
            Err(Stop::Connection(problem)) => {
                unreachable.push(problem);
                continue;
            }
            Err(stop) => return Err(stop),
        };
        let status = ask_status(&mut connection)?;
        let view = View(&status);
        if view.is_primary() {
            return Ok((connection, view.node().to_owned()));
        }
        if !view.primary().is_empty() {
            known = Some((view.primary().to_owned(), view.address_of(view.primary()).to_owned()));
        }
    }
    let problems = unreachable.join("\n");
    match known {
        Some((name, address)) => {
            let why = format!(
                "the primary is {name}, whose cluster address is {address}; the address at which it takes clients is not \
                 known here: pass it with -H HOST:PORT, or all nodes with -H HOST:PORT,HOST:PORT"
            );
            Err(match problems.is_empty() {
                true => Stop::Usage(why),
                false => Stop::Connection(format!("{problems}\n{why}")),
            })
        }
        None if problems.is_empty() => Err(Stop::Server("there is no primary now: try again".to_owned())),
        None => Err(Stop::Connection(problems)),
    }
}

/// Each host by itself.
fn each(target: &Target) -> Vec<Target> {
    match target {
        Target::Hosts { hosts, trust } => {
            hosts.iter().map(|host| Target::Hosts { hosts: vec![host.clone()], trust: trust.clone() }).collect()
        }
        Target::Socket(_) | Target::Clear(_) => vec![target.clone()],
    }
}

fn secret(folder: &Path) -> Result<String, Stop> {
    let path = folder.join("cluster-secret");
    let text = fs::read_to_string(&path).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => {
                "; it is in the data folder of the node that founded the cluster (--data DIR), \
                 unless MNEME_CLUSTER_SECRET was set there"
            }
            _ => "",
        };
        Stop::Usage(format!("{}: {error}{hint}", path.display()))
    })?;
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Option<Command>, Stop> {
        Command::of(&line.split(' ').map(|word| word.as_bytes().to_vec()).collect())
    }

    #[test]
    fn only_its_own_commands_are_taken() {
        for (line, command) in [
            ("cluster status", Some(Command::Status)),
            ("CLUSTER Transfer", Some(Command::Transfer)),
            ("cluster secret --data d", Some(Command::Secret("d".into()))),
            ("cluster remove n3", Some(Command::Remove { node: "n3".into(), keeper_only: false })),
            ("cluster remove n3 --keeper", Some(Command::Remove { node: "n3".into(), keeper_only: true })),
            ("cluster remove --keeper n3", Some(Command::Remove { node: "n3".into(), keeper_only: true })),
            ("CLUSTER REMOVE n3 KEEPER", Some(Command::Remove { node: "n3".into(), keeper_only: true })),
            ("cluster rotate-certs", None),
            ("cluster info", None),
            ("cluster status x", None),
            ("cluster", None),
            ("get status", None),
        ] {
            assert_eq!(of(line).expect("good arguments"), command, "{line}");
        }
        for wrong in ["cluster secret now", "cluster remove", "cluster remove --keeper", "cluster remove n1 n2"] {
            assert!(matches!(of(wrong), Err(Stop::Usage(_))), "{wrong}");
        }
    }

    #[test]
    fn a_secret_that_is_not_there_is_explained() {
        assert!(matches!(secret(Path::new("/nowhere")), Err(Stop::Usage(m)) if m.contains("founded")));
    }
}
