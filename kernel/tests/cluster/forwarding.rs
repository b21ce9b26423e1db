//! Commands that a standby has the primary execute (PROTOCOL rules 8, 11, 16 and 17).

#[test]
fn a_standby_has_the_primary_execute_what_it_may_not() {
    script!(
        r#"
    > a@2: SET k v | GET k | CONSISTENCY EVENTUAL GET k | GET absent
    > 2 sends
      2 asks 1 in epoch 5, 1: SET k v
      2 asks 1 in epoch 5, 2: GET k
      2 asks 1 in epoch 5, 3: GET absent
    > 2 is served
      1 answers 2 3: "$-1\r\n"
    > 2 receives
    > 1 closes
      1 proposes batch 1: put k "v", answered 1:1 "+OK\r\n"
    > commit
      1 is accepted up to 1
    > 2 is served
      1 answers 2 1: "+OK\r\n"
      1 answers 2 2: "$1\r\nv\r\n"
    > 2 receives
      a@2 gets +OK
      a@2 gets $"v"
      a@2 gets "$-1\r\n"
      a@2 gets "$-1\r\n"
    "#
    );
}

#[test]
fn replies_leave_in_the_order_of_the_requests_wherever_they_come_from() {
    script!(
        r#"
    > a@2: PING | SET k v | CONSISTENCY EVENTUAL GET k | CONSISTENCY EVENTUAL SET k w | ECHO end
      a@2 gets +PONG
    > 2 forwards
      2 asks 1 in epoch 5, 1: SET k v
      2 asks 1 in epoch 5, 2: SET k w
      1 answers 2 2: "+OK\r\n"
    > 1 closes
      1 proposes batch 1: put k "v", answered 1:1 "+OK\r\n", put k "w", answered 1:2 "+OK\r\n"
    > commit
      1 is accepted up to 1
    > 2 forwards
      1 answers 2 1: "+OK\r\n"
      a@2 gets +OK
      a@2 gets "$-1\r\n"
      a@2 gets +OK
      a@2 gets $"end"
    "#
    );
}

#[test]
fn a_transaction_goes_to_the_primary_as_one() {
    script!(
        r#"
    > a@2: SELECT 3 | MULTI | SET k v | SELECT 5 | GET k | EXEC | GET k
      a@2 gets +OK
      a@2 gets +OK
      a@2 gets +QUEUED
      a@2 gets +QUEUED
      a@2 gets +QUEUED
    > 2 forwards
      2 asks 1 in epoch 5, 1: EXEC of 3
    > 1 closes
      1 proposes batch 1: put k "v", answered 1:1 "*3\r\n+OK\r\n+OK\r\n$-1\r\n"
    > commit
      1 is accepted up to 1
    > 2 forwards
      1 answers 2 1: "*3\r\n+OK\r\n+OK\r\n$-1\r\n"
      a@2 gets Array([Simple("OK"), Simple("OK"), Null])
    > a@2: SELECT 3
    > a@2: GET k
    > 2 forwards
      2 asks 1 in epoch 5, 2: GET k
      2 asks 1 in epoch 5, 3: GET k
      1 answers 2 2: "$-1\r\n"
      1 answers 2 3: "$1\r\nv\r\n"
      a@2 gets "$-1\r\n"
      a@2 gets +OK
      a@2 gets $"v"
    "#
    );
}

#[test]
fn a_watched_key_that_changes_ends_the_transaction() {
    script!(
        r#"
    > a@2: WATCH k
    > 2 forwards
      2 asks 1 in epoch 5, 1: WATCH k
      1 answers 2 1: "+OK\r\n"
      a@2 gets +OK
    > b@1: SET k v
      b@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put k "v"
    > commit
      1 is accepted up to 1
      b@1 gets +OK
    > a@2: MULTI | SET k w | EXEC
      a@2 gets +OK
      a@2 gets +QUEUED
    > 2 forwards
      2 asks 1 in epoch 5, 2: EXEC of 1
      1 answers 2 2: "*-1\r\n"
      a@2 gets "*-1\r\n"
    > a@2: WATCH k | MULTI | SET k w | EXEC
    > 2 forwards
      2 asks 1 in epoch 5, 3: WATCH k
      2 asks 1 in epoch 5, 4: EXEC of 1
      1 answers 2 3: "+OK\r\n"
      a@2 gets +OK
      a@2 gets +OK
      a@2 gets +QUEUED
    > 1 closes
      1 proposes batch 2: put k "w", answered 1:3 "+OK\r\n", answered 1:4 "*1\r\n+OK\r\n"
    > commit
      1 is accepted up to 2
    > 2 forwards
      1 answers 2 4: "*1\r\n+OK\r\n"
      a@2 gets Array([Simple("OK")])
    "#
    );
}

#[test]
fn a_watch_of_another_epoch_ends_the_transaction_in_both_protocols() {
    script!(
        r#"
    > a@2: WATCH k
    > b@2: HELLO 3
      b@2 gets a map
    > b@2: WATCH k
    > c@2: WATCH k
    > d@2: HELLO 3
      d@2 gets a map
    > d@2: WATCH k
    > 2 forwards
      2 asks 1 in epoch 5, 1: WATCH k
      2 asks 1 in epoch 5, 2: WATCH k
      2 asks 1 in epoch 5, 3: WATCH k
      2 asks 1 in epoch 5, 4: WATCH k
      1 answers 2 1: "+OK\r\n"
      1 answers 2 2: "+OK\r\n"
      1 answers 2 3: "+OK\r\n"
      1 answers 2 4: "+OK\r\n"
      a@2 gets +OK
      b@2 gets +OK
      c@2 gets +OK
      d@2 gets +OK
    > c@2: MULTI | SET k c | EXEC
      c@2 gets +OK
      c@2 gets +QUEUED
    > d@2: MULTI | SET k d | EXEC
      d@2 gets +OK
      d@2 gets +QUEUED
    > 1 releases
      1 proposes release behind batch 0
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > commit
      1 follows epoch 8
      2 leads epoch 8
    > a@2: MULTI | SET k a | EXEC
      a@2 gets +OK
      a@2 gets +QUEUED
      a@2 gets "*-1\r\n"
    > b@2: MULTI | SET k b | EXEC
      b@2 gets +OK
      b@2 gets +QUEUED
      b@2 gets "_\r\n"
    > 2 forwards
    > 2 forwards
      c@2 gets "*-1\r\n"
      d@2 gets "_\r\n"
    "#
    );
}

#[test]
fn a_watch_here_does_not_outlive_the_reign() {
    script!(
        r#"
    > a@1: WATCH k
      a@1 gets +OK
    > 1 releases
      1 proposes release behind batch 0
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > commit
      1 follows epoch 8
      2 leads epoch 8
    > 2 releases
      2 proposes release behind batch 0
    > commit
      1 proposes claim of life 4 after epoch 8, renewed at 8
      2 has void batches 1 to 1
      2 is accepted up to 1
      2 follows epoch 8
    > commit
      1 leads epoch 10
      2 follows epoch 10
    > a@1: MULTI | SET k a | EXEC
      a@1 gets +OK
      a@1 gets +QUEUED
      a@1 gets "*-1\r\n"
    "#
    );
}

/// The primary forgets what was watched when the link by which it was asked to is gone.
#[test]
fn a_watch_is_lost_with_the_link() {
    script!(
        r#"
    > a@2: WATCH k
    > 2 forwards
      2 asks 1 in epoch 5, 1: WATCH k
      1 answers 2 1: "+OK\r\n"
      a@2 gets +OK
    > 2 loses its link
    > b@1: SET k v
      b@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put k "v"
    > commit
      1 is accepted up to 1
      b@1 gets +OK
    > a@2: MULTI | SET k w | EXEC
      a@2 gets +OK
      a@2 gets +QUEUED
      a@2 gets "*-1\r\n"
    > a@2: WATCH k | MULTI | GET k | EXEC
    > 2 sends
      2 asks 1 in epoch 5, 2: WATCH k
      2 asks 1 in epoch 5, 3: EXEC of 1
    > 2 loses its link
    > 2 forwards
      2 asks 1 to resume sessions 1 from 2
      2 asks 1 in epoch 5, 2: WATCH k
      2 asks 1 in epoch 5, 3: EXEC of 1
      1 answers 2 3: "*-1\r\n"
      1 answers 2 2: "+OK\r\n"
      a@2 gets +OK
      a@2 gets +OK
      a@2 gets +QUEUED
      a@2 gets "*-1\r\n"
    "#
    );
}

#[test]
fn unwatch_and_discard_reach_the_primary() {
    script!(
        r#"
    > a@2: WATCH k
    > 2 forwards
      2 asks 1 in epoch 5, 1: WATCH k
      1 answers 2 1: "+OK\r\n"
      a@2 gets +OK
    > a@2: UNWATCH
      a@2 gets +OK
    > b@1: SET k v
      b@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put k "v"
    > commit
      1 is accepted up to 1
      b@1 gets +OK
    > a@2: MULTI | GET k | EXEC
      a@2 gets +OK
      a@2 gets +QUEUED
    > 2 forwards
      2 asks 1 in epoch 5, 2: EXEC of 1
      1 answers 2 2: "*1\r\n$1\r\nv\r\n"
      a@2 gets Array([Bulk([118])])
    > a@2: WATCH k | MULTI | DISCARD
    > 2 forwards
      2 asks 1 in epoch 5, 3: WATCH k
      1 answers 2 3: "+OK\r\n"
      a@2 gets +OK
      a@2 gets +OK
      a@2 gets +OK
    "#
    );
}

#[test]
fn what_a_deposed_primary_did_not_get_accepted_is_sent_to_the_next_one() {
    script!(
        r#"
    > a@2: INCR k
    > 2 forwards
      2 asks 1 in epoch 5, 1: INCR k
    > 1 closes
      1 proposes batch 1: put k "1", answered 1:1 ":1\r\n"
    > lose
    > after 308 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > commit
      1 has void batches 1 to 2
      1 is accepted up to 2
      1 is deposed by epoch 7
      1 proposes hello of node-1
      2 leads epoch 7
    > 2 is served
      1 answers 2 1: refused
    > 2 receives
    > 2 forwards
      2 asks 2 in epoch 7, 1: INCR k
    > 2 closes
      2 proposes batch 1: put k "1", answered 1:1 ":1\r\n"
    > commit
    > commit
      2 is accepted up to 1
    > 2 forwards
      2 answers 2 1: ":1\r\n"
      a@2 gets :1
    "#
    );
}

#[test]
fn what_is_refused_goes_to_the_next_primary_and_not_again_to_this_one() {
    script!(
        r#"
    > 1 releases
      1 proposes release behind batch 0
    > a@2: SET k v
    > 2 forwards
      2 asks 1 in epoch 5, 1: SET k v
      1 answers 2 1: refused
    > b@2: SET k w
    > 2 forwards
      2 asks 1 in epoch 5, 2: SET k w
      1 answers 2 2: refused
    > 2 forwards
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > commit
      1 follows epoch 8
      2 leads epoch 8
    > 2 forwards
    > 2 forwards
      2 asks 2 in epoch 8, 1: SET k v
      2 asks 2 in epoch 8, 2: SET k w
    > 2 closes
      2 proposes batch 1: put k "v", answered 1:1 "+OK\r\n", put k "w", answered 2:2 "+OK\r\n"
    > commit
      2 is accepted up to 1
    > 2 forwards
      2 answers 2 1: "+OK\r\n"
      2 answers 2 2: "+OK\r\n"
      a@2 gets +OK
      b@2 gets +OK
    "#
    );
}

/// The origin has heard of the claim first.
#[test]
fn a_request_for_a_primary_that_has_not_read_so_far_waits_for_it() {
    script!(
        r#"
    > 1 releases
      1 proposes release behind batch 0
    > 2 hears nothing
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 follows epoch 5
    > 2 hears all
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > 2 hears nothing
    > commit
      1 follows epoch 8
    > a@1: SET k v
    > a@1: SET k w
    > 1 sends
      1 asks 2 in epoch 8, 1: SET k v
      1 asks 2 in epoch 8, 2: SET k w
    > 1 is served
    > 2 hears all
      2 leads epoch 8
    > 1 is served
    > 1 forwards
    > 2 closes
      2 proposes batch 1: put k "v", answered 1:1 "+OK\r\n", put k "w", answered 1:2 "+OK\r\n"
    > commit
      2 is accepted up to 1
    > 1 forwards
      2 answers 1 1: "+OK\r\n"
      2 answers 1 2: "+OK\r\n"
      a@1 gets +OK
      a@1 gets +OK
    "#
    );
}

#[test]
fn without_a_primary_a_command_waits_for_a_time_and_is_not_executed() {
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
    > a@2: SET k v
    > b@1: GET k
    > after 9999 ms
    > after 1 ms
      a@2 gets -LOADING there is no primary to execute this command; it was not executed, send it again
      b@1 gets -LOADING there is no primary to execute this command; it was not executed, send it again
    "#
    );
}

#[test]
fn a_watch_ends_with_the_transaction_that_found_no_primary() {
    script!(
        r#"
    > a@2: WATCH k
    > 2 forwards
      2 asks 1 in epoch 5, 1: WATCH k
      1 answers 2 1: "+OK\r\n"
      a@2 gets +OK
    > 1 releases
      1 proposes release behind batch 0
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > a@2: MULTI | SET k v | EXEC
      a@2 gets +OK
      a@2 gets +QUEUED
    > after 10000 ms
      a@2 gets -EXECABORT Transaction discarded because of: LOADING there is no primary to execute this command; it was not executed, send it again
    > commit
      1 follows epoch 8
      2 leads epoch 8
    > a@2: MULTI | SET k w | EXEC
      a@2 gets +OK
      a@2 gets +QUEUED
      a@2 waits for batch 1
    > 2 closes
      2 proposes batch 1: put k "w"
    > commit
      2 is accepted up to 1
      a@2 gets Array([Simple("OK")])
    "#
    );
}

#[test]
fn a_request_that_cannot_be_sent_in_time_was_not_executed() {
    script!(
        r#"
    > a@2: SET k v
    > after 9999 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > after 1 ms
    > 2 ticks
      a@2 gets -LOADING there was no primary to execute this command in time; it was not executed
    > 2 forwards
    "#
    );
}

#[test]
fn a_command_behind_a_forwarded_one_keeps_its_place_when_the_node_becomes_primary() {
    script!(
        r#"
    > a@2: APPEND k 1
    > 2 sends
      2 asks 1 in epoch 5, 1: APPEND k 1
    > 1 releases
      1 proposes release behind batch 0
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > commit
      1 follows epoch 8
      2 leads epoch 8
    > a@2: APPEND k 2
    > a@2: GET k
    > 2 is served
      1 answers 2 1: refused
    > 2 receives
    > 2 forwards
      2 asks 2 in epoch 8, 1: APPEND k 1
    > 2 closes
      2 proposes batch 1: patch k at 0 "1", answered 1:1 ":1\r\n"
    > commit
      2 is accepted up to 1
    > 2 forwards
      2 answers 2 1: ":1\r\n"
      a@2 gets :1
      a@2 waits for batch 2
    > 2 closes
      2 proposes batch 2: patch k at 1 "2"
    > commit
      2 is accepted up to 2
      a@2 gets :2
      a@2 gets $"12"
    "#
    );
}

#[test]
fn a_forwarded_read_waits_for_the_lease_like_any_other() {
    script!(
        r#"
    > after 300 ms
    > a@2: GET k
    > 2 forwards
      2 asks 1 in epoch 5, 1: GET k
    > 1 closes
      1 proposes batch 1: 
    > commit
      1 is accepted up to 1
    > 2 forwards
      1 answers 2 1: "$-1\r\n"
      a@2 gets "$-1\r\n"
    "#
    );
}

#[test]
fn a_read_without_a_lease_is_not_put_off_by_what_comes_behind_it() {
    script!(
        r#"
    > after 300 ms
    > a@2: GET k
    > 2 forwards
      2 asks 1 in epoch 5, 1: GET k
    > 1 closes
      1 proposes batch 1: 
    > b@2: GET l
    > 2 forwards
      2 asks 1 in epoch 5, 2: GET l
    > commit
      1 is accepted up to 1
    > 2 forwards
      1 answers 2 1: "$-1\r\n"
      a@2 gets "$-1\r\n"
    > 1 closes
      1 proposes batch 2: 
    > commit
      1 is accepted up to 2
    > 2 forwards
      1 answers 2 2: "$-1\r\n"
      b@2 gets "$-1\r\n"
    "#
    );
}

#[test]
fn replies_that_a_client_does_not_want_are_dropped() {
    script!(
        r#"
    > a@2: CLIENT REPLY SKIP | SET k v | ECHO 1
      a@2 gets $"1"
    > 2 forwards
      2 asks 1 in epoch 5, 1: SET k v
    > 1 closes
      1 proposes batch 1: put k "v", answered 1:1 "+OK\r\n"
    > commit
      1 is accepted up to 1
    > 2 forwards
      1 answers 2 1: "+OK\r\n"
    > a@2: GET k | CLIENT REPLY OFF | GET k | CLIENT REPLY ON | ECHO 2
    > 2 forwards
      2 asks 1 in epoch 5, 2: GET k
      2 asks 1 in epoch 5, 3: GET k
      1 answers 2 2: "$1\r\nv\r\n"
      1 answers 2 3: "$1\r\nv\r\n"
      a@2 gets $"v"
      a@2 gets +OK
      a@2 gets $"2"
    "#
    );
}

#[test]
fn a_reply_speaks_the_protocol_of_its_request() {
    script!(
        r#"
    > a@2: GET absent | HELLO 3 | GET absent
    > 2 forwards
      2 asks 1 in epoch 5, 1: GET absent
      2 asks 1 in epoch 5, 2: GET absent
      1 answers 2 1: "$-1\r\n"
      1 answers 2 2: "_\r\n"
      a@2 gets "$-1\r\n"
      a@2 gets a map
      a@2 gets "_\r\n"
    "#
    );
}

#[test]
fn rights_are_checked_where_the_client_is() {
    script!(
        r#"
    > reader@2: SET k v
      reader@2 gets -NOPERM User reader has no permissions to run the 'set' command
    > reader@2: GET k
    > 2 forwards
      2 asks 1 in epoch 5, 1: GET k
      1 answers 2 1: "$-1\r\n"
      reader@2 gets "$-1\r\n"
    "#
    );
}

#[test]
fn a_client_that_leaves_ends_its_session_at_the_primary() {
    script!(
        r#"
    > a@2: WATCH k
    > 2 forwards
      2 asks 1 in epoch 5, 1: WATCH k
      1 answers 2 1: "+OK\r\n"
      a@2 gets +OK
    > a@2: RESET
      a@2 gets +RESET
    > 2 forwards
      2 asks 1 to forget session 1
    "#
    );
}
