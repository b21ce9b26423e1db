//! What must hold in every state.

use stateright::Property;

use crate::keepers::Group;
use crate::keepers::config::{Config, Id, Ids};
use crate::keepers::state::{Entry, Keeper, Role, State, config, is_as_new, may_campaign};
use crate::numbers::Node;

/// What an operator or a client comes to see; the others say why.
pub const HARM: [&str; 9] = [LEADERS, COMMITTED, GO_ON, DROPPED, LEFT, UNHEARD, RETURN, TOLD, NEW_VOTERS];
const LEADERS: &str = "a term has one leader";
const COMMITTED: &str = "what is committed is never lost or changed";
const GO_ON: &str = "whichever disk may be lost is lost, the others go on with all that is committed";
const DROPPED: &str = "nobody leaves whose disk is sound and whom nobody removed";
const LEFT: &str = "who takes itself for removed has left";
const UNHEARD: &str = "who takes itself for a member is one, or was";
const RETURN: &str = "an id that has left is in no later configuration";
const TOLD: &str = "who is said to be removed has left";
const NEW_VOTERS: &str = "a new voter has what its leader had";

pub fn always() -> Vec<Property<Group>> {
    vec![
        Property::always(LEADERS, one_leader),
        Property::always(COMMITTED, committed_stays),
        Property::always(GO_ON, goes_on),
        Property::always(DROPPED, |_, state: &State| {
            state.gone().iter().all(|id| {
                let keeper = state.keeper(id.machine());
                keeper.id != id || keeper.is_damaged || state.asked.has(id)
            })
        }),
        Property::always(LEFT, |_, state: &State| {
            state.keepers.iter().all(|keeper| !keeper.was_removed || state.gone().has(keeper.id))
        }),
        Property::always(UNHEARD, members_are_heard),
        Property::always(RETURN, |_, state: &State| {
            let members: Vec<Ids> = state.configs().map(|config| config.members).collect();
            let gone =
                |at: usize| members[..at].iter().copied().fold(Ids::default(), Ids::and).without(members[at - 1]);
            (1..members.len()).all(|at| members[at].common(gone(at)).is_empty())
        }),
        Property::always(TOLD, |_, state: &State| !state.is_told_wrong),
        Property::always(NEW_VOTERS, new_voters_have_the_log),
        Property::always("nobody is elected who lacks what is committed", electable_are_complete),
        Property::always("majorities of successive configurations meet", majorities_meet),
        Property::always("what is counted on is on that disk", promises_are_kept),
    ]
}

fn one_leader(_: &Group, state: &State) -> bool {
    let mut terms: Vec<_> = state.leaders.iter().map(|(term, _)| term).collect();
    terms.sort_unstable();
    terms.dedup();
    terms.len() == state.leaders.len()
}

/// Nobody knows anything else, and who leads since has it.
fn committed_stays(_: &Group, state: &State) -> bool {
    let since = state.log.last().map_or(0, |last| last.term);
    let agrees = |keeper: &&Keeper| {
        let known = &keeper.log[..usize::from(keeper.committed)];
        state.log.starts_with(known) || known.starts_with(&state.log)
    };
    let is_complete = |keeper: &&Keeper| keeper.term < since || keeper.log.starts_with(&state.log);
    !state.is_changed
        && state.keepers.iter().all(|keeper| agrees(&keeper))
        && state.keepers.iter().filter(|keeper| keeper.leads()).all(|keeper| is_complete(&keeper))
}

/// One of the disks that remain can be elected by them and has all, whether or not their power is cut too.
fn goes_on(group: &Group, state: &State) -> bool {
    let lost = state.machines().filter(|&machine| group.can_spare(state, machine));
    [None].into_iter().chain(lost.map(Some)).all(|lost| {
        [false, true].into_iter().all(|is_cut| {
            electable(state, lost, is_cut).any(|(log, is_elected)| is_elected && log.starts_with(&state.log))
        })
    })
}

fn electable_are_complete(_: &Group, state: &State) -> bool {
    electable(state, None, false).all(|(log, is_elected)| !is_elected || log.starts_with(&state.log))
}

/// The log of each sound disk but the lost one, and whether its Keeper would be elected if all voted that may.
fn electable(state: &State, lost: Option<Node>, is_cut: bool) -> impl Iterator<Item = (&[Entry], bool)> {
    let len = move |keeper: &Keeper| if is_cut { usize::from(keeper.synced) } else { keeper.log.len() };
    let remain = state.keepers.iter().filter(move |keeper| keeper.may_run() && Some(keeper.id.machine()) != lost);
    let known = move |keeper: &Keeper| if is_cut { 0 } else { keeper.committed };
    let logs: Vec<_> = remain.map(|keeper| (keeper.id, &keeper.log[..len(keeper)], known(keeper))).collect();
    logs.clone().into_iter().map(move |(id, log, known)| {
        let granted: Ids = logs.iter().filter(|(_, other, _)| is_as_new(log, other)).map(|(id, ..)| *id).collect();
        let is_quorum = config(log).is_some_and(|(_, config)| config.is_quorum(granted));
        let is_elected = is_quorum && may_campaign(id, log, known);
        (log, is_elected)
    })
}

/// Who does not ask to be admitted was, or will be by an entry of the newest leader.
fn members_are_heard(group: &Group, state: &State) -> bool {
    let newest = state.leaders.iter().map(|(term, _)| *term).max();
    let leads = |keeper: &&Keeper| keeper.runs() && keeper.has_begun() && Some(keeper.term) == newest;
    let Some(leader) = state.keepers.iter().find(leads) else { return true };
    let members = state.configs().map(|config| config.members).fold(leader.config().members, Ids::and);
    let is_alone = |keeper: &&Keeper| keeper.runs() && !group.asks(keeper) && !members.has(keeper.id);
    !state.keepers.iter().any(|keeper| is_alone(&keeper))
}

/// A leader makes voters of those that had its first entry, at least.
fn new_voters_have_the_log(_: &Group, state: &State) -> bool {
    state.keepers.iter().filter(|keeper| keeper.leads()).all(|leader| {
        let own: Vec<_> = (0..leader.log.len()).filter(|at| leader.log[*at].term == leader.term).collect();
        let changes = own.iter().filter_map(|at| leader.log[*at].config()).filter(Config::is_joint);
        changes.flat_map(|config| config.voters.without(config.before).iter().collect::<Vec<_>>()).all(|id| {
            let voter = state.keeper(id.machine());
            let is_there = voter.id == id && voter.may_run() && voter.term <= leader.term;
            let has = |at: usize| usize::from(voter.synced) > at && voter.log[at] == leader.log[at];
            !is_there || own.first().is_none_or(|first| has(*first))
        })
    })
}

/// They share a set of voters; or only one voter is more or less.
fn majorities_meet(_: &Group, state: &State) -> bool {
    let meet = |a: Config, b: Config| {
        let sets = |config: Config| [config.voters, config.before].into_iter().filter(|set| !set.is_empty());
        let differing = a.voters.without(b.voters).len() + b.voters.without(a.voters).len();
        sets(a).any(|set| sets(b).any(|other| set == other)) || !a.is_joint() && !b.is_joint() && differing <= 1
    };
    state.keepers.iter().all(|keeper| {
        let configs: Vec<Config> = keeper.log.iter().filter_map(Entry::config).collect();
        configs.windows(2).all(|pair| meet(pair[0], pair[1]))
    })
}

/// The votes and entries that a candidate or leader was told of: an identity that has promised them has them.
fn promises_are_kept(_: &Group, state: &State) -> bool {
    let of = |id: Id, term: u8| {
        Some(state.keeper(id.machine())).filter(|keeper| keeper.id == id && keeper.may_run() && keeper.term <= term)
    };
    state.keepers.iter().all(|keeper| match &keeper.role {
        Role::Follows => true,
        Role::Asks(granted) => granted.iter().all(|id| {
            let voter = state.keeper(id.machine());
            // It may follow who leads by now.
            let votes = |vote| vote == keeper.id || state.leaders.contains(&(voter.term, vote));
            let has_voted = voter.term == keeper.term && voter.vote.is_some_and(votes);
            voter.id != id || !voter.may_run() || voter.term > keeper.term || has_voted
        }),
        Role::Leads(matched) => matched.iter().all(|(id, has)| {
            let has = usize::from(*has);
            of(*id, keeper.term)
                .is_none_or(|other| usize::from(other.synced) >= has && other.log[..has] == keeper.log[..has])
        }),
    })
}
