//! Requests and replies.

use crate::action::{Action, Forward};
use crate::core::{Core, Forwarded, Gated, Outcome, Reign};
use crate::entry::{Entry, Write};
use crate::mutant::Mutant;
use crate::numbers::{Epoch, Node, Ordinal, Request};
use crate::op::{Op, Reply};
use crate::protocol::Protocol;
use crate::state::State;
use crate::table::{Origin, Record, Table};
use crate::verdict::{self, Verdict};

impl Protocol {
    pub(crate) fn serve_actions(&self, state: &State, node: Node, actions: &mut Vec<Action>) {
        let core = state.core(node);
        for request in core.parked.iter().copied().chain(self.unsent(state, node)) {
            if core.has_earlier_parked(request) {
                continue;
            }
            if !core.has_earlier_forwarded(request) && self.can_execute(state, core, request) {
                actions.push(Action::Execute(node, request));
            }
            if self.primary_elsewhere(state, node).is_some() {
                actions.push(Action::Forward(node, request));
            }
        }
        for Forwarded { request, epoch, .. } in &core.forwarded {
            let is_current = self.primary_elsewhere(state, node).is_some_and(|(_, current)| current == *epoch);
            let is_on_its_way = state.forwards.iter().any(|sent| sent.request == *request && sent.epoch == *epoch);
            if is_current && !is_on_its_way {
                actions.push(Action::Forward(node, *request));
            }
        }
        if state.left.timeouts > 0 {
            let waiting = core.parked.iter().chain(core.forwarded.iter().map(|forwarded| &forwarded.request));
            actions.extend(waiting.map(|request| Action::GiveUp(node, *request)));
        }
        for gated in &core.gate {
            if gated.is_open() {
                actions.push(Action::Reply(node, gated.request));
            } else if self.is(Mutant::ForwardAgainEarly) && !self.holds_lease(state, core) {
                actions.push(Action::Forward(node, gated.request));
            }
        }
        let arrived = state.forwards.iter().filter(|forward| forward.to == node);
        let heard = arrived.filter(|forward| {
            let duty = self.duty(core, forward);
            duty != Duty::Wait && (duty != Duty::Execute || self.can_execute(state, core, forward.request))
        });
        actions.extend(heard.cloned().map(Action::Receive));
    }

    /// What clients of this Core may ask next. That they send it is no step of its own, but a part of the first step that
    /// the Core takes with it: the later a request is sent, the fewer answers are right.
    fn unsent(&self, state: &State, node: Node) -> impl Iterator<Item = Request> {
        let next =
            state.clients.iter().zip(0..).map(|(client, i)| (client, Request { client: i, number: client.sent }));
        next.filter(move |(client, request)| {
            let (home, script) = &self.scenario.clients[usize::from(request.client)];
            let has_room = client.open.len() < self.scenario.window;
            *home == node && has_room && usize::from(client.sent) < script.len()
        })
        .map(|(_, request)| request)
    }

    /// The Core has the request in hand: parked before, or sent just now.
    fn take(&self, state: &mut State, node: Node, request: Request) {
        let client = &mut state.clients[usize::from(request.client)];
        if client.sent == request.number {
            client.sent += 1;
            client.open.push(request.number);
            state.history.begin(request, self.op(request));
        }
        state.core_mut(node).parked.retain(|parked| *parked != request);
    }

    pub(crate) fn execute_own(&self, state: &mut State, node: Node, request: Request) {
        self.take(state, node, request);
        self.execute(state, node, request, None);
    }

    /// Executes at once in memory. What the reply waits for is decided here; the lease is looked at after the execution,
    /// which after the arrival (rule 4). That is one step: between its parts nothing of this Core changes.
    /// Of a forwarded request it is noted what its batch says of it: see [`Protocol::record`].
    fn execute(&self, state: &mut State, node: Node, request: Request, from: Option<(Origin, u8)>) {
        let op = self.op(request);
        let under_lease = self.holds_lease(state, state.core(node));
        let core = state.core_mut(node);
        let Some(reign) = &mut core.reign else { return };
        let last_change = reign.last_change(op);
        let (reply, change) = op.execute(&mut core.data);
        if let Some((origin, acknowledged)) = from {
            let record = Record { request, reply, origin, acknowledged };
            self.record(reign, &mut core.table, record, change.is_some());
        }
        let (batch, proof) = match change {
            Some((key, value)) => {
                reign.open.push(Write { key, value, request });
                let at_once = op.is_eventual() || self.is(Mutant::ReplyBeforeCommit);
                ((!at_once).then_some(reign.next_seq), None)
            }
            // Without effects it is a read, whatever the command (rule 12).
            None => {
                let skips = self.is(Mutant::ReadSkipsChangedKey) || self.is(Mutant::NoEffectsNoWait) && !op.is_read();
                (last_change.filter(|_| !skips), self.proof(reign, under_lease))
            }
        };
        core.gate.push(Gated {
            request,
            epoch: reign.epoch,
            outcome: Outcome::Executed(reply),
            batch,
            proof,
            under_lease,
        });
        core.gate.sort_unstable_by_key(|gated| gated.request);
    }

    /// The batch that contains what a forwarded request changed also carries its reply, and those of all earlier requests of
    /// its client that changed nothing and that the origin may still ask for (rule 9).
    fn record(&self, reign: &mut Reign, table: &mut Table, record: Record, has_effects: bool) {
        let Record { request, origin, acknowledged, .. } = record;
        let is_same_client = |kept: &(Request, Reply)| kept.0.client == request.client;
        reign.kept.retain(|kept| !is_same_client(kept) || kept.0.number >= acknowledged);
        if !has_effects {
            reign.kept.push((request, record.reply));
            reign.kept.sort_unstable();
            return;
        }
        if self.is(Mutant::TableNotCarried) {
            return;
        }
        let acknowledged = if self.is(Mutant::TableDroppedEarly) { request.number } else { acknowledged };
        let earlier: Vec<_> = reign.kept.extract_if(.., |kept| is_same_client(kept)).collect();
        let earlier = earlier.into_iter().filter(|_| !self.is(Mutant::ReadsNotCarried));
        let earlier = earlier.map(|(request, reply)| Record { request, reply, origin, acknowledged });
        for record in earlier.chain([record]) {
            let record = Record { acknowledged, ..record };
            table.record(&record);
            reign.open_records.push(record);
        }
    }

    /// What a read must see accepted, beside what it read, if there is no lease.
    fn proof(&self, reign: &Reign, under_lease: bool) -> Option<Ordinal> {
        let careless = self.is(Mutant::NoLeaseCheck) || self.is(Mutant::WaitingReadWithoutLease);
        match under_lease || careless {
            true => None,
            false if self.is(Mutant::OlderEntryProves) => Some(Ordinal(0)),
            false => Some(reign.sent.next()),
        }
    }

    fn can_execute(&self, state: &State, core: &Core, request: Request) -> bool {
        let op = self.op(request);
        let Some(reign) = &core.reign else { return false };
        if reign.is_releasing {
            return self.is(Mutant::ReleaseGoesOnReading) && op.is_read();
        }
        let has_effects = op.execute(&mut core.data.clone()).1.is_some();
        has_effects
            || self.holds_lease(state, core)
            || self.scenario.reads_without_lease
            || self.is(Mutant::NoLeaseCheck)
            || self.is(Mutant::WaitingReadWithoutLease) && reign.last_change(op).is_some()
    }

    /// Whether the clock says that no other Core can have become primary.
    pub fn holds_lease(&self, state: &State, core: &Core) -> bool {
        let lasts = self.scenario.leases.lease(self.mutant);
        core.reign.as_ref().is_some_and(|reign| reign.lease.basis > state.ended && reign.lease.age < lasts)
    }

    /// A reply leaves the gate; that of a forwarded request goes to the Core it came from. That it may be lost on the way is
    /// no step of its own: a reply that never leaves is the same.
    pub(crate) fn reply(&self, state: &mut State, node: Node, request: Request) {
        let core = state.core_mut(node);
        let is_this = |gated: &Gated| gated.request == request && gated.is_open();
        let Some(place) = core.gate.iter().position(is_this) else { return };
        let Gated { epoch, outcome, .. } = core.gate.remove(place);
        let home = self.home(request);
        if home != node {
            let origin = state.core_mut(home);
            let is_this = |forwarded: &Forwarded| forwarded.request == request && forwarded.epoch == epoch;
            let Some(place) = origin.forwarded.iter().position(is_this) else { return };
            origin.forwarded.remove(place);
        }
        match outcome {
            Outcome::Executed(reply) => self.answer(state, request, reply),
            Outcome::Void => state.core_mut(home).parked.push(request),
        }
        state.core_mut(home).parked.sort_unstable();
    }

    fn answer(&self, state: &mut State, request: Request, reply: Reply) {
        if !state.awaits(request) {
            return;
        }
        let op = self.op(request);
        if op.is_eventual() {
            // It promises nothing: as if it were never answered.
            state.abandon(request);
            return;
        }
        let has_effects = matches!(op, Op::Incr(_)) || matches!(op, Op::SetNx(_)) && reply != Reply(0, 0);
        if has_effects && !self.is_in_log(state, request) {
            state.lost = Some(request);
        }
        state.history.answer(request, reply);
        state.close(request);
    }

    /// Whether an accepted entry contains what the request changed. The log keeps it then, so once is for ever.
    fn is_in_log(&self, state: &State, request: Request) -> bool {
        let verdicts = verdict::replay(&state.log, self.mutant).each;
        state.log.iter().zip(verdicts).any(|(entry, verdict)| match entry {
            Entry::Batch { writes, .. } => {
                verdict == Verdict::Accepted && writes.iter().any(|write| write.request == request)
            }
            _ => false,
        })
    }

    /// Whom this Core takes for the primary, if it may forward to it.
    fn primary_elsewhere(&self, state: &State, node: Node) -> Option<(Node, Epoch)> {
        let core = state.core(node);
        let (holder, _) = core.verdicts.holder?;
        let knows = core.incarnation.is_some() && core.reign.is_none() && !core.verdicts.is_released;
        (knows && holder != node && state.left.forwards > 0).then_some((holder, core.verdicts.epoch))
    }

    /// A request is sent to the primary, for the epoch that it has now; again perhaps, if nothing is heard.
    pub(crate) fn forward(&self, state: &mut State, node: Node, request: Request) {
        let Some((to, epoch)) = self.primary_elsewhere(state, node) else {
            // A mistake: the fate of what waits in the gate is not known yet.
            let core = state.core_mut(node);
            core.gate.retain(|gated| gated.request != request);
            core.parked.push(request);
            core.parked.sort_unstable();
            return;
        };
        state.left.forwards -= 1;
        self.take(state, node, request);
        let core = state.core_mut(node);
        let (acknowledged, origin) = (core.acknowledged(request), Origin { node, life: core.life });
        match core.forwarded.iter_mut().find(|forwarded| forwarded.request == request) {
            Some(forwarded) => forwarded.sendings += 1,
            None => core.forwarded.push(Forwarded { request, epoch, sendings: 1 }),
        }
        state.forwards.insert(Forward { request, to, epoch, acknowledged, origin });
    }

    fn duty(&self, core: &Core, forward: &Forward) -> Duty {
        if core.table.is_replaced(forward.origin) && !self.is(Mutant::ReplacedOriginServed) {
            return Duty::Refuse;
        }
        if core.table.is_unknown(forward.origin) {
            return Duty::Wait;
        }
        match &core.reign {
            Some(reign) if reign.epoch == forward.epoch || self.is(Mutant::ForwardWithoutEpoch) => {
                let seen = reign.seen[usize::from(forward.request.client)];
                let number = forward.request.number;
                let is_seen = |number: u8| seen.is_some_and(|seen| number <= seen);
                // A link keeps the order, and begins with the first request that has no answer.
                let lacks = |number: &u8| {
                    let request = Request { number: *number, ..forward.request };
                    !is_seen(*number) && core.table.get(request).is_none()
                };
                if is_seen(number) && !self.is(Mutant::ForwardWithoutNumber) {
                    Duty::Ignore
                } else if (forward.acknowledged..number).any(|number| lacks(&number)) {
                    Duty::Wait
                } else {
                    Duty::Execute
                }
            }
            _ => Duty::Refuse,
        }
    }

    pub(crate) fn receive(&self, state: &mut State, forward: Forward) {
        state.forwards.remove(&forward);
        let request = forward.request;
        match self.duty(state.core(forward.to), &forward) {
            Duty::Ignore | Duty::Wait => {}
            Duty::Execute => {
                if let Some(reign) = &mut state.core_mut(forward.to).reign {
                    reign.seen[usize::from(request.client)] = Some(request.number);
                }
                self.execute(state, forward.to, request, Some((forward.origin, forward.acknowledged)));
            }
            Duty::Refuse => self.refused(state, &forward),
        }
    }

    /// The primary says that it did not execute this. That proves something only if it was sent once.
    fn refused(&self, state: &mut State, forward: &Forward) {
        let origin = state.core_mut(self.home(forward.request));
        let is_known = |forwarded: &Forwarded| {
            forwarded.request == forward.request
                && forwarded.epoch == forward.epoch
                && (forwarded.sendings == 1 || self.is(Mutant::RefusalTrusted))
        };
        if let Some(place) = origin.forwarded.iter().position(is_known) {
            origin.forwarded.remove(place);
            origin.parked.push(forward.request);
            origin.parked.sort_unstable();
        }
    }

    /// What this Core has applied says what became of requests that it forwarded in an epoch that is over: nothing of it
    /// that was not accepted by now will be. The table has the replies of those that were executed; the others wait for
    /// the next primary.
    pub(crate) fn settle(&self, state: &mut State, node: Node) {
        let core = state.core_mut(node);
        let (epoch, is_released) = (core.verdicts.epoch, core.verdicts.is_released);
        let is_over = |forwarded: &mut Forwarded| forwarded.epoch < epoch || is_released;
        let settled: Vec<_> = core.forwarded.extract_if(.., is_over).map(|forwarded| forwarded.request).collect();
        for request in settled {
            let core = state.core_mut(node);
            match core.table.get(request) {
                Some(reply) => self.answer(state, request, reply),
                None => {
                    core.parked.push(request);
                    core.parked.sort_unstable();
                }
            }
        }
    }

    /// A request has waited too long: its client is told that it was not executed if that is certain.
    pub(crate) fn give_up(&self, state: &mut State, node: Node, request: Request) {
        state.left.timeouts -= 1;
        let core = state.core_mut(node);
        let is_parked = core.parked.contains(&request);
        core.parked.retain(|parked| *parked != request);
        core.forwarded.retain(|forwarded| forwarded.request != request);
        match is_parked || self.is(Mutant::DeniedEarly) {
            true => state.deny(request),
            false => state.abandon(request),
        }
    }

    /// Nobody will say what became of the request. A read may be asked anew; of a write the client is told that its fate is
    /// unknown (`-UNCERTAIN`).
    pub(crate) fn uncertain(&self, state: &mut State, node: Node, request: Request) {
        if self.op(request).is_read() {
            let core = state.core_mut(node);
            core.parked.push(request);
            core.parked.sort_unstable();
        } else {
            state.abandon(request);
        }
    }
}

/// What a Core owes a forwarded request that arrives (rule 8).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Duty {
    Execute,
    /// It was executed before.
    Ignore,
    Refuse,
    /// An earlier one of the same client is still on its way, or the `Hello` of its origin.
    Wait,
}

impl Core {
    fn has_earlier_parked(&self, request: Request) -> bool {
        self.parked.iter().any(|parked| parked.client == request.client && parked.number < request.number)
    }

    fn has_earlier_forwarded(&self, request: Request) -> bool {
        let mut forwarded = self.forwarded.iter().map(|forwarded| forwarded.request);
        forwarded.any(|other| other.client == request.client && other.number < request.number)
    }

    /// The lowest number of this client that may still be sent, this request's included.
    fn acknowledged(&self, request: Request) -> u8 {
        let forwarded = self.forwarded.iter().map(|forwarded| &forwarded.request);
        let open = self.parked.iter().chain(forwarded).filter(|open| open.client == request.client);
        open.map(|open| open.number).min().unwrap_or(request.number).min(request.number)
    }
}
