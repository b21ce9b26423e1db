//! Finds out who has what the primary made, for those who wait at `ALL` or count with `WAIT`: it asks every Keeper and
//! every Core, each by itself, for as long as somebody waits.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use mneme_kernel::everywhere::{Holder, Part, Spread};
use mneme_kernel::ids::Seq;

use crate::ask::{Answer, Ask, ask_again};
use crate::core_loop::lock_core;
use crate::env::Env;
use crate::keeper::Keeper;
use crate::link::{self, FrameReader};
use crate::node::Node;

/// How long a node may take to connect, and to have what it is asked for; then it is asked again.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long to wait before a node that did not answer is asked again; doubles up to the second number.
const AGAIN: Duration = Duration::from_millis(20);
const LONGEST_AGAIN: Duration = Duration::from_millis(320);
/// How long links are kept when nobody waits.
const IDLE: Duration = Duration::from_secs(10);

/// A question to one holder: up to which batch it has everything, if it says so.
type Asking<'a, E> = Pin<Box<dyn Future<Output = (Option<Seq>, Contact<E>)> + Send + 'a>>;

/// What is known of the way to a holder.
struct Contact<E: Env> {
    link: Option<FrameReader<E::Link>>,
    /// How long it is left alone when it does not answer.
    again: Duration,
}

impl<E: Env> Default for Contact<E> {
    fn default() -> Self {
        Self { link: None, again: AGAIN }
    }
}

/// Asks until the process ends.
pub(crate) async fn run<E: Env>(node: Arc<Node<E>>) {
    let own = node.with_core(|core| core.config().node.clone());
    let mut contacts = BTreeMap::<Holder, Contact<E>>::new();
    let mut asking = BTreeMap::<Holder, Asking<'_, E>>::new();
    loop {
        let mut idle = pin!(node.env.sleep(IDLE));
        let wanted = poll_fn(|context| match node.spreading.poll(context) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => idle.as_mut().poll(context).map(|()| false),
        });
        if !wanted.await {
            contacts.clear();
            asking.clear();
            continue;
        }
        while let Some(spread) = wanted_spread(&node).await {
            for holder in &spread.holders {
                if !asking.contains_key(holder) {
                    let contact = contacts.remove(holder).unwrap_or_default();
                    let (to, is_own) = (holder.clone(), holder.node == own);
                    let ask = ask(&node, to, (spread.seq, spread.index.0), is_own, contact);
                    asking.insert(holder.clone(), Box::pin(ask));
                }
            }
            let mut accepted = pin!(node.accepted.reached(spread.seq.0 + 1));
            // Whoever waits may have waited long enough.
            let mut look = pin!(node.env.sleep(PATIENCE));
            let answers = poll_fn(|context| {
                let answers = poll_all(&mut asking, context);
                let woken = accepted.as_mut().poll(context).is_ready()
                    | look.as_mut().poll(context).is_ready()
                    | node.spreading.poll(context).is_ready();
                if woken || !answers.is_empty() { Poll::Ready(answers) } else { Poll::Pending }
            });
            let answers = answers.await;
            if answers.is_empty() {
                continue;
            }
            let everywhere = {
                let mut core = lock_core(&node).await;
                for (holder, (seq, contact)) in answers {
                    seq.into_iter().for_each(|seq| core.holds(holder.clone(), seq));
                    contacts.insert(holder, contact);
                }
                core.everywhere()
            };
            node.mark_everywhere(everywhere);
            node.spreads.count();
        }
    }
}

async fn wanted_spread<E: Env>(node: &Node<E>) -> Option<Spread> {
    let core = lock_core(node).await;
    core.spread(node.env.monotonic())
}

/// Takes the answers that have come.
fn poll_all<K: Ord + Clone, T>(
    asking: &mut BTreeMap<K, Pin<Box<dyn Future<Output = T> + Send + '_>>>,
    context: &mut Context<'_>,
) -> Vec<(K, T)> {
    let mut answers = Vec::new();
    asking.retain(|holder, ask| match ask.as_mut().poll(context) {
        Poll::Ready(answer) => {
            answers.push((holder.clone(), answer));
            false
        }
        Poll::Pending => true,
    });
    answers
}

/// Asks one holder whether it has the log up to an entry, and with it everything up to a batch.
async fn ask<E: Env>(
    node: &Node<E>,
    holder: Holder,
    (seq, index): (Seq, u64),
    is_own: bool,
    mut contact: Contact<E>,
) -> (Option<Seq>, Contact<E>) {
    let (keeper, core) = match holder.part {
        Part::Keeper(id) => (Some(id), false),
        Part::Core => (None, true),
    };
    let has = if is_own {
        holds(&node.env, node.keeper.as_ref(), Some(node), keeper, core, index).await
    } else {
        let (link, question) = (contact.link.take(), Ask::Holds { keeper, core, index });
        let answer = ask_again(&node.env, &holder.address, link, &question, PATIENCE).await;
        contact.link = answer.filter(|(answer, _)| *answer == Answer::Done).map(|(_, link)| link);
        contact.link.is_some()
    };
    if has {
        contact.again = AGAIN;
    } else {
        node.env.sleep(contact.again).await;
        contact.again = (contact.again * 2).min(LONGEST_AGAIN);
    }
    (has.then_some(seq), contact)
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
