//! Deliberate mistakes. A model is worth believing only if it finds them; most are those listed at the end of PROTOCOL.md.

/// A mistake that a property must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The lease lasts longer than a standby waits.
    LongLease,
    /// A standby waits as long as the lease lasts, whatever their clocks' rates.
    WaitWithoutMargin,
    /// A lease counts from the newest sending of the renewal instead of the first.
    LeaseFromResend,
    /// A lease counts from the moment that the renewal's acceptance was heard of.
    LeaseFromAcknowledgement,
    /// A new primary's lease counts from a claim that it sent after the one that was accepted.
    LeaseFromNewerClaim,
    /// A primary's clock does not count the time that it was suspended.
    ClockStopsInPause,
    /// A Core that was restarted does not wait.
    RestartedClaimsAtOnce,
    /// A claim is accepted whatever renewal it names.
    ClaimWithoutRenewal,
    /// A Core adopts a claim of its node's former life.
    ClaimWithoutIncarnation,
    /// A read is answered whether or not there is a lease.
    NoLeaseCheck,
    /// A read that waits for its key is answered without a lease.
    WaitingReadWithoutLease,
    /// A read without a lease takes any entry of its epoch for proof, also one sent before it was executed.
    OlderEntryProves,
    /// A read does not wait for the key that it read.
    ReadSkipsChangedKey,
    /// A write is answered before its batch is accepted.
    ReplyBeforeCommit,
    /// A reply without effects, such as that of a SETNX that failed, is answered at once.
    NoEffectsNoWait,
    /// A Core that sent its `Release` goes on reading.
    ReleaseGoesOnReading,
    /// A batch is accepted whose predecessor is missing.
    GapAccepted,
    /// A batch is accepted again.
    DuplicateAccepted,
    /// A batch sent again contains what was executed since.
    BatchGrows,
    /// One node applies batches whatever the verdict.
    VerdictIgnored,
    /// A snapshot contains the data alone.
    SnapshotWithoutVerdicts,
    /// The feed sends headers alone of an epoch's entries to the node that held it, whichever life of it.
    HeadersByNode,
    /// The feed sends headers alone of an epoch's entries to the life that held it, though it has stepped down since.
    HeadersByIncarnation,
    /// A primary whose unseen tail was purged installs the snapshot over what it executed, and goes on.
    InstallOverMemory,
    /// A deposed Core keeps what it executed.
    KeepMemory,
    /// A primary that lost its lease forwards again what waits in its gate, before another claim was accepted.
    ForwardAgainEarly,
    /// A request that was forwarded is executed in whatever epoch it arrives.
    ForwardWithoutEpoch,
    /// A forwarded request is executed as often as it arrives.
    ForwardWithoutNumber,
    /// A refusal counts though the request was sent more than once.
    RefusalTrusted,
    /// A batch does not carry the replies of forwarded requests.
    TableNotCarried,
    /// The request table forgets the replies of earlier requests as soon as a later one comes.
    TableDroppedEarly,
    /// A batch carries the replies of the requests alone that changed something.
    ReadsNotCarried,
    /// A request is executed though its origin has begun another life.
    ReplacedOriginServed,
    /// A client is told that its forwarded request was not executed as soon as its epoch has no primary.
    DeniedEarly,
}

impl Mutant {
    /// Each with the scenario that must catch it.
    pub const ALL: [(Mutant, &'static str); 34] = [
        (Mutant::LongLease, "clocks"),
        (Mutant::WaitWithoutMargin, "clocks"),
        (Mutant::LeaseFromResend, "clocks-resend"),
        (Mutant::LeaseFromAcknowledgement, "clocks"),
        (Mutant::LeaseFromNewerClaim, "clocks-release"),
        (Mutant::ClockStopsInPause, "clocks"),
        (Mutant::RestartedClaimsAtOnce, "clocks-restart"),
        (Mutant::ClaimWithoutRenewal, "failover"),
        (Mutant::ClaimWithoutIncarnation, "restart"),
        (Mutant::NoLeaseCheck, "failover"),
        (Mutant::WaitingReadWithoutLease, "eventual"),
        (Mutant::OlderEntryProves, "without-lease"),
        (Mutant::ReadSkipsChangedKey, "eventual"),
        (Mutant::ReplyBeforeCommit, "failover"),
        (Mutant::NoEffectsNoWait, "no-effects"),
        (Mutant::ReleaseGoesOnReading, "release"),
        (Mutant::GapAccepted, "pipeline"),
        (Mutant::DuplicateAccepted, "resend"),
        (Mutant::BatchGrows, "pipeline"),
        (Mutant::VerdictIgnored, "failover"),
        (Mutant::SnapshotWithoutVerdicts, "snapshot"),
        (Mutant::HeadersByNode, "restart"),
        (Mutant::HeadersByIncarnation, "snapshot"),
        (Mutant::InstallOverMemory, "snapshot"),
        (Mutant::KeepMemory, "failover"),
        (Mutant::ForwardAgainEarly, "failover"),
        (Mutant::ForwardWithoutEpoch, "forward"),
        (Mutant::ForwardWithoutNumber, "forward"),
        (Mutant::RefusalTrusted, "forward"),
        (Mutant::TableNotCarried, "forward-again"),
        (Mutant::TableDroppedEarly, "forward-pipeline"),
        (Mutant::ReadsNotCarried, "forward-pipeline"),
        (Mutant::ReplacedOriginServed, "forward-restart"),
        (Mutant::DeniedEarly, "forward-again"),
    ];
}
