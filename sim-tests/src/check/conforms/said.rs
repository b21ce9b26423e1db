//! What a Core says of itself, and what the model says of it.

use mneme_kernel::core::Core as Kernel;
use mneme_kernel::ids::Epoch;
use mneme_kernel::verdict::Verdicts;
use mneme_model::core::Core;
use mneme_model::entry::Entry;

/// What a Core says of itself.
#[derive(Clone, Debug)]
pub struct Said {
    pub is_empty: bool,
    pub applied: u64,
    pub verdicts: Verdicts,
    pub incarnation: Option<u64>,
    pub is_primary: bool,
    /// It executes commands.
    pub serves: bool,
    /// It executes no more, whatever it is.
    pub stops: bool,
    /// Batches as its process counts them.
    pub accepted: u64,
    pub executed: u64,
    pub in_flight: u64,
}

impl Said {
    pub fn by(core: &Kernel) -> Self {
        Self {
            is_empty: core.is_empty(),
            applied: core.applied().0,
            verdicts: core.verdicts().clone(),
            incarnation: core.incarnation().map(|incarnation| incarnation.0),
            is_primary: core.is_primary(),
            serves: core.serves(),
            stops: core.is_stopping(),
            accepted: core.accepted().0,
            executed: core.executed().0,
            in_flight: core.in_flight() as u64,
        }
    }

    /// Whether it has executed something that is in no batch yet.
    pub fn has_open(&self) -> bool {
        self.is_primary && self.executed > self.accepted + self.in_flight
    }
}

/// What must be the same.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    applied: u64,
    epoch: u64,
    holder: Option<u64>,
    next_seq: u64,
    last_renewal: u64,
    last_number: u64,
    is_released: bool,
    incarnation: Option<u64>,
    reign: Option<Reign>,
    executes: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Reign {
    accepted: u64,
    batches_in_flight: u64,
}

/// Compares; `base` is the process's newest seq before this reign, `installed` the last entry of the snapshot that it has
/// loaded in this life.
///
/// # Errors
/// What differs.
pub fn compare(said: &Said, core: &Core, base: u64, installed: u64) -> Result<(), String> {
    let model = Facts::of_model(core);
    let mut kernel = Facts::of_kernel(said, base);
    if kernel.incarnation.is_none() && model.incarnation.is_some_and(|incarnation| incarnation <= installed) {
        // It waits for its `Hello`, which was in the snapshot: it says it again.
        kernel.incarnation = model.incarnation;
    }
    if said.stops && !kernel.executes {
        kernel.executes = model.executes;
    }
    match kernel == model {
        true => Ok(()),
        false => {
            let differing = kernel.differing(&model).join(", ");
            Err(format!("not as in the model: {differing}\n    it says {kernel:?}\n    model:  {model:?}"))
        }
    }
}

impl Facts {
    fn differing(&self, other: &Facts) -> Vec<&'static str> {
        let compared = [
            ("applied", self.applied == other.applied),
            ("epoch", self.epoch == other.epoch),
            ("holder", self.holder == other.holder),
            ("next_seq", self.next_seq == other.next_seq),
            ("last_renewal", self.last_renewal == other.last_renewal),
            ("last_number", self.last_number == other.last_number),
            ("is_released", self.is_released == other.is_released),
            ("incarnation", self.incarnation == other.incarnation),
            ("reign", self.reign == other.reign),
            ("executes", self.executes == other.executes),
        ];
        compared.into_iter().filter(|(_, same)| !same).map(|(what, _)| what).collect()
    }

    fn of_kernel(said: &Said, base: u64) -> Self {
        let Verdicts { epoch, holder, next_seq, last_renewal, renewal, released } = said.verdicts;
        let reign = || Reign { accepted: said.accepted.wrapping_sub(base), batches_in_flight: said.in_flight };
        Self {
            applied: said.applied,
            epoch: epoch.0,
            holder: (epoch != Epoch::ZERO).then_some(holder.0),
            next_seq: next_seq.0,
            last_renewal: last_renewal.0,
            last_number: renewal,
            is_released: released,
            incarnation: said.incarnation,
            reign: said.is_primary.then(reign),
            executes: said.serves,
        }
    }

    fn of_model(core: &Core) -> Self {
        let verdicts = &core.verdicts;
        let reign = core.reign.as_ref().map(|reign| {
            let batches = reign.in_flight.iter().filter(|sent| matches!(sent.entry, Entry::Batch { .. }));
            Reign { accepted: reign.accepted.0.into(), batches_in_flight: batches.count() as u64 }
        });
        Self {
            applied: core.applied.0.into(),
            epoch: verdicts.epoch.0.into(),
            holder: verdicts.holder.map(|(_, incarnation)| incarnation.0.into()),
            next_seq: verdicts.next_seq.0.into(),
            last_renewal: verdicts.last_renewal.0.into(),
            last_number: verdicts.next_number.0.saturating_sub(1).into(),
            is_released: verdicts.is_released,
            incarnation: core.incarnation.map(|incarnation| incarnation.0.into()),
            reign,
            executes: core.reign.as_ref().is_some_and(|reign| !reign.is_releasing),
        }
    }
}
