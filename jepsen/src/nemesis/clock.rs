//! Clocks that are wrong (libfaketime). Wall clocks jump, while monotonic ones, on which leases hang, stay right; or both run too
//! fast or too slow from a process's beginning: by as much as is allowed for, or by more (CONSISTENCY.md).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use rand::rngs::StdRng;
use rand::{Rng, seq::IndexedRandom};

use super::{Kind, options, ready, seconds};
use crate::cluster::{Cluster, FakeClock, Node, Taken};
use crate::options::Options;
use crate::run::{Run, now};

/// How far a wall clock jumps at most.
const JUMP: Duration = Duration::from_secs(5);
/// How wrong a clock's rate may be: one second in so many.
const ALLOWED: f64 = 0.01;
/// Rates that no lease is made for.
const WILD: [f64; 3] = [0.5, 1.0, 2.0];
/// A program that asks the kernel for the time itself holds the beginning of one of these names, by machine; then libfaketime is of
/// no use.
const PAST_LIBC: [&[u8]; 2] = [b"__vdso_clock_get", b"__kernel_clock_g"];

/// What these nemeses want of clocks.
///
/// # Errors
/// If there is no libfaketime, or the servers take their time past it.
pub fn wanted(kinds: &[Kind], programs: &Path) -> anyhow::Result<Option<FakeClock>> {
    let of_clocks: Vec<Kind> = kinds.iter().copied().filter(|kind| kind.needs_clocks()).collect();
    let kind = match of_clocks.as_slice() {
        [] => return Ok(None),
        [kind] => *kind,
        _ => bail!("there is one nemesis of clocks at a time: each sets the same ones"),
    };
    let is_monotonic = kind != Kind::Clock;
    let program = programs.join("mneme-core");
    let bytes = fs::read(&program).with_context(|| format!("reading {}", program.display()))?;
    let has = |name: &&[u8]| bytes.windows(name.len()).any(|window| window == *name);
    if is_monotonic && PAST_LIBC.iter().any(has) {
        bail!(
            "{}: {} takes its time from the kernel itself; `./scripts/jepsen-proof build` makes one that asks libc",
            options::name(&kind),
            program.display()
        );
    }
    Ok(Some(FakeClock {
        library: library().context("there is no libfaketime: Debian's package `faketime`")?,
        is_monotonic,
    }))
}

/// Where Debian puts it, whatever the machine.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}

/// How wrong a wall clock may be by now.
pub fn most_wrong(options: &Options) -> Duration {
    let rate = |most: f64| now().mul_f64(most);
    let wrong = options.nemesis.iter().map(|kind| match kind {
        Kind::Clock => JUMP,
        Kind::ClockRate => rate(ALLOWED),
        Kind::ClockWild => rate(WILD.into_iter().map(|rate| (rate - 1.0).abs()).fold(0.0, f64::max)),
        _ => Duration::ZERO,
    });
    wrong.max().unwrap_or_default()
}

pub fn prepare(cluster: &Cluster, kind: Kind, dice: &mut StdRng) -> anyhow::Result<()> {
    for node in &cluster.nodes {
        if let Some(folder) = node.clock_file().parent() {
            fs::create_dir_all(folder)?;
        }
        // A cluster that is made by wild clocks may never come to be.
        let rate = if kind == Kind::ClockRate { rate(kind, dice) } else { 1.0 };
        println!("{:8.3} {}: {} begins at {rate:.4}", now().as_secs_f64(), options::name(&kind), node.name());
        set(node, 0.0, rate)?;
    }
    Ok(())
}

fn rate(kind: Kind, dice: &mut StdRng) -> f64 {
    match kind {
        Kind::ClockWild => WILD.choose(dice).copied().unwrap_or(1.0),
        _ => dice.random_range(1.0 - ALLOWED..=1.0 + ALLOWED),
    }
}

fn set(node: &Node, wrong: f64, rate: f64) -> anyhow::Result<()> {
    let new = node.clock_file().with_extension("new");
    fs::write(&new, format!("{wrong:+.3} x{rate:.4}\n"))?;
    Ok(fs::rename(&new, node.clock_file())?)
}

/// Sets one node's clock; the next round finds it as this one left it.
pub async fn jump(run: &Run, lane: &str, dice: &mut StdRng) -> anyhow::Result<()> {
    let Some(node) = run.cluster.nodes.choose(dice) else { return Ok(()) };
    let most = JUMP.as_secs_f64();
    let wrong = if dice.random_bool(0.3) { 0.0 } else { dice.random_range(-most..most) };
    // libfaketime reads it again within a second.
    set(node, wrong, 1.0)?;
    run.band(lane, Some(format!("{} by {wrong:+.3} s", node.name())));
    run.rest(seconds(dice, 1.0..3.0)).await;
    Ok(())
}

/// Has one node's clocks run at another rate. That makes them jump, so it is killed before.
pub async fn change_rate(run: &Run, kind: Kind, lane: &str, dice: &mut StdRng) -> anyhow::Result<()> {
    let Some(Taken(node)) = run.cluster.nodes.choose(dice).and_then(Node::take) else { return Ok(()) };
    let rate = rate(kind, dice);
    run.band(lane, Some(format!("{} runs at {rate:.4}", node.name())));
    node.kill();
    run.history().death(node.number(), run.walls());
    set(node, 0.0, rate)?;
    node.start(&run.hosts)?;
    ready(run, node).await?;
    run.rest(seconds(dice, 1.0..3.0)).await;
    run.band(lane, None);
    Ok(())
}
