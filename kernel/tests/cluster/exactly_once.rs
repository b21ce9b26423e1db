//! A forwarded command is executed once, whatever becomes of links and primaries (PROTOCOL rules 8 to 11 and 17).

use mneme_kernel::effect::{self, Effect};
use mneme_kernel::entry::Entry;
use mneme_kernel::ids::Seq;
use mneme_kernel::requests::Requests;

use crate::world::World;

/// What the primary executed and could not say any more, the log says.
#[test]
fn a_command_that_was_accepted_is_not_executed_again_after_a_failover() {
    script!(
        r#"
    > a@2: INCR k
    > 2 forwards
    > 1 closes
    > commit
    > 2 loses its link
    > after 308 ms
    > 2 ticks
    > commit
    > 2 forwards
    > a@2: INCR k
    > 2 closes
    > last first
    > commit
    "#
    );
}

#[test]
fn a_pipeline_goes_on_in_its_order_after_a_failover() {
    script!(
        r#"
    > a@2: GET k | INCR k
    > 2 forwards
    > 1 closes
    > a@2: APPEND k 0 | GET k
    > 2 forwards
    > 1 closes
    > commit
    > lose
    > 2 loses its link
    > after 308 ms
    > 2 ticks
    > commit
    > 2 forwards
    > 2 closes
    > commit
    > commit
    > 2 forwards
    "#
    );
}

/// The first copy was executed, and its reply lost.
#[test]
fn what_is_asked_again_of_the_same_primary_is_answered_from_its_memory() {
    script!(
        r#"
    > a@2: INCR k | GET k | SETNX k 5 | MULTI | INCR k | EXEC
    > 2 sends
    > 2 is served
    > 2 loses its link
    > 2 forwards
    > 1 closes
    > commit
    > 2 forwards
    "#
    );
}

#[test]
fn what_was_not_executed_is_executed_once_over_the_next_link() {
    script!(
        r#"
    > a@2: INCR k
    > 2 sends
    > b@2: INCR k
    > 2 loses its link
    > 2 forwards
    > 1 closes
    > commit
    > 2 forwards
    "#
    );
}

#[test]
fn a_transaction_is_executed_once() {
    script!(
        r#"
    > a@2: WATCH k
    > 2 forwards
    > a@2: MULTI | INCR k | SELECT 3 | EXEC
    > 2 forwards
    > 1 closes
    > commit
    > 2 loses its link
    > after 308 ms
    > 2 ticks
    > commit
    > a@2: SET l 3
    > 2 closes
    > last first
    > commit
    "#
    );
}

/// Sent again it could not know any more whether the key has changed.
#[test]
fn a_transaction_whose_watch_was_lost_on_the_way_is_aborted() {
    script!(
        r#"
    > a@2: WATCH k
    > 2 forwards
    > a@2: MULTI | SET k w | EXEC
    > 2 sends
    > 2 loses its link
    > 2 forwards
    "#
    );
}

#[test]
fn replies_that_have_come_leave_the_request_table() {
    script!(
        r#"
    > a@2: INCR k
    > 2 forwards
    > 1 closes
    > commit
    > 2 forwards
    > a@2: INCR k
    > 2 forwards
    > 1 closes
    > commit
    > 2 forwards
    > 2 ticks
    > 2 forwards
    > 1 closes
    > commit
    > 2 ticks
    > 2 forwards
    "#
    );
}

#[test]
fn a_session_that_ends_leaves_the_request_table() {
    script!(
        r#"
    > a@2: INCR k
    > 2 forwards
    > 1 closes
    > commit
    > 2 forwards
    > a@2: RESET
    > 2 forwards
    > 1 closes
    > commit
    "#
    );
}

#[test]
fn a_new_link_tells_what_has_come_over_the_last() {
    script!(
        r#"
    > a@2: INCR k
    > b@2: INCR k
    > 2 forwards
    > 1 closes
    > commit
    > 2 is served
    > 2 receives
    > a@2: INCR k
    > 2 sends
    > 2 loses its link
    > 2 forwards
    > 1 closes
    "#
    );
}

#[test]
fn the_replies_of_reads_go_with_the_write_behind_them() {
    script!(
        r#"
    > a@2: GET k | GET l
    > 2 forwards
    > b@2: GET k
    > 2 sends
    > 2 is served
    > a@2: GET k | INCR k
    > 2 sends
    > 2 is served
    > 1 closes
    "#
    );
}

#[test]
fn without_a_link_a_command_whose_fate_is_open_waits_for_a_time() {
    script!(
        r#"
    > a@2: SET k v | GET k
    > 2 sends
    > 2 loses its link
    > b@2: SET k w
    > after 9999 ms
    > 2 ticks
    > lose
    > after 1 ms
    > 2 ticks
    "#
    );
}

/// A primary that is there answers in time.
#[test]
fn with_a_link_a_command_waits_for_the_primary() {
    script!(
        r#"
    > b@1: CLIENT PAUSE 60000 WRITE
    > a@2: SET k v
    > 2 forwards
    > after 59999 ms
    > 2 ticks
    > lose
    > 2 forwards
    > after 1 ms
    > 2 forwards
    > 1 closes
    > commit
    > 2 forwards
    "#
    );
}

#[test]
fn a_session_that_has_to_wait_does_not_hold_up_the_others() {
    script!(
        r#"
    > b@1: CLIENT PAUSE 60000 WRITE
    > a@2: SET k v | GET k
    > c@2: GET k
    > 2 forwards
    "#
    );
}

#[test]
fn commands_that_came_together_wait_together() {
    script!(
        r#"
    > 1 releases
    > commit
    > lose
    > a@2: SET k v | GET k | SET k w
    > after 10000 ms
    > a@2: GET k
    > after 9999 ms
    > after 1 ms
    "#
    );
}

/// A node whose process begins anew has no clients any more that ask for replies.
#[test]
fn a_new_life_clears_the_request_table_of_its_node() {
    let mut world = World::new(&[1000, 1000]);
    let origin = world.nodes[1].core.origin_life().expect("it is hot");
    let effects = {
        let mut effects = Vec::new();
        let answered = Effect::Answered { origin, session: 1, number: 1, db: 0, reply: b"+OK\r\n" };
        effect::record(&answered, &mut effects);
        effects
    };
    let epoch = world.nodes[0].core.epoch();
    let batch = |seq| Entry::Batch { epoch, seq: Seq(seq), wall: 1_700_000_000_000, effects: &effects }.encode();
    world.restart(0, false);
    world.commit_pending();
    world.commit(Some(&batch(1)));
    assert!(world.keeper.system.requests.get(origin, 1, 1).is_some());
    world.check();
    world.restart(1, false);
    world.commit_pending();
    // What the last life's requests still did comes behind the new one.
    world.commit(Some(&batch(2)));
    assert_eq!(world.keeper.system.requests, Requests::default());
    world.check();
}
