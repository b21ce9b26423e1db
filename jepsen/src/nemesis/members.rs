//! An operator with `mneme-cli`: hand-overs, and nodes that are removed and join anew.

use std::fs;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::bail;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep};

use super::{ready, seconds};
use crate::cluster::{Node, PASSWORD, Taken, USER, node};
use crate::hosts::CLIENTS;
use crate::run::Run;

/// How long an order may take.
const PATIENCE: Duration = Duration::from_secs(40);
/// With this code a node ends that has been removed.
const REMOVED: i32 = 3;

pub async fn transfer(run: &Run, lane: &str) -> anyhow::Result<()> {
    run.band(lane, Some("to another Core".into()));
    // It is refused where no other Core is fit.
    let done = order(run, None, &["transfer"]).await?;
    run.band(lane, None);
    note(run, lane, "transfer", done);
    Ok(())
}

/// Removes a node with a Keeper and has it join as a new one, or hands over.
pub async fn change(run: &Run, lane: &str, dice: &mut StdRng) -> anyhow::Result<()> {
    if dice.random_bool(0.3) {
        return transfer(run, lane).await;
    }
    let _only = run.damage.lock().await;
    let members: Vec<&Node> = run.cluster.keepers().collect();
    // One that votes yet is missing: without another one there may be no majority.
    if members.len() < 3 || run.cluster.view().voters < 3 || run.is_over() {
        return transfer(run, lane).await;
    }
    let Some(taken) = members[dice.random_range(0..members.len())].take() else { return Ok(()) };
    let Taken(node) = taken;
    run.band(lane, Some(format!("{} is removed", node.name())));
    let done = order(run, Some(node), &["remove", node.name()]).await?;
    note(run, lane, "remove", done);
    let end = Instant::now() + Duration::from_secs(5);
    while node.runs() && Instant::now() < end {
        sleep(Duration::from_millis(20)).await;
    }
    match node.ended().and_then(|status| status.code()) {
        Some(REMOVED) => {}
        // It stays a member, or is one that does not know yet: whoever says that it is done would be wrong.
        _ if done.is_none_or(|status| !status.success()) => {
            run.band(lane, None);
            return Ok(());
        }
        other => bail!("{} was removed and has ended with {other:?}", node.name()),
    }
    run.history().death(node.number(), run.walls());
    run.rest(seconds(dice, 0.1..2.0)).await;
    fs::remove_dir_all(node.data())?;
    run.band(lane, Some(format!("{} joins anew", node.name())));
    node.start(&run.hosts)?;
    ready(run, node).await?;
    run.band(lane, None);
    Ok(())
}

fn note(run: &Run, lane: &str, what: &str, done: Option<ExitStatus>) {
    if done.is_none_or(|status| !status.success()) {
        run.band(
            lane,
            Some(format!("{what} came to nothing: {}", done.map_or("no answer".into(), crate::cluster::told))),
        );
    }
}

/// Has `mneme-cli cluster` do something, by any Core but `not`. `None` if it does not end in time.
async fn order(run: &Run, not: Option<&Node>, words: &[&str]) -> anyhow::Result<Option<ExitStatus>> {
    let others = run.cluster.cores().filter(|core| not.is_none_or(|not| not.number() != core.number()));
    let targets: Vec<String> = others.map(|core| core.at(node::CLIENTS).to_string()).collect();
    let mut command = Command::new(run.options.bin_dir.canonicalize()?.join("mneme-cli"));
    command.env_clear().env("MNEME_PASSWORD", PASSWORD).args(["--insecure", "-u", USER, "-H", &targets.join(",")]);
    command.arg("cluster").args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    let mut child = run.hosts.spawn(CLIENTS, &mut command)?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        sleep(Duration::from_millis(20)).await;
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}
