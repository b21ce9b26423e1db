//! Every command of the table, and who may run it: `table.txt` tells it. A new command is not forgotten, for it is missing
//! there; a change of a command's class is seen.

use std::fmt::Write;

use mneme_kernel::commands::Commands;
use mneme_kernel::facade::Facade;
use mneme_kernel::session::Port;

use crate::stage::{Stage, facades, text};

const USERS: [&str; 4] = ["stranger", "readonly", "readwrite", "admin"];

/// Every command, and every subcommand that has rights of its own, with as many arguments as it takes.
fn requests(facade: &Facade) -> Vec<(String, String)> {
    let commands = Commands::new(facade);
    let mut requests = Vec::new();
    for (number, command) in commands.all().iter().enumerate() {
        let fill = |named: &[&str], arity: i32| {
            let mut words = named.to_vec();
            words.resize(words.len().max(arity.unsigned_abs() as usize), "1");
            words.join(" ")
        };
        let mut subcommands = commands.subcommands(number).peekable();
        match subcommands.peek() {
            // What counts is the command behind it.
            None if command.name == "consistency" => {
                requests.push((command.name.into(), "consistency quorum ping".into()));
            }
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
fn is_allowed(facade: &Facade, user: &str, granted: bool, request: &str) -> bool {
    let mut stage = Stage::with_facade(facade.clone());
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
        let mut stage = Stage::with_facade(facade.clone());
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

/// A line for each request.
fn found(facade: &Facade) -> String {
    let mut found = String::new();
    for (name, request) in requests(facade) {
        let who = |granted: bool| {
            let users = USERS.into_iter().filter(|user| is_allowed(facade, user, granted, &request));
            users.collect::<Vec<_>>().join(" ")
        };
        let (here, elsewhere) = (who(true), who(false));
        let elsewhere = if here == elsewhere { String::new() } else { format!(" | {elsewhere}") };
        writeln!(found, "{name}: {here}{elsewhere}").expect("writing into memory");
    }
    found
}

/// The lines that only one of both has, and those that only the other one has.
fn differences<'a>(one: &'a str, other: &'a str) -> (Vec<&'a str>, Vec<&'a str>) {
    let only =
        |one: &'a str, other: &str| one.lines().filter(|line| !other.lines().any(|known| known == *line)).collect();
    (only(one, other), only(other, one))
}

#[test]
fn every_command_is_run_by_whom_the_table_says() {
    let table = include_str!("table.txt");
    let known: String = table.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    let found = found(&facades());
    let (new, gone) = differences(&found, &known);
    assert!(
        new.is_empty() && gone.is_empty(),
        "not in table.txt:\n{}\n\nonly there:\n{}",
        new.join("\n"),
        gone.join("\n")
    );
}

/// Rules mean the same on nodes that answer as Redis Cluster and on those that do not.
#[test]
fn rights_do_not_depend_on_the_facades() {
    let (with, without) = (Commands::new(&facades()), Commands::default());
    let all = |commands: &Commands| {
        let units = |number: usize| {
            let name = commands.all()[number].name;
            let subcommands = commands.subcommands(number);
            format!("{name} {:?} {:?}", commands.all()[number].access, subcommands.collect::<Vec<_>>())
        };
        (0..commands.all().len()).map(|number| units(number) + "\n").collect::<String>()
    };
    let (with, without) = (all(&with), all(&without));
    let (only_with, only_without) = differences(&with, &without);
    assert!(only_without.is_empty(), "{only_without:?}");
    let of_facades = |line: &&str| line.starts_with("asking ") || line.starts_with("sentinel ");
    assert!(only_with.iter().all(of_facades), "{only_with:?}");
}
