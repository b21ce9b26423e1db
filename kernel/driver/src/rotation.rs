//! Has every node of the cluster get a new certificate, for an operator who does not trust the old ones any more.

use std::time::Duration;

use futures::future::join_all;
use mneme_kernel::everywhere::Holder;

use crate::ask::{Answer, Ask, ask};
use crate::core_loop::lock_core;
use crate::env::Env;
use crate::node::Node;

/// How long a node may take: it may have to ask others, one of which is dead.
const PATIENCE: Duration = Duration::from_secs(20);

/// Has all others, then this one, get theirs.
///
/// # Errors
/// Which ones did not; the others did.
pub(crate) async fn rotate<E: Env>(node: &Node<E>) -> Result<(), String> {
    let (own, holders) = {
        let core = lock_core(node).await;
        (core.config().node.clone(), core.holders())
    };
    let others = holders.into_iter().filter(|holder| holder.node != own);
    let mut problems: Vec<String> = join_all(others.map(|other| rotate_other(node, other))).await;
    if let Err(why) = node.env.rotate_certificate().await {
        problems.push(format!("{own}: {why}"));
    }
    problems.retain(|problem| !problem.is_empty());
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!("not every node has a new certificate, ask again: {}", problems.join("; ")))
}

/// What kept another node from it; empty if nothing did.
async fn rotate_other<E: Env>(node: &Node<E>, other: Holder) -> String {
    let Holder { node: name, address, .. } = other;
    match ask(&node.env, &address, &Ask::RotateCertificate, PATIENCE).await {
        Ok(Answer::Done) => String::new(),
        Ok(Answer::Refused(why)) => format!("{name}: {why}"),
        Ok(_) => format!("{name}: it does not know how"),
        Err(error) => format!("{name}: {error}"),
    }
}
