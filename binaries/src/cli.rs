//! The command line client: every command, one-shot, piped or interactive.
//!
//! It is blocking and small: one connection, one thread. Commands are sent as typed; the client knows none of them, save
//! that some are answered by more than one message, and that some of `cluster` are shown in a form of their own.

mod backup;
mod cluster;
pub(crate) mod connection;
mod demo;
pub(crate) mod dial;
mod doctor;
mod export;
mod fields;
pub(crate) mod flags;
mod import;
mod interactive;
mod keys;
mod line;
mod mode;
mod options;
mod output;
mod paper;
mod piped;
mod pulse;
pub(crate) mod quote;
mod seen;
mod spectrum;
pub(crate) mod stop;
mod survey;
mod terminal;
mod top;
mod trust;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use mneme_kernel::resp::{Value, encode_command};

use connection::Connection;
use options::{Options, Watch};
use output::Form;
use stop::Stop;

use crate::suggest::did_you_mean;

/// A command's words, as sent.
pub(crate) type Words = Vec<Vec<u8>>;

/// Runs the client with this process's arguments, environment and standard streams.
pub fn main() -> ExitCode {
    let run = || {
        let password = std::env::var("MNEME_PASSWORD").ok();
        let options = Options::parse(std::env::args_os(), password)?;
        run(&options)
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => stop.report(),
    }
}

fn run(options: &Options) -> Result<(), Stop> {
    if let Some(command) = cluster::Command::of(&options.command)? {
        let answer = command.run(options)?;
        io::stdout().lock().write_all(&answer)?;
        return Ok(());
    }
    if doctor::is_asked(&options.command) {
        let (answer, well) = doctor::run(options)?;
        io::stdout().lock().write_all(&answer)?;
        return if well { Ok(()) } else { Err(Stop::Shown) };
    }
    if let Some(command) = top::Command::of(&options.command)? {
        return command.run(options);
    }
    if demo::is_asked(&options.command) {
        return demo::run(&options.command);
    }
    if let Some(command) = paper::Command::of(&options.command)? {
        io::stdout().lock().write_all(&command.run()?)?;
        return Ok(());
    }
    if let Some(command) = backup::Command::of(&options.command)? {
        let answer = command.run(options)?;
        io::stdout().lock().write_all(&answer)?;
        return Ok(());
    }
    if let Some(command) = import::Command::of(&options.command)? {
        let answer = command.run(options)?;
        io::stdout().lock().write_all(&answer)?;
        return Ok(());
    }
    if let Some(command) = export::Command::of(&options.command)? {
        return command.run(options);
    }
    let mut connection = Connection::open(&options.target, &options.opening)?;
    let by_default = match io::stdout().is_terminal() {
        true => Form::Terminal,
        false => Form::Raw,
    };
    let form = options.form.unwrap_or(by_default);
    let out = io::stdout().lock();
    let every = options.interval.unwrap_or(SECOND);
    if let Some(watch) = &options.watch {
        match watch {
            Watch::Scan(walk) => survey::scan(&mut connection, walk, form, out),
            Watch::BigKeys(walk) => survey::big_keys(&mut connection, walk, options.form, out),
            Watch::Latency => pulse::latency(&mut connection, every, out),
            Watch::LatencyDist => spectrum::show(&mut connection, every, out),
            Watch::Stat => pulse::stat(&mut connection, every, options.repeat, out),
        }
    } else if !options.command.is_empty() {
        repeated(&mut connection, options, form, out)
    } else if io::stdin().is_terminal() {
        interactive::run(connection, options, form, out)
    } else {
        piped::run(&mut connection, form, io::stdin().lock(), out)
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Sends the command as often as was asked for.
fn repeated(connection: &mut Connection, options: &Options, form: Form, mut out: impl Write) -> Result<(), Stop> {
    for round in 0..options.repeat {
        if let (Some(interval), 1..) = (options.interval, round) {
            thread::sleep(interval);
        }
        one_shot(connection, &options.command, form, &mut out)?;
    }
    Ok(())
}

/// Sends one command and prints what it answers.
fn one_shot(connection: &mut Connection, command: &Words, form: Form, mut out: impl Write) -> Result<(), Stop> {
    let mut bytes = Vec::new();
    encode_command(command, &mut bytes);
    connection.send(&bytes)?;
    match connection.answer(command)? {
        Some(Value::Error(message)) => return Err(Stop::Server(explained(connection, command, message))),
        Some(value) => print(form, &value, &mut out)?,
        None => {}
    }
    listen(connection, command, form, out)
}

/// A server's error; with the command or subcommand that was probably meant, if it knows none of that name.
fn explained(connection: &mut Connection, command: &Words, message: String) -> String {
    let (at, ask) = match command.first() {
        Some(_) if message.starts_with("ERR unknown command") => (0, [&b"COMMAND"[..], b"LIST"]),
        // Of CLUSTER, every other subcommand is refused by the words that clients of Redis look for.
        Some(container)
            if message.starts_with("ERR unknown subcommand") || message.contains("cluster support disabled") =>
        {
            (1, [container.as_slice(), b"HELP"])
        }
        _ => return message,
    };
    let Ok(Value::Array(known)) = connection.ask(&ask) else { return message };
    let known: Vec<String> = known.iter().filter_map(first_word).collect();
    // Of `HELP`, the first line is a head, and what describes a subcommand is indented.
    let known = known.iter().skip(at).map(String::as_str).filter(|name| !name.is_empty());
    let own: &[&str] = match ask[0] {
        b"COMMAND" => &["demo", "doctor", "export", "import", "top", "completions", "man"],
        container if container.eq_ignore_ascii_case(b"cluster") => &["secret"],
        _ => &[],
    };
    let typed = command.get(at).map(|name| String::from_utf8_lossy(name).to_lowercase()).unwrap_or_default();
    // A right name with wrong arguments is refused by the same words.
    let near = known.chain(own.iter().copied()).filter(|name| *name != typed);
    message + &did_you_mean(&typed, near, "")
}

/// The first word of a line, in small letters; none if it is indented.
fn first_word(line: &Value) -> Option<String> {
    let line = match line {
        Value::Simple(line) => line.as_bytes(),
        line => line.as_bytes()?,
    };
    Some(String::from_utf8_lossy(line).split(' ').next().unwrap_or_default().to_lowercase())
}

/// Goes on printing what the server sends if the command asked for messages; until it is interrupted.
fn listen(connection: &mut Connection, command: &Words, form: Form, mut out: impl Write) -> Result<(), Stop> {
    if asks_for_messages(connection, command) {
        loop {
            print(form, &connection.message()?, &mut out)?;
        }
    }
    Ok(())
}

/// Whether messages follow a command that was done. Within `MULTI` it is only queued.
fn asks_for_messages(connection: &Connection, command: &Words) -> bool {
    const ENDLESS: [&str; 4] = ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR"];
    !connection.mode().is_transaction() && ENDLESS.into_iter().any(|name| mode::is(command, 0, name))
}

fn print(form: Form, value: &Value, out: &mut impl Write) -> Result<(), Stop> {
    let mut bytes = Vec::new();
    form.write(value, &mut bytes);
    out.write_all(&bytes)?;
    out.flush()?;
    Ok(())
}
