//! `ALL` and `WAIT`, at the primary and through a standby.

#[test]
fn a_standbys_command_at_all_is_answered_when_the_primary_has_heard_of_everybody() {
    script!(
        r#"
    > a@2: CONSISTENCY ALL SET k v
    > 2 forwards
      2 asks 1 in epoch 5, 1: SET k v
    > 1 closes
      1 proposes batch 1: put k "v", answered 1:1 "+OK\r\n"
    > commit
      1 is accepted up to 1
    > 2 forwards
    > 1 hears that 2 has it
    > 2 forwards
    > 1 hears that all have it
    > 2 forwards
      1 answers 2 1: "+OK\r\n"
      a@2 gets +OK
    > a@2: CONSISTENCY ALL GET k
    > 2 forwards
      2 asks 1 in epoch 5, 2: GET k
      1 answers 2 2: "$1\r\nv\r\n"
      a@2 gets $"v"
    "#
    );
}

#[test]
fn an_error_that_changed_nothing_waits_for_nobody() {
    script!(
        r#"
    > a@2: CONSISTENCY ALL SET k v | CONSISTENCY ALL INCR k
    > 2 forwards
      2 asks 1 in epoch 5, 1: SET k v
      2 asks 1 in epoch 5, 2: INCR k
    > 1 closes
      1 proposes batch 1: put k "v", answered 1:1 "+OK\r\n"
    > commit
      1 is accepted up to 1
    > 2 forwards
      1 answers 2 2: "-ERR value is not an integer or out of range\r\n"
    "#
    );
}

#[test]
fn what_is_not_everywhere_in_time_is_said_to_be_durable_only() {
    script!(
        r#"
    > a@2: CONSISTENCY ALL SET k v | SET l w
    > 2 forwards
      2 asks 1 in epoch 5, 1: SET k v
      2 asks 1 in epoch 5, 2: SET l w
    > after 4000 ms
    > 1 closes
      1 proposes batch 1: put k "v", answered 1:1 "+OK\r\n", put l "w", answered 1:2 "+OK\r\n"
    > commit
      1 is accepted up to 1
    > 2 forwards
      1 answers 2 2: "+OK\r\n"
    > after 1000 ms
    > 2 forwards
      1 answers 2 1: "-NOQUORUM on disk at a majority of Keepers, but not at every Keeper and Core within the level timeout\r\n"
      a@2 gets -NOQUORUM on disk at a majority of Keepers, but not at every Keeper and Core within the level timeout
      a@2 gets +OK
    > b@2: CONSISTENCY ALL SET k x
    > 2 forwards
      2 asks 1 in epoch 5, 3: SET k x
    > 1 closes
      1 proposes batch 2: put k "x", answered 2:3 "+OK\r\n"
    > after 5000 ms
    > 2 forwards
      1 answers 2 3: "-UNCERTAIN executed, but not on disk at a majority of Keepers within the level timeout; it may or may not last\r\n"
      b@2 gets -UNCERTAIN executed, but not on disk at a majority of Keepers within the level timeout; it may or may not last
    "#
    );
}

#[test]
fn without_a_primary_it_is_known_to_be_durable() {
    script!(
        r#"
    > a@2: CONSISTENCY ALL INCR n
    > 2 sends
      2 asks 1 in epoch 5, 1: INCR n
    > 2 is served
    > b@2: CONSISTENCY ALL INCR n
    > 2 sends
      2 asks 1 in epoch 5, 2: INCR n
    > 1 closes
      1 proposes batch 1: put n "1", answered 1:1 ":1\r\n"
    > commit
      1 is accepted up to 1
    > 1 releases
      1 proposes release behind batch 1
    > commit
      1 has void batches 2 to 2
      1 is accepted up to 2
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 7
    > after 10000 ms
    > 2 ticks
      a@2 gets -NOQUORUM on disk at a majority of Keepers, but not at every Keeper and Core within the level timeout
      b@2 gets -LOADING there was no primary to execute this command in time; it was not executed
    "#
    );
}

/// What it holds was acknowledged in an earlier epoch, and nobody has said yet who has it.
#[test]
fn a_new_primary_asks_before_it_answers_a_read_at_all() {
    script!(
        r#"
    > 1 releases
      1 proposes release behind batch 0
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > 2 ticks
    > commit
      1 follows epoch 8
      2 leads epoch 8
    > a@2: CONSISTENCY ALL GET k
      a@2 waits for batch 0
    > 2 hears that all have it
      a@2 gets "$-1\r\n"
    "#
    );
}

#[test]
fn wait_counts_the_other_cores_that_have_what_was_written() {
    script!(
        r#"
    > a@1: SET k v | WAIT 1 1000 | GET k
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put k "v"
    > commit
      1 is accepted up to 1
      a@1 gets +OK
    > 1 hears that 1 has it
    > 1 hears that 2 has it
      a@1 gets :1
      a@1 gets $"v"
    > a@1: WAIT 0 0 | WAIT 2 1000
      a@1 gets :1
    > b@1: PING
      b@1 gets +PONG
    > after 999 ms
    > after 1 ms
      a@1 gets :1
    > a@1: CLIENT CONSISTENCY EVENTUAL | MULTI | WAIT 5 0 | EXEC
      a@1 gets +OK
      a@1 gets +OK
      a@1 gets +QUEUED
      a@1 gets Array([Int(1)])
    "#
    );
}

#[test]
fn a_standbys_wait_counts_at_the_primary_and_holds_up_nobody_else() {
    script!(
        r#"
    > a@2: CONSISTENCY EVENTUAL SET k v | WAIT 1 1000 | SET k w
    > 2 forwards
      2 asks 1 in epoch 5, 1: SET k v
      2 asks 1 in epoch 5, 2: WAIT 1 1000
      2 asks 1 in epoch 5, 3: SET k w
      1 answers 2 1: "+OK\r\n"
      a@2 gets +OK
    > b@2: CONSISTENCY EVENTUAL SET l v
    > 2 forwards
      2 asks 1 in epoch 5, 4: SET l v
      1 answers 2 4: "+OK\r\n"
      b@2 gets +OK
    > 1 closes
      1 proposes batch 1: put k "v", answered 1:1 "+OK\r\n", put l "v", answered 2:4 "+OK\r\n"
    > commit
      1 is accepted up to 1
    > 2 forwards
    > 1 hears that 2 has it
    > 2 forwards
      1 answers 2 2: ":1\r\n"
      a@2 gets :1
    > 1 closes
      1 proposes batch 2: put k "w", answered 1:2 ":1\r\n", answered 1:3 "+OK\r\n"
    > commit
      1 is accepted up to 2
    > 2 forwards
      1 answers 2 3: "+OK\r\n"
      a@2 gets +OK
    > a@2: WAIT 7 200
    > 2 forwards
      2 asks 1 in epoch 5, 5: WAIT 7 200
    > after 200 ms
    > 2 forwards
      1 answers 2 5: ":0\r\n"
      a@2 gets :0
    "#
    );
}

#[test]
fn waitaof_counts_keepers() {
    script!(
        r#"
    > a@1: SET k v | WAITAOF 1 0 0
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put k "v"
    > commit
      1 is accepted up to 1
      a@1 gets +OK
      a@1 gets Array([Int(1), Int(0)])
    > a@1: WAITAOF 0 1 100
    > after 100 ms
      a@1 gets Array([Int(1), Int(0)])
    > a@1: WAITAOF 2 0 0 | WAITAOF 1 0 -1 | WAIT x 0
      a@1 gets -ERR value is out of range, must be between 0 and 1
      a@1 gets -ERR timeout is negative
      a@1 gets -ERR value is not an integer or out of range
    "#
    );
}

/// What a connection had executed at `EVENTUAL` may be gone with the primary: then nobody is counted, once.
#[test]
fn wait_counts_nobody_for_what_may_have_been_lost_with_a_primary() {
    script!(
        r#"
    > a@2: CONSISTENCY EVENTUAL SET k v
    > 2 forwards
      2 asks 1 in epoch 5, 1: SET k v
      1 answers 2 1: "+OK\r\n"
      a@2 gets +OK
    > b@1: CONSISTENCY EVENTUAL SET l w
      b@1 gets +OK
    > 1 releases
      1 proposes batch 1: put k "v", answered 1:1 "+OK\r\n", put l "w"
      1 proposes release behind batch 1
    > commit
      1 is accepted up to 1
    > commit
      1 has void batches 2 to 2
      1 is accepted up to 2
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 7
    > 2 ticks
    > commit
      1 follows epoch 9
      2 leads epoch 9
    > a@2: WAITAOF 0 0 1 | WAITAOF 0 0 1
      a@2 gets Array([Int(0), Int(0)])
      a@2 gets Array([Int(1), Int(0)])
    > b@1: WAITAOF 0 0 1 | WAITAOF 0 0 1
    > 1 forwards
      1 asks 2 in epoch 9, 1: WAITAOF 0 0 1
      1 asks 2 in epoch 9, 2: WAITAOF 0 0 1
      2 answers 1 1: "*2\r\n:0\r\n:0\r\n"
      2 answers 1 2: "*2\r\n:1\r\n:0\r\n"
      b@1 gets Array([Int(0), Int(0)])
      b@1 gets Array([Int(1), Int(0)])
    "#
    );
}

/// A command at `ALL` waits, and what stands behind it in the pipeline is executed before that is over. If the primary goes,
/// both are executed anew: else the second one would have been executed before the first.
#[test]
fn a_pipeline_is_executed_in_its_order_though_the_primary_goes_in_between() {
    script!(
        r#"
    > a@2: CONSISTENCY ALL GET k | EXISTS l
    > 2 forwards
      2 asks 1 in epoch 5, 1: GET k
      2 asks 1 in epoch 5, 2: EXISTS l
      1 answers 2 2: ":0\r\n"
    > b@1: SET l w
      b@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put l "w"
    > commit
      1 is accepted up to 1
      b@1 gets +OK
    > 1 releases
      1 proposes release behind batch 1
    > commit
      1 has void batches 2 to 2
      1 is accepted up to 2
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 7
    > commit
      1 follows epoch 9
      2 leads epoch 9
    > 2 loses its link
    > 2 forwards
      2 asks 2 in epoch 9, 1: GET k
      2 asks 2 in epoch 9, 2: EXISTS l
      2 answers 2 2: ":1\r\n"
    "#
    );
}
