//! Processes that are killed, suspended, or stopped in order.

use std::time::Duration;

use anyhow::bail;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rustix::process::Signal;
use tokio::time::sleep;

use super::{ready, seconds};
use crate::cluster::{Node, Taken};
use crate::run::Run;

/// How long a stop in order may take.
const STOP: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
pub enum Whom {
    Any(usize),
    /// Nodes with a Keeper.
    Keepers(usize),
    Primary,
}

/// Nodes for the caller alone; fewer than it wants if others have them.
fn take<'a>(run: &'a Run, dice: &mut StdRng, whom: Whom) -> Vec<Taken<'a>> {
    let nodes = &run.cluster.nodes;
    let (mut from, count): (Vec<&Node>, usize) = match whom {
        Whom::Any(count) => (nodes.iter().collect(), count),
        Whom::Keepers(count) => (run.cluster.keepers().collect(), count),
        Whom::Primary => (run.cluster.view().primary.map(|primary| &nodes[primary]).into_iter().collect(), 1),
    };
    from.shuffle(dice);
    from.into_iter().filter_map(Node::take).take(count).collect()
}

fn names(taken: &[Taken<'_>]) -> String {
    taken.iter().map(|Taken(node)| node.name()).collect::<Vec<_>>().join(", ")
}

pub async fn kill(run: &Run, lane: &str, dice: &mut StdRng, whom: Whom) -> anyhow::Result<()> {
    let taken = take(run, dice, whom);
    if taken.is_empty() {
        return Ok(());
    }
    run.band(lane, Some(names(&taken)));
    // None is waited for before all have got it.
    taken.iter().for_each(|Taken(node)| node.signal(Signal::KILL));
    for Taken(node) in &taken {
        node.reap();
        run.history().death(node.number(), run.walls());
    }
    let down = if dice_is_short(dice) { 0.0..0.3 } else { 0.3..4.0 };
    run.rest(seconds(dice, down)).await;
    for Taken(node) in &taken {
        node.start(&run.hosts)?;
    }
    for Taken(node) in &taken {
        ready(run, node).await?;
    }
    run.band(lane, None);
    Ok(())
}

fn dice_is_short(dice: &mut StdRng) -> bool {
    [true, false].choose(dice).copied().unwrap_or_default()
}

pub async fn pause(run: &Run, lane: &str, dice: &mut StdRng, whom: Whom) -> anyhow::Result<()> {
    let taken = take(run, dice, whom);
    if taken.is_empty() {
        return Ok(());
    }
    run.band(lane, Some(names(&taken)));
    taken.iter().for_each(|Taken(node)| node.signal(Signal::STOP));
    run.rest(seconds(dice, 0.2..5.0)).await;
    taken.iter().for_each(|Taken(node)| node.signal(Signal::CONT));
    run.band(lane, None);
    Ok(())
}

/// Each node is stopped in order and started again when the one before is ready.
pub async fn rolling(run: &Run, lane: &str) -> anyhow::Result<()> {
    for node in &run.cluster.nodes {
        if run.is_over() {
            break;
        }
        let Some(_taken) = node.take().filter(|_| node.runs()) else { continue };
        run.band(lane, Some(node.name().to_owned()));
        stop(run, node).await?;
        node.start(&run.hosts)?;
        ready(run, node).await?;
        run.band(lane, None);
        run.rest(Duration::from_millis(500)).await;
    }
    Ok(())
}

/// SIGTERM, until it has ended.
///
/// # Errors
/// If it does not end in time, or with another code than 0.
async fn stop(run: &Run, node: &Node) -> anyhow::Result<()> {
    node.signal(Signal::TERM);
    let end = tokio::time::Instant::now() + STOP;
    loop {
        match node.has_stopped() {
            Some(true) => break,
            Some(false) => bail!("{} was told to stop and ended badly:\n{}", node.name(), node.last_words()),
            None if tokio::time::Instant::now() > end => bail!("{} does not stop within {STOP:?}", node.name()),
            None => sleep(Duration::from_millis(20)).await,
        }
    }
    run.history().death(node.number(), run.walls());
    Ok(())
}
