//! The command line client: every command, one-shot, piped or interactive.
//!
//! It is blocking and small: one connection, one thread. Commands are sent as typed; the client knows none of them, save
//! that some are answered by more than one message, and that some of `cluster` are shown in a form of their own.

mod cluster;
mod connection;
mod interactive;
mod options;
mod output;
mod piped;
mod quote;
mod stop;
mod trust;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use mneme_kernel::resp::{Value, encode_command};

use connection::Connection;
use options::Options;
use output::Form;
use stop::Stop;

/// A command's words, as sent.
type Words = Vec<Vec<u8>>;

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
    let mut connection = Connection::open(&options.target, &options.opening)?;
    let by_default = match io::stdout().is_terminal() {
        true => Form::Terminal,
        false => Form::Raw,
    };
    let form = options.form.unwrap_or(by_default);
    let out = io::stdout().lock();
    if !options.command.is_empty() {
        one_shot(&mut connection, &options.command, form, out)
    } else if io::stdin().is_terminal() {
        interactive::run(connection, options, form, io::stdin().lock(), out)
    } else {
        piped::run(&mut connection, form, io::stdin().lock(), out)
    }
}

/// Sends one command and prints what it answers.
fn one_shot(connection: &mut Connection, command: &Words, form: Form, mut out: impl Write) -> Result<(), Stop> {
    let mut bytes = Vec::new();
    encode_command(command, &mut bytes);
    connection.send(&bytes)?;
    match connection.reply(command)? {
        Value::Error(message) => Err(Stop::Server(message)),
        value => {
            print(form, &value, &mut out)?;
            listen(connection, command, form, out)
        }
    }
}

/// Goes on printing what the server sends if the command asked for messages; until it is interrupted.
fn listen(connection: &mut Connection, command: &Words, form: Form, mut out: impl Write) -> Result<(), Stop> {
    const ENDLESS: [&str; 4] = ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR"];
    let is = |name: &str| command.first().is_some_and(|w| w.eq_ignore_ascii_case(name.as_bytes()));
    if ENDLESS.into_iter().any(is) {
        loop {
            print(form, &connection.message()?, &mut out)?;
        }
    }
    Ok(())
}

fn print(form: Form, value: &Value, out: &mut impl Write) -> Result<(), Stop> {
    let mut bytes = Vec::new();
    form.write(value, &mut bytes);
    out.write_all(&bytes)?;
    out.flush()?;
    Ok(())
}
