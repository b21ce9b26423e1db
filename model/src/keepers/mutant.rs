//! Deliberate mistakes with members and disks. Most were made once, and some are in the kernel's own list too.

/// A mistake that a property must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Who has lost its disk comes back as the same one.
    KeepIdWhenWiped,
    /// A damaged log is cut where it cannot be read, and its Keeper goes on.
    CutDamage,
    /// A vote is not on disk.
    ForgetVote,
    /// A Keeper acknowledges what is not on its disk.
    AcknowledgeUnsynced,
    /// While the voters change, a majority of the new ones decides.
    NewMajorityAlone,
    /// The voters change in one step, whoever and however many they are.
    ChangeInOneStep,
    /// A learner becomes a voter before it has the log.
    PromoteEarly,
    /// Who ends a change has all leave that vote no more.
    EndDropsVoters,
    /// A Keeper that is admitted while the voters change ends that change, and all leave that vote no more.
    AdmissionEndsChange,
    /// A Keeper is ready while the change that makes it a voter is under way.
    ReadyInChange,
    /// A Keeper that leads is ready, whatever changes.
    LeaderIsReady,
    /// A Keeper is ready by a configuration that may be replaced.
    ReadyByUncommitted,
    /// A Keeper takes itself for a member by a configuration that may be replaced.
    MemberByUncommitted,
    /// A leader takes the dead for alive when it removes another one.
    DeadTakenForAlive,
    /// A removal answers OK though the name has another Keeper by now than the one that was asked for.
    FormerIdRemoved,
    /// A leader admits who has left, because that one asks: it has not heard that it was admitted.
    AdmitAgain,
    /// Who knows that it was a member asks all the same, and is admitted again.
    ComeBack,
}

impl Mutant {
    /// Each with the scenario that must catch it.
    pub const ALL: [(Mutant, &'static str); 17] = [
        (Mutant::KeepIdWhenWiped, "keepers-lost-disk"),
        (Mutant::CutDamage, "keepers-damage"),
        (Mutant::ForgetVote, "keepers-votes"),
        (Mutant::AcknowledgeUnsynced, "keepers-power-cut"),
        (Mutant::NewMajorityAlone, "keepers-grow"),
        (Mutant::ChangeInOneStep, "keepers-grow"),
        (Mutant::PromoteEarly, "keepers-lost-disk"),
        (Mutant::EndDropsVoters, "keepers-five"),
        (Mutant::AdmissionEndsChange, "keepers-five"),
        (Mutant::ReadyInChange, "keepers-lost-disk"),
        (Mutant::LeaderIsReady, "keepers-lost-disk"),
        (Mutant::ReadyByUncommitted, "keepers-power-cut"),
        (Mutant::MemberByUncommitted, "keepers-power-cut"),
        (Mutant::DeadTakenForAlive, "keepers-removal-dead"),
        (Mutant::FormerIdRemoved, "keepers-removal-lost"),
        (Mutant::AdmitAgain, "keepers-removal-lost"),
        (Mutant::ComeBack, "keepers-removal"),
    ];
}
