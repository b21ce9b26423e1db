//! States that are worth reaching. A scenario that never reaches what it is for proves nothing, and fails.

use crate::keepers::Group;
use crate::keepers::config::{Config, Id};
use crate::keepers::state::{Keeper, Leaving, State};

/// A name, and how to recognize such a state.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    pub name: &'static str,
    pub is_reached: fn(&Group, &State) -> bool,
}

pub const DEPOSED: Mark = Mark {
    name: "two lead, and the newer one has committed",
    is_reached: |_, state| {
        let leaders = || state.keepers.iter().filter(|keeper| keeper.leads());
        leaders().any(|leader| leader.has_begun() && leaders().any(|other| other.term < leader.term))
    },
};

pub const REPLACED: Mark = Mark {
    name: "a new disk has the place of a lost one, and all are as they were",
    is_reached: |_, state| {
        let is_second = |keeper: &Keeper| keeper.id != Id::first(keeper.id.machine());
        let config = state.configs().last().unwrap_or_default();
        let is_done = state.keepers.iter().all(|keeper| config.voters.has(keeper.id) && !keeper.is_impaired);
        is_done && config.members == config.voters && state.keepers.iter().any(is_second)
    },
};

pub const READY_AGAIN: Mark = Mark {
    name: "a Keeper that had lost its disk leads, and is ready",
    is_reached: |_, state| {
        let is_second = |keeper: &Keeper| keeper.id != Id::first(keeper.id.machine());
        state.keepers.iter().any(|keeper| is_second(keeper) && keeper.has_begun() && !keeper.is_impaired)
    },
};

pub const CHANGE_INHERITED: Mark = Mark {
    name: "a new leader ends a change that another one has begun",
    is_reached: |_, state| {
        let changes: Vec<_> =
            state.log.iter().filter_map(|entry| Some((entry.term, entry.config()?))).collect::<Vec<(u8, Config)>>();
        changes.windows(2).any(|pair| pair[0].1.is_joint() && pair[0].0 < pair[1].0)
    },
};

pub const OVERWRITTEN: Mark = Mark {
    name: "the entry that admitted a Keeper is replaced, and it is admitted again",
    is_reached: |_, state| {
        let newest = state.leaders.iter().map(|(term, _)| *term).max();
        let config = state.configs().last().unwrap_or_default();
        state.keepers.iter().any(|keeper| {
            let has_old = keeper.log.last().is_some_and(|last| last.config().is_some() && Some(last.term) < newest);
            has_old && config.members.has(keeper.id) && !state.log.starts_with(&keeper.log)
        })
    },
};

pub const GROWN: Mark = Mark {
    name: "all vote, and are ready",
    is_reached: |_, state| {
        let config = state.configs().last().unwrap_or_default();
        state.keepers.iter().all(|keeper| config.voters.has(keeper.id) && !keeper.is_impaired)
    },
};

pub const REMOVED: Mark = Mark {
    name: "a removal is answered, and who was removed has found out",
    is_reached: |_, state| {
        let has_ended = state.keepers.iter().any(|keeper| keeper.was_removed && state.asked.has(keeper.id));
        has_ended && state.leaving.is_none()
    },
};

pub const REFUSED: Mark = Mark {
    name: "a removal is refused",
    is_reached: |_, state| !state.may_remove && state.leaving.is_none() && state.asked.is_empty(),
};

pub const FOUND_OUT: Mark = Mark {
    name: "a Keeper finds out before the operator has an answer",
    is_reached: |_, state| {
        let is_of =
            |leaving: Leaving| state.keepers.iter().any(|keeper| keeper.was_removed && leaving.ids.has(keeper.id));
        state.leaving.is_some_and(is_of)
    },
};

pub const FOURTH_LEARNS: Mark = Mark {
    name: "a fourth voter goes on learning",
    is_reached: |_, state| {
        let config = state.configs().last().unwrap_or_default();
        let learners = config.members.without(config.voters);
        !config.is_joint() && config.voters.len() == 3 && learners.iter().any(|id| !state.asked.has(id))
    },
};
