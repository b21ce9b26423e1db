//! Nodes that are removed while faults go on, and join again as new ones.

use std::sync::Arc;
use std::time::Duration;

use madsim::runtime::Handle;
use madsim::time::{Instant, sleep};
use mneme_driver::departure::Removed;
use mneme_kernel::agreed::NEWEST;
use mneme_kernel::core::Core;
use mneme_kernel::members::Member;
use mneme_kernel::removal::Departure;

use super::machine::Machine;
use super::{Cluster, Ending, WATCH};
use crate::world::lock;

/// How long it is tried to remove a node; all faults are over before.
const TRYING: Duration = Duration::from_secs(60);
/// How long one that asks in vain waits.
const AGAIN: Duration = Duration::from_millis(500);

impl Cluster {
    /// Has one of the other Cores remove a machine's node, which may be down until then: asks until it is done, or refused
    /// before anything was done. The node finds out and ends itself; its disk is replaced, and it joins as a new one.
    pub async fn remove(&self, machine: usize, draw: u64) {
        let has_other_cores = self.cores().any(|core| core.number() != machine);
        if !self.can_spare(machine) || !has_other_cores {
            return;
        }
        let Some(hold) = self.take(machine) else { return };
        let leaving = hold.machine();
        // What is on its disk counts no more. It may be empty already.
        let was_impaired = leaving.is_impaired();
        leaving.set_impaired(true);
        leaving.set_leaving(true);
        // Somebody must be there to be asked.
        let stays = |core: &Arc<Machine>| core.number() != machine && !core.is_leaving();
        let is_down = draw.is_multiple_of(2) && self.cores().any(stays);
        self.event(format_args!("{} is to be removed{}", leaving.name(), if is_down { ", and is down" } else { "" }));
        if is_down {
            self.world().count("removed while down", 1);
            leaving.end_life(Ending::Kill);
        }
        if self.until_removed(leaving, draw, is_down).await {
            self.world().count("removed", 1);
        } else {
            self.world().count("removal refused", 1);
            leaving.set_impaired(was_impaired);
            leaving.run_for(AGAIN).await;
        }
        leaving.set_leaving(false);
    }

    /// Whether it was removed and has found out; if not, it was refused.
    async fn until_removed(&self, leaving: &Arc<Machine>, draw: u64, mut is_down: bool) -> bool {
        let (end, before) = (Instant::now() + TRYING, leaving.removals());
        let (mut may_have_begun, mut is_done) = (false, false);
        for turn in draw.. {
            if leaving.removals() > before {
                return true;
            }
            if Instant::now() > end {
                let late = format!("{} is not removed within {TRYING:?}, or has not found out", leaving.name());
                self.world().check("liveness", Err(late));
                return true;
            }
            if is_done && self.is_member(leaving) {
                // Who never heard that it was admitted asks once more, and is: the operator removes it again (model: `admit-again`).
                self.event(format_args!("{} was admitted again", leaving.name()));
                self.world().count("admitted again", 1);
                is_done = false;
            }
            if !is_done {
                match self.ask_to_remove(leaving, turn, is_down).await {
                    Some(Ok(())) => {
                        self.event(format_args!("{} is removed, it is said", leaving.name()));
                        (is_done, is_down) = (true, false);
                    }
                    Some(Err(why)) => {
                        self.event(format_args!("{} is not removed: {why}", leaving.name()));
                        // Another Core may have begun, and its answer was lost.
                        is_down &= !why.contains(NOBODY);
                        // In an older format nothing can have begun.
                        if why.contains(OLDER_FORMAT) || !may_have_begun && is_refusal(&why) {
                            return false;
                        }
                    }
                    None => {}
                }
                may_have_begun = true;
            }
            pass(leaving, is_down, AGAIN).await;
        }
        unreachable!("there is always another turn")
    }

    /// Whether the Raft group has a Keeper of this machine's name, as far as all other Cores know.
    fn is_member(&self, machine: &Arc<Machine>) -> bool {
        let others = self.cores().filter(|core| core.number() != machine.number());
        let running: Vec<_> = others.filter_map(|core| core.running_core()).collect();
        let is_its_own = |(_, member): &(u64, Member)| member.name == machine.name();
        let knows = |core: &mut Core| core.members().members.iter().any(is_its_own);
        !running.is_empty() && running.iter().all(|node| node.with_core(knows))
    }

    /// What a Core answers that is asked to remove a machine's node; `None` if it gives no answer.
    async fn ask_to_remove(&self, leaving: &Arc<Machine>, turn: u64, is_down: bool) -> Option<Result<(), String>> {
        let others: Vec<_> = self.cores().filter(|core| core.number() != leaving.number()).collect();
        let asked = others.get(turn as usize % others.len().max(1))?;
        let core = asked.running_core()?;
        let departure = Departure { node: leaving.name(), keeper_only: false };
        let asker = core.clone();
        let asking = Handle::current().get_node(asked.node())?.spawn(async move { asker.remove(&departure).await });
        let end = Instant::now() + TRYING;
        while !asking.is_finished() {
            // It may have ended, and have begun its next life since; one that is suspended gives no answer either.
            let lives_on = asked.running_core().is_some_and(|now| Arc::ptr_eq(&now, &core));
            if !lives_on || Instant::now() > end {
                return None;
            }
            // It may die meanwhile, as of anything else.
            pass(leaving, is_down, WATCH).await;
        }
        asking.await.ok()
    }
}

/// Lets time pass on a machine whose server is down, or is started again when it dies.
async fn pass(machine: &Arc<Machine>, is_down: bool, duration: Duration) {
    if is_down { sleep(duration).await } else { machine.run_for(duration).await }
}

/// What is said where a node of an older version keeps the cluster from removing any.
const OLDER_FORMAT: &str = "reads format";

/// What is said of a node that has been removed, or never was there.
const NOBODY: &str = "there is no node";

/// Whether it is refused before anything is done.
fn is_refusal(why: &str) -> bool {
    ["would vote", "the only", NOBODY].iter().any(|text| why.contains(text))
}

impl Machine {
    /// The node has heard that it is a member no more: the process ends.
    pub(super) fn note_removed(&self, removed: Removed) {
        self.world.event(format_args!("{} has found out: {removed}", self.name()));
        let asked = if self.is_leaving() { Ok(()) } else { Err(format!("{} was removed by nobody", self.name())) };
        self.world.check("membership", asked);
        lock(&self.life).is_removed = true;
    }

    /// A new disk for a node that was removed, if it was: what is on the old one belongs to no cluster.
    pub(super) fn renew_if_removed(&self) {
        if lock(&self.life).is_removed {
            self.world.count("joins after a removal", 1);
            self.count_removal();
            self.set_leaving(false);
            self.set_impaired(true);
            // What joins later is no older than what is there.
            lock(&self.settings).reads = NEWEST;
            self.lose_disk();
        }
    }
}
