//! Every command of the table, and who may run it: `table.txt` tells it. A new command is not forgotten, for it is missing
//! there; a change of a command's class is seen.

use std::fmt::Write;

use mneme_kernel::commands::Commands;
use mneme_kernel::session::Port;

use crate::stage::{Stage, text};

const USERS: [&str; 4] = ["stranger", "readonly", "readwrite", "admin"];

/// Every command, and every subcommand that has rights of its own, with as many arguments as it takes.
fn requests() -> Vec<(String, String)> {
    let commands = Commands::default();
    let mut requests = Vec::new();
    for (number, command) in commands.all().iter().enumerate() {
        let fill = |named: &[&str], arity: i32| {
            let mut words = named.to_vec();
            words.resize(words.len().max(arity.unsigned_abs() as usize), "1");
            words.join(" ")
        };
        let mut subcommands = commands.subcommands(number).peekable();
        match subcommands.peek() {
            None => requests.push((command.name.into(), fill(&[command.name], command.arity))),
            // All have the rights of the command.
            Some((name, arity, None)) => requests.push((command.name.into(), fill(&[command.name, name], *arity))),
            Some((_, _, Some(_))) => requests.extend(
                subcommands
                    .map(|(name, arity, _)| (format!("{} {name}", command.name), fill(&[command.name, name], arity))),
            ),
        }
    }
    requests
}

/// Whether a user may run it while a database is selected that the user was granted, or was not.
fn is_allowed(user: &str, granted: bool, request: &str) -> bool {
    let mut stage = Stage::new();
    for role in ["readonly", "readwrite"] {
        assert_eq!(stage.ask("admin", &format!("USER CREATE {role} PASSWORD p ROLE {role} DATABASES 1")), "OK");
    }
    match user {
        "stranger" => stage.connect(user, Port::Main),
        "admin" => {}
        user => stage.log_in(user, "p"),
    }
    if granted && user != "stranger" {
        assert_eq!(stage.ask(user, "SELECT 1"), "OK");
    }
    let (mut replies, _) = stage.send(user, request);
    stage.accept();
    replies.extend(stage.receive(user));
    let is_refusal = |text: &str| text.contains("NOPERM ") || text.contains("NOAUTH Authentication required.");
    let refused = replies.first().is_some_and(|reply| is_refusal(&text(reply)));
    // What it would be told without doing it is the same.
    if user != "stranger" {
        let mut stage = Stage::new();
        stage.ask("admin", "USER CREATE readonly PASSWORD p ROLE readonly DATABASES 1");
        stage.ask("admin", "USER CREATE readwrite PASSWORD p ROLE readwrite DATABASES 1");
        if granted {
            stage.ask("admin", "SELECT 1");
        }
        let told = stage.ask("admin", &format!("ACL DRYRUN {user} {request}"));
        assert_eq!(told == "OK", !refused, "ACL DRYRUN {user} {request}: {told}");
    }
    !refused
}

#[test]
fn every_command_is_run_by_whom_the_table_says() {
    let mut found = String::new();
    for (name, request) in requests() {
        let who = |granted: bool| {
            let users = USERS.into_iter().filter(|user| is_allowed(user, granted, &request));
            users.collect::<Vec<_>>().join(" ")
        };
        let (here, elsewhere) = (who(true), who(false));
        let elsewhere = if here == elsewhere { String::new() } else { format!(" | {elsewhere}") };
        writeln!(found, "{name}: {here}{elsewhere}").expect("writing into memory");
    }
    let table = include_str!("table.txt");
    let known: String = table.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    let is_new = |line: &&str| !known.lines().any(|known| known == *line);
    let new: Vec<&str> = found.lines().filter(is_new).collect();
    let gone: Vec<&str> = known.lines().filter(|known| !found.lines().any(|line| line == *known)).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "not in table.txt:\n{}\n\nonly there:\n{}",
        new.join("\n"),
        gone.join("\n")
    );
}
