//! Histories in the form that Jepsen's checkers read, so that others can judge them: as EDN for Elle and Knossos, as lines
//! of JSON for elle-cli, adya and whoever else.
//!
//! An event is an invocation or its completion: `:ok`, `:fail` (certainly not executed) or `:info` (its fate is unknown).
//! `:time` is an operation's [`Stamp`]: an order, no duration. In Jepsen's histories a process does one thing at a time,
//! and nothing after an `:info`; so a client that pipelines, or goes on after one, is several processes there. Its own
//! number stands in `:client`.

use std::collections::BTreeMap;

use crate::history::{Level, NEVER, Operation, Outcome, Stamp};
use crate::model::{Command, Datum, Reply};
use crate::wire::{self, Request};

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Format {
    Edn,
    Jsonl,
}

impl Format {
    pub fn write<R: Recorded>(self, history: &[R]) -> String {
        match self {
            Format::Edn => edn(history),
            Format::Jsonl => jsonl(history),
        }
    }
}

/// A value in either format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    Nil,
    Number(i64),
    Text(String),
    /// In JSON a text.
    Keyword(String),
    List(Vec<Form>),
}

impl Form {
    pub fn keyword(name: &str) -> Form {
        Form::Keyword(name.to_owned())
    }
}

/// What came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    Ok,
    Fail,
    Info,
}

/// What can be exported.
pub trait Recorded {
    /// Whose it is.
    fn client(&self) -> u32;
    fn called(&self) -> Stamp;
    /// [`NEVER`] if it is open for ever.
    fn ended(&self) -> Stamp;
    fn function(&self) -> String;
    /// What it asks for.
    fn asked(&self) -> Form;
    /// What came of it, and what it asked for with the answers filled in.
    fn heard(&self) -> (Completion, Form);
    /// What else there is to know of it, by name.
    fn details(&self) -> Vec<(&'static str, Form)> {
        Vec::new()
    }
}

/// One event a line, each a JSON object.
pub fn jsonl<R: Recorded>(history: &[R]) -> String {
    lines(history, &Json)
}

/// One event a line, each a map in EDN.
pub fn edn<R: Recorded>(history: &[R]) -> String {
    lines(history, &Edn)
}

/// For people: an operation a line, in the order of their calls.
pub fn told<R: Recorded>(history: &[R]) -> String {
    let line = |of: &R| {
        let ended = if of.ended() == NEVER { "?".to_owned() } else { of.ended().0.to_string() };
        let (kind, value) = completed(of);
        let (called, client, function) = (of.called().0, of.client(), of.function());
        format!("{called:>6} to {ended:<6} client {client:<5} {kind:<5} {function} {}\n", Edn.form(&value))
    };
    history.iter().map(line).collect()
}

fn lines<R: Recorded>(history: &[R], format: &impl Writer) -> String {
    let mut text = String::new();
    let mut time = 0;
    for (index, Event { at, of, process, is_call }) in events(history).into_iter().enumerate() {
        // What is open for ever comes last.
        time = if at == NEVER { time + 1 } else { at.0 };
        let (kind, value) = if is_call { ("invoke", of.asked()) } else { completed(of) };
        let mut fields = vec![
            ("type", format.keyword(kind)),
            ("f", format.keyword(&of.function())),
            ("value", format.form(&value)),
            ("process", process.to_string()),
            ("time", time.to_string()),
            ("index", index.to_string()),
            ("client", of.client().to_string()),
        ];
        fields.extend(of.details().iter().map(|(name, value)| (*name, format.form(value))));
        let fields: Vec<String> = fields.iter().map(|(name, value)| format.field(name, value)).collect();
        text.push_str(&format!("{{{}}}\n", fields.join(", ")));
    }
    text
}

fn completed(of: &impl Recorded) -> (&'static str, Form) {
    let (completion, value) = of.heard();
    let kind = match completion {
        Completion::Ok => "ok",
        Completion::Fail => "fail",
        Completion::Info => "info",
    };
    (kind, value)
}

struct Event<'a, R> {
    at: Stamp,
    of: &'a R,
    process: u32,
    is_call: bool,
}

/// All events in their order, each with the process that it is of: one that is busy with nothing else.
fn events<R: Recorded>(history: &[R]) -> Vec<Event<'_, R>> {
    let mut order: Vec<(Stamp, usize, bool)> = Vec::new();
    for (i, of) in history.iter().enumerate() {
        order.extend([(of.called(), i, true), (of.ended(), i, false)]);
    }
    order.sort_by_key(|(at, i, is_call)| (*at, *i, !is_call));
    let (mut idle, mut processes): (BTreeMap<u32, Vec<u32>>, u32) = (BTreeMap::new(), 0);
    let mut running: BTreeMap<usize, u32> = BTreeMap::new();
    let mut event = |(at, i, is_call)| {
        let of: &R = &history[i];
        let idle = idle.entry(of.client()).or_default();
        let process = if is_call {
            idle.pop().unwrap_or_else(|| {
                processes += 1;
                processes - 1
            })
        } else {
            running[&i]
        };
        running.insert(i, process);
        if !is_call && of.heard().0 != Completion::Info {
            idle.push(process);
        }
        Event { at, of, process, is_call }
    };
    order.into_iter().map(&mut event).collect()
}

/// How values are written.
trait Writer {
    fn field(&self, name: &str, value: &str) -> String;
    fn keyword(&self, name: &str) -> String;
    fn nil(&self) -> &'static str;
    fn separator(&self) -> &'static str;

    fn form(&self, form: &Form) -> String {
        match form {
            Form::Nil => self.nil().to_owned(),
            Form::Number(n) => n.to_string(),
            Form::Text(text) => quoted(text),
            Form::Keyword(name) => self.keyword(name),
            Form::List(items) => {
                let items: Vec<String> = items.iter().map(|item| self.form(item)).collect();
                format!("[{}]", items.join(self.separator()))
            }
        }
    }
}

struct Json;
struct Edn;

impl Writer for Json {
    fn field(&self, name: &str, value: &str) -> String {
        format!("\"{name}\": {value}")
    }

    fn keyword(&self, name: &str) -> String {
        quoted(name)
    }

    fn nil(&self) -> &'static str {
        "null"
    }

    fn separator(&self) -> &'static str {
        ", "
    }
}

impl Writer for Edn {
    fn field(&self, name: &str, value: &str) -> String {
        format!(":{name} {value}")
    }

    fn keyword(&self, name: &str) -> String {
        format!(":{name}")
    }

    fn nil(&self) -> &'static str {
        "nil"
    }

    fn separator(&self) -> &'static str {
        " "
    }
}

/// A text in quotes; both formats escape alike.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A command is its words as a client sends them, with its answer behind them: `:get ["key:1" nil]`, then
/// `:get ["key:1" "w7"]`. A transaction is `:txn` of several such, each with its name before it.
impl Recorded for Operation {
    fn client(&self) -> u32 {
        self.process
    }

    fn called(&self) -> Stamp {
        self.called
    }

    fn ended(&self) -> Stamp {
        self.ended
    }

    fn function(&self) -> String {
        match &self.command {
            Command::Block(..) => "txn".to_owned(),
            Command::Discard(_) => "discard".to_owned(),
            Command::Walk(_) => "scan".to_owned(),
            command => words(command).remove(0).to_lowercase(),
        }
    }

    fn asked(&self) -> Form {
        self.with(None)
    }

    fn heard(&self) -> (Completion, Form) {
        let completion = match &self.outcome {
            // Somebody had changed what it watches.
            Outcome::Acknowledged(Reply::Nil) if matches!(self.command, Command::Block(..)) => Completion::Fail,
            Outcome::Acknowledged(_) | Outcome::Executed(_) => Completion::Ok,
            Outcome::Refused => Completion::Fail,
            Outcome::Uncertain | Outcome::Weaker | Outcome::Unknown => Completion::Info,
        };
        (completion, self.with(self.answered()))
    }

    fn details(&self) -> Vec<(&'static str, Form)> {
        let level = match self.level {
            Level::Eventual => "eventual",
            Level::Quorum => "quorum",
            Level::All => "all",
        };
        // The one in which its first key stands is the selected one.
        let first = self.command.keys().first().map(|key| key.database);
        let database = first.or_else(|| self.command.databases().first().copied()).unwrap_or_default();
        vec![("level", Form::keyword(level)), ("database", Form::Number(database.into()))]
    }
}

impl Operation {
    fn with(&self, reply: Option<&Reply>) -> Form {
        let text = Form::Text;
        match &self.command {
            Command::Block(_, commands) | Command::Discard(commands) => {
                let replies = match reply {
                    Some(Reply::Block(replies)) => replies.as_slice(),
                    _ => &[],
                };
                let step = |(i, command): (usize, &Command)| {
                    let mut words = words(command);
                    let name = Form::Keyword(words.remove(0).to_lowercase());
                    Form::List(
                        [name].into_iter().chain(words.into_iter().map(text)).chain([shown(replies.get(i))]).collect(),
                    )
                };
                Form::List(commands.iter().enumerate().map(step).collect())
            }
            Command::Walk(_) => Form::List(vec![shown(reply)]),
            command => Form::List(words(command).into_iter().skip(1).map(text).chain([shown(reply)]).collect()),
        }
    }
}

/// A command's words. What a text is filled with is left out, so that it reads as [`Datum`] shows it.
fn words(command: &Command) -> Vec<String> {
    if let Command::CompareAndSet { key, expected, new } = command {
        return ["cas", &wire::key_name(*key), &expected.to_string(), &new.to_string()].map(str::to_owned).to_vec();
    }
    let request = Request::new(command.clone());
    let message = wire::messages(&request).remove(0);
    let readable = |word: Vec<u8>| Datum::of_bytes(&word).to_string();
    let short = |word: String| word.strip_suffix(":0:").map(str::to_owned).unwrap_or(word);
    message.into_iter().map(readable).map(short).collect()
}

fn shown(reply: Option<&Reply>) -> Form {
    let text = |datum: &Datum| Form::Text(datum.to_string());
    match reply {
        None | Some(Reply::Nil) => Form::Nil,
        Some(Reply::Ok) => Form::keyword("ok"),
        Some(Reply::Number(n)) => Form::Number(*n),
        Some(Reply::Datum(datum)) => text(datum),
        Some(Reply::Data(data)) => {
            Form::List(data.iter().map(|datum| datum.as_ref().map_or(Form::Nil, text)).collect())
        }
        Some(Reply::Keys(keys)) => Form::List(keys.iter().map(|number| Form::Text(format!("key:{number}"))).collect()),
        Some(Reply::Block(replies)) => Form::List(replies.iter().map(|reply| shown(Some(reply))).collect()),
        Some(Reply::NotANumber) => Form::keyword("not-a-number"),
        Some(Reply::NotAFloat) => Form::keyword("not-a-float"),
        Some(Reply::Overflow) => Form::keyword("overflow"),
        Some(Reply::NoSuchKey) => Form::keyword("no-such-key"),
        Some(Reply::Kind(kind)) => {
            Form::keyword(&kind.map_or("none".to_owned(), |kind| format!("{kind:?}").to_lowercase()))
        }
        Some(Reply::Element(element)) => Form::Text(format!("e{element}")),
        Some(Reply::Id(id)) => Form::Text(format!("{}-{}", id.millis, id.seq)),
        Some(Reply::Items(items)) => Form::List(items.iter().map(|item| shown(Some(item))).collect()),
        Some(Reply::WrongType) => Form::keyword("wrong-type"),
        Some(Reply::NotASketch) => Form::keyword("no-sketch"),
        Some(Reply::NoSuchIndex) => Form::keyword("no-such-index"),
        Some(Reply::IdTooSmall) => Form::keyword("id-too-small"),
        Some(Reply::NoGroup) => Form::keyword("no-group"),
        Some(Reply::GroupExists) => Form::keyword("group-exists"),
        Some(Reply::NoDocument) => Form::keyword("no-document"),
        Some(Reply::Refused) => Form::keyword("refused"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::history::operation;
    use crate::model::{Key, Lifetime, Presence};

    const KEY: Key = Key { database: 2, number: 1 };

    fn set(n: u32) -> Command {
        let (lifetime, presence) = (Lifetime::In(1500), Presence::Absent);
        Command::Set { key: KEY, datum: Datum::Word(n), lifetime, presence, get: false }
    }

    /// One client that pipelines, gets an answer that is unsure, and goes on.
    fn history() -> Vec<Operation> {
        let block = Command::Block(None, vec![set(9), Command::Get(KEY), Command::Append(KEY, b"y\"\n".to_vec())]);
        let replies = vec![Reply::Nil, Reply::Datum(Datum::Word(7)), Reply::NotANumber];
        let watched = Command::Block(Some(3), vec![Command::Delete(vec![KEY])]);
        let mut history = vec![
            operation(1, 4, set(7), Outcome::Acknowledged(Reply::Ok)),
            operation(2, 3, Command::Get(KEY), Outcome::Refused),
            operation(5, NEVER.0, set(8), Outcome::Uncertain),
            operation(6, 7, block, Outcome::Acknowledged(Reply::Block(replies))),
            operation(8, 9, watched, Outcome::Acknowledged(Reply::Nil)),
            operation(10, 11, Command::Walk(4), Outcome::Acknowledged(Reply::Keys(BTreeSet::from([1, 2])))),
            operation(12, 13, Command::Swap(0, 4), Outcome::Weaker),
            operation(14, NEVER.0, Command::Size(3), Outcome::Unknown),
        ];
        history.iter_mut().for_each(|operation| operation.process = 5);
        history[1].level = Level::Eventual;
        history
    }

    #[test]
    fn a_history_as_jepsen_writes_it() {
        insta::assert_snapshot!("edn", edn(&history()));
    }

    #[test]
    fn a_history_as_lines_of_json() {
        insta::assert_snapshot!("jsonl", jsonl(&history()));
    }

    #[test]
    fn a_history_for_people() {
        let told = told(&history());
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 8);
        assert_eq!(lines[2], r#"     5 to ?      client 5     info  set ["key:1" "w8" "PX" "1500" "NX" nil]"#);
    }

    #[test]
    fn no_process_does_two_things_at_once_or_goes_on_after_one_that_is_open() {
        let history = history();
        let mut busy = BTreeSet::new();
        for Event { of, process, is_call, .. } in events(&history) {
            match is_call {
                true => assert!(busy.insert(process)),
                false if of.heard().0 != Completion::Info => assert!(busy.remove(&process)),
                false => {}
            }
        }
        assert_eq!(busy.len(), 3);
    }
}
