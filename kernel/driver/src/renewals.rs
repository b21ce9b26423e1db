//! Renews the lease of a Core that is primary, without its lock: a slow command must not cost the lease.

use std::sync::Arc;
use std::time::Duration;

use mneme_kernel::entry::Entry;
use mneme_kernel::lease::Lease;

use crate::env::Env;
use crate::node::Node;
use crate::types::Proposal;

/// How often it is looked whether a renewal is due.
const LOOK: Duration = Duration::from_millis(10);

/// Renews until the process ends.
pub(crate) async fn run<E: Env>(node: Arc<Node<E>>) {
    let lease: Arc<Lease> = node.with_core(|core| core.lease().clone());
    loop {
        node.env.sleep(LOOK).await;
        if let Some((epoch, number)) = lease.renew(node.env.monotonic()) {
            if let Some(observer) = node.env.observer() {
                observer.renews(epoch, number);
            }
            let renewal = Arc::new(Entry::Renew { epoch, number }.encode());
            if node.keepers.propose(Proposal::new(renewal)).await.is_err() {
                // Raft has stopped: so does this process, and the Core's loop says why.
                return;
            }
        }
    }
}
