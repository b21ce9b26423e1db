//! Who is primary and who leads the Keepers, as the nodes' metrics tell.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::{Cluster, http, node};
use crate::run::Run;

/// How long between two looks.
const EVERY: Duration = Duration::from_millis(200);

/// What was seen last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// By its place among the nodes.
    pub primary: Option<usize>,
    /// The newest epoch.
    pub epoch: u64,
    pub leader: Option<usize>,
    /// Keepers that vote.
    pub voters: u64,
}

/// Looks again and again, and notes who becomes what. It never ends.
pub async fn watch(run: Arc<Run>) {
    loop {
        let seen = look(&run.cluster).await;
        let before = std::mem::replace(&mut *run.cluster.view(), seen.clone());
        let name = |place: Option<usize>| place.map(|place| run.cluster.nodes[place].name().to_owned());
        if (seen.primary, seen.epoch) != (before.primary, before.epoch) {
            run.band("primary", name(seen.primary).map(|name| format!("{name}, epoch {}", seen.epoch)));
        }
        if seen.leader != before.leader {
            run.band("leader", name(seen.leader));
        }
        sleep(EVERY).await;
    }
}

async fn look(cluster: &Cluster) -> View {
    let mut view = View::default();
    let mut newest_term = 0;
    let asked = cluster.nodes.iter().map(|node| tokio::spawn(metrics(node.at(node::ADMIN))));
    for (node, asked) in cluster.nodes.iter().zip(asked.collect::<Vec<_>>()) {
        let Ok(Some(metrics)) = asked.await else { continue };
        let number = |name: &str| value(&metrics, name).unwrap_or(0.0) as u64;
        let epoch = number("mneme_epoch");
        if number("mneme_role{role=\"primary\"}") == 1 && epoch >= view.epoch {
            view.primary = Some(node.number());
        }
        view.epoch = view.epoch.max(epoch);
        view.voters = view.voters.max(number("mneme_raft_voters"));
        let term = number("mneme_raft_term");
        if number("mneme_raft_leader") == 1 && term >= newest_term {
            (view.leader, newest_term) = (Some(node.number()), term);
        }
    }
    view
}

async fn metrics(address: SocketAddr) -> Option<String> {
    http::get(address, "/metrics").await.ok()
}

fn value(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}
