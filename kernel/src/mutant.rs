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
    /// A corrupt record below an attested position is cut as if it were a torn tail.
    CutCorruptRecord,
    /// A snapshot leaves out one partition's items.
    DropPartition,
    /// The log is purged before the snapshot that replaces it has its name.
    PurgeBeforeRename,
    /// A snapshot holds an empty system state.
    ForgetSystemState,
    /// A snapshot's name is not made durable before the log is purged.
    SkipFolderSync,
    /// A sync that failed is tried again.
    RetryFailedSync,
    /// Clients are served while the log is still being applied.
    ServeBeforeRecovered,
    /// A snapshot's block is used whatever its checksum says.
    IgnoreBlockChecksum,
    /// EXEC executes though a watched key has changed.
    IgnoreWatch,
    /// A key is watched where its database is kept, wherever SWAPDB then lets the database's number point.
    WatchPlace,
    /// SWAPDB is not logged.
    LoseSwap,
    /// Recovery puts a part of a value one byte too far.
    MisplacePatch,
    /// A claim is accepted whatever renewal it names.
    ClaimWithoutRenewal,
    /// A batch that was accepted before is accepted again.
    AcceptDuplicate,
    /// A batch whose predecessor is missing is accepted.
    AcceptGap,
    /// A Core adopts a claim of one of its earlier lives.
    ClaimWithoutIncarnation,
    /// A lease lasts longer than standbys wait.
    LongLease,
    /// A lease counts from the newest sending of what was accepted.
    LeaseFromResend,
    /// A lease counts from when it was accepted.
    LeaseFromAcknowledgement,
    /// A QUORUM read is answered without a look at the lease.
    NoLeaseCheck,
    /// A read does not wait for the batch that changed its key.
    ReadUncommitted,
    /// A write is answered before its batch is accepted.
    ReplyBeforeCommit,
    /// A command that changed nothing is answered at once, whatever it read.
    AnswerEffectless,
    /// A primary goes on reading after its release.
    ReadAfterRelease,
    /// A standby applies batches whatever their verdict.
    IgnoreVerdict,
    /// A deposed primary keeps its memory.
    KeepMemory,
    /// A Keeper hands out as committed what it has appended, before a majority has it.
    CommitAppended,
    /// A Keeper with a damaged log goes on with what can be read of it: it votes, and acknowledges what follows.
    VoteWithDamagedLog,
    /// A forwarded command is executed as often as it comes.
    ExecuteAgain,
    /// The replies of forwarded commands are in no batch.
    RequestTableNotInBatch,
    /// An origin's replies are forgotten as soon as it sends another command, whichever it waits for.
    TableEntryDroppedEarly,
    /// A Keeper becomes a voter before it has the log.
    PromoteEarly,
    /// A snapshot from another Keeper gets its name before the log knows that it comes.
    InstallUnannounced,
    /// A Keeper goes on under its old id with an empty log.
    KeepIdWhenWiped,
    /// A machine's monotonic clock does not count the time in which a process is suspended.
    StopClockInPause,
    /// `ALL` waits for no Core.
    AllWithoutCores,
    /// `WAIT` counts every Core, whatever it has.
    CountEverybody,
    /// A Replica that reads the log anew answers meanwhile.
    ServeHalfRead,
    /// A change of a user does not apply to connections that are open.
    KeepRights,
    /// A database that a command names beside the selected one is not looked at.
    CheckSelected,
    /// A founder has every Keeper that asks found a Raft group.
    TwoFounders,
    /// A Keeper that was a member asks to be admitted again.
    ComeBack,
    /// Who has authenticated as a user of that name is the user, also after the user was dropped and made anew.
    BelieveName,
    /// The reply of a forwarded command that has waited for a key is not kept: it is executed again.
    ServeUnkept,
    /// Subscribers hear everything twice.
    HearTwice,
    /// A read of a collection does not wait for the batch that changed it.
    ReadOpenCollection,
    /// SPOP takes another member out of the set than it answers.
    PopAnother,
    /// XADD gives ids above that of the newest entry, though there were later ones that are gone.
    ReuseIds,
}

impl Mutant {
    pub const ALL: [(&'static str, Mutant); 52] = [
        ("skip-sync", Mutant::SkipSync),
        ("acknowledge-before-sync", Mutant::AcknowledgeBeforeSync),
        ("forget-vote", Mutant::ForgetVote),
        ("lose-deadline", Mutant::LoseDeadline),
        ("cut-corrupt-record", Mutant::CutCorruptRecord),
        ("drop-partition", Mutant::DropPartition),
        ("purge-before-rename", Mutant::PurgeBeforeRename),
        ("forget-system-state", Mutant::ForgetSystemState),
        ("skip-folder-sync", Mutant::SkipFolderSync),
        ("retry-failed-sync", Mutant::RetryFailedSync),
        ("serve-before-recovered", Mutant::ServeBeforeRecovered),
        ("ignore-block-checksum", Mutant::IgnoreBlockChecksum),
        ("ignore-watch", Mutant::IgnoreWatch),
        ("watch-place", Mutant::WatchPlace),
        ("lose-swap", Mutant::LoseSwap),
        ("misplace-patch", Mutant::MisplacePatch),
        ("claim-without-renewal", Mutant::ClaimWithoutRenewal),
        ("accept-duplicate", Mutant::AcceptDuplicate),
        ("accept-gap", Mutant::AcceptGap),
        ("claim-without-incarnation", Mutant::ClaimWithoutIncarnation),
        ("long-lease", Mutant::LongLease),
        ("lease-from-resend", Mutant::LeaseFromResend),
        ("lease-from-acknowledgement", Mutant::LeaseFromAcknowledgement),
        ("no-lease-check", Mutant::NoLeaseCheck),
        ("read-uncommitted", Mutant::ReadUncommitted),
        ("reply-before-commit", Mutant::ReplyBeforeCommit),
        ("answer-effectless", Mutant::AnswerEffectless),
        ("read-after-release", Mutant::ReadAfterRelease),
        ("ignore-verdict", Mutant::IgnoreVerdict),
        ("keep-memory", Mutant::KeepMemory),
        ("commit-appended", Mutant::CommitAppended),
        ("vote-with-damaged-log", Mutant::VoteWithDamagedLog),
        ("execute-again", Mutant::ExecuteAgain),
        ("request-table-not-in-batch", Mutant::RequestTableNotInBatch),
        ("table-entry-dropped-early", Mutant::TableEntryDroppedEarly),
        ("promote-early", Mutant::PromoteEarly),
        ("install-unannounced", Mutant::InstallUnannounced),
        ("keep-id-when-wiped", Mutant::KeepIdWhenWiped),
        ("stop-clock-in-pause", Mutant::StopClockInPause),
        ("all-without-cores", Mutant::AllWithoutCores),
        ("count-everybody", Mutant::CountEverybody),
        ("serve-half-read", Mutant::ServeHalfRead),
        ("keep-rights", Mutant::KeepRights),
        ("check-selected", Mutant::CheckSelected),
        ("two-founders", Mutant::TwoFounders),
        ("come-back", Mutant::ComeBack),
        ("believe-name", Mutant::BelieveName),
        ("serve-unkept", Mutant::ServeUnkept),
        ("hear-twice", Mutant::HearTwice),
        ("read-open-collection", Mutant::ReadOpenCollection),
        ("pop-another", Mutant::PopAnother),
        ("reuse-ids", Mutant::ReuseIds),
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
