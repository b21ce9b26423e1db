//! What must hold in every state.

use stateright::Property;

use crate::core::Core;
use crate::entry::Entry;
use crate::numbers::{Epoch, Request};
use crate::protocol::Protocol;
use crate::state::State;
use crate::verdict::{self, Verdict};

/// What a client can see; the others say why.
pub const SEEN_BY_CLIENTS: [&str; 4] = [LINEARIZABLE, IN_LOG, ONCE, DENIED];
const LINEARIZABLE: &str = "QUORUM operations are linearizable";
const IN_LOG: &str = "an acknowledged write is in the log";
const ONCE: &str = "a write is executed at most once";
const DENIED: &str = "what was said not to be executed is not";

pub fn always() -> Vec<Property<Protocol>> {
    vec![
        Property::always(LINEARIZABLE, |_, state: &State| state.history.is_linearizable()),
        Property::always(IN_LOG, |_, state: &State| state.lost.is_none()),
        Property::always(ONCE, executed_once),
        Property::always(DENIED, denied_is_void),
        Property::always("equal index, equal data", equal_data),
        Property::always("whoever holds a lease has the newest epoch", newest_epoch),
        Property::always("a claim is sent when what it names is over", claims_are_late),
    ]
}

/// Any two Cores that applied the same index hold the same data; a primary's is ahead by what it executed.
fn equal_data(protocol: &Protocol, state: &State) -> bool {
    state.cores.iter().filter(|core| core.is_up).all(|core| {
        let mut expected = verdict::replay(&state.log[..usize::from(core.applied.0)], protocol.mutant);
        if let Some(reign) = &core.reign {
            reign.unaccepted().for_each(|(_, write)| expected.data.put(write.key, write.value));
            reign.unaccepted_records().for_each(|record| expected.table.record(record));
        }
        core.data == expected.data && core.table == expected.table
    })
}

/// No request's effects are accepted twice.
fn executed_once(protocol: &Protocol, state: &State) -> bool {
    let mut requests = executed(protocol, state);
    let all = requests.len();
    requests.sort_unstable();
    requests.dedup();
    requests.len() == all
}

fn denied_is_void(protocol: &Protocol, state: &State) -> bool {
    state.denied.is_empty() || executed(protocol, state).iter().all(|request| !state.denied.contains(request))
}

/// The requests whose effects are accepted, as often as they are.
fn executed(protocol: &Protocol, state: &State) -> Vec<Request> {
    let verdicts = verdict::replay(&state.log, protocol.mutant).each;
    let accepted = state.log.iter().zip(verdicts).filter(|(_, verdict)| *verdict == Verdict::Accepted);
    let writes = accepted.flat_map(|(entry, _)| match entry {
        Entry::Batch { writes, .. } => &writes[..],
        _ => &[],
    });
    writes.map(|write| write.request).collect()
}

/// A Core that may answer a `QUORUM` read at once is the primary of the newest epoch in the log, which is not released,
/// whether or not it has read so far. So there is at most one, and epochs only grow.
fn newest_epoch(protocol: &Protocol, state: &State) -> bool {
    let may_answer = |core: &Core| -> Option<Epoch> {
        let reign = core.reign.as_ref().filter(|reign| !reign.is_releasing)?;
        protocol.holds_lease(state, core).then_some(reign.epoch)
    };
    let mut leaders = state.cores.iter().filter_map(may_answer).peekable();
    if leaders.peek().is_none() {
        return true;
    }
    let verdicts = verdict::replay(&state.log, protocol.mutant).verdicts;
    let current = |epoch| epoch == verdicts.epoch && !verdicts.is_released;
    leaders.next().is_some_and(current) && leaders.next().is_none()
}

/// Rule 2: when a claim was sent, all leases that rest on the renewal that it names, or on an older one, were over. They
/// stay so. This is what `Leases::Untimed` supposes.
fn claims_are_late(protocol: &Protocol, state: &State) -> bool {
    let leases = || {
        let valid = state.cores.iter().filter(|core| protocol.holds_lease(state, core));
        valid.filter_map(|core| core.reign.as_ref()).filter(|reign| !reign.is_releasing)
    };
    state.proposals.iter().chain(&state.log).all(|entry| match entry {
        Entry::Claim { previous_epoch, last_renewal, .. } => {
            leases().all(|reign| reign.epoch != *previous_epoch || reign.lease.basis > *last_renewal)
        }
        _ => true,
    })
}
