//! `demo`: three nodes on this machine in one command, with a load, and keys that break them while one watches.

mod access;
mod dialler;
mod end;
mod folder;
mod launch;
mod load;
mod nodes;
mod options;
mod plain;
mod ports;
mod relay;
mod screen;
mod script;
mod stage;
mod tally;
mod watch;

use std::io::{IsTerminal, Write, stdin, stdout};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use access::{Access, Secrets};
use end::End;
use folder::Folder;
use nodes::Nodes;
use options::Options;
pub use options::flags;
use ports::Ports;
use stage::Stage;

use super::Words;
use super::stop::Stop;

/// The nodes: fewer could not lose one.
const COUNT: usize = 3;
const NAMES: [&str; COUNT] = ["n1", "n2", "n3"];

/// How long nodes may take to start: far more than they do.
const STARTING: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// Whether these words are its command.
pub fn is_asked(words: &Words) -> bool {
    words.first().is_some_and(|word| word.eq_ignore_ascii_case(b"demo"))
}

/// Shows it, until it is to end.
///
/// # Errors
/// If the nodes do not start, or something that was acknowledged is lost.
pub fn run(words: &Words) -> Result<(), Stop> {
    if let Some(failed) = launch::become_server(words) {
        return Err(failed);
    }
    let options = Options::parse(words)?;
    let end = End::watch()?;
    let (server, ports, secrets) = (launch::find_server()?, Ports::choose(options.port)?, Secrets::make()?);
    // It is removed behind the nodes: what is declared last is dropped first.
    let folder = Folder::create(options.data.as_deref())?;
    let access = Access::new(ports, folder.path(), secrets.clone());
    writeln!(stdout(), "Starting {} in {}", NAMES.join(", "), folder.path().display())?;
    let mut nodes = Nodes::start(server, folder.path(), ports, secrets)?;
    end.at_a_panic(nodes.processes(), &folder);
    if !wait_until_ready(&mut nodes, &end)? {
        return Ok(());
    }
    write!(stdout(), "{}", how_to_connect(&access))?;
    let mut stage = Stage::new(nodes, access, &options)?;
    match !options.plain && stdin().is_terminal() && stdout().is_terminal() {
        true => screen::show(&mut stage, &end)?,
        false => plain::show(&mut stage, &end)?,
    }
    if !end.is_pressing() {
        finish(stage, &folder)?;
    }
    Ok(())
}

/// Waits for the nodes; `false` if it is to end before.
fn wait_until_ready(nodes: &mut Nodes, end: &End) -> Result<bool, Stop> {
    let until = Instant::now() + STARTING;
    while !nodes.are_ready()? {
        if Instant::now() >= until {
            let logs: Vec<_> = (0..COUNT).map(|node| nodes.last_lines(node)).collect();
            let seconds = STARTING.as_secs();
            return Err(Stop::Server(format!("the nodes are not ready after {seconds} seconds\n{}", logs.join("\n"))));
        }
        if end.is_asked() {
            return Ok(false);
        }
        thread::sleep(LOOK);
    }
    Ok(true)
}

fn how_to_connect(access: &Access) -> String {
    let consoles: Vec<_> = (0..COUNT).map(|node| format!("{} {}", NAMES[node], access.console(node))).collect();
    format!(
        "To connect from another terminal:\n\n  {}\n\nTheir consoles: {}\n\n",
        access.commands().join("\n  "),
        consoles.join("  ")
    )
}

/// Compares what is there with what was acknowledged, and stops the nodes.
fn finish(mut stage: Stage, folder: &Folder) -> Result<(), Stop> {
    writeln!(stdout(), "Healing the nodes, and reading every counter once more")?;
    stage.heal_all()?;
    let (mut nodes, tally) = stage.end();
    if folder.is_kept() {
        nodes.stop();
        writeln!(stdout(), "Data and logs are in {}", folder.path().display())?;
    }
    let tally = tally?;
    match tally.is_kept() {
        true => Ok(writeln!(stdout(), "{}", tally.text())?),
        false => Err(Stop::Server(format!("{}: the promise is broken", tally.text()))),
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%=".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_where_a_shell_would_split_it() {
        for (path, text) in
            [("/tmp/a-1/ca.crt", "/tmp/a-1/ca.crt"), ("/a b", "'/a b'"), ("it's", r"'it'\''s'"), ("", "''")]
        {
            assert_eq!(quoted(Path::new(path)), text);
        }
    }
}
