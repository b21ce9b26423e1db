//! States that are worth reaching. A scenario that never reaches what it is for proves nothing, and fails.

use crate::core::{Core, Gated, Outcome};
use crate::entry::{Entry, Write};
use crate::numbers::Index;
use crate::protocol::Protocol;
use crate::state::State;
use crate::table::Record;
use crate::verdict::{self, Verdict, Verdicts};

/// A name, and how to recognize such a state.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    pub name: &'static str,
    pub is_reached: fn(&Protocol, &State) -> bool,
}

/// A second claim was accepted, and all clients got all their answers (or were told that they never will).
pub const FAILOVER: Mark = Mark {
    name: "all is answered after a failover",
    is_reached: |protocol, state| count(protocol, state, is_claim, Verdict::Accepted) > 1 && is_done(protocol, state),
};

pub const CLAIM_FENCED: Mark = Mark {
    name: "a claim that missed a renewal is fenced",
    is_reached: |protocol, state| {
        before_each(protocol, state).any(|(verdicts, entry, verdict)| match entry {
            Entry::Claim { previous_epoch, .. } => verdict == Verdict::Fenced && *previous_epoch == verdicts.epoch,
            _ => false,
        })
    },
};

pub const BATCH_FENCED: Mark = Mark {
    name: "a batch of a former epoch is fenced",
    is_reached: |protocol, state| count(protocol, state, is_batch, Verdict::Fenced) > 0,
};

pub const GAP_RESENT: Mark = Mark {
    name: "a batch is ignored for a gap, and accepted later",
    is_reached: |protocol, state| {
        let all: Vec<_> = before_each(protocol, state).map(|(_, entry, verdict)| (entry, verdict)).collect();
        all.iter().any(|(entry, verdict)| *verdict == Verdict::Gap && all.contains(&(*entry, Verdict::Accepted)))
    },
};

pub const DUPLICATE: Mark = Mark {
    name: "a batch sent again is a duplicate",
    is_reached: |protocol, state| count(protocol, state, is_batch, Verdict::Duplicate) > 0,
};

pub const RELEASED: Mark = Mark {
    name: "a Release hands over, and all is answered",
    is_reached: |protocol, state| {
        let is_taken_over = |(verdicts, entry, verdict): (Verdicts, &Entry, Verdict)| {
            verdicts.is_released && is_claim(entry) && verdict == Verdict::Accepted
        };
        before_each(protocol, state).any(is_taken_over) && is_done(protocol, state)
    },
};

pub const READ_WAITS: Mark = Mark {
    name: "a read waits for its key",
    is_reached: |protocol, state| {
        gates(state).any(|(_, gated)| is_pure_read(protocol, gated) && gated.batch.is_some() && gated.proof.is_none())
    },
};

pub const NO_EFFECTS_WAIT: Mark = Mark {
    name: "a SETNX without effects waits for its key",
    is_reached: |protocol, state| {
        gates(state).any(|(core, gated)| {
            let is_write = !protocol.op(gated.request).is_read();
            let reign = core.reign.as_ref();
            let has_effects = reign.into_iter().flat_map(|reign| reign.unaccepted());
            is_write
                && gated.batch.is_some()
                && has_effects.into_iter().all(|(_, write)| write.request != gated.request)
        })
    },
};

pub const LEASE_ENDS_BEFORE_REPLY: Mark = Mark {
    name: "a lease ends between execution and reply",
    is_reached: |protocol, state| {
        gates(state).any(|(core, gated)| {
            is_pure_read(protocol, gated)
                && gated.under_lease
                && core.reign.as_ref().is_some_and(|reign| reign.epoch == gated.epoch)
                && !protocol.holds_lease(state, core)
        })
    },
};

pub const READ_PROVED: Mark = Mark {
    name: "a read without a lease is answered by a later entry",
    is_reached: |protocol, state| {
        gates(state).any(|(_, gated)| is_pure_read(protocol, gated) && !gated.under_lease && is_executed(gated))
    },
};

pub const VOID: Mark = Mark {
    name: "a deposed primary takes back what was fenced",
    is_reached: |protocol, state| {
        let is_parked = |write: &Write| state.cores.iter().any(|core| core.parked.contains(&write.request));
        before_each(protocol, state).any(|(_, entry, verdict)| match entry {
            Entry::Batch { writes, .. } => verdict == Verdict::Fenced && writes.iter().any(is_parked),
            _ => false,
        })
    },
};

pub const LATE_ACKNOWLEDGEMENT: Mark = Mark {
    name: "a deposed primary acknowledges what was accepted before",
    is_reached: |protocol, state| {
        gates(state)
            .any(|(core, gated)| core.reign.is_none() && is_executed(gated) && !protocol.op(gated.request).is_read())
    },
};

pub const FORWARDED: Mark = Mark {
    name: "a forwarded request is executed",
    is_reached: |protocol, state| {
        state.nodes().any(|node| {
            state.core(node).gate.iter().any(|gated| protocol.home(gated.request) != node && is_executed(gated))
        })
    },
};

pub const FORWARDED_VOID: Mark = Mark {
    name: "what a forwarded request did is void",
    is_reached: |_, state| gates(state).any(|(_, gated)| gated.outcome == Outcome::Void),
};

pub const FORWARDED_AGAIN: Mark = Mark {
    name: "what was forwarded and fenced is executed by the next primary",
    is_reached: |protocol, state| {
        let verdicts = verdict::replay(&state.log, protocol.mutant).each;
        let with = |wanted| {
            let judged = state.log.iter().zip(&verdicts).filter(move |(_, verdict)| **verdict == wanted);
            judged.flat_map(|(entry, _)| records(entry)).map(|record| record.request).collect::<Vec<_>>()
        };
        let accepted = with(Verdict::Accepted);
        with(Verdict::Fenced).iter().any(|request| accepted.contains(request))
    },
};

pub const TABLE_ANSWERS: Mark = Mark {
    name: "the request table answers what the primary did not",
    is_reached: |protocol, state| {
        gates(state).any(|(core, gated)| {
            let is_lost = !core.is_up || core.verdicts.epoch > gated.epoch || is_executed(gated);
            let home = state.core(protocol.home(gated.request));
            is_lost && home.table.get(gated.request).is_some() && !state.awaits(gated.request)
        })
    },
};

pub const KEPT_REPLY: Mark = Mark {
    name: "a batch carries the reply of an earlier read of its client",
    is_reached: |protocol, state| {
        let mut all = state.log.iter().flat_map(records);
        all.any(|record| protocol.op(record.request).is_read())
    },
};

pub const CLEARED: Mark = Mark {
    name: "an acknowledged reply leaves the request table",
    is_reached: |protocol, state| {
        let table = verdict::replay(&state.log, protocol.mutant).table;
        state.log.iter().flat_map(records).any(|record| table.get(record.request).is_none())
    },
};

pub const DENIED: Mark = Mark {
    name: "a client is told that a forwarded request was not executed",
    is_reached: |_, state| {
        let mut executed = state.log.iter().flat_map(records);
        executed.any(|record| state.denied.contains(&record.request))
    },
};

pub const RESTARTED: Mark = Mark {
    name: "a Core that was restarted becomes primary",
    is_reached: |_, state| state.cores.iter().any(|core| core.life > 1 && core.reign.is_some()),
};

pub const CLAIM_OF_FORMER_LIFE: Mark = Mark {
    name: "a claim of a former life is accepted and not adopted",
    is_reached: |_, state| {
        state.nodes().any(|node| {
            let core = state.core(node);
            let holds = core.verdicts.holder.filter(|(holder, _)| *holder == node);
            core.life > 1 && holds.is_some_and(|(_, life)| core.incarnation.is_some_and(|own| own > life))
        })
    },
};

pub const STEPPED_DOWN: Mark = Mark {
    name: "a primary steps down in its own epoch",
    is_reached: |_, state| {
        state.nodes().any(|node| {
            let core = state.core(node);
            let holds = core.incarnation.is_some_and(|life| core.verdicts.holder == Some((node, life)));
            holds && core.reign.is_none() && !core.verdicts.is_released
        })
    },
};

fn is_claim(entry: &Entry) -> bool {
    matches!(entry, Entry::Claim { .. })
}

fn records(entry: &Entry) -> &[Record] {
    match entry {
        Entry::Batch { records, .. } => records,
        _ => &[],
    }
}

fn is_batch(entry: &Entry) -> bool {
    matches!(entry, Entry::Batch { .. })
}

fn is_pure_read(protocol: &Protocol, gated: &Gated) -> bool {
    protocol.op(gated.request).is_read()
}

fn is_executed(gated: &Gated) -> bool {
    gated.is_open() && gated.outcome != Outcome::Void
}

fn is_done(protocol: &Protocol, state: &State) -> bool {
    let scripts = protocol.scenario.clients.iter().map(|(_, script)| script.len());
    state.clients.iter().zip(scripts).all(|(client, all)| usize::from(client.sent) == all && client.open.is_empty())
}

fn gates(state: &State) -> impl Iterator<Item = (&Core, &Gated)> {
    state.cores.iter().flat_map(|core| core.gate.iter().map(move |gated| (core, gated)))
}

fn count(protocol: &Protocol, state: &State, kind: fn(&Entry) -> bool, wanted: Verdict) -> usize {
    let verdicts = verdict::replay(&state.log, protocol.mutant).each;
    state.log.iter().zip(verdicts).filter(|(entry, verdict)| kind(entry) && *verdict == wanted).count()
}

/// Each entry with its verdict and what was known before it.
fn before_each<'a>(
    protocol: &'a Protocol,
    state: &'a State,
) -> impl Iterator<Item = (Verdicts, &'a Entry, Verdict)> + 'a {
    let mut verdicts = Verdicts::default();
    state.log.iter().zip(1..).map(move |(entry, index)| {
        let before = verdicts.clone();
        let verdict = verdicts.judge(Index(index), entry, protocol.mutant);
        (before, entry, verdict)
    })
}
