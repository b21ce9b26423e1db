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
      2 asks 1 in epoch 5, 1: INCR k
    > 1 closes
      1 proposes batch 1: put k "1", answered 1:1 ":1\r\n"
    > commit
      1 is accepted up to 1
    > 2 loses its link
    > after 308 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 7
    > commit
      1 has void batches 2 to 2
      1 is accepted up to 2
      1 follows epoch 8
      2 leads epoch 8
      a@2 gets :1
    > 2 forwards
    > a@2: INCR k
      a@2 waits for batch 1
    > 2 closes
      2 proposes batch 1: put k "2"
    > last first
    > commit
      2 is accepted up to 1
      a@2 gets :2
    "#
    );
}

#[test]
fn a_pipeline_goes_on_in_its_order_after_a_failover() {
    script!(
        r#"
    > a@2: GET k | INCR k
    > 2 forwards
      2 asks 1 in epoch 5, 1: GET k
      2 asks 1 in epoch 5, 2: INCR k
      1 answers 2 1: "$-1\r\n"
      a@2 gets "$-1\r\n"
    > 1 closes
      1 proposes batch 1: put k "1", answered 1:1 "$-1\r\n", answered 1:2 ":1\r\n"
    > a@2: APPEND k 0 | GET k
    > 2 forwards
      2 asks 1 in epoch 5, 3: APPEND k 0
      2 asks 1 in epoch 5, 4: GET k
    > 1 closes
      1 proposes batch 2: patch k at 1 "0", acknowledged 1:1, answered 1:3 ":2\r\n"
    > commit
      1 is accepted up to 1
    > lose
    > 2 loses its link
    > after 308 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 7
    > commit
      1 has void batches 2 to 3
      1 is accepted up to 3
      1 is deposed by epoch 8
      1 proposes hello of node-1
      2 leads epoch 8
      a@2 gets :1
    > 2 forwards
      2 asks 2 in epoch 8, 3: APPEND k 0
      2 asks 2 in epoch 8, 4: GET k
    > 2 closes
      2 proposes batch 1: acknowledged 1:2, patch k at 1 "0", answered 1:3 ":2\r\n"
    > commit
    > commit
      2 is accepted up to 1
    > 2 forwards
      2 answers 2 3: ":2\r\n"
      2 answers 2 4: "$2\r\n10\r\n"
      a@2 gets :2
      a@2 gets $"10"
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
      2 asks 1 in epoch 5, 1: INCR k
      2 asks 1 in epoch 5, 2: GET k
      2 asks 1 in epoch 5, 3: SETNX k 5
      2 asks 1 in epoch 5, 4: EXEC of 1
    > 2 is served
    > 2 loses its link
    > 2 forwards
      2 asks 1 to resume sessions 1 from 1
      2 asks 1 in epoch 5, 1: INCR k
      2 asks 1 in epoch 5, 2: GET k
      2 asks 1 in epoch 5, 3: SETNX k 5
      2 asks 1 in epoch 5, 4: EXEC of 1
    > 1 closes
      1 proposes batch 1: put k "1", answered 1:1 ":1\r\n", put k "2", answered 1:2 "$1\r\n1\r\n", answered 1:3 ":0\r\n", answered 1:4 "*1\r\n:2\r\n"
    > commit
      1 is accepted up to 1
    > 2 forwards
      1 answers 2 1: ":1\r\n"
      1 answers 2 2: "$1\r\n1\r\n"
      1 answers 2 3: ":0\r\n"
      1 answers 2 4: "*1\r\n:2\r\n"
      a@2 gets :1
      a@2 gets $"1"
      a@2 gets :0
      a@2 gets +OK
      a@2 gets +QUEUED
      a@2 gets Array([Int(2)])
    "#
    );
}

#[test]
fn what_was_not_executed_is_executed_once_over_the_next_link() {
    script!(
        r#"
    > a@2: INCR k
    > 2 sends
      2 asks 1 in epoch 5, 1: INCR k
    > b@2: INCR k
    > 2 loses its link
    > 2 forwards
      2 asks 1 to resume sessions 1 from 1
      2 asks 1 in epoch 5, 1: INCR k
      2 asks 1 in epoch 5, 2: INCR k
    > 1 closes
      1 proposes batch 1: put k "1", answered 1:1 ":1\r\n", put k "2", answered 2:2 ":2\r\n"
    > commit
      1 is accepted up to 1
    > 2 forwards
      1 answers 2 1: ":1\r\n"
      1 answers 2 2: ":2\r\n"
      a@2 gets :1
      b@2 gets :2
    "#
    );
}

#[test]
fn a_transaction_is_executed_once() {
    script!(
        r#"
    > a@2: WATCH k
    > 2 forwards
      2 asks 1 in epoch 5, 1: WATCH k
      1 answers 2 1: "+OK\r\n"
      a@2 gets +OK
    > a@2: MULTI | INCR k | SELECT 3 | EXEC
      a@2 gets +OK
      a@2 gets +QUEUED
      a@2 gets +QUEUED
    > 2 forwards
      2 asks 1 in epoch 5, 2: EXEC of 2
    > 1 closes
      1 proposes batch 1: put k "1", answered 1:2 "*2\r\n:1\r\n+OK\r\n"
    > commit
      1 is accepted up to 1
    > 2 loses its link
    > after 308 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 7
    > commit
      1 has void batches 2 to 2
      1 is accepted up to 2
      1 follows epoch 8
      2 leads epoch 8
      a@2 gets Array([Int(1), Simple("OK")])
    > a@2: SET l 3
      a@2 waits for batch 1
    > 2 closes
      2 proposes batch 1: put l "3"
    > last first
    > commit
      2 is accepted up to 1
      a@2 gets +OK
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
      2 asks 1 in epoch 5, 1: WATCH k
      1 answers 2 1: "+OK\r\n"
      a@2 gets +OK
    > a@2: MULTI | SET k w | EXEC
      a@2 gets +OK
      a@2 gets +QUEUED
    > 2 sends
      2 asks 1 in epoch 5, 2: EXEC of 1
    > 2 loses its link
    > 2 forwards
      2 asks 1 to resume sessions 1 from 2
      2 asks 1 in epoch 5, 2: EXEC of 1
      1 answers 2 2: "*-1\r\n"
      a@2 gets "*-1\r\n"
    "#
    );
}

#[test]
fn replies_that_have_come_leave_the_request_table() {
    script!(
        r#"
    > a@2: INCR k
    > 2 forwards
      2 asks 1 in epoch 5, 1: INCR k
    > 1 closes
      1 proposes batch 1: put k "1", answered 1:1 ":1\r\n"
    > commit
      1 is accepted up to 1
    > 2 forwards
      1 answers 2 1: ":1\r\n"
      a@2 gets :1
    > a@2: INCR k
    > 2 forwards
      2 asks 1 in epoch 5, 2: INCR k
    > 1 closes
      1 proposes batch 2: put k "2", acknowledged 1:1, answered 1:2 ":2\r\n"
    > commit
      1 is accepted up to 2
    > 2 forwards
      1 answers 2 2: ":2\r\n"
      a@2 gets :2
    > 2 ticks
    > 2 forwards
      2 asks 1 to forget 1 up to 2
    > 1 closes
      1 proposes batch 3: acknowledged 1:2
    > commit
      1 is accepted up to 3
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
      2 asks 1 in epoch 5, 1: INCR k
    > 1 closes
      1 proposes batch 1: put k "1", answered 1:1 ":1\r\n"
    > commit
      1 is accepted up to 1
    > 2 forwards
      1 answers 2 1: ":1\r\n"
      a@2 gets :1
    > a@2: RESET
      a@2 gets +RESET
    > 2 forwards
      2 asks 1 to forget session 1
    > 1 closes
      1 proposes batch 2: acknowledged 1:1
    > commit
      1 is accepted up to 2
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
      2 asks 1 in epoch 5, 1: INCR k
      2 asks 1 in epoch 5, 2: INCR k
    > 1 closes
      1 proposes batch 1: put k "1", answered 1:1 ":1\r\n", put k "2", answered 2:2 ":2\r\n"
    > commit
      1 is accepted up to 1
    > 2 is served
      1 answers 2 1: ":1\r\n"
      1 answers 2 2: ":2\r\n"
    > 2 receives
      a@2 gets :1
      b@2 gets :2
    > a@2: INCR k
    > 2 sends
      2 asks 1 in epoch 5, 3: INCR k
    > 2 loses its link
    > 2 forwards
      2 asks 1 to resume sessions 1 from 3
      2 asks 1 in epoch 5, 3: INCR k
    > 1 closes
      1 proposes batch 2: acknowledged 1:2, acknowledged 2:2, put k "3", answered 1:3 ":3\r\n"
    "#
    );
}

#[test]
fn the_replies_of_reads_go_with_the_write_behind_them() {
    script!(
        r#"
    > a@2: GET k | GET l
    > 2 forwards
      2 asks 1 in epoch 5, 1: GET k
      2 asks 1 in epoch 5, 2: GET l
      1 answers 2 1: "$-1\r\n"
      1 answers 2 2: "$-1\r\n"
      a@2 gets "$-1\r\n"
      a@2 gets "$-1\r\n"
    > b@2: GET k
    > 2 sends
      2 asks 1 in epoch 5, 3: GET k
    > 2 is served
      1 answers 2 3: "$-1\r\n"
    > a@2: GET k | INCR k
    > 2 sends
      2 asks 1 in epoch 5, 4: GET k
      2 asks 1 in epoch 5, 5: INCR k
    > 2 is served
      1 answers 2 4: "$-1\r\n"
    > 1 closes
      1 proposes batch 1: put k "1", answered 1:4 "$-1\r\n", answered 1:5 ":1\r\n"
    "#
    );
}

#[test]
fn without_a_link_a_command_whose_fate_is_open_waits_for_a_time() {
    script!(
        r#"
    > a@2: SET k v | GET k
    > 2 sends
      2 asks 1 in epoch 5, 1: SET k v
      2 asks 1 in epoch 5, 2: GET k
    > 2 loses its link
    > b@2: SET k w
    > after 9999 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > lose
    > after 1 ms
    > 2 ticks
      a@2 gets -UNCERTAIN the primary was lost while it had this command; it may or may not have been executed
      a@2 gets -LOADING the primary was lost while it had this command; it had no effect, send it again
      b@2 gets -LOADING there was no primary to execute this command in time; it was not executed
    "#
    );
}

/// A primary that is there answers in time.
#[test]
fn with_a_link_a_command_waits_for_the_primary() {
    script!(
        r#"
    > b@1: CLIENT PAUSE 60000 WRITE
      b@1 gets +OK
    > a@2: SET k v
    > 2 forwards
      2 asks 1 in epoch 5, 1: SET k v
    > after 59999 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > lose
    > 2 forwards
    > after 1 ms
    > 2 forwards
    > 1 closes
      1 proposes batch 1: put k "v", answered 1:1 "+OK\r\n"
    > commit
      1 is accepted up to 1
    > 2 forwards
      1 answers 2 1: "+OK\r\n"
      a@2 gets +OK
    "#
    );
}

#[test]
fn a_session_that_has_to_wait_does_not_hold_up_the_others() {
    script!(
        r#"
    > b@1: CLIENT PAUSE 60000 WRITE
      b@1 gets +OK
    > a@2: SET k v | GET k
    > c@2: GET k
    > 2 forwards
      2 asks 1 in epoch 5, 1: SET k v
      2 asks 1 in epoch 5, 2: GET k
      2 asks 1 in epoch 5, 3: GET k
      1 answers 2 3: "$-1\r\n"
      c@2 gets "$-1\r\n"
    "#
    );
}

#[test]
fn commands_that_came_together_wait_together() {
    script!(
        r#"
    > 1 releases
      1 proposes release behind batch 0
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > lose
    > a@2: SET k v | GET k | SET k w
    > after 10000 ms
      a@2 gets -LOADING there is no primary to execute this command; it was not executed, send it again
      a@2 gets -LOADING there is no primary to execute this command; it was not executed, send it again
      a@2 gets -LOADING there is no primary to execute this command; it was not executed, send it again
    > a@2: GET k
    > after 9999 ms
    > after 1 ms
      a@2 gets -LOADING there is no primary to execute this command; it was not executed, send it again
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
