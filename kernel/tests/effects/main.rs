//! Whatever clients ask, in whatever order the log takes it: who applies the log has what the primary has, and every
//! request is answered once.
//!
//! A primary executes commands of the whole table; its batches are closed, committed, lost, sent again and fenced at
//! random; its clock jumps; it is killed and replaced. After every committed entry, Cores that follow the log from its
//! start or from a snapshot hold the same data as a Keeper that judges the log alone.

mod client;
mod keeper;
mod requests;
#[path = "../support/mod.rs"]
mod support;
mod world;

use proptest::prelude::*;
use proptest::sample::Index;

use requests::{Request, any_request};
use world::World;

#[derive(Clone, Debug)]
pub enum Action {
    Ask(Index, Request),
    /// Several requests arrive at once.
    Pipeline(Index, Vec<Request>),
    CloseBatch,
    /// The log takes so many of the oldest proposals.
    Commit(usize),
    /// Raft loses the oldest proposal, as it may when its leader changes.
    Lose,
    Resend,
    /// An entry of Raft's own.
    Blank,
    ForeignHello,
    /// Another Core's claim: of one that has seen everything, or missed a renewal.
    ForeignClaim {
        is_current: bool,
    },
    /// A batch of the last other Core that was primary, for better or worse the next one, and after a takeover fenced.
    ForeignBatch {
        seq_offset: i64,
        effects: Vec<world::Change>,
    },
    Clock {
        wall_ms: i64,
        elapsed_ms: u64,
    },
    Disk {
        full: bool,
    },
    /// From now on, another Core follows that starts with a snapshot of this moment.
    Snapshot,
    /// The primary's process is killed; the next life recovers from the log or from a snapshot.
    Kill {
        from_snapshot: bool,
    },
    /// Keys whose deadline has passed are deleted.
    Expire,
    /// Who is not primary claims, if it has waited long enough.
    Tick,
    /// Whether reads need a lease, and claims have to wait.
    Alone(bool),
    Renew,
    /// Nothing more happens until everything is answered.
    Settle,
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        40 => (any::<Index>(), any_request()).prop_map(|(client, request)| Action::Ask(client, request)),
        5 => (any::<Index>(), prop::collection::vec(any_request(), 2..6))
            .prop_map(|(client, requests)| Action::Pipeline(client, requests)),
        12 => Just(Action::CloseBatch),
        12 => (1usize..4).prop_map(Action::Commit),
        2 => Just(Action::Lose),
        4 => Just(Action::Resend),
        1 => Just(Action::Blank),
        1 => Just(Action::ForeignHello),
        1 => any::<bool>().prop_map(|is_current| Action::ForeignClaim { is_current }),
        4 => (-1i64..2, prop::collection::vec(any::<world::Change>(), 0..4))
            .prop_map(|(seq_offset, effects)| Action::ForeignBatch { seq_offset, effects }),
        6 => (-5_000i64..5_000, 0u64..2_000).prop_map(|(wall_ms, elapsed_ms)| Action::Clock { wall_ms, elapsed_ms }),
        1 => prop::bool::weighted(0.3).prop_map(|full| Action::Disk { full }),
        2 => Just(Action::Snapshot),
        1 => any::<bool>().prop_map(|from_snapshot| Action::Kill { from_snapshot }),
        4 => Just(Action::Expire),
        4 => Just(Action::Tick),
        2 => any::<bool>().prop_map(Action::Alone),
        4 => Just(Action::Renew),
        2 => Just(Action::Settle),
    ]
}

proptest! {
    #[test]
    fn who_applies_the_log_has_what_the_primary_has(actions in prop::collection::vec(any_action(), 1..150)) {
        let mut world = World::new();
        for action in &actions {
            world.act(action);
            world.check();
        }
        world.settle();
    }
}

#[test]
fn requests_are_drawn_from_the_whole_table() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut missing: Vec<&str> = requests::table().iter().map(|command| command.name).collect();
    for _ in 0..20_000 {
        let request = any_request().new_tree(&mut runner).expect("no request is refused").current();
        missing.retain(|name| !request.words[0].eq_ignore_ascii_case(name.as_bytes()));
    }
    missing.retain(|name| !name.ends_with("subscribe"));
    assert_eq!(missing, ["monitor"], "never drawn");
}
