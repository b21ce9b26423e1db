//! Scripts of the machine: lines that begin with `>` are what happens, the others are what the Core makes of it.
//! To change one, change its `>` lines and take over what the test then shows.
//!
//! `> a: SET k v` is a request of client a, who was let in before. `> close` ends a batch, `> commit` lets the log take
//! the oldest proposal, `> lose` lets Raft lose it, `> resend` is told when nothing was heard for too long, `> after`
//! moves the clocks, `> open` asks how soon the open batch is to be closed, `> another claims` is a claim of another Core
//! that the log accepts, `> agree` has all nodes read the newest format, `> agree on 3` this one.

mod script;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/words.rs"]
mod words;

macro_rules! script {
    ($script:literal) => {
        insta::assert_snapshot!(crate::script::play($script), @$script)
    };
}

mod json;
mod transactions;

#[test]
fn a_set_from_request_to_reply() {
    script!(
        r#"
    > a: SET k v
      a waits for batch 1
    > close
      propose batch 1: put k "v"
    > commit
      accepted 1
      a gets +OK
    "#
    );
}

#[test]
fn what_was_executed_together_goes_out_together() {
    script!(
        r#"
    > a: SET k 1
      a waits for batch 1
    > b: INCR k
      b waits for batch 1
    > close
      propose batch 1: put k "1", put k "2"
    > a: INCR k
    > close
      propose batch 2: put k "3"
    > commit
      accepted 1
      a gets +OK
      a waits for batch 2
      b gets :2
    > commit
      accepted 2
      a gets :3
    "#
    );
}

#[test]
fn a_batch_lingers_until_somebody_waits_and_queues_behind_another() {
    script!(
        r#"
    > open
      Empty
    > a: CONSISTENCY EVENTUAL SET k 1
      a gets +OK
    > open
      Lingering
    > b: SET k 2
      b waits for batch 1
    > open
      Due
    > close
      propose batch 1: put k "1", put k "2"
    > b: SET k 3
    > c: SET k 4
      c waits for batch 2
    > open
      Queued
    > commit
      accepted 1
      b gets +OK
      b waits for batch 2
    > open
      Due
    > close
      propose batch 2: put k "3", put k "4"
    "#
    );
}

#[test]
fn a_quorum_read_of_a_changed_key_waits() {
    script!(
        r#"
    > a: SET k v
      a waits for batch 1
    > b: GET k
      b waits for batch 1
    > c: GET other
      c gets $-1
    > close
      propose batch 1: put k "v"
    > commit
      accepted 1
      a gets +OK
      b gets $"v"
    > b: GET k
      b gets $"v"
    "#
    );
}

#[test]
fn an_eventual_request_does_not_wait() {
    script!(
        r#"
    > a: SET k v
      a waits for batch 1
    > b: CONSISTENCY EVENTUAL GET k
      b gets $"v"
    > b: CONSISTENCY EVENTUAL SET k w
      b gets +OK
    > close
      propose batch 1: put k "v", put k "w"
    > commit
      accepted 1
      a gets +OK
    "#
    );
}

#[test]
fn replies_of_one_client_keep_their_order() {
    script!(
        r#"
    > a: SET k v
      a waits for batch 1
    > a: CONSISTENCY EVENTUAL GET k
    > a: PING
    > close
      propose batch 1: put k "v"
    > commit
      accepted 1
      a gets +OK
      a gets $"v"
      a gets +PONG
    "#
    );
}

#[test]
fn an_error_that_rests_on_an_uncommitted_key_waits() {
    script!(
        r#"
    > a: SET k text
      a waits for batch 1
    > b: INCR k
      b waits for batch 1
    > c: INCR
      c gets -ERR wrong number of arguments for 'incr' command
    > close
      propose batch 1: put k "text"
    > commit
      accepted 1
      a gets +OK
      b gets -ERR value is not an integer or out of range
    "#
    );
}

#[test]
fn a_reply_that_waits_too_long_is_uncertain() {
    script!(
        r#"
    > a: SET k v
      a waits for batch 1
    > close
      propose batch 1: put k "v"
    > after 4999 ms
    > b: GET k
      b waits for batch 1
    > after 1 ms
      a gets -UNCERTAIN executed, but not on disk at a majority of Keepers within the level timeout; it may or may not last
    > commit
      accepted 1
      b gets $"v"
    > a: GET k
      a gets $"v"
    "#
    );
}

#[test]
fn the_log_holds_no_more_than_what_changed() {
    script!(
        r#"
    > a: SET k hello PX 100
      a waits for batch 1
    > a: APPEND k !
    > a: APPEND k ""
    > a: SETRANGE k 7 x
    > a: SETBIT k 7 1
    > a: SETBIT k 7 1
    > a: BITFIELD k SET u4 12 15 GET u8 0
    > a: BITFIELD new OVERFLOW FAIL INCRBY u8 0 256
    > a: PTTL k
    > b: STRLEN new
      b waits for batch 1
    > close
      propose batch 1: put k "hello" until 1700000000100, patch k at 5 "!", patch k at 7 "x", patch k at 0 "i", patch k at 1 "o", patch new at 0 "\0"
    > commit
      accepted 1
      a gets +OK
      a gets :6
      a gets :6
      a gets :8
      a gets :0
      a gets :1
      a gets Array([Int(5), Int(105)])
      a gets Array([Null])
      a gets :100
      b gets :1
    "#
    );
}

#[test]
fn a_value_begins_anew_where_the_old_one_has_expired() {
    script!(
        r#"
    > a: SET k hello PX 100
      a waits for batch 1
    > after 100 ms
    > a: CONSISTENCY EVENTUAL APPEND k !
    > a: CONSISTENCY EVENTUAL PTTL k
    > close
      propose batch 1: put k "hello" until 1700000000100, delete k, patch k at 0 "!"
    > commit
      accepted 1
      a gets +OK
      a gets :1
      a gets :-1
    "#
    );
}

#[test]
fn a_key_that_moves_to_another_database_is_waited_for_there() {
    script!(
        r#"
    > a: SET k v PX 100
      a waits for batch 1
    > a: MOVE k 1
    > a: COPY k l
    > b: SELECT 1
      b gets +OK
    > b: GET k
      b waits for batch 1
    > b: COPY k l DB 0
    > close
      propose batch 1: put k "v" until 1700000000100, put k "v" until 1700000000100, delete k, put l "v" until 1700000000100
    > commit
      accepted 1
      a gets +OK
      a gets :1
      a gets :0
      b gets $"v"
      b gets :1
    "#
    );
}

#[test]
fn an_expired_key_is_deleted_by_an_effect_that_the_reply_waits_for() {
    script!(
        r#"
    > a: SET k v PX 100
      a waits for batch 1
    > close
      propose batch 1: put k "v" until 1700000000100
    > commit
      accepted 1
      a gets +OK
    > after 99 ms
    > a: GET k
      a gets $"v"
    > after 1 ms
    > a: GET k
      a waits for batch 2
    > close
      propose batch 2: delete k
    > commit
      accepted 2
      a gets $-1
    "#
    );
}

#[test]
fn a_clock_that_goes_back_brings_no_key_back() {
    script!(
        r#"
    > a: SET k v PX 100
      a waits for batch 1
    > after 100 ms
    > b: CONSISTENCY EVENTUAL GET k
      b gets $-1
    > clock -1000 ms
    > b: CONSISTENCY EVENTUAL GET k
      b gets $-1
    > b: CONSISTENCY EVENTUAL SET k w PX 1
      b gets +OK
    > close
      propose batch 1: put k "v" until 1700000000100, delete k, put k "w" until 1700000000101
    > commit
      accepted 1
      a gets +OK
    "#
    );
}

#[test]
fn flushall_makes_every_read_wait() {
    script!(
        r#"
    > a: SET k v
      a waits for batch 1
    > close
      propose batch 1: put k "v"
    > commit
      accepted 1
      a gets +OK
    > a: FLUSHDB
      a waits for batch 2
    > b: GET k
      b waits for batch 2
    > c: GET never
      c waits for batch 2
    > d: DBSIZE
      d waits for batch 2
    > e: FLUSHALL ASYNC
      e waits for batch 2
    > f: SELECT 1
      f gets +OK
    > f: GET k
      f waits for batch 2
    > close
      propose batch 2: flush 0, flush 0, flush 1, flush 2, flush 3, flush 4, flush 5, flush 6, flush 7, flush 8, flush 9, flush 10, flush 11, flush 12, flush 13, flush 14, flush 15
    > commit
      accepted 2
      a gets +OK
      b gets $-1
      c gets $-1
      d gets :0
      e gets +OK
      f gets $-1
    "#
    );
}

#[test]
fn a_resend_is_harmless() {
    script!(
        r#"
    > a: INCR k
      a waits for batch 1
    > close
      propose batch 1: put k "1"
    > resend
      propose batch 1: put k "1"
    > commit
      accepted 1
      a gets :1
    > commit
    > a: GET k
      a gets $"1"
    "#
    );
}

#[test]
fn a_lost_batch_is_sent_again_with_those_behind_it() {
    script!(
        r#"
    > a: SET k 1
      a waits for batch 1
    > close
      propose batch 1: put k "1"
    > b: SET k 2
      b waits for batch 2
    > close
      propose batch 2: put k "2"
    > lose
    > commit
    > resend
      propose batch 1: put k "1"
      propose batch 2: put k "2"
    > commit
      accepted 1
      a gets +OK
    > commit
      accepted 2
      b gets +OK
    "#
    );
}

#[test]
fn a_deposed_core_answers_no_more() {
    script!(
        r#"
    > a: SET k v
      a waits for batch 1
    > close
      propose batch 1: put k "v"
    > another claims
      void from 1 to 2
      accepted 2
      deposed by epoch 5
      propose hello of node-1
      a gets -LOADING another primary took over before this command was on disk; it has no effect
    > commit
    > b: GET k
    > close
    > resend
      propose hello of node-1
    > after 10000 ms
      b gets -LOADING there is no primary to execute this command; it was not executed, send it again
      b gets -LOADING there is no primary to execute this command; it was not executed, send it again
    "#
    );
}

/// Else what its client sends next would be a part of the transaction.
#[test]
fn a_discard_that_comes_too_early_has_discarded_all_the_same() {
    script!(
        r#"
    > a: SET k v
      a waits for batch 1
    > b: MULTI
      b gets +OK
    > close
      propose batch 1: put k "v"
    > another claims
      void from 1 to 2
      accepted 2
      deposed by epoch 5
      propose hello of node-1
      a gets -LOADING another primary took over before this command was on disk; it has no effect
    > b: DISCARD
    > after 10000 ms
      b gets -LOADING there is no primary to execute this command; it was not executed, send it again
    > b: CONSISTENCY EVENTUAL GET k
    > after 10000 ms
      b gets -LOADING there is no primary to execute this command; it was not executed, send it again
    "#
    );
}

#[test]
fn a_new_life_answers_once_its_claim_is_accepted() {
    script!(
        r#"
    > a: SET k v
      a waits for batch 1
    > close
      propose batch 1: put k "v"
    > restart
      propose hello of node-1
    > b: GET k
    > commit
    > commit
      propose claim of life 6 after epoch 4, renewed at 5
      b gets +OK
    > another claims
      follows epoch 7
    > commit
    > tick
      propose claim of life 6 after epoch 7, renewed at 7
    > resend
      propose claim of life 6 after epoch 7, renewed at 7
    > commit
      leads epoch 9
    > commit
    > b: GET k
    "#
    );
}

#[test]
fn a_transaction_is_one_batch_and_a_watched_key_that_changes_ends_it() {
    script!(
        r#"
    > a: WATCH k
      a gets +OK
    > a: MULTI
      a gets +OK
    > a: SET k 1
      a gets +QUEUED
    > a: INCR k
      a gets +QUEUED
    > a: EXEC
      a waits for batch 1
    > close
      propose batch 1: put k "1", put k "2"
    > commit
      accepted 1
      a gets Array([Simple("OK"), Int(2)])
    > a: WATCH k
      a gets +OK
    > b: SET k 5
      b waits for batch 2
    > a: MULTI
      a gets +OK
    > a: SET k 6
      a gets +QUEUED
    > a: EXEC
      a waits for batch 2
    > close
      propose batch 2: put k "5"
    > commit
      accepted 2
      a gets $-1
      b gets +OK
    "#
    );
}

#[test]
fn reads_of_a_readonly_connection_wait_for_nothing() {
    script!(
        r#"
    > a: READONLY
      a gets +OK
    > b: SET k v
      b waits for batch 1
    > a: GET k
      a gets $"v"
    > a: CONSISTENCY QUORUM GET k
      a waits for batch 1
    > a: READWRITE
    > close
      propose batch 1: put k "v"
    > commit
      accepted 1
      a gets $"v"
      a gets +OK
      b gets +OK
    "#
    );
}
