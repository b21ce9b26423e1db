//! What a Core does with the log's entries.

use crate::core::{Core, Gated, Outcome, Reign};
use crate::entry::Entry;
use crate::lease::{Lease, Leases};
use crate::mutant::Mutant;
use crate::numbers::{Incarnation, Index, Node, Ordinal};
use crate::protocol::Protocol;
use crate::state::State;
use crate::table::Origin;
use crate::verdict::{self, Verdict};

impl Protocol {
    /// The next entry is judged, and applied if it counts.
    pub(crate) fn deliver(&self, state: &mut State, node: Node) {
        let State { cores, log, .. } = state;
        let core = &mut cores[usize::from(node.0)];
        core.applied = core.applied.next();
        let index = core.applied;
        let entry = &log[usize::from(index.0) - 1];
        let verdict = core.verdicts.judge(index, entry, self.mutant);
        if verdict != Verdict::Accepted {
            self.does_not_count(core, node, entry);
            return;
        }
        match entry {
            Entry::Hello { node: begun, nonce } => {
                let is_new = core.table.is_unknown(Origin { node: *begun, life: *nonce });
                entry.apply(&mut core.data, &mut core.table);
                if let Some(reign) = core.reign.as_mut().filter(|_| is_new) {
                    let clients = (0..).zip(&self.scenario.clients);
                    for (client, _) in clients.filter(|(_, (home, _))| home == begun) {
                        reign.seen[usize::from(client)] = None;
                        reign.kept.retain(|(request, _)| request.client != client);
                    }
                }
                if core.greeting.as_ref() == Some(entry) {
                    core.greeting = None;
                    core.incarnation = Some(Incarnation(index.0));
                }
            }
            Entry::Other => {}
            Entry::Claim { node: claimer, incarnation, .. } => {
                core.waited = 0;
                let same_life = core.incarnation == Some(*incarnation) || self.is(Mutant::ClaimWithoutIncarnation);
                if *claimer == node && same_life {
                    self.reign(core, index, entry);
                } else {
                    self.depose(core, node, &log[..usize::from(index.0)]);
                }
            }
            Entry::Renew { epoch, .. } | Entry::Batch { epoch, .. } | Entry::Release { epoch, .. } => {
                if core.reign.as_ref().is_some_and(|reign| reign.epoch == *epoch) {
                    // Its effects are in memory since they were executed.
                    self.accepted(core, index, entry);
                } else {
                    if !self.lacks_content(core, node) {
                        entry.apply(&mut core.data, &mut core.table);
                    }
                    core.waited = 0;
                }
            }
        }
        self.settle(state, node);
    }

    /// Whether the feed sends this Core the headers alone of what the current epoch accepts, because it takes the Core for
    /// the one that executed it. (A right one looks whether the Core reigns in that epoch: rule 20.)
    fn lacks_content(&self, core: &Core, node: Node) -> bool {
        core.verdicts.holder.is_some_and(|(holder, life)| {
            holder == node
                && (self.is(Mutant::HeadersByNode)
                    || self.is(Mutant::HeadersByIncarnation) && core.incarnation == Some(life))
        })
    }

    /// The log does not reach back to what the Core has applied: it loads the snapshot. A primary steps down first (rule
    /// 20): its memory ran ahead, and it will never hear what became of each batch.
    pub(crate) fn install(&self, state: &mut State, node: Node) {
        let loaded = self.load(state);
        if !self.is(Mutant::InstallOverMemory) {
            self.step_down(state, node);
        }
        let hellos: Vec<_> = state.log[..usize::from(state.snapshot.0)].to_vec();
        let snapshot = state.snapshot;
        let core = state.core_mut(node);
        (core.applied, core.waited) = (snapshot, 0);
        (core.verdicts, core.data, core.table) = (loaded.verdicts, loaded.data, loaded.table);
        // The snapshot contains the `Hello`s too.
        if let Some(place) = hellos.iter().position(|entry| core.greeting.as_ref() == Some(entry)) {
            core.greeting = None;
            core.incarnation = Some(Incarnation(place as u16 + 1));
        }
        self.settle(state, node);
    }

    fn step_down(&self, state: &mut State, node: Node) {
        let core = state.core_mut(node);
        let Some(reign) = core.reign.take() else { return };
        let waits = |gated: &mut Gated| gated.epoch == reign.epoch && !gated.is_open();
        let unknown: Vec<_> = core.gate.extract_if(.., waits).map(|gated| gated.request).collect();
        for request in unknown.into_iter().filter(|&request| self.home(request) == node) {
            self.uncertain(state, node, request);
        }
    }

    /// A claimer may try again. (Rule 1 has it wait anew, which needs no code: what fenced its claim was a renewal, and
    /// when it received that, its wait began again.)
    fn does_not_count(&self, core: &mut Core, node: Node, entry: &Entry) {
        if core.claiming.as_ref().is_some_and(|sent| sent.entry == *entry) {
            core.claiming = None;
        }
        if self.is(Mutant::VerdictIgnored) && node == Node(1) {
            entry.apply(&mut core.data, &mut core.table);
        }
    }

    /// Its own claim was accepted. Everything before it was applied, so it may execute at once.
    fn reign(&self, core: &mut Core, index: Index, claim: &Entry) {
        let any = self.is(Mutant::LeaseFromNewerClaim);
        let lease = match core.claiming.take() {
            Some(sent) if sent.entry == *claim || any => Lease { basis: index, age: sent.age },
            // It has claimed again since. After a `Release` the older claim may be accepted all the same, and it counts from
            // its own first sending, which is forgotten.
            _ => Lease { basis: Index(0), age: self.scenario.leases.lease(self.mutant) },
        };
        core.reign = Some(Reign::new(core.verdicts.epoch, lease, self.scenario.clients.len()));
    }

    /// An entry of its own reign was accepted (rules 2 and 4).
    fn accepted(&self, core: &mut Core, index: Index, entry: &Entry) {
        let Some(reign) = &mut core.reign else { return };
        let sent = reign.in_flight.iter().find(|sent| sent.entry == *entry).cloned();
        reign.in_flight.retain(|sent| !is_settled(&sent.entry, entry));
        if let Entry::Batch { seq, .. } | Entry::Release { seq, .. } = entry {
            reign.accepted = *seq;
        }
        if let Some(sent) = &sent {
            let age = if self.is(Mutant::LeaseFromAcknowledgement) { 0 } else { sent.age };
            reign.lease = Lease { basis: index, age: reign.lease.age.min(age) };
            if matches!(self.scenario.leases, Leases::Untimed) {
                reign.lease.age = 0;
            }
        }
        let ordinal = sent.map_or(Ordinal(0), |sent| sent.ordinal);
        for gated in core.gate.iter_mut().filter(|gated| gated.epoch == reign.epoch) {
            gated.batch = gated.batch.filter(|&seq| seq > reign.accepted);
            gated.proof = gated.proof.filter(|&needed| needed > ordinal);
        }
        if matches!(entry, Entry::Release { .. }) {
            core.reign = None;
        }
    }

    /// Somebody else's claim was accepted (rules 11 and 16).
    fn depose(&self, core: &mut Core, node: Node, log: &[Entry]) {
        core.claiming = None;
        let Some(reign) = core.reign.take() else { return };
        if reign.unaccepted().next().is_some() && !self.is(Mutant::KeepMemory) {
            let sound = verdict::replay(log, self.mutant);
            (core.data, core.table) = (sound.data, sound.table);
        }
        // What was not accepted by now never will be: its fate is known.
        let is_void = |gated: &Gated| gated.epoch == reign.epoch && !gated.is_open();
        let own = core.gate.extract_if(.., |gated| is_void(gated) && self.home(gated.request) == node);
        core.parked.extend(own.map(|gated| gated.request));
        core.parked.sort_unstable();
        for gated in core.gate.iter_mut().filter(|gated| is_void(gated)) {
            (gated.outcome, gated.batch, gated.proof) = (Outcome::Void, None, None);
        }
    }
}

/// Whether nothing more will be heard of one entry now that another one of its reign was accepted.
fn is_settled(sent: &Entry, accepted: &Entry) -> bool {
    match (sent, accepted) {
        (Entry::Renew { number, .. }, Entry::Renew { number: newest, .. }) => number <= newest,
        (Entry::Batch { seq, .. } | Entry::Release { seq, .. }, Entry::Batch { seq: newest, .. }) => seq <= newest,
        _ => sent == accepted,
    }
}
