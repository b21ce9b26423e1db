//! Rare states, each with a name: that one was reached is counted, here in production and in the simulation. A simulation
//! that never gets there proves nothing about what is done there (FoundationDB's code probes).

use core::sync::atomic::{AtomicU64, Ordering};

macro_rules! probes {
    ($($(#[doc = $what:literal])* $variant:ident = $name:literal,)+) => {
        /// A rare state.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Probe {
            $($(#[doc = $what])* $variant,)+
        }

        impl Probe {
            pub const ALL: [Probe; [$($name),+].len()] = [$(Probe::$variant),+];

            /// As metrics and reports name it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Probe::$variant => $name,)+
                }
            }
        }
    };
}

probes! {
    // What the log says.
    /// A batch of an epoch that is over is in the log.
    BatchFenced = "batch-fenced",
    /// A batch that was accepted is in the log again.
    BatchDuplicate = "batch-duplicate",
    /// A batch is in the log whose predecessor was lost.
    BatchGap = "batch-gap",
    /// A claim missed something, or came too late.
    ClaimFenced = "claim-fenced",
    /// A renewal of an epoch that is over is in the log.
    RenewalFenced = "renewal-fenced",
    /// A renewal that was accepted is in the log again.
    RenewalDuplicate = "renewal-duplicate",
    /// A primary asked to hand over and was deposed first, or asked again.
    ReleaseRefused = "release-refused",
    /// A removal concerned a life that is over, or one that may not leave.
    RemovalFenced = "removal-fenced",
    /// The cluster has raised its format.
    FormatRaised = "format-raised",

    // A Core's role.
    /// A standby claimed because the lease must be over.
    ClaimedAfterLease = "claimed-after-lease",
    /// A standby claimed because the primary had handed over.
    ClaimedAfterRelease = "claimed-after-release",
    /// A Core's own claim was not accepted, and it waits anew.
    OwnClaimFenced = "own-claim-fenced",
    /// Another Core took over while this one's claim was on its way.
    OvertakenWhileClaiming = "overtaken-while-claiming",
    /// A claim was given up because something came before it.
    ClaimWithdrawn = "claim-withdrawn",
    /// A claim, or a greeting, was sent again.
    ClaimResent = "claim-resent",
    GreetingResent = "greeting-resent",
    /// A primary was deposed with all accepted that it had executed.
    DeposedSound = "deposed-sound",
    /// A primary was deposed, and what it had executed in vain is void with its memory.
    DeposedVoid = "deposed-void",
    /// A hand-over was accepted.
    Released = "released",
    /// A Core found that a former process of its node came into the log behind it, and began anew.
    Replaced = "replaced",
    /// A Core found that it was removed.
    CoreRemoved = "core-removed",
    /// A snapshot filled an empty Core.
    SnapshotLoaded = "snapshot-loaded",
    /// The log was too short for a memory, which was thrown away.
    MemoryForgotten = "memory-forgotten",
    /// The same of a Core whose claim was on its way.
    ForgottenWhileClaiming = "forgotten-while-claiming",
    /// The same of a primary.
    ForgottenAsPrimary = "forgotten-as-primary",

    // What a primary does.
    /// Batches on their way were sent again.
    BatchesResent = "batches-resent",
    /// The lease had ended between a read and its reply.
    LeaseLostBeforeReply = "lease-lost-before-reply",
    /// Writers waited because the pipeline was full.
    PipelineFull = "pipeline-full",
    /// Writers waited for a digest.
    HeldForDigest = "held-for-digest",
    /// A write was refused because memory was used up.
    OutOfMemory = "out-of-memory",
    /// A write was refused because the disk was full.
    DiskFull = "disk-full",
    /// A transaction was not executed because a watched key had changed.
    WatchBroken = "watch-broken",

    // Forwarding: at the origin.
    /// A command was sent to a primary once more.
    ForwardedAgain = "forwarded-again",
    /// The log told that a command was executed whose reply was lost.
    SettledAsExecuted = "settled-as-executed",
    /// The log told that a command was not executed.
    SettledAsNotExecuted = "settled-as-not-executed",
    /// A primary refused a command: it was of another epoch, or the primary does not serve.
    ForwardedRefused = "forwarded-refused",
    /// What was watched was lost with a primary or a link.
    WatchLost = "watch-lost",
    /// What was written at `EVENTUAL` may have been lost with a primary, so `WAIT` counts nobody.
    WeakWritesLost = "weak-writes-lost",
    /// A reply waited for an earlier one of its connection.
    ReplyHeldForOrder = "reply-held-for-order",
    /// A link was lost that had commands without a reply.
    LinkLostWithCommands = "link-lost-with-commands",
    /// A command waited for a primary for too long and was not executed.
    ParkedTooLong = "parked-too-long",
    /// Nobody will say what became of a command.
    ForwardedUncertain = "forwarded-uncertain",

    // Forwarding: at the primary.
    /// A command came again that this reign has executed.
    DeduplicatedInReign = "deduplicated-in-reign",
    /// A command came again that an earlier reign has executed.
    DeduplicatedByLog = "deduplicated-by-log",
    /// A command came before the primary knew that it is primary.
    ForwardedEarly = "forwarded-early",
    /// A command had to wait behind another one of its session.
    BlockedInSession = "blocked-in-session",
    /// A command came by a link when its origin had opened another.
    StaleLink = "stale-link",
    /// A Core executed what it had kept for another primary.
    ForwardedToSelf = "forwarded-to-self",

    // The log on disk.
    /// Behind the log's end stood something that no sync had covered.
    TornTail = "torn-tail",
    /// A crash had left a segment that nobody had used; it was made again.
    SegmentRemade = "segment-remade",
    /// A crash had left the space of a whole segment.
    SpaceReturned = "space-returned",
    /// There was no space for the log, and later there was.
    LogFull = "log-full",
    LogGoesOn = "log-goes-on",
    /// Entries that were never committed gave way to another leader's.
    LogTruncated = "log-truncated",
    /// One of them gave way before it was on disk.
    ReplacedBeforeSync = "replaced-before-sync",
    /// A crash had come between a snapshot from another Keeper and the purge.
    InstallCompleted = "install-completed",
    /// A log or a snapshot was damaged, and moved aside.
    SetAside = "set-aside",
    /// A crash had come while it was moved aside.
    SetAsideResumed = "set-aside-resumed",
    /// A process had been killed between a snapshot and the purge.
    PurgeRepeated = "purge-repeated",

    // Snapshots.
    /// A snapshot could not be made.
    SnapshotFailed = "snapshot-failed",
    /// A snapshot waited for somebody who was catching up.
    SnapshotPutOff = "snapshot-put-off",
    /// A snapshot was made although the Core beside had not read so far.
    CorePassedBy = "core-passed-by",
    /// A snapshot from another Keeper was put in place; where this log had entries, they gave way.
    SnapshotInstalled = "snapshot-installed",
    InstalledOverEntries = "installed-over-entries",
    /// A snapshot from another Keeper did not come in whole.
    TransferBroken = "transfer-broken",
    /// A snapshot was offered by a leader that is deposed.
    TransferRefused = "transfer-refused",
    /// A Core got a snapshot over a link, or not in whole.
    SnapshotFed = "snapshot-fed",
    SnapshotFeedBroken = "snapshot-feed-broken",

    // The Raft group.
    /// A Keeper was admitted; asked again to be; has moved.
    KeeperAdmitted = "keeper-admitted",
    /// A Keeper became a voter, or took the place of its old id.
    VoterPromoted = "voter-promoted",
    VoterReplaced = "voter-replaced",
    /// A new leader ended a change of the members that another one had begun.
    JointCompleted = "joint-completed",
    /// A change of the members failed or was not done in time.
    MemberChangeFailed = "member-change-failed",
    /// A Keeper was removed.
    KeeperRemoved = "keeper-removed",
    /// A leader that was to be removed handed over first.
    RemovalHandsOver = "removal-hands-over",
    /// A Keeper found that it was removed, or was told so by one that knew less.
    FoundRemoved = "found-removed",
    ToldRemovedByStale = "told-removed-by-stale",
    /// A transfer of the lead was refused because its target lacks entries, or asked while another one was under way.
    TransferToLaggard = "transfer-to-laggard",
    TransferUnderWay = "transfer-under-way",
    /// A pre-vote was not asked for, or not given, because it was promised.
    CampaignDeferred = "campaign-deferred",
    PreVoteDenied = "pre-vote-denied",
    /// A proposal waited for the leader's majority, and went without.
    ProposedWithoutMajority = "proposed-without-majority",

    // Links.
    /// A Core left a Keeper that was silent, or had no news.
    FeedLeft = "feed-left",
    FeedWithoutNews = "feed-without-news",
    /// Proposals were dropped for want of a link, or for room.
    ProposalDropped = "proposal-dropped",
    /// A Keeper that took proposals does not lead, or does not commit.
    ProposedToFollower = "proposed-to-follower",
    ProposalsUnheard = "proposals-unheard",
    /// A Core sent again because nothing was heard, or because its way to the log was disturbed.
    ResentAfterSilence = "resent-after-silence",
    ResentAfterDisturbance = "resent-after-disturbance",
}

/// How often each rare state was reached.
#[derive(Debug)]
pub struct Probes([AtomicU64; Probe::ALL.len()]);

impl Default for Probes {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; Probe::ALL.len()])
    }
}

impl Probes {
    /// Notes that it was reached.
    pub fn hit(&self, probe: Probe) {
        self.add(probe, 1);
    }

    /// Notes that it was reached, if so.
    pub fn hit_if(&self, reached: bool, probe: Probe) {
        if reached {
            self.hit(probe);
        }
    }

    /// Notes that it was reached so often.
    pub fn add(&self, probe: Probe, times: u64) {
        self.0[probe as usize].fetch_add(times, Ordering::Relaxed);
    }

    pub fn count(&self, probe: Probe) -> u64 {
        self.0[probe as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_has_a_name_and_a_count_of_its_own() {
        let names: BTreeSet<&str> = Probe::ALL.into_iter().map(Probe::name).collect();
        assert_eq!(names.len(), Probe::ALL.len());
        let probes = Probes::default();
        Probe::ALL.into_iter().zip(1..).for_each(|(probe, times)| probes.add(probe, times));
        assert!(Probe::ALL.into_iter().zip(1..).all(|(probe, times)| probes.count(probe) == times));
    }
}
