//! Removes a node from the cluster, or only its Keeper, for an operator: from any other node with a Core.
//!
//! First it hands over, if it is primary; then its Keeper leaves the Raft group, while the others have a majority; then
//! the log says that its Core is no member. What was done when this fails stays done, and asking again goes on from there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mneme_kernel::cores::KnownCore;
use mneme_kernel::entry::Entry;
use mneme_kernel::members::Member;
use mneme_kernel::removal::Departure;
use mneme_kernel::time::Monotonic;

use crate::ask::{Answer, Ask, ask};
use crate::core_loop::lock_core;
use crate::env::Env;
use crate::node::Node;
use crate::types::Proposal;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long somebody who is asked may take: two changes of the members are committed meanwhile.
const ASK_PATIENCE: Duration = Duration::from_secs(10);
/// How long another Core may take to become primary.
const CLAIM: Duration = Duration::from_secs(3);
/// How long the node itself may take to find out.
const FIND_OUT: Duration = Duration::from_secs(1);
/// How long to wait before somebody is asked again, or a proposal is sent again.
const AGAIN: Duration = Duration::from_millis(100);

/// What is to leave, as it was when that was asked for. A new node may come under the same name meanwhile: it stays.
struct Leaving<'a> {
    name: &'a str,
    /// Of its Keeper, and of former ones of the name.
    keepers: Vec<u64>,
    /// Where the Keeper is.
    address: Option<String>,
    /// The identity of its Core, if that is to leave too.
    core: Option<u32>,
}

/// Removes it.
///
/// # Errors
/// Why not, and what to do.
pub(crate) async fn remove<E: Env>(node: &Node<E>, departure: &Departure) -> Result<(), String> {
    let Departure { node: name, keeper_only } = departure;
    let until = node.env.monotonic() + PATIENCE;
    let leaving = {
        let core = lock_core(node).await;
        core.check_departure(departure)?;
        let members = core.members().members.iter().filter(|(_, member)| member.name == *name);
        Leaving {
            name,
            keepers: members.clone().map(|(id, _)| *id).collect(),
            address: members.map(|(_, member)| member.address.clone()).next_back(),
            core: core.cores().get(name).filter(|_| !keeper_only).map(KnownCore::identity),
        }
    };
    tracing::info!(name, keeper_only, "a node is to be removed");
    hand_over(node, name, until).await?;
    remove_keeper(node, &leaving, until).await?;
    if leaving.core.is_some() {
        remove_core(node, &leaving, until).await?;
    }
    tracing::info!(name, keeper_only, "it was removed");
    Ok(())
}

/// Has another Core be primary. The only one stays primary without its Keeper.
async fn hand_over<E: Env>(node: &Node<E>, name: &str, until: Monotonic) -> Result<(), String> {
    loop {
        let primary = {
            let core = lock_core(node).await;
            if core.cores().iter().count() == 1 {
                return Ok(());
            }
            core.primary().map(|(primary, address)| (primary == name, address.to_owned()))
        };
        let left = until - node.env.monotonic();
        match primary {
            Some((false, _)) => return Ok(()),
            Some(_) if left.is_zero() => {
                return Err(format!("{name} is primary and did not hand over: send CLUSTER TRANSFER there first"));
            }
            // If it is dead, another one takes over by itself.
            Some((true, address)) => {
                if let Err(error) = ask(&node.env, &address, &Ask::HandOver, ASK_PATIENCE).await {
                    tracing::debug!("{name} did not hand over: {error}");
                }
            }
            // Nobody claims without a majority of the Keepers: whoever is asked next says so.
            None if left < PATIENCE - CLAIM => return Ok(()),
            // While Keepers change who leads, claims are lost, and the former primary may be first again.
            None => {}
        }
        node.env.sleep(AGAIN).await;
    }
}

/// Has the leader take its Keeper out of the Raft group, if there is one, and tells it.
async fn remove_keeper<E: Env>(node: &Node<E>, leaving: &Leaving<'_>, until: Monotonic) -> Result<(), String> {
    let Leaving { name, keepers, address, .. } = leaving;
    if keepers.is_empty() {
        return Ok(());
    }
    let mut hint: Option<Member> = None;
    let mut why = String::from("nobody is known");
    let mut removed_at = None;
    loop {
        let (known, leader, members) = {
            let core = lock_core(node).await;
            (core.known(), core.group().leader.clone(), core.members().members.clone())
        };
        // What was known of them may have been old: a later life of the node may be a member for long.
        if removed_at.is_some_and(|at| known > at) {
            match members.iter().find(|(_, member)| member.name == *name) {
                Some((id, _)) if !keepers.contains(id) => {
                    return Err(format!("{name} has joined again with another Keeper: ask again if that is to leave"));
                }
                // That entry was replaced by another leader's.
                Some(_) => removed_at = None,
                None => break,
            }
        }
        if node.env.monotonic() >= until {
            return Err(format!("no Keeper that leads has removed {name} in time, ask again: {why}"));
        }
        if removed_at.is_some() {
            node.env.sleep(AGAIN).await;
            continue;
        }
        // Beside a primary, a Keeper asks for the lead again and again, and none that leads may remove itself.
        hand_over(node, name, until).await?;
        let answer = match node.keeper.as_ref().filter(|keeper| keeper.leads()) {
            Some(keeper) => keeper.remove(keepers, name).await,
            None => {
                let own = node.keeper.as_ref().map(|keeper| keeper.member().address.clone());
                let mut asked: BTreeSet<String> = own.into_iter().collect();
                let mut round: Vec<String> = hint.take().into_iter().map(|leader| leader.address).collect();
                round.extend(leader);
                round.extend(members.into_iter().map(|(_, member)| member.address));
                round.retain(|address| asked.insert(address.clone()));
                ask_in_turn(node, &round, leaving, &mut why).await
            }
        };
        match answer {
            // The log brings it in a moment.
            Answer::Removed { at } => removed_at = Some(at),
            Answer::Refused(refusal) => return Err(refusal),
            Answer::NotLeader(leader) => hint = leader,
            other => why = format!("{other:?}"),
        }
        node.env.sleep(AGAIN).await;
    }
    if let Some(address) = address {
        // It would find out by itself, in a while. If it does not answer, it does.
        let _ = ask(&node.env, address, &Ask::FindOut, FIND_OUT).await;
    }
    Ok(())
}

/// The first answer of one that leads, or knows who does.
async fn ask_in_turn<E: Env>(node: &Node<E>, addresses: &[String], leaving: &Leaving<'_>, why: &mut String) -> Answer {
    let question = Ask::Remove { ids: leaving.keepers.clone(), name: leaving.name.into() };
    for address in addresses {
        match ask(&node.env, address, &question, ASK_PATIENCE).await {
            Ok(Answer::NotLeader(None)) => *why = format!("{address} knows of no leader"),
            Ok(answer) => return answer,
            Err(error) => *why = format!("{address}: {error}"),
        }
    }
    Answer::NotLeader(None)
}

/// Has the log say that its Core is no member, if there is one.
async fn remove_core<E: Env>(node: &Node<E>, leaving: &Leaving<'_>, until: Monotonic) -> Result<(), String> {
    let name = leaving.name;
    loop {
        let (is_whole, life, primary, is_last) = {
            let core = lock_core(node).await;
            let is_last = core.cores().iter().count() == 1;
            let known = core.cores().get(name).filter(|known| Some(known.identity()) == leaving.core);
            let life = known.map(|known| known.incarnation);
            (core.is_hot(), life, core.primary().map(|(primary, _)| primary.to_owned()), is_last)
        };
        // A memory that is just read anew knows of nobody.
        let incarnation = match life {
            Some(incarnation) => incarnation,
            None if is_whole => return Ok(()),
            None if node.env.monotonic() >= until => {
                return Err("this node does not know all that the log says yet: ask again, or another node".into());
            }
            None => {
                node.env.sleep(AGAIN).await;
                continue;
            }
        };
        if is_last {
            return Err(format!("{name} has the only Core by now: nobody else could serve clients"));
        }
        if node.env.monotonic() >= until {
            return Err(match primary {
                Some(primary) if primary == name => format!("{name} is primary again: ask again"),
                _ => format!("the log has not taken up in time that {name} leaves: ask again"),
            });
        }
        let proposal = Proposal::new(Arc::new(Entry::Remove { node: name, incarnation }.encode()));
        node.keepers.propose(proposal).await.map_err(|error| error.to_string())?;
        node.env.sleep(AGAIN).await;
    }
}
