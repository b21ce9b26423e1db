//! What a primary and a claimer propose.

use crate::action::Action;
use crate::core::{Core, Reign, Sent};
use crate::entry::Entry;
use crate::lease::Leases;
use crate::mutant::Mutant;
use crate::numbers::{Node, Ordinal, Seq};
use crate::protocol::Protocol;
use crate::state::State;

impl Protocol {
    pub(crate) fn lead_actions(&self, state: &State, node: Node, actions: &mut Vec<Action>) {
        let (core, left) = (state.core(node), &state.left);
        if left.claims > 0 && self.may_claim(state, node) {
            actions.push(Action::Claim(node));
        }
        if left.resends > 0 && self.has_to_resend(state, core) {
            actions.push(Action::Resend(node));
        }
        let Some(reign) = core.reign.as_ref().filter(|reign| !reign.is_releasing) else { return };
        if left.renews > 0 {
            actions.push(Action::Renew(node));
        }
        if !reign.open.is_empty() {
            actions.push(Action::CloseBatch(node));
        } else if left.releases > 0 {
            actions.push(Action::Release(node));
        }
    }

    fn may_claim(&self, state: &State, node: Node) -> bool {
        let core = state.core(node);
        let verdicts = &core.verdicts;
        let has_waited = match self.scenario.leases {
            Leases::Untimed => verdicts.last_renewal <= state.ended,
            Leases::Clocks(_) => core.waited >= self.scenario.leases.wait(self.mutant),
        };
        let is_new = |claim: Entry| core.claiming.as_ref().is_none_or(|sent| sent.entry != claim);
        core.reign.is_none() && (has_waited || verdicts.is_released) && core.claim(node).is_some_and(is_new)
    }

    /// Whether something that was not accepted is not on its way any more.
    fn has_to_resend(&self, state: &State, core: &Core) -> bool {
        let always = self.is(Mutant::LeaseFromResend) || self.is(Mutant::BatchGrows);
        core.unaccepted().any(|entry| always || !state.proposals.contains(entry))
    }

    pub(crate) fn claim(&self, state: &mut State, node: Node) {
        state.left.claims -= 1;
        let core = state.core_mut(node);
        let Some(claim) = core.claim(node) else { return };
        core.claiming = Some(Sent { entry: claim.clone(), ordinal: Ordinal(0), age: 0 });
        state.propose(claim);
    }

    pub(crate) fn renew(&self, state: &mut State, node: Node) {
        state.left.renews -= 1;
        self.send_first(state, node, |reign| {
            let number = reign.next_number;
            reign.next_number = number.next();
            Entry::Renew { epoch: reign.epoch, number }
        });
    }

    pub(crate) fn close_batch(&self, state: &mut State, node: Node) {
        self.send_first(state, node, |reign| {
            let seq = reign.next_seq;
            reign.next_seq = seq.next();
            let (writes, records) = (std::mem::take(&mut reign.open), std::mem::take(&mut reign.open_records));
            Entry::Batch { epoch: reign.epoch, seq, writes, records }
        });
    }

    /// It stops executing and reading before it sends (rule 5).
    pub(crate) fn release(&self, state: &mut State, node: Node) {
        state.left.releases -= 1;
        self.send_first(state, node, |reign| {
            reign.is_releasing = true;
            let seq = reign.next_seq;
            reign.next_seq = seq.next();
            Entry::Release { epoch: reign.epoch, seq }
        });
    }

    /// Sends an entry of this reign for the first time: its lease counts from now.
    fn send_first(&self, state: &mut State, node: Node, make: impl FnOnce(&mut Reign) -> Entry) {
        let Some(reign) = &mut state.core_mut(node).reign else { return };
        let entry = make(reign);
        reign.sent = reign.sent.next();
        reign.in_flight.push(Sent { entry: entry.clone(), ordinal: reign.sent, age: 0 });
        state.propose(entry);
    }

    /// Sends again, with the same content, all that was not accepted (rule 6).
    pub(crate) fn resend(&self, state: &mut State, node: Node) {
        state.left.resends -= 1;
        let core = state.core_mut(node);
        if let Some(reign) = &mut core.reign {
            if self.is(Mutant::LeaseFromResend) {
                reign.in_flight.iter_mut().for_each(|sent| sent.age = 0);
            }
            if self.is(Mutant::BatchGrows)
                && let Some(Sent { entry: Entry::Batch { writes, records, .. }, .. }) = reign.in_flight.last_mut()
            {
                writes.append(&mut reign.open);
                records.append(&mut reign.open_records);
                let grown = Seq(reign.next_seq.0 - 1);
                let waits = core.gate.iter_mut().filter(|gated| gated.batch == Some(reign.next_seq));
                waits.for_each(|gated| gated.batch = Some(grown));
            }
        }
        let again: Vec<_> = core.unaccepted().cloned().collect();
        again.into_iter().for_each(|entry| state.propose(entry));
    }
}

impl Core {
    /// The claim that it would send now, if it knows its incarnation.
    fn claim(&self, node: Node) -> Option<Entry> {
        let (previous_epoch, last_renewal) = (self.verdicts.epoch, self.verdicts.last_renewal);
        Some(Entry::Claim { node, incarnation: self.incarnation?, previous_epoch, last_renewal })
    }

    /// What it has proposed and not seen accepted.
    pub(crate) fn unaccepted(&self) -> impl Iterator<Item = &Entry> {
        let in_flight = self.reign.iter().flat_map(|reign| &reign.in_flight);
        self.greeting.iter().chain(self.claiming.iter().chain(in_flight).map(|sent| &sent.entry))
    }
}
