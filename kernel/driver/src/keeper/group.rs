//! The Raft group as one of its Keepers sees it, and what it does about members and leadership.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mneme_kernel::members::{Group, Member};
use mneme_kernel::mutant::Mutant;
use mneme_kernel::probe::Probe;
use mneme_kernel::wal;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{ChangeMembers, Instant, Precondition, ServerState};

use super::{Keeper, MetricsOf};
use crate::admission::{self, Seen, Silence};
use crate::ask::{Answer, Ask, ask};
use crate::departure::{self, Removal};
use crate::env::Env;
use crate::link;
use crate::state_machine::StoredMembershipOf;
use crate::sync::lock;
use crate::types::{Membership, Peer, log_id, to_members, to_wal_id};
use crate::watermark::Watermark;

/// How often this Keeper asks for the leadership at most.
const LEAD_PAUSE: Duration = Duration::from_secs(1);
/// Entries that a voter may lack when it takes the leadership over: it gets them first, and nobody writes meanwhile.
const TRANSFER_LAG: u64 = 64;
/// How long a Keeper that stops tries to have another one lead, how long it waits before it asks anew, and how often it looks.
const HAND_OVER: Duration = Duration::from_secs(1);
const HAND_OVER_AGAIN: Duration = Duration::from_millis(100);
const HAND_OVER_LOOK: Duration = Duration::from_millis(2);
/// How often a new leader looks whether it knows by now who is alive.
const LEADS_ONLY_JUST: Duration = Duration::from_millis(50);

/// A Keeper as it sees itself and the group.
#[derive(Clone, Debug)]
pub struct KeeperStatus {
    pub id: u64,
    pub leader: Option<u64>,
    pub term: u64,
    /// By id.
    pub members: Vec<MemberStatus>,
    /// The last entry of its log, and the last one that it knows to be committed.
    pub last: Option<u64>,
    pub committed: Option<u64>,
}

/// A member of the group.
#[derive(Clone, Debug)]
pub struct MemberStatus {
    pub id: u64,
    pub member: Member,
    /// It votes; else it learns.
    pub votes: bool,
    /// The last entry that it is known to have, and how long ago it has answered: only the leader knows.
    pub matched: Option<u64>,
    pub heard: Option<Duration>,
}

/// What a leader decides about members by.
pub(crate) struct View {
    pub membership: Membership,
    pub seen: BTreeMap<u64, Seen>,
    pub silence: Silence,
    /// Its last entry.
    pub last: u64,
    /// A majority of voters has answered a moment ago.
    has_majority: bool,
    /// The membership's own entry.
    at: Option<wal::LogId>,
}

impl<E: Env> Keeper<E> {
    /// Whether the group knows this Keeper, and where it is. Who was never a member counts what is committed: an admission may
    /// come to nothing, and no later leader says anything to one that it does not know.
    pub(crate) fn is_known(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let config = if self.was_member() { &metrics.membership_config } else { &metrics.committed_membership_config };
        config.membership().get_node(&self.id).is_some_and(|peer| peer.0 == self.member)
    }

    /// The members of the group, by id.
    pub fn members(&self) -> Vec<(u64, Member)> {
        to_members(self.metrics().membership_config.membership()).members
    }

    /// Who leads the group, as far as this Keeper knows.
    pub fn leader(&self) -> Option<(u64, Member)> {
        leader_of::<E>(&self.metrics())
    }

    /// Whether this Keeper leads the group, as far as it knows.
    pub fn leads(&self) -> bool {
        self.raft.metrics().borrow_watched().state == ServerState::Leader
    }

    /// The term in which this Keeper leads, as far as it knows.
    pub fn leads_in(&self) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let leads = metrics.state == ServerState::Leader && metrics.current_leader == Some(self.id);
        leads.then_some(metrics.current_term)
    }

    /// Completes when this Keeper is a member that has what the leader had committed, and votes if it is to.
    pub async fn caught_up(&self) {
        let mut metrics = self.raft.metrics();
        loop {
            if self.is_ready(&metrics.borrow_watched()) {
                return;
            }
            if metrics.changed().await.is_err() {
                // The Raft has ended: it never will be.
                return pending().await;
            }
        }
    }

    /// By what it knows to be committed, and also if it leads: another disk may be lost from now on.
    fn is_ready(&self, metrics: &MetricsOf<E>) -> bool {
        let membership = metrics.committed_membership_config.membership();
        metrics.current_leader.is_some()
            && membership.get_node(&self.id).is_some()
            && metrics.cluster_committed.is_some()
            && metrics.last_applied >= metrics.cluster_committed
            && !admission::is_wanted_as_voter(membership, self.id)
            // While a change is under way, a majority of those before it must live too, and one may be this one's lost disk.
            && membership.get_joint_config().len() == 1
    }

    /// What the Core beside shows of the group.
    pub(crate) fn group(&self) -> Group {
        let committed = self.progress.committed.value();
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let leader = leader_of::<E>(&metrics).map(|(_, member)| member.address);
        let (mut matched, mut heard) = (Vec::new(), Vec::new());
        if metrics.state == ServerState::Leader {
            let others = metrics.replication.iter().flatten().filter(|(id, _)| **id != self.id);
            let reached = others.filter_map(|(id, log_id)| Some((*id, log_id.as_ref()?.index)));
            matched = reached.chain(metrics.last_log_index.map(|last| (self.id, last))).collect();
            let others = metrics.heartbeat.iter().flatten().filter(|(id, _)| **id != self.id);
            let answered = others.filter_map(|(id, at)| Some((*id, at.as_ref()?.elapsed())));
            heard = answered.chain([(self.id, Duration::ZERO)]).collect();
        }
        Group { committed, leader, matched, heard }
    }

    /// Asks the leader to hand over to this Keeper, if that is another one. Call it now and then, while the Core beside
    /// is primary: then what it writes takes one way less.
    pub fn lead(self: &Arc<Self>) {
        let metrics = self.metrics();
        let votes = metrics.membership_config.membership().voter_ids().any(|id| id == self.id);
        let Some((leader, member)) = leader_of::<E>(&metrics).filter(|_| votes) else { return };
        let now = self.env.monotonic();
        {
            let mut wanted = lock(&self.wanted_to_lead);
            if leader == self.id || wanted.is_some_and(|wanted| now - wanted < LEAD_PAUSE) {
                return;
            }
            *wanted = Some(now);
        }
        let keeper = self.clone();
        self.env.spawn("lead", async move {
            let question = Ask::Transfer { to: keeper.id };
            match ask(&keeper.env, &member.address, &question, LEAD_PAUSE).await {
                Ok(answer) => tracing::debug!(?answer, "asked to lead"),
                Err(error) => tracing::debug!("could not ask to lead: {error}"),
            }
        });
    }

    /// Hands the leadership over to a voter that has the log.
    pub(crate) async fn transfer(&self, to: u64) -> Answer {
        let Some(view) = self.view() else { return self.not_leader() };
        let seen = view.seen.get(&to).copied().unwrap_or_default();
        let is_near = seen.matched.is_some_and(|matched| matched + TRANSFER_LAG >= view.last)
            && seen.ago.is_some_and(|ago| ago < self.times.election_max);
        if !view.membership.voter_ids().any(|voter| voter == to) || !is_near {
            self.env.probes().hit(Probe::TransferToLaggard);
            return Answer::Refused("it is no voter that has the log".into());
        }
        {
            // Two that are asked at once would ask for votes against each other.
            let (now, mut last) = (self.env.monotonic(), lock(&self.transferred));
            match *last {
                Some((other, at)) if now - at < HAND_OVER_AGAIN => {
                    self.env.probes().hit(Probe::TransferUnderWay);
                    return match other == to {
                        true => Answer::Done,
                        false => Answer::Refused("another one is just asked to lead".into()),
                    };
                }
                _ => *last = Some((to, now)),
            }
        }
        match self.raft.trigger().transfer_leader(to).await {
            Ok(()) => Answer::Done,
            Err(error) => Answer::Refused(error.to_string()),
        }
    }

    /// Has another voter lead, if this one does: its stop shall not cost an election, which takes longer than a primary's
    /// lease lasts. If none has the log in time, so be it.
    pub(super) async fn hand_over_lead(&self) {
        let until = self.env.monotonic() + HAND_OVER;
        while let Some(view) = self.view()
            && self.env.monotonic() < until
        {
            let matched = |id: &u64| view.seen.get(id).and_then(|seen| seen.matched);
            let others = view.membership.voter_ids().filter(|id| *id != self.id);
            let Some(best) = others.max_by_key(matched) else { return };
            let asked = self.transfer(best).await;
            tracing::debug!(?asked, "another Keeper is to lead");
            let again = if asked == Answer::Done { HAND_OVER_AGAIN } else { HAND_OVER_LOOK };
            let again = self.env.monotonic() + again;
            while self.leads() && self.env.monotonic() < again {
                self.env.sleep(HAND_OVER_LOOK).await;
            }
        }
    }

    pub(crate) fn answers_for_a_majority(&self) -> Answer {
        match self.view() {
            Some(view) if view.has_majority => Answer::Done,
            _ => self.not_leader(),
        }
    }

    /// Takes a Keeper into the group, if this one leads.
    pub(crate) async fn admit(&self, id: u64, member: Member) -> Answer {
        if self.members().iter().any(|(known, _)| *known == id) {
            // A change that is under way may wait for just this one, which has moved.
            self.addresses.moved(id, &member.address);
        }
        let _changing = self.changing.lock().await;
        // One that is cut off must not tell anybody that it is a member.
        let Some(view) = self.view().filter(|view| view.has_majority) else { return self.not_leader() };
        match admission::admission(&view.membership, &view.seen, view.silence, id, &member) {
            Ok(None) => Answer::Done,
            Ok(Some(change)) => {
                tracing::info!(name = member.name, address = member.address, "a Keeper is admitted: {change}");
                match self.apply_change(view.at, change, false).await {
                    Ok(_) => {
                        self.env.probes().hit(Probe::KeeperAdmitted);
                        Answer::Done
                    }
                    Err(why) => Answer::Refused(why),
                }
            }
            Err(why) => Answer::Refused(why),
        }
    }

    /// Takes these Keepers, which have this name, out of the group, if this one leads. [`Answer::Removed`] tells by which
    /// entry they have left at the latest.
    pub(crate) async fn remove(&self, ids: &[u64], name: &str) -> Answer {
        let _changing = self.changing.lock().await;
        let view = loop {
            let Some(view) = self.view() else { return self.not_leader() };
            if !view.silence.is_too_early() {
                break view;
            }
            // It must know who is alive.
            self.env.sleep(LEADS_ONLY_JUST).await;
        };
        let removal = departure::removal(&view.membership, &view.seen, view.silence, self.id, ids, name);
        let (voters, ids) = match removal {
            Ok(Removal::Leave { voters, ids }) => (voters, ids),
            Ok(Removal::Done) => return Answer::Removed { at: view.at.map_or(0, |at| at.index) },
            Ok(Removal::HandOver(to)) => {
                self.env.probes().hit(Probe::RemovalHandsOver);
                let member = view.membership.get_node(&to).map(|peer| peer.0.clone());
                return match self.transfer(to).await {
                    Answer::Done => Answer::NotLeader(member),
                    _ => Answer::Refused(format!(
                        "{name} leads the Keepers, and no other one has all data yet: ask again"
                    )),
                };
            }
            Err(why) => return Answer::Refused(why),
        };
        tracing::info!(name, "a Keeper is removed");
        let leave = async {
            let at = match voters {
                Some(voters) => Some(self.apply_change(view.at, voters, true).await?),
                None => view.at,
            };
            self.apply_change(at, ChangeMembers::RemoveNodes(ids), true).await
        };
        match leave.await {
            Ok(at) => {
                self.env.probes().hit(Probe::KeeperRemoved);
                Answer::Removed { at: at.index }
            }
            Err(why) => Answer::Refused(format!("{name} could not be removed, ask again: {why}")),
        }
    }

    /// Notes where a member is: in the membership too, if this Keeper leads. One that is none is told so.
    pub(crate) async fn moved(&self, id: u64, member: Member) -> Answer {
        self.addresses.moved(id, &member.address);
        match self.knows(id) {
            Answer::Done => self.admit(id, member).await,
            other => other,
        }
    }

    /// Whether the Keeper of this id is a member, as far as this one knows.
    pub(crate) fn knows(&self, id: u64) -> Answer {
        let metrics = self.metrics();
        let committed = &metrics.committed_membership_config;
        match committed.log_id() {
            Some(_) if committed.membership().get_node(&id).is_some() => Answer::Done,
            Some(at) => Answer::Removed { at: at.index },
            None => Answer::NotLeader(None),
        }
    }

    /// Whether it is a member for certain, or was.
    pub(crate) fn was_member(&self) -> bool {
        lock(&self.member_at).is_some() && !Mutant::ComeBack.is_chosen()
    }

    pub(crate) fn was_removed(&self) -> bool {
        self.removed.value() > 0
    }

    /// 1 once it is a member no more.
    pub(crate) fn removed(&self) -> &Watermark {
        &self.removed
    }

    /// Notes whether this Keeper is a member by a configuration that is committed.
    pub(super) fn note_membership(&self, committed: &StoredMembershipOf<E>) {
        if committed.membership().get_node(&self.id).is_some() {
            let at = committed.log_id().as_ref().map(|id| id.index);
            let mut member_at = lock(&self.member_at);
            *member_at = at.max(*member_at);
        }
    }

    /// The committed configuration at this index is without this Keeper: whether that means that it has been removed.
    pub(crate) async fn hear_removed(&self, at: u64) -> bool {
        let is_later = lock(&self.member_at).is_some_and(|member_at| member_at < at);
        if is_later && !self.was_removed() {
            self.env.probes().hit(Probe::FoundRemoved);
            self.directory.note_keeper_removed(self.id).await;
            tracing::warn!("this Keeper is a member of the Raft group no more");
            self.removed.advance(1);
        }
        self.env.probes().hit_if(!is_later, Probe::ToldRemovedByStale);
        is_later
    }

    fn not_leader(&self) -> Answer {
        Answer::NotLeader(self.leader().filter(|(id, _)| *id != self.id).map(|(_, leader)| leader))
    }

    /// What a leader decides about members by; `None` if this one does not lead.
    pub(crate) fn view(&self) -> Option<View> {
        self.view_of(&self.metrics())
    }

    fn view_of(&self, metrics: &MetricsOf<E>) -> Option<View> {
        let since = (*lock(&self.leads_since))?;
        if metrics.state != ServerState::Leader {
            return None;
        }
        let membership = metrics.membership_config.membership().clone();
        let matched = metrics.replication.clone().unwrap_or_default();
        let heard = metrics.heartbeat.clone().unwrap_or_default();
        let mut seen: BTreeMap<u64, Seen> = membership
            .nodes()
            .map(|(id, _)| {
                let matched = matched.get(id).and_then(|log_id| log_id.as_ref()).map(|log_id| log_id.index);
                let ago = heard.get(id).and_then(|at| at.as_ref()).map(|at| at.elapsed());
                (*id, Seen { matched, ago })
            })
            .collect();
        seen.insert(self.id, Seen { matched: metrics.last_log_index, ago: Some(Duration::ZERO) });
        let silence = Silence { patience: self.times.election_max * 4, led_for: self.env.monotonic() - since };
        let last = metrics.last_log_index.unwrap_or_default();
        let at = metrics.membership_config.log_id().as_ref().map(to_wal_id::<E::Runtime>);
        let has_majority = self.has_lease(metrics);
        Some(View { membership, seen, silence, last, has_majority, at })
    }

    /// Changes the members, if they still are what the view says. `retain`: who votes no more learns.
    pub(crate) async fn change(
        &self,
        view: &View,
        change: ChangeMembers<u64, Peer>,
        retain: bool,
    ) -> Result<(), String> {
        let _changing = self.changing.lock().await;
        self.apply_change(view.at, change, retain).await.map(drop)
    }

    /// Changes the configuration, if its entry still is that one; returns the new one's. `retain`: who votes no more learns.
    async fn apply_change(
        &self,
        at: Option<wal::LogId>,
        change: ChangeMembers<u64, Peer>,
        retain: bool,
    ) -> Result<wal::LogId, String> {
        let last_membership_log_id = at.map(log_id::<E::Runtime>);
        let unchanged = [Precondition::LastMembershipLogId { last_membership_log_id }];
        let changing = self.raft.change_membership_if(change, retain, unchanged);
        let changed = link::timeout(&self.env, admission::CHANGE_PATIENCE, async {
            let changed = changing.await.map_err(|error| io::Error::other(error.to_string()))?;
            Ok(to_wal_id::<E::Runtime>(&changed.log_id))
        });
        changed.await.map_err(|error| {
            self.env.probes().hit(Probe::MemberChangeFailed);
            error.to_string()
        })
    }

    /// This Keeper and its group as it knows them.
    pub fn status(&self) -> KeeperStatus {
        let metrics = self.metrics();
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let seen = self.view_of(&metrics).map(|view| view.seen).unwrap_or_default();
        let members = membership
            .nodes()
            .map(|(id, peer)| {
                let Seen { matched, ago } = seen.get(id).copied().unwrap_or_default();
                MemberStatus { id: *id, member: peer.0.clone(), votes: voters.contains(id), matched, heard: ago }
            })
            .collect();
        KeeperStatus {
            id: self.id,
            leader: metrics.current_leader,
            term: metrics.current_term,
            members,
            last: metrics.last_log_index,
            committed: metrics.local_committed.as_ref().map(|id| id.index),
        }
    }
}

fn leader_of<E: Env>(metrics: &MetricsOf<E>) -> Option<(u64, Member)> {
    let leader = metrics.current_leader?;
    let peer = metrics.membership_config.membership().get_node(&leader)?;
    Some((leader, peer.0.clone()))
}
