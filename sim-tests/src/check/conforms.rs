//! What Cores do is what the model of the protocol allows, and what each says of itself is what the model says of it: the
//! traces of a run are validated against `model/`, as is done with TLA+ specifications (Cirstea, Kuppe, Merz, Loillier,
//! "Validating Traces of Distributed Programs Against TLA+ Specifications", 2024).
//!
//! Every step of a Core beside requests is seen ([`mneme_driver::observer`]), becomes an action of the model, and must be
//! possible in the state that the model has come to. Where the kernel and the model differ in their terms:
//! - a Core that throws its memory away and begins anew is one that crashes and restarts;
//! - a Core that dies is one that does nothing more: it crashes when the next one begins;
//! - a Replica is a Core whose `Hello` is lost;
//! - the log's first entry, at index 0, is always Raft's own: the model's log begins at 1, behind it;
//! - what the model does not know is in its log as an entry that means nothing ([`entries`]).
//!
//! Data is judged by other checks; so are leases and waits, for which the model's may end at any time.

mod entries;
mod said;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use mneme_kernel::core::{Input, Output};
use mneme_kernel::effect::{Effect, Effects};
use mneme_kernel::entry::Entry as Logged;
use mneme_model::core::Core;
use mneme_model::entry::Entry;
use mneme_model::numbers::{Epoch, Index, Node, Number, Seq};
use mneme_model::trace::{LONGEST_LOG, Trace};
use mneme_model::verdict::Verdict;

use crate::model::{Command, Datum, Lifetime, Presence};
use crate::wire;
use entries::{Names, narrow};
pub use said::Said;

/// A run as the model sees it. A violation ends it: nothing that follows would mean anything.
#[derive(Debug)]
pub struct Conforms {
    trace: Trace,
    names: Names,
    /// By machine.
    watched: Vec<Watched>,
    /// Which batches contain each word that clients wrote.
    words: BTreeMap<u32, BTreeSet<Batch>>,
    /// Those that the model's log has accepted.
    accepted: BTreeSet<Batch>,
    /// Acknowledgements that were looked at.
    acknowledged: u64,
    is_over: bool,
}

type Batch = (Epoch, Seq);

/// What is known of a machine's Core beside what the model knows.
#[derive(Clone, Copy, Debug, Default)]
struct Watched {
    /// It has a life, and has not been removed since.
    is_alive: bool,
    told: Told,
    /// The last entry of the snapshot that this life began with.
    installed: u64,
    /// The newest seq of its process before its reign: there seqs go on from one reign to the next.
    base: u64,
}

/// What a Core was told, as far as it matters here.
#[derive(Clone, Copy, Debug, Default)]
enum Told {
    Begin(u64),
    Committed(u64),
    Snapshot(u64),
    Forget,
    #[default]
    Other,
}

impl Conforms {
    /// Nothing has happened on so many machines.
    pub fn new(machines: usize) -> Self {
        Self {
            trace: Trace::new(machines as u8),
            names: Names::default(),
            watched: vec![Watched::default(); machines],
            words: BTreeMap::new(),
            accepted: BTreeSet::new(),
            acknowledged: 0,
            is_over: false,
        }
    }

    /// How many actions of the model were taken, and how many acknowledgements looked at.
    pub fn counts(&self) -> (u64, u64) {
        (self.trace.steps(), self.acknowledged)
    }

    /// The Core of this machine says this, and is about to be told something.
    pub fn tells(&mut self, machine: usize, said: &Said, input: &Input<'_>) -> Result<(), String> {
        let watched = &mut self.watched[machine];
        watched.told = match *input {
            Input::Begin { nonce } => Told::Begin(nonce),
            Input::Committed { index, .. } => Told::Committed(index.0),
            Input::Snapshot { index, .. } => Told::Snapshot(index.0),
            Input::Forget => Told::Forget,
            _ => Told::Other,
        };
        let is_new = matches!(watched.told, Told::Begin(_));
        let executes = watched.is_alive && !is_new && said.has_open();
        self.judge(|conforms| if executes { conforms.trace.execute(node(machine)) } else { Ok(()) })
    }

    /// It was, says this now, and wants this done.
    pub fn told(&mut self, machine: usize, said: &Said, wants: &[Output]) -> Result<(), String> {
        let told = self.watched[machine].told;
        self.judge(|conforms| {
            let taken = conforms.takes(machine, said, wants);
            taken.map_err(|wrong| format!("{wrong}\n    node{} was told {told:?}", machine + 1))
        })
    }

    /// The lease of its Core is renewed by this entry.
    pub fn renews(&mut self, machine: usize, epoch: u64, number: u64) -> Result<(), String> {
        self.judge(|conforms| {
            let entry = Entry::Renew { epoch: Epoch(narrow(epoch)?), number: Number(narrow(number)?) };
            if conforms.watched[machine].is_alive { conforms.trace.propose(node(machine), &entry) } else { Ok(()) }
        })
    }

    /// A Keeper has heard that this is committed; `None` is Raft's own.
    pub fn committed(&mut self, index: u64, entry: Option<&[u8]>) -> Result<(), String> {
        self.judge(|conforms| {
            let known = conforms.trace.log().len();
            // What it was the first time is compared by the check `log`.
            if index <= known as u64 {
                return if index > 0 || entry.is_none() { Ok(()) } else { Err("the first entry is a Core's".into()) };
            }
            if index > known as u64 + 1 {
                return Err(format!("entry {index} is committed, and before it only {known}"));
            }
            if known == LONGEST_LOG {
                conforms.is_over = true;
                return Ok(());
            }
            let entry = match entry {
                Some(bytes) => conforms.names.commits(index, &decoded(bytes)?, &conforms.trace)?,
                None => Entry::Other,
            };
            let verdict = conforms.trace.commit(entry.clone())?;
            if let (Entry::Batch { epoch, seq, .. }, Verdict::Accepted) = (entry, verdict) {
                conforms.accepted.insert((epoch, seq));
            }
            Ok(())
        })
    }

    /// A client hears that its command was executed, at `QUORUM` or more: what it wrote is in the model's log. Of commands
    /// that certainly wrote, and what nobody else writes.
    pub fn acknowledged(&mut self, command: &Command) -> Result<(), String> {
        self.judge(|conforms| {
            for word in written(command) {
                conforms.acknowledged += 1;
                let batches = conforms.words.get(&word);
                if batches.is_none_or(|batches| batches.is_disjoint(&conforms.accepted)) {
                    let what = format!("{command:?} was acknowledged before the log accepted its batch");
                    return Err(format!(
                        "{what}\n    it is in the batches {batches:?}, {:?}",
                        conforms.trace.verdicts()
                    ));
                }
            }
            Ok(())
        })
    }

    fn judge(&mut self, judge: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        if self.is_over {
            return Ok(());
        }
        let judged = judge(self);
        self.is_over |= judged.is_err();
        judged.map_err(|wrong| format!("{wrong}\n    the model, at step {}: {}", self.trace.steps(), self.trace))
    }

    fn core(&self, machine: usize) -> &Core {
        self.trace.core(node(machine))
    }

    fn takes(&mut self, machine: usize, said: &Said, wants: &[Output]) -> Result<(), String> {
        let node = node(machine);
        let told = self.watched[machine].told;
        if !self.watched[machine].is_alive && !matches!(told, Told::Begin(_)) {
            return Ok(());
        }
        let in_vain = self.core(machine).reign.as_ref().is_some_and(|reign| reign.unaccepted().next().is_some());
        match told {
            Told::Begin(nonce) => {
                self.trace.begin(node)?;
                self.names.begins(node, self.core(machine).life, nonce);
                self.watched[machine] = Watched { is_alive: true, ..Watched::default() };
            }
            Told::Committed(0) | Told::Other | Told::Forget => {}
            Told::Committed(index) => self.trace.deliver(node, Index(narrow(index)?))?,
            Told::Snapshot(index) => {
                self.trace.install(node, Index(narrow(index)?))?;
                self.watched[machine].installed = index;
            }
        }
        let is_removed = wants.contains(&Output::Removed);
        let is_void = said.is_empty && matches!(told, Told::Committed(_)) || matches!(told, Told::Forget);
        if is_void || is_removed {
            self.watched[machine].is_alive = false;
            return self.trace.forget(node);
        }
        if in_vain && self.core(machine).reign.is_none() && matches!(told, Told::Committed(_)) {
            return Err("it is deposed, and keeps what it has executed in vain".to_owned());
        }
        self.wants(machine, said, wants)?;
        said::compare(said, self.core(machine), self.watched[machine].base, self.watched[machine].installed)
    }

    fn wants(&mut self, machine: usize, said: &Said, wants: &[Output]) -> Result<(), String> {
        let mut ends = false;
        for output in wants {
            match output {
                Output::Propose(bytes) => self.proposes(machine, &decoded(bytes)?)?,
                Output::Leads(_) => self.watched[machine].base = said.accepted,
                Output::Void(_) => ends = true,
                Output::Accepted(seq) if !ends => {
                    let accepted = self.core(machine).reign.as_ref().map(|reign| u64::from(reign.accepted.0));
                    let base = self.watched[machine].base;
                    if accepted.is_none_or(|accepted| seq.0 > base + accepted) {
                        return Err(format!("it opens gates up to {seq}, and has {accepted:?} accepted above {base}"));
                    }
                }
                Output::Accepted(_) | Output::Follows(_) | Output::Deposed(_) | Output::Removed => {}
            }
        }
        Ok(())
    }

    fn proposes(&mut self, machine: usize, logged: &Logged<'_>) -> Result<(), String> {
        let entry = self.names.translate(logged, &self.trace)?;
        self.trace.propose(node(machine), &entry)?;
        if let (Logged::Batch { effects, .. }, Entry::Batch { epoch, seq, .. }) = (logged, entry) {
            for effect in Effects::new(effects) {
                if let Ok(Effect::Put { value, .. }) = effect
                    && let Some(Datum::Word(word)) = wire::datum(value)
                {
                    self.words.entry(word).or_default().insert((epoch, seq));
                }
            }
        }
        Ok(())
    }
}

fn node(machine: usize) -> Node {
    Node(machine as u8)
}

fn decoded(bytes: &[u8]) -> Result<Logged<'_>, String> {
    Logged::decode(bytes).map_err(|error| format!("an entry cannot be read: {error}"))
}

/// The words that a command has certainly written if it was executed. No other command writes them.
fn written(command: &Command) -> Vec<u32> {
    let word = |datum: &Datum| match datum {
        Datum::Word(word) => Some(*word),
        _ => None,
    };
    match command {
        Command::Set { datum, lifetime: Lifetime::Forever | Lifetime::Keep, presence: Presence::Any, .. } => {
            word(datum).into_iter().collect()
        }
        Command::MultiSet(pairs) => pairs.iter().filter_map(|(_, datum)| word(datum)).collect(),
        _ => Vec::new(),
    }
}
