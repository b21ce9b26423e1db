//! Whether all nodes hold the same data: `DEBUG DIGEST` of each, at the same index.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::{Instant, sleep};

use crate::client::open;
use crate::run::Run;

/// How long nodes that are asked nothing else may take to be at the same index.
const PATIENCE: Duration = Duration::from_secs(20);

/// # Errors
/// If two nodes differ at an index, or do not come to the same one in time.
pub async fn digests_agree(run: &Run) -> anyhow::Result<()> {
    let mut seen: BTreeMap<u64, (String, String)> = BTreeMap::new();
    let end = Instant::now() + PATIENCE;
    loop {
        let mut indexes = Vec::new();
        for node in run.cluster.nodes.iter().filter(|node| node.role().answers_clients()) {
            let Some((index, digest)) = ask(run, node.number()).await else { continue };
            let (other, before) = seen.entry(index).or_insert((node.name().to_owned(), digest.clone()));
            if *before != digest {
                bail!("at index {index} {other} has the digest {before}, and {} {digest}", node.name());
            }
            indexes.push(index);
        }
        let wanted = run.cluster.nodes.iter().filter(|node| node.role().answers_clients()).count();
        if indexes.len() == wanted && indexes.iter().all(|index| *index == indexes[0]) {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("the nodes are not at the same index within {PATIENCE:?}: {indexes:?} of {wanted}");
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn ask(run: &Run, node: usize) -> Option<(u64, String)> {
    let mut connection = open(run, node).await.ok()?;
    let answer: Vec<String> = redis::cmd("DEBUG").arg("DIGEST").query_async(&mut connection).await.ok()?;
    let [index, digest] = answer.as_slice() else { return None };
    Some((index.parse().context("an index").ok()?, digest.clone()))
}
