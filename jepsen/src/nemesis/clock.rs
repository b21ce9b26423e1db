//! Wall clocks that are wrong and jump. Leases hang on monotonic clocks, which stay right: they are what the design relies
//! on (PROTOCOL.md).

use std::fs;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, seq::IndexedRandom};

use super::seconds;
use crate::cluster::Cluster;
use crate::run::Run;

/// How wrong a clock is at most.
pub const MOST_WRONG: Duration = Duration::from_secs(5);

pub fn prepare(cluster: &Cluster) -> anyhow::Result<()> {
    for node in &cluster.nodes {
        if let Some(folder) = node.clock_file().parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(node.clock_file(), "+0\n")?;
    }
    Ok(())
}

/// Sets one node's clock; the next round finds it as this one left it.
pub async fn jump(run: &Run, lane: &str, dice: &mut StdRng) -> anyhow::Result<()> {
    let Some(node) = run.cluster.nodes.choose(dice) else { return Ok(()) };
    let most = MOST_WRONG.as_secs_f64();
    let wrong = if dice.random_bool(0.3) { 0.0 } else { dice.random_range(-most..most) };
    // libfaketime reads it again within a second.
    let new = node.clock_file().with_extension("new");
    fs::write(&new, format!("{wrong:+.3}\n"))?;
    fs::rename(&new, node.clock_file())?;
    run.band(lane, Some(format!("{} by {wrong:+.3} s", node.name())));
    run.rest(seconds(dice, 1.0..3.0)).await;
    Ok(())
}
