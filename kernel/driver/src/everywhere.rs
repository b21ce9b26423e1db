//! Finds out what is everywhere, for those who wait at `ALL`: the primary asks every node that has a Keeper or a Core, for
//! as long as somebody waits.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, poll_fn};
use mneme_kernel::everywhere::{Holder, Spread};
use mneme_kernel::ids::Seq;

use crate::ask::{Answer, Ask};
use crate::core_loop::lock_core;
use crate::env::Env;
use crate::keeper::Keeper;
use crate::link::{self, FrameReader, Open};
use crate::node::Node;

/// How long a node may take to connect, and to have what it is asked for; then it is asked again.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long to wait before a node that did not answer is asked again.
const AGAIN: Duration = Duration::from_millis(20);

/// By address, kept while somebody waits.
type Links<E> = BTreeMap<String, FrameReader<<E as Env>::Link>>;

/// Asks until the process ends.
pub(crate) async fn run<E: Env>(node: Arc<Node<E>>) {
    let mut links = Links::<E>::new();
    loop {
        poll_fn(|context| node.spreading.poll(context)).await;
        while let Some(wanted) = wanted(&node).await {
            // What is accepted meanwhile is asked for together.
            let accepted = async {
                node.accepted.reached(wanted.0).await;
                Ok(())
            };
            if link::timeout(&node.env, PATIENCE, accepted).await.is_err() {
                continue;
            }
            let spread = lock_core(&node).await.spread();
            if spread.seq < wanted {
                continue;
            }
            if is_everywhere(&node, &spread, &mut links).await {
                lock_core(&node).await.is_everywhere(spread.seq);
                node.everywhere.advance(spread.seq.0);
            } else {
                node.env.sleep(AGAIN).await;
            }
        }
        links.clear();
    }
}

async fn wanted<E: Env>(node: &Node<E>) -> Option<Seq> {
    let core = lock_core(node).await;
    core.wanted_everywhere(node.env.monotonic())
}

/// Whether each node has said that it has all of it.
async fn is_everywhere<E: Env>(node: &Node<E>, spread: &Spread, links: &mut Links<E>) -> bool {
    let own = lock_core(node).await.config().node.clone();
    let ask = |holder: Holder| {
        let link = links.remove(&holder.address);
        let index = spread.index.0;
        let is_own = holder.node == own;
        async move {
            let Holder { address, keeper, core, .. } = holder;
            if is_own {
                let has = holds(&node.env, node.keeper.as_ref(), Some(node), keeper, core, index).await;
                return has.then_some((address, None));
            }
            let link = ask(node, &address, link, &Ask::Holds { keeper, core, index }).await?;
            Some((address, Some(link)))
        }
    };
    let answers = join_all(spread.holders.iter().cloned().map(ask)).await;
    let all = answers.iter().all(Option::is_some);
    links.extend(answers.into_iter().flatten().filter_map(|(address, link)| Some((address, link?))));
    all
}

/// Whether this process has, within a while, the log up to an entry: synced by its Keeper of this id, applied by its Core.
pub(crate) async fn holds<E: Env>(
    env: &E,
    own_keeper: Option<&Arc<Keeper<E>>>,
    node: Option<&Node<E>>,
    keeper: Option<u64>,
    core: bool,
    index: u64,
) -> bool {
    let holds = async {
        if let Some(id) = keeper {
            let own = own_keeper.filter(|own| own.id() == id).ok_or(io::ErrorKind::NotFound)?;
            own.has_synced(index).await;
        }
        if core {
            node.ok_or(io::ErrorKind::NotFound)?.has_applied(index).await;
        }
        Ok(())
    };
    link::timeout(env, PATIENCE, holds).await.is_ok()
}

/// Asks a node; the link for the next time, if it has what it is asked for.
async fn ask<E: Env>(
    node: &Node<E>,
    address: &str,
    link: Option<FrameReader<E::Link>>,
    question: &Ask,
) -> Option<FrameReader<E::Link>> {
    let env = &node.env;
    let mut link = match link {
        Some(link) => link,
        None => FrameReader::new(link::open(env, address, &Open::Ask, PATIENCE).await.ok()?),
    };
    let answer = link::timeout(env, PATIENCE * 2, async {
        link::send(link.stream(), question).await?;
        link.message::<Answer>().await
    });
    matches!(answer.await, Ok(Some(Answer::Done))).then_some(link)
}
