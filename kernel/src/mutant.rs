//! Deliberate mistakes. A simulation is worth believing only if it catches them: `cargo sim mutants` builds with
//! `--cfg mneme_mutants` and chooses one at run time. In every other build they do not exist.

/// A mistake that a check must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The log reports a write as synced without syncing it.
    SkipSync = 1,
    /// The log reports a write as synced before it syncs it.
    AcknowledgeBeforeSync,
    /// A vote is not written to the log.
    ForgetVote,
    /// Recovery drops deadlines.
    LoseDeadline,
}

impl Mutant {
    pub const ALL: [(&'static str, Mutant); 4] = [
        ("skip-sync", Mutant::SkipSync),
        ("acknowledge-before-sync", Mutant::AcknowledgeBeforeSync),
        ("forget-vote", Mutant::ForgetVote),
        ("lose-deadline", Mutant::LoseDeadline),
    ];

    /// Whether this mistake is to be made now.
    #[inline]
    pub fn is_chosen(self) -> bool {
        #[cfg(mneme_mutants)]
        return CHOSEN.load(core::sync::atomic::Ordering::Relaxed) == self as u32;
        #[cfg(not(mneme_mutants))]
        false
    }
}

#[cfg(mneme_mutants)]
static CHOSEN: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);

/// Makes this mistake from now on, in the whole process.
#[cfg(mneme_mutants)]
pub fn choose(mutant: Mutant) {
    CHOSEN.store(mutant as u32, core::sync::atomic::Ordering::Relaxed);
}
