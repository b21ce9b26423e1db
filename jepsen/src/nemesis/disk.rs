//! Disks that are full, damaged or lost. Damage hits one Keeper at a time, and the next one only when it is mended.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rustix::process::Signal;
use tokio::time::sleep;

use super::{ready, seconds};
use crate::cluster::{Cluster, Node, Taken};
use crate::hosts::Hosts;
use crate::run::Run;

/// Room for a few segments of the log.
const DISK: u64 = 320 << 20;
/// Exit code of a server whose data is damaged or foreign.
const DAMAGED: i32 = 3;

#[derive(Clone, Copy, Debug)]
pub enum Damage {
    Flip,
    Truncate,
    Lose,
}

/// Gives every node a small disk of its own.
pub fn prepare(cluster: &Cluster, hosts: &Hosts) -> anyhow::Result<()> {
    cluster.nodes.iter().try_for_each(|node| hosts.mount(node.host(), &node.folder(), DISK))
}

pub async fn fill(run: &Run, lane: &str, dice: &mut StdRng) -> anyhow::Result<()> {
    let keepers: Vec<&Node> = run.cluster.keepers().collect();
    let Some(Taken(node)) = keepers.choose(dice).and_then(|node| node.take()) else { return Ok(()) };
    run.band(lane, Some(node.name().to_owned()));
    let ballast = node.folder().join("ballast");
    let mut file = fs::File::create(&ballast)?;
    let chunk = vec![1; 1 << 20];
    // Until there is no space.
    while file.write_all(&chunk).is_ok() {}
    run.rest(seconds(dice, 2.0..8.0)).await;
    fs::remove_file(&ballast)?;
    run.band(lane, None);
    Ok(())
}

/// Kills a Keeper, damages its data, and starts it again; until it is mended.
pub async fn damage(run: &Run, lane: &str, dice: &mut StdRng, damage: Damage) -> anyhow::Result<()> {
    let _only = run.damage.lock().await;
    let keepers: Vec<&Node> = run.cluster.keepers().collect();
    // A Keeper that is not there now may have less than it should: with the damaged one they would be no minority.
    if run.cluster.view().voters < keepers.len() as u64 || !keepers.iter().all(|node| node.runs() && node.is_ready()) {
        return Ok(());
    }
    let Some(taken) = keepers.choose(dice).and_then(|node| node.take()) else { return Ok(()) };
    let Taken(node) = taken;
    node.signal(Signal::KILL);
    node.reap();
    run.history().death(node.number(), run.walls());
    let what = harm(node, dice, damage)?;
    run.band(lane, Some(format!("{}: {what}", node.name())));
    run.rest(seconds(dice, 0.1..2.0)).await;
    node.start(&run.hosts)?;
    if refuses(run, node).await {
        run.band(lane, Some(format!("{} refuses its data and joins anew", node.name())));
        fs::remove_dir_all(node.data())?;
        node.start(&run.hosts)?;
    }
    ready(run, node).await?;
    while !run.is_over() && run.cluster.view().voters < keepers.len() as u64 {
        sleep(Duration::from_millis(100)).await;
    }
    run.band(lane, None);
    Ok(())
}

/// Whether it ends because of its data before it is ready.
async fn refuses(run: &Run, node: &Node) -> bool {
    while !node.is_ready() && !run.is_over() {
        if let Some(status) = node.ended() {
            return status.code() == Some(DAMAGED);
        }
        sleep(Duration::from_millis(20)).await;
    }
    false
}

fn harm(node: &Node, dice: &mut StdRng, damage: Damage) -> anyhow::Result<String> {
    if matches!(damage, Damage::Lose) {
        fs::remove_dir_all(node.data())?;
        return Ok("all data is gone".into());
    }
    let files = segments(&node.data().join("log"))?;
    let path = files.choose(dice).context("a Keeper without a log")?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    // Segments are made in full before they are written: what lies behind the last byte that is not zero is not used.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    match damage {
        Damage::Flip => {
            let (count, mut places) = (dice.random_range(1..=4), Vec::new());
            for _ in 0..count {
                let place = dice.random_range(0..used);
                file.seek(SeekFrom::Start(place as u64))?;
                file.write_all(&[bytes[place] ^ (1 << dice.random_range(0..8))])?;
                places.push(place);
            }
            Ok(format!("{count} bits of {name} flip, at {places:?} of {used}"))
        }
        Damage::Truncate | Damage::Lose => {
            let len = dice.random_range(0..used);
            file.set_len(len as u64)?;
            Ok(format!("{name} is cut from {used} to {len} bytes"))
        }
    }
}

fn segments(log: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(log).with_context(|| format!("reading {}", log.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    Ok(paths)
}
