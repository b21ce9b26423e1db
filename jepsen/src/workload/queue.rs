//! Queues: some clients push numbers, each once, the others take them, mostly by commands that wait. Each number is delivered
//! once, whoever is primary meanwhile and at whatever node somebody waits ([`mneme_checks::check::queue`]).

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use mneme_checks::export::Completion;
use mneme_checks::history::Level;
use mneme_checks::queue::{self, Action, QUEUES, STREAM, failed, taken};
use mneme_kernel::resp::Value;
use rand::Rng;
use tokio::time::sleep;

use super::Work;
use crate::client::{Client, Silence};
use crate::run::{Ended, Sample, now};

/// One of so many clients pushes. A push brings up to [`PUSHED`] numbers.
const PUSHERS: usize = 4;
const PUSHED: u32 = 4;
/// Seconds for which one waits.
const WAIT: std::ops::Range<f64> = 0.05..1.5;
/// How often one waits for longer than it is patient, and gives up.
const IMPATIENT: f64 = 0.03;

pub async fn turn(work: &Work, client: &mut Client) {
    if client.number.is_multiple_of(PUSHERS) { push(work, client).await } else { pop(work, client).await }
}

async fn push(work: &Work, client: &mut Client) {
    let list = client.dice.random_range(0..QUEUES);
    let count = if list == STREAM { 1 } else { client.dice.random_range(1..=PUSHED) };
    let first = work.words.fetch_add(count, Ordering::Relaxed);
    let numbers = first..first + count;
    let pushes = numbers.clone().map(|number| Action::Push { list, number });
    let call = work.queues().call(client.number as u32, pushes);
    let completion = match ask(client, &queue::push(list, numbers)).await {
        Ok(Value::Int(_) | Value::Bulk(_)) => Completion::Ok,
        other => failed_by(client, &other),
    };
    work.queues().end(call, completion, None);
}

async fn pop(work: &Work, client: &mut Client) {
    let (patience, dice) = (client.run.options.patience, &mut client.dice);
    let impatient = dice.random_bool(IMPATIENT);
    let wait = if impatient { patience.mul_f64(1.2) } else { Duration::from_secs_f64(dice.random_range(WAIT)) };
    let pops = queue::pops(dice.random_bool(0.5), wait, client.number as u32);
    let (lists, words) = &pops[dice.random_range(0..pops.len())];
    let call = work.queues().call(client.number as u32, [Action::Pop { lists: lists.clone(), got: None }]);
    let answer = ask(client, words).await;
    let got = answer.as_ref().ok().and_then(|value| taken(value, lists));
    let completion = match &answer {
        Ok(Value::Null) => Completion::Ok,
        _ if got.is_some() => Completion::Ok,
        other => failed_by(client, other),
    };
    work.queues().end(call, completion, got.map(|got| Action::Pop { lists: lists.clone(), got: Some(got) }));
    if answer.as_ref().is_ok_and(queue::lacks_group) {
        // Somebody has to be the first, and it does not matter who.
        let _ = client.ask(&queue::group()).await;
    }
}

/// Asks, and notes how that went.
async fn ask(client: &mut Client, words: &[String]) -> Result<Value, Silence> {
    let (called, began) = (now(), Instant::now());
    let answer = client.ask(words).await;
    if answer != Err(Silence::Unsent) {
        let kind = match &answer {
            Ok(Value::Error(_)) if failed_by(client, &answer) == Completion::Fail => Ended::Refused,
            Ok(Value::Error(_)) | Err(_) => Ended::Unknown,
            Ok(_) => Ended::Ok,
        };
        client.run.sample(Sample { called, took: began.elapsed(), level: Level::Quorum, is_read: false, kind });
    }
    answer
}

/// What an answer means that is none of a command that took place.
fn failed_by(client: &Client, answer: &Result<Value, Silence>) -> Completion {
    match answer {
        Err(Silence::Unsent) => Completion::Fail,
        answer => failed(answer.as_ref().ok()).unwrap_or_else(|wrong| {
            client.run.wrong(wrong);
            Completion::Info
        }),
    }
}

/// Reads what is left in every queue, when everybody has ended.
///
/// # Errors
/// If the node does not say so.
pub async fn read_all(client: &mut Client) -> anyhow::Result<()> {
    let run = client.run.clone();
    for list in 0..QUEUES {
        let call = run.work.queues().call(client.number as u32, [Action::Read { list, found: Vec::new() }]);
        let progress = if list == STREAM { Some(settled(client, &queue::progress()).await?) } else { None };
        let rest = settled(client, &queue::rest(list, progress.as_ref())).await?;
        let found = queue::left(&rest).with_context(|| format!("queue {list} holds what nobody pushed: {rest:?}"))?;
        run.work.queues().end(call, Completion::Ok, Some(Action::Read { list, found }));
    }
    Ok(())
}

/// An answer when nothing is wrong any more.
async fn settled(client: &mut Client, words: &[String]) -> anyhow::Result<Value> {
    const TRIES: usize = 20;
    const PAUSE: Duration = Duration::from_millis(500);
    for _ in 0..TRIES {
        match client.ask(words).await {
            Ok(Value::Error(text)) if text == "ERR no such key" => return Ok(Value::Array(Vec::new())),
            Ok(Value::Error(_)) | Err(_) => sleep(PAUSE).await,
            Ok(value) => return Ok(value),
        }
    }
    bail!("{words:?} is not answered")
}
