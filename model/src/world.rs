//! What no Core decides: the log's order, time, crashes.

use crate::action::Action;
use crate::core::Core;
use crate::entry::Entry;
use crate::lease::{Clocks, Leases};
use crate::mutant::Mutant;
use crate::numbers::{Index, Node, Request};
use crate::protocol::Protocol;
use crate::state::State;
use crate::verdict::{self, Replay, Verdicts};

impl Protocol {
    pub(crate) fn world_actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.log.len() < self.scenario.longest_log {
            actions.extend(state.proposals.iter().cloned().map(Action::Commit));
        }
        if state.left.snapshots > 0 && usize::from(state.snapshot.0) < state.log.len() {
            actions.push(Action::Snapshot);
        }
        for node in state.nodes() {
            let core = state.core(node);
            if !core.is_up {
                actions.push(Action::Restart(node));
                continue;
            }
            if core.greeting.is_none() && core.incarnation.is_none() {
                actions.push(Action::Begin(node));
            }
            if core.applied < state.snapshot {
                actions.push(Action::Install(node));
            } else if usize::from(core.applied.0) < state.log.len() {
                actions.push(Action::Deliver(node));
            }
            if state.left.crashes > 0 {
                actions.push(Action::Crash(node));
            }
        }
        match self.scenario.leases {
            Leases::Untimed => self.lease_ends(state, actions),
            Leases::Clocks(clocks) => self.time_actions(state, clocks, actions),
        }
    }

    /// The standby's wait for the newest renewal that it received may be over.
    fn lease_ends(&self, state: &State, actions: &mut Vec<Action>) {
        let standby = |core: &&Core| core.is_up && core.incarnation.is_some() && core.reign.is_none();
        let ends = state.cores.iter().filter(standby).map(|core| core.verdicts.last_renewal);
        let mut ends: Vec<_> = ends.filter(|&index| index > state.ended).map(Action::LeaseEnds).collect();
        ends.dedup();
        actions.extend(ends);
    }

    /// Each clock counts what it likes, within its bounds.
    fn time_actions(&self, state: &State, clocks: Clocks, actions: &mut Vec<Action>) {
        let mut counts = vec![vec![]];
        for _ in &state.cores {
            let longer = |counted: &Vec<u8>| {
                let counted = counted.clone();
                (clocks.slowest..=clocks.fastest).map(move |units| [&counted[..], &[units]].concat())
            };
            counts = counts.iter().flat_map(longer).collect();
        }
        actions.extend(counts.into_iter().map(Action::Tick));
        actions.extend(state.nodes().filter(|&node| state.core(node).reign.is_some()).map(Action::Pause));
    }

    pub(crate) fn commit(&self, state: &mut State, entry: Entry) {
        state.proposals.remove(&entry);
        state.log.push(entry);
    }

    pub(crate) fn snapshot(&self, state: &mut State) {
        state.left.snapshots -= 1;
        state.snapshot = Index(state.log.len() as u16);
    }

    pub(crate) fn tick(&self, state: &mut State, counted: &[u8]) {
        let (lease, wait) = (self.scenario.leases.lease(self.mutant), self.scenario.leases.wait(self.mutant));
        for (core, units) in state.cores.iter_mut().zip(counted).filter(|(core, _)| core.is_up) {
            // Older than this makes no difference.
            let pass = |age: &mut u8| *age = (*age + units).min(lease);
            core.claiming.iter_mut().for_each(|sent| pass(&mut sent.age));
            match &mut core.reign {
                Some(reign) => {
                    reign.in_flight.iter_mut().for_each(|sent| pass(&mut sent.age));
                    pass(&mut reign.lease.age);
                }
                None => core.waited = (core.waited + units).min(wait),
            }
        }
    }

    /// A tick in which this Core does nothing. That it may do nothing for any time is so anyway; what matters is that its
    /// clock counts the time.
    pub(crate) fn pause(&self, state: &mut State, paused: Node) {
        let Leases::Clocks(clocks) = self.scenario.leases else { return };
        let own = if self.is(Mutant::ClockStopsInPause) { 0 } else { clocks.slowest };
        let counted: Vec<_> = state.nodes().map(|node| if node == paused { own } else { clocks.fastest }).collect();
        self.tick(state, &counted);
    }

    pub(crate) fn begin(&self, state: &mut State, node: Node) {
        let core = state.core_mut(node);
        let hello = Entry::Hello { node, nonce: core.life };
        core.greeting = Some(hello.clone());
        state.propose(hello);
    }

    pub(crate) fn crash(&self, state: &mut State, node: Node) {
        state.left.crashes -= 1;
        state.core_mut(node).crash();
        // Connections break. Who waits does not learn what became of its request.
        for client in 0..state.clients.len() as u8 {
            for number in state.clients[usize::from(client)].open.clone() {
                let request = Request { client, number };
                if self.home(request) == node {
                    state.abandon(request);
                }
            }
        }
    }

    /// A new process loads the newest snapshot, and will read the log from there.
    pub(crate) fn restart(&self, state: &mut State, node: Node) {
        let loaded = self.load(state);
        let snapshot = state.snapshot;
        let core = state.core_mut(node);
        *core = Core::start(core.life + 1, snapshot, loaded);
        if self.is(Mutant::RestartedClaimsAtOnce) {
            core.waited = self.scenario.leases.wait(self.mutant);
        }
        self.begin(state, node);
    }

    /// What the newest snapshot contains (rule 19).
    pub(crate) fn load(&self, state: &State) -> Replay {
        let whole = verdict::replay(&state.log[..usize::from(state.snapshot.0)], self.mutant);
        match self.is(Mutant::SnapshotWithoutVerdicts) {
            true => Replay { verdicts: Verdicts::default(), ..whole },
            false => whole,
        }
    }
}
