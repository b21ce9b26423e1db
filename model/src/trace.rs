//! A run of the real system, replayed: what happened there must be an action that the model allows in the state that it has
//! come to.
//!
//! Leases are [`Leases::Untimed`]: one may end at any time, for what clocks do is judged elsewhere. Of what Cores execute
//! there is a mark alone: that something stands in a batch. Three things are wider than in an exploration, because the
//! model bounds what need not be tried in every order:
//! - the network keeps whatever was ever proposed, and may hand it to the log any number of times;
//! - each Keeper has a snapshot of its own, and feeds from there: a Core installs any that some Keeper may have made;
//! - nothing has a budget.

use std::collections::BTreeSet;
use std::fmt;

use stateright::Model;

use crate::action::Action;
use crate::core::{Core, Reign};
use crate::entry::{Entry, Write};
use crate::lease::Leases;
use crate::numbers::{Index, Node, Request};
use crate::op::Key;
use crate::protocol::Protocol;
use crate::scenario::Scenario;
use crate::state::{Budget, State};
use crate::verdict::{Verdict, Verdicts};

/// Entries of the longest log that can be replayed.
pub const LONGEST_LOG: usize = u16::MAX as usize;

const UNBOUNDED: Budget = Budget {
    claims: u8::MAX,
    renews: u8::MAX,
    resends: u8::MAX,
    releases: u8::MAX,
    forwards: u8::MAX,
    crashes: u8::MAX,
    timeouts: u8::MAX,
    snapshots: u8::MAX,
};

/// Where the model has come to.
#[derive(Debug)]
pub struct Trace {
    protocol: Protocol,
    state: State,
    /// All that was ever proposed.
    network: BTreeSet<Entry>,
    /// Of the whole log.
    verdicts: Verdicts,
    steps: u64,
}

impl Trace {
    /// Nobody of so many Cores has begun, and the log is empty.
    pub fn new(cores: u8) -> Self {
        let scenario = Scenario {
            name: "trace",
            cores,
            is_running: false,
            leases: Leases::Untimed,
            clients: vec![],
            window: 0,
            reads_without_lease: false,
            longest_log: LONGEST_LOG,
            budget: UNBOUNDED,
            marks: &[],
        };
        let state = scenario.start(None);
        let protocol = Protocol { scenario, mutant: None };
        Self { protocol, state, network: BTreeSet::new(), verdicts: Verdicts::default(), steps: 0 }
    }

    /// How many actions were taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    pub fn core(&self, node: Node) -> &Core {
        self.state.core(node)
    }

    pub fn log(&self) -> &[Entry] {
        &self.state.log
    }

    /// What decides about the next entry of the log.
    pub fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// A process with an empty memory begins a life, the one before being over.
    ///
    /// # Errors
    /// If the model does not allow it: what, and in which state. So with the others.
    pub fn begin(&mut self, node: Node) -> Result<(), String> {
        let core = self.core(node);
        if core.is_up && core.greeting.is_none() && core.incarnation.is_none() && core.applied == Index(0) {
            return self.take(Action::Begin(node));
        }
        self.forget(node)?;
        self.take(Action::Restart(node))
    }

    /// The memory is gone, if it was not.
    ///
    /// # Errors
    /// As above.
    pub fn forget(&mut self, node: Node) -> Result<(), String> {
        if self.core(node).is_up { self.take(Action::Crash(node)) } else { Ok(()) }
    }

    /// The next entry is committed; an [`Entry::Other`] was proposed by nobody.
    ///
    /// # Errors
    /// As above.
    pub fn commit(&mut self, entry: Entry) -> Result<Verdict, String> {
        if entry != Entry::Other && !self.network.contains(&entry) {
            return Err(format!("entry {} is {entry}, which nobody has proposed", self.log().len() + 1));
        }
        self.state.proposals.insert(entry.clone());
        self.take(Action::Commit(entry.clone()))?;
        Ok(self.verdicts.judge(Index(self.state.log.len() as u16), &entry, None))
    }

    /// A Core applies the entry at this index.
    ///
    /// # Errors
    /// As above.
    pub fn deliver(&mut self, node: Node, index: Index) -> Result<(), String> {
        if self.core(node).applied.next() != index {
            return Err(format!("{node} applies entry {index}, behind {}", self.core(node).applied));
        }
        if usize::from(index.0) > self.log().len() {
            return Err(format!("{node} applies entry {index}, and {} are committed", self.log().len()));
        }
        self.take(Action::Deliver(node))
    }

    /// A Core with an empty memory loads a snapshot of the first entries up to this one.
    ///
    /// # Errors
    /// As above.
    pub fn install(&mut self, node: Node, index: Index) -> Result<(), String> {
        if usize::from(index.0) > self.log().len() {
            return Err(format!("{node} gets a snapshot of {index} entries, and {} are committed", self.log().len()));
        }
        self.state.snapshot = index;
        let installed = if index == Index(0) { Ok(()) } else { self.take(Action::Install(node)) };
        self.state.snapshot = Index(0);
        installed
    }

    /// A Core has executed what is in no batch yet. It may do so as often as it likes; one mark is enough.
    ///
    /// # Errors
    /// As above.
    pub fn execute(&mut self, node: Node) -> Result<(), String> {
        let reign = self.state.core_mut(node).reign.as_mut().filter(|reign| !reign.is_releasing);
        let Some(reign) = reign else {
            return Err(format!("{node} executes, and does not reign"));
        };
        if reign.open.is_empty() {
            reign.open.push(executed(0));
            self.steps += 1;
        }
        Ok(())
    }

    /// A Core proposes this entry.
    ///
    /// # Errors
    /// As above, and if the model would propose another one.
    pub fn propose(&mut self, node: Node, entry: &Entry) -> Result<(), String> {
        // A Core that got its `Hello` within a snapshot may not know, and say it again.
        if *entry == (Entry::Hello { node, nonce: self.core(node).life }) && self.network.contains(entry) {
            return Ok(());
        }
        if self.core(node).unaccepted().any(|sent| sent == entry) {
            return self.take(Action::Resend(node));
        }
        let action = match entry {
            Entry::Claim { .. } => {
                self.wait_for_lease(node)?;
                Action::Claim(node)
            }
            Entry::Renew { .. } => Action::Renew(node),
            Entry::Release { .. } => Action::Release(node),
            Entry::Batch { writes, .. } => {
                self.execute(node)?;
                if let Some(reign) = &mut self.state.core_mut(node).reign {
                    reign.open.clone_from(writes);
                }
                Action::CloseBatch(node)
            }
            Entry::Hello { .. } | Entry::Other => return Err(format!("{node} proposes {entry}")),
        };
        self.take(action)?;
        match self.core(node).unaccepted().last() {
            Some(made) if made == entry => Ok(()),
            made => Err(format!("{node} proposes {entry}, where the model proposes {}", shown(made))),
        }
    }

    /// A standby has waited for what it knows as the newest renewal.
    fn wait_for_lease(&mut self, node: Node) -> Result<(), String> {
        let Verdicts { last_renewal, .. } = self.core(node).verdicts;
        if last_renewal > self.state.ended { self.take(Action::LeaseEnds(last_renewal)) } else { Ok(()) }
    }

    fn take(&mut self, action: Action) -> Result<(), String> {
        self.state.left = UNBOUNDED;
        let mut possible = Vec::new();
        self.protocol.actions(&self.state, &mut possible);
        if !possible.contains(&action) {
            let action = action.to_string();
            return Err(format!("not possible: {}", action.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
        self.protocol.take_step(&mut self.state, action);
        self.network.extend(std::mem::take(&mut self.state.proposals));
        self.steps += 1;
        Ok(())
    }
}

impl fmt::Display for Trace {
    /// What decides about the next entry, and what the model knows of each Core that is up.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "behind entry {} {:?}", self.log().len(), self.verdicts)?;
        for node in self.state.nodes().filter(|&node| self.core(node).is_up) {
            let Core { life, incarnation, applied, verdicts, claiming, reign, .. } = self.core(node);
            let claiming = shown(claiming.as_ref().map(|sent| &sent.entry));
            write!(
                f,
                "\n    {node}, life {life}, incarnation {incarnation:?}, claiming {claiming}, behind {applied} {verdicts:?}"
            )?;
            if let Some(Reign { next_seq, accepted, open, is_releasing, .. }) = reign {
                let open = open.len();
                write!(
                    f,
                    ", reigns: next seq {next_seq}, accepted {accepted}, executed {open}, releasing {is_releasing}"
                )?;
            }
        }
        Ok(())
    }
}

/// The mark of something that was executed. Of a number that tells one batch's content from another's it has 24 bits.
pub fn executed(content: u64) -> Write {
    let [value, client, number, ..] = content.to_le_bytes();
    Write { key: Key::X, value, request: Request { client, number } }
}

fn shown(entry: Option<&Entry>) -> String {
    entry.map_or("nothing".to_owned(), Entry::to_string)
}
