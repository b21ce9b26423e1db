//! Which format is written: the primary asks every node which one it reads, and says in the log what all have in common
//! ([`mneme_kernel::agreed`]). A node that does not answer holds that up until it does, or is removed.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use mneme_kernel::agreed::OLDEST;
use mneme_kernel::entry::Entry;
use mneme_kernel::everywhere::Holder;

use crate::ask::{Answer, Ask, ask};
use crate::core_loop::lock_core;
use crate::env::Env;
use crate::node::Node;
use crate::types::Proposal;

/// How often the others are asked while there is a newer format than the agreed one.
const LOOK: Duration = Duration::from_millis(500);
/// How long one may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Goes on until the process ends.
pub(crate) async fn run<E: Env>(node: Arc<Node<E>>) {
    loop {
        node.env.sleep(LOOK).await;
        let others = {
            let core = lock_core(&node).await;
            let is_wanted = core.serves() && core.agreed().format < core.config().reads;
            let own = core.config().node.clone();
            is_wanted.then(|| core.holders().into_iter().filter(move |holder| holder.node != own))
        };
        let Some(others) = others else { continue };
        let asked = join_all(others.map(|other| reads(&node, other))).await;
        let newer = {
            let core = lock_core(&node).await;
            let format = asked.into_iter().fold(core.config().reads, u32::min);
            (core.agreed().format < format).then_some(format)
        };
        let Some(format) = newer else { continue };
        tracing::info!(format, "all nodes read this format: it is written from now on");
        // If it is lost, they are asked again.
        let _ = node.keepers.propose(Proposal::new(Arc::new(Entry::Format { format }.encode()))).await;
    }
}

/// The newest format that another node reads: one that does not say so may be a version that does not know the question.
async fn reads<E: Env>(node: &Node<E>, other: Holder) -> u32 {
    match ask(&node.env, &other.address, &Ask::Reads, PATIENCE).await {
        Ok(Answer::Reads(format)) => format,
        _ => OLDEST,
    }
}
