//! Queues: some clients push numbers, each once, the others take them, mostly by commands that wait. Each number is delivered
//! once, whoever is primary meanwhile and at whatever node somebody waits ([`mneme_checks::check::queue`]).

use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context, bail};
use mneme_checks::export::Completion;
use mneme_checks::history::Level;
use mneme_checks::queue::{Action, failed, number};
use mneme_kernel::resp::Value;
use rand::Rng;
use rand::seq::IndexedRandom;

use super::Work;
use crate::client::{Client, Silence};
use crate::run::{Ended, Sample, now};

/// Lists that are pushed to at the right.
const RIGHT: [u16; 2] = [0, 1];
/// A list that is pushed to at the left.
const LEFT: u16 = 2;
/// A stream, which a group reads.
const STREAM: u16 = 3;
const GROUP: &str = "g";
/// One of so many clients pushes. A push brings up to [`PUSHED`] numbers.
const PUSHERS: usize = 4;
const PUSHED: u32 = 4;
/// How often somebody waits for longer than it is patient, and gives up.
const IMPATIENT: f64 = 0.03;

pub async fn turn(work: &Work, client: &mut Client) {
    if client.number.is_multiple_of(PUSHERS) { push(work, client).await } else { pop(work, client).await }
}

async fn push(work: &Work, client: &mut Client) {
    let list = client.dice.random_range(0..=STREAM);
    let count = if list == STREAM { 1 } else { client.dice.random_range(1..=PUSHED) };
    let first = work.words.fetch_add(count, Ordering::Relaxed);
    let numbers = first..first + count;
    let words = match list {
        STREAM => words(format!("XADD queue:{list} * n {first}")),
        LEFT => with_numbers("LPUSH", list, numbers.clone()),
        _ => with_numbers("RPUSH", list, numbers.clone()),
    };
    let pushes = numbers.map(|number| Action::Push { list, number });
    let call = work.queues().call(client.number as u32, pushes);
    let answer = ask(client, &words).await;
    let completion = match answer {
        Ok(Value::Int(_) | Value::Bulk(_)) => Completion::Ok,
        other => failed_by(&other),
    };
    work.queues().end(call, completion, None);
}

async fn pop(work: &Work, client: &mut Client) {
    let (lists, words) = draw_pop(client);
    let call = work.queues().call(client.number as u32, [Action::Pop { lists: lists.clone(), got: None }]);
    let answer = ask(client, &words).await;
    let got = answer.as_ref().ok().and_then(|value| taken(value, lists[0]));
    let completion = match &answer {
        Ok(Value::Null) => Completion::Ok,
        _ if got.is_some() => Completion::Ok,
        other => failed_by(other),
    };
    let became = got.map(|got| Action::Pop { lists, got: Some(got) });
    work.queues().end(call, completion, became);
    if matches!(answer, Ok(Value::Error(text)) if text.starts_with("NOGROUP ")) {
        // Somebody has to be the first, and it does not matter who.
        let _ = client.ask(&self::words(format!("XGROUP CREATE queue:{STREAM} {GROUP} 0 MKSTREAM"))).await;
    }
}

/// A command that takes the oldest number, and of which lists.
fn draw_pop(client: &mut Client) -> (Vec<u16>, Vec<String>) {
    let patience = client.run.options.patience.as_secs_f64();
    let dice = &mut client.dice;
    let seconds =
        if dice.random_bool(IMPATIENT) { patience * 1.2 } else { dice.random_range(0.05..(patience / 2.0).min(1.5)) };
    let mut right = RIGHT.to_vec();
    if dice.random_bool(0.5) {
        right.reverse();
    }
    let [first, second] = [right[0], right[1]];
    let millis = seconds * 1000.0;
    let consumer = client.number % 3;
    let commands = [
        (vec![first], format!("BLPOP queue:{first} {seconds:.3}")),
        (right.clone(), format!("BLPOP queue:{first} queue:{second} {seconds:.3}")),
        (vec![LEFT], format!("BRPOP queue:{LEFT} {seconds:.3}")),
        (vec![first], format!("BLMOVE queue:{first} taken LEFT RIGHT {seconds:.3}")),
        (right, format!("LMPOP 2 queue:{first} queue:{second} LEFT")),
        (vec![LEFT], format!("RPOP queue:{LEFT}")),
        (
            vec![STREAM],
            format!("XREADGROUP GROUP {GROUP} c{consumer} COUNT 1 BLOCK {millis:.0} STREAMS queue:{STREAM} >"),
        ),
    ];
    let (lists, command) = commands.choose(&mut client.dice).expect("there are commands").clone();
    (lists, words(command))
}

/// What an answer says was taken: from the list that it names, or else from the only one that was asked for.
fn taken(answer: &Value, only: u16) -> Option<(u16, u32)> {
    let mut texts = Vec::new();
    leaves(answer, &mut texts);
    let named = texts.first().and_then(|text| std::str::from_utf8(text).ok()?.strip_prefix("queue:")?.parse().ok());
    let last = Value::Bulk(texts.last()?.to_vec());
    Some((named.unwrap_or(only), number(&last)?))
}

fn leaves<'a>(value: &'a Value, texts: &mut Vec<&'a [u8]>) {
    match value {
        Value::Bulk(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, texts)),
        Value::Map(pairs) => pairs.iter().flat_map(|(name, value)| [name, value]).for_each(|item| leaves(item, texts)),
        _ => {}
    }
}

/// Asks, and notes how that went.
async fn ask(client: &mut Client, words: &[String]) -> Result<Value, Silence> {
    let (called, began) = (now(), Instant::now());
    let answer = client.ask(words).await;
    if answer != Err(Silence::Unsent) {
        let kind = match &answer {
            Ok(Value::Error(_)) if failed_by(&answer) == Completion::Fail => Ended::Refused,
            Ok(Value::Error(_)) | Err(_) => Ended::Unknown,
            Ok(_) => Ended::Ok,
        };
        client.run.sample(Sample { called, took: began.elapsed(), level: Level::Quorum, is_read: false, kind });
    }
    answer
}

fn failed_by(answer: &Result<Value, Silence>) -> Completion {
    match answer {
        Err(Silence::Unsent) => Completion::Fail,
        answer => failed(answer.as_ref().ok()),
    }
}

/// Reads what is left in every queue, when everybody has ended.
///
/// # Errors
/// If the node does not say so.
pub async fn read_all(client: &mut Client) -> anyhow::Result<()> {
    for list in (0..=STREAM).collect::<Vec<_>>() {
        let run = client.run.clone();
        let call = run.work.queues().call(client.number as u32, [Action::Read { list, found: Vec::new() }]);
        let found = match list {
            STREAM => unread(client).await?,
            _ => {
                let Value::Array(items) = settled(client, &words(format!("LRANGE queue:{list} 0 -1"))).await? else {
                    bail!("LRANGE answers no list");
                };
                items.iter().map(number).collect::<Option<Vec<u32>>>().context("what nobody pushed")?
            }
        };
        run.work.queues().end(call, Completion::Ok, Some(Action::Read { list, found }));
    }
    Ok(())
}

/// What the stream's group has not been given.
async fn unread(client: &mut Client) -> anyhow::Result<Vec<u32>> {
    let groups = settled(client, &words(format!("XINFO GROUPS queue:{STREAM}"))).await?;
    let mut texts = Vec::new();
    leaves(&groups, &mut texts);
    let at = texts.iter().position(|text| *text == b"last-delivered-id");
    // Nobody has read, or not even written.
    let last = at.and_then(|at| texts.get(at + 1)).map_or("0-0".into(), |last| String::from_utf8_lossy(last));
    let Value::Array(entries) = settled(client, &words(format!("XRANGE queue:{STREAM} ({last} +"))).await? else {
        bail!("XRANGE answers no entries");
    };
    entries
        .iter()
        .map(|entry| taken(entry, STREAM).map(|(_, number)| number))
        .collect::<Option<_>>()
        .context("no number")
}

/// An answer when nothing is wrong any more.
async fn settled(client: &mut Client, words: &[String]) -> anyhow::Result<Value> {
    const TRIES: usize = 20;
    let mut answer = Err(Silence::Unsent);
    for _ in 0..TRIES {
        answer = client.ask(words).await;
        match &answer {
            Ok(Value::Error(text)) if text == "ERR no such key" => return Ok(Value::Array(Vec::new())),
            Ok(Value::Error(_)) | Err(_) => tokio::time::sleep(std::time::Duration::from_millis(500)).await,
            Ok(_) => break,
        }
    }
    match answer {
        Ok(value) if !matches!(value, Value::Error(_)) => Ok(value),
        other => bail!("{words:?} is answered {other:?}"),
    }
}

fn words(line: String) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn with_numbers(command: &str, list: u16, numbers: std::ops::Range<u32>) -> Vec<String> {
    let numbers = numbers.map(|number| number.to_string());
    [command.to_owned(), format!("queue:{list}")].into_iter().chain(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.into())
    }

    #[test]
    fn what_was_taken_is_read_from_every_kind_of_answer() {
        let entry = Value::Array(vec![bulk("7-0"), Value::Array(vec![bulk("n"), bulk("17")])]);
        for (answer, got) in [
            (Value::Array(vec![bulk("queue:1"), bulk("17")]), Some((1, 17))),
            (Value::Array(vec![bulk("queue:1"), Value::Array(vec![bulk("17")])]), Some((1, 17))),
            (bulk("17"), Some((3, 17))),
            (Value::Map(vec![(bulk("queue:3"), Value::Array(vec![entry.clone()]))]), Some((3, 17))),
            (entry, Some((3, 17))),
            (Value::Null, None),
            (Value::Error("UNCERTAIN 17".into()), None),
        ] {
            assert_eq!(taken(&answer, 3), got, "{answer:?}");
        }
    }
}
