//! Who is a member, who votes, and who is ready (`kernel/driver/src/admission.rs`).

use crate::keepers::Group;
use crate::keepers::action::Action;
use crate::keepers::config::{Config, Id, Ids};
use crate::keepers::mutant::Mutant;
use crate::keepers::state::{Content, Entry, Keeper, Role, State, config};
use crate::numbers::Node;

impl Group {
    pub(super) fn member_actions(&self, state: &State, leader: Node, actions: &mut Vec<Action>) {
        let keeper = state.keeper(leader);
        if !keeper.leads() || !keeper.is_settled() {
            return;
        }
        // Who was a member and has left may not have heard of either.
        let mut known = keeper.config().members;
        if !self.is(Mutant::AdmitAgain) && !self.is(Mutant::ComeBack) {
            known = keeper.log.iter().filter_map(Entry::config).map(|config| config.members).fold(known, Ids::and);
        }
        let admits = |&machine: &Node| {
            let other = state.keeper(machine);
            other.runs() && self.asks(other) && !known.has(other.id)
        };
        let is_joint = keeper.config().is_joint();
        let own = Some((keeper.id, keeper.term));
        let removes = state.leaving.is_some_and(|leaving| leaving.begun == own && leaving.gone_at.is_none());
        if state.has_majority(leader) && !removes && (!is_joint || self.is(Mutant::AdmissionEndsChange)) {
            actions.extend(state.machines().filter(admits).map(|machine| Action::Admit(leader, machine)));
        }
        if is_joint {
            actions.push(Action::End(leader));
        } else if !removes && self.promotion(state, leader).is_some() {
            actions.push(Action::Promote(leader));
        }
    }

    /// Whether it asks to be admitted: until it knows of a committed configuration that it is in. One that is not committed
    /// may be replaced, and then nobody sends it anything any more.
    pub(super) fn asks(&self, keeper: &Keeper) -> bool {
        match self.mutant {
            Some(Mutant::ComeBack) => true,
            Some(Mutant::MemberByUncommitted) => keeper.joined == 0 && !keeper.config().members.has(keeper.id),
            _ => keeper.joined == 0,
        }
    }

    /// By which configuration it is a member, or was.
    pub(super) fn joined(&self, keeper: &Keeper) -> u8 {
        if self.is(Mutant::MemberByUncommitted) {
            let newest = config(&keeper.log).filter(|(_, config)| config.members.has(keeper.id));
            return newest.map_or(keeper.joined, |(at, _)| at);
        }
        let newest = keeper.committed_config().filter(|(_, config)| config.members.has(keeper.id));
        newest.map_or(keeper.joined, |(at, _)| at.max(keeper.joined))
    }

    /// Whether it says that another disk may be lost: it has what is committed and votes if it is to, by a configuration that
    /// is committed and whose change is over. While one is under way, a majority of those before it must live too, and one of
    /// them may be this one's lost disk.
    pub(super) fn is_ready(&self, keeper: &Keeper) -> bool {
        let by = match self.is(Mutant::ReadyByUncommitted) {
            true => config(&keeper.log),
            false => keeper.committed_config(),
        };
        let Some((_, config)) = by else { return false };
        let is_over = !config.is_joint() || self.is(Mutant::ReadyInChange);
        let is_led = keeper.committed > 0 && !matches!(keeper.role, Role::Asks(_));
        self.is(Mutant::LeaderIsReady) && keeper.leads()
            || is_led && is_over && config.members.has(keeper.id) && !config.wants(keeper.id)
    }

    /// A former one of the same name leaves at once if it does not vote; one that votes leaves when the new one has its place.
    pub(super) fn admit(&self, state: &mut State, leader: Node, machine: Node) {
        let id = state.keeper(machine).id;
        let config = state.keeper(leader).config();
        let config = if config.is_joint() { dropping(config) } else { config };
        let leaving = config.members.of(machine).without(config.voters);
        let members = config.members.without(leaving).and(Ids::from_iter([id]));
        self.lead(state, leader, Content::Members(Config { members, ..config }));
    }

    pub(super) fn promote(&self, state: &mut State, leader: Node) {
        if let Some(voters) = self.promotion(state, leader) {
            self.change_voters(state, leader, voters);
        }
    }

    pub(super) fn change_voters(&self, state: &mut State, leader: Node, voters: Ids) {
        let joint = state.keeper(leader).config().towards(voters);
        let config = if self.is(Mutant::ChangeInOneStep) { joint.ended() } else { joint };
        self.lead(state, leader, Content::Members(config));
    }

    pub(super) fn end_change(&self, state: &mut State, leader: Node) {
        let joint = state.keeper(leader).config();
        let config = if self.is(Mutant::EndDropsVoters) { dropping(joint) } else { joint.ended() };
        self.lead(state, leader, Content::Members(config));
    }

    /// The voters that there can be now, if they are nearer to what is wanted.
    fn promotion(&self, state: &State, leader: Node) -> Option<Ids> {
        let keeper = state.keeper(leader);
        let config = keeper.config();
        let Role::Leads(matched) = &keeper.role else { return None };
        // What the leader had a tick ago, at least its first entry, for it led by then.
        let mark = keeper.log.iter().position(|entry| entry.term == keeper.term)? as u8 + 1;
        let is_ready = |id: &Id| {
            let has_log = matched.get(id).is_some_and(|has| *has >= mark) || self.is(Mutant::PromoteEarly);
            state.is_alive(*id) && has_log
        };
        let mut new = Ids::default();
        for id in config.members.without(config.voters).iter().filter(is_ready) {
            match config.voters.of(id.machine()).iter().next() {
                Some(old) if !state.is_alive(old) => {
                    return Some(config.voters.without(Ids::from_iter([old])).and(Ids::from_iter([id])));
                }
                Some(_) => {}
                None => new = new.and(Ids::from_iter([id])),
            }
        }
        let possible = (config.voters.len() + new.len()).min(Config::wanted_voters(config.names()));
        // Four voters survive no more than three do.
        let size = if possible == 4 { 3 } else { possible };
        let more = size.checked_sub(config.voters.len()).filter(|more| *more > 0)?;
        Some(config.voters.and(new.iter().take(more).collect()))
    }
}

/// Ends a change as openraft does unless it is told to keep who votes no more.
fn dropping(joint: Config) -> Config {
    let members = joint.members.without(joint.before.without(joint.voters));
    Config { before: Ids::default(), members, ..joint }
}
