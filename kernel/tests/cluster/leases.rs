//! Who may be primary, and for how long it answers reads on its own word (PROTOCOL rules 1 to 5).

#[test]
fn a_standby_claims_only_after_it_has_waited() {
    script!(
        r#"
    > 1 is what?
      primary with a lease of epoch 5
    > 2 ticks
    > after 299 ms
    > 1 is what?
      primary with a lease of epoch 5
    > after 1 ms
    > 1 is what?
      primary of epoch 5
    > after 7 ms
    > 2 ticks
    > after 1 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 follows epoch 7
      2 leads epoch 7
    > 2 is what?
      primary with a lease of epoch 7
    "#
    );
}

#[test]
fn the_wait_begins_with_the_newest_renewal_however_late_it_is_heard_of() {
    script!(
        r#"
    > after 100 ms
    > 2 hears nothing
    > 1 renews
    > commit
    > after 200 ms
    > 2 hears all
    > after 107 ms
    > 2 ticks
    > after 1 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 7
    "#
    );
}

#[test]
fn a_claim_that_missed_a_renewal_is_fenced_and_its_sender_waits_anew() {
    script!(
        r#"
    > after 308 ms
    > 1 renews
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > commit
    > commit
    > 2 is what?
      standby of epoch 5
    > 1 is what?
      primary with a lease of epoch 5
    > after 307 ms
    > 2 ticks
    > after 1 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 7
    "#
    );
}

#[test]
fn a_claim_that_missed_a_batch_is_fenced_too() {
    script!(
        r#"
    > a@1: SET k v
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put k "v"
    > after 308 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > commit
      1 is accepted up to 1
      a@1 gets +OK
    > commit
    > 2 resends
    > 1 is what?
      primary of epoch 5
    "#
    );
}

#[test]
fn a_claim_that_was_lost_is_sent_again_unless_something_has_overtaken_it() {
    script!(
        r#"
    > after 308 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > lose
    > 2 resends
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > lose
    > 1 renews
    > commit
    > 2 resends
    > after 308 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 7
    "#
    );
}

#[test]
fn a_core_does_not_adopt_a_claim_of_its_earlier_life() {
    script!(
        r#"
    > after 308 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > 2 restarts
      2 proposes hello of node-2
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 follows epoch 7
    > 1 is what?
      standby of epoch 7
    > 2 is what?
      recovering of epoch 7
    > commit
    > 2 is what?
      standby of epoch 7
    > after 307 ms
    > 2 ticks
    > 1 ticks
    > after 1 ms
    > 2 ticks
      2 proposes claim of life 8 after epoch 7, renewed at 7
    > commit
      1 follows epoch 9
      2 leads epoch 9
    > 2 is what?
      primary with a lease of epoch 9
    "#
    );
}

#[test]
fn a_hello_that_was_sent_twice_begins_one_life() {
    script!(
        r#"
    > 2 restarts
      2 proposes hello of node-2
    > 2 resends
      2 proposes hello of node-2
    > commit
    > commit
    > 1 releases
      1 proposes release behind batch 0
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 follows epoch 5
      2 proposes claim of life 7 after epoch 5, renewed at 5
    > commit
      1 follows epoch 10
      2 leads epoch 10
    > a@1: PING | SET k v
      a@1 gets +PONG
    > 1 sends
      1 asks 2 in epoch 10, 1: SET k v
    "#
    );
}

#[test]
fn a_renewal_counts_from_its_first_sending() {
    script!(
        r#"
    > after 100 ms
    > 1 renews
    > after 190 ms
    > commit
    > after 109 ms
    > 1 is what?
      primary with a lease of epoch 5
    > a@1: GET k
      a@1 gets "$-1\r\n"
    > after 1 ms
    > 1 is what?
      primary of epoch 5
    > a@1: GET k
      a@1 waits for batch 1
    "#
    );
}

#[test]
fn a_batch_that_is_sent_again_counts_from_its_first_sending() {
    script!(
        r#"
    > after 100 ms
    > a@1: SET k v
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put k "v"
    > after 150 ms
    > 1 resends
      1 proposes batch 1: put k "v"
    > commit
      1 is accepted up to 1
      a@1 gets +OK
    > commit
    > after 149 ms
    > a@1: GET k
      a@1 gets $"v"
    > after 1 ms
    > a@1: GET k
      a@1 waits for batch 2
    "#
    );
}

#[test]
fn renewals_are_sent_a_few_times_a_lease() {
    script!(
        r#"
    > 1 renews
    > 1 renews
    > commit
    > after 74 ms
    > 1 renews
    > after 1 ms
    > 1 renews
    > commit
    "#
    );
}

#[test]
fn a_renewal_that_overtakes_another_one_leaves_it_without_worth() {
    script!(
        r#"
    > after 100 ms
    > 1 renews
    > after 100 ms
    > 1 renews
    > last first
    > commit
    > commit
    > after 299 ms
    > a@1: GET k
      a@1 gets "$-1\r\n"
    > after 1 ms
    > a@1: GET k
      a@1 waits for batch 1
    "#
    );
}

/// Batch 1 was sent before the read: that it is accepted says nothing about who is primary now.
#[test]
fn without_a_lease_a_quorum_read_waits_for_what_is_sent_later() {
    script!(
        r#"
    > a@1: SET other v
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put other "v"
    > after 300 ms
    > b@1: GET k
      b@1 waits for batch 2
    > c@1: CONSISTENCY EVENTUAL GET k
      c@1 gets "$-1\r\n"
    > d@1: SET k v
      d@1 waits for batch 2
    > commit
      1 is accepted up to 1
      a@1 gets +OK
    > 1 closes
      1 proposes batch 2: put k "v"
    > commit
      1 is accepted up to 2
      b@1 gets "$-1\r\n"
      d@1 gets +OK
    "#
    );
}

#[test]
fn without_a_lease_reads_that_arrive_together_wait_and_are_told_one_by_one_that_they_waited_in_vain() {
    script!(
        r#"
    > after 300 ms
    > a@1: GET k | PING | CONSISTENCY EVENTUAL SET x y | GET l | GET m
      a@1 waits for batch 1
    > after 5000 ms
      a@1 gets -UNCERTAIN executed, but not on disk at a majority of Keepers within the level timeout; it may or may not last
      a@1 gets +PONG
      a@1 gets +OK
      a@1 gets -UNCERTAIN executed, but not on disk at a majority of Keepers within the level timeout; it may or may not last
      a@1 gets -UNCERTAIN executed, but not on disk at a majority of Keepers within the level timeout; it may or may not last
    "#
    );
}

#[test]
fn a_read_that_waits_has_a_batch_sent_for_it_though_nothing_changed() {
    script!(
        r#"
    > after 300 ms
    > a@1: GET k
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: 
    > commit
      1 is accepted up to 1
      a@1 gets "$-1\r\n"
    > a@1: GET k
      a@1 gets "$-1\r\n"
    "#
    );
}

#[test]
fn a_failed_write_is_a_read_and_needs_the_lease() {
    script!(
        r#"
    > a@1: SET k text
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put k "text"
    > commit
      1 is accepted up to 1
      a@1 gets +OK
    > after 300 ms
    > a@1: INCR k
      a@1 waits for batch 2
    > b@1: SETNX k v
      b@1 waits for batch 2
    > 1 closes
      1 proposes batch 2: 
    > commit
      1 is accepted up to 2
      a@1 gets -ERR value is not an integer or out of range
      b@1 gets :0
    "#
    );
}

#[test]
fn after_a_release_nothing_is_executed_or_read_and_the_other_one_claims_at_once() {
    script!(
        r#"
    > a@1: SET k v
      a@1 waits for batch 1
    > 1 releases
      1 proposes batch 1: put k "v"
      1 proposes release behind batch 1
    > commit
      1 is accepted up to 1
      a@1 gets +OK
    > b@1: GET k
    > c@1: SET k w
    > d@1: CONSISTENCY EVENTUAL GET k
      d@1 gets $"v"
    > 1 is what?
      primary of epoch 5
    > commit
      1 has void batches 2 to 2
      1 is accepted up to 2
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 7
    > 1 is what?
      standby of epoch 5
    > commit
      1 follows epoch 9
      2 leads epoch 9
    > 1 is what?
      standby of epoch 9
    > 2 is what?
      primary with a lease of epoch 9
    > 1 forwards
      1 asks 2 in epoch 9, 1: GET k
      1 asks 2 in epoch 9, 2: SET k w
      2 answers 1 1: "$1\r\nv\r\n"
      b@1 gets $"v"
    > 2 closes
      2 proposes batch 1: put k "w", answered 3:2 "+OK\r\n"
    > commit
      2 is accepted up to 1
    > 1 forwards
      2 answers 1 2: "+OK\r\n"
      c@1 gets +OK
    "#
    );
}

#[test]
fn who_has_released_leaves_it_to_the_others_for_a_while() {
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
    > 1 ticks
    > after 307 ms
    > 1 ticks
    > after 1 ms
    > 1 ticks
      1 proposes claim of life 4 after epoch 5, renewed at 5
    "#
    );
}

#[test]
fn a_release_waits_for_its_turn_and_is_sent_again() {
    script!(
        r#"
    > a@1: SET k v
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put k "v"
    > 1 releases
      1 proposes release behind batch 1
    > lose
    > commit
    > 1 resends
      1 proposes batch 1: put k "v"
      1 proposes release behind batch 1
    > commit
      1 is accepted up to 1
      a@1 gets +OK
    > commit
      1 has void batches 2 to 2
      1 is accepted up to 2
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 8
    > commit
      1 follows epoch 10
      2 leads epoch 10
    "#
    );
}

#[test]
fn who_is_deposed_answers_what_was_accepted_and_says_of_the_rest_that_it_has_no_effect() {
    script!(
        r#"
    > a@1: SET a 1
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put a "1"
    > b@1: SET b 1
      b@1 waits for batch 2
    > 1 closes
      1 proposes batch 2: put b "1"
    > c@1: SET c 1
      c@1 waits for batch 3
    > d@1: GET c
      d@1 waits for batch 3
    > e@1: CONSISTENCY EVENTUAL SET e 1
      e@1 gets +OK
    > after 308 ms
    > commit
      1 is accepted up to 1
      a@1 gets +OK
    > lose
    > 1 closes
      1 proposes batch 3: put c "1", put e "1"
    > after 308 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 7
    > last first
    > commit
      1 has void batches 2 to 4
      1 is accepted up to 4
      1 is deposed by epoch 8
      1 proposes hello of node-1
      2 leads epoch 8
      b@1 gets -LOADING another primary took over before this command was on disk; it has no effect
      c@1 gets -LOADING another primary took over before this command was on disk; it has no effect
      d@1 gets -LOADING another primary took over before this command was on disk; it has no effect
    > commit
    > commit
    > 1 is what?
      standby of epoch 8
    > d@1: CONSISTENCY EVENTUAL GET c
      d@1 gets "$-1\r\n"
    > d@1: CONSISTENCY EVENTUAL GET a
      d@1 gets $"1"
    "#
    );
}

#[test]
fn who_is_deposed_with_nothing_open_keeps_its_memory() {
    script!(
        r#"
    > a@1: SET k v
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put k "v"
    > commit
      1 is accepted up to 1
      a@1 gets +OK
    > after 308 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 7
    > commit
      1 has void batches 2 to 2
      1 is accepted up to 2
      1 follows epoch 8
      2 leads epoch 8
    > 1 is what?
      standby of epoch 8
    > b@1: CONSISTENCY EVENTUAL GET k
      b@1 gets $"v"
    "#
    );
}

#[test]
fn a_read_that_waits_when_its_core_is_deposed_is_void() {
    script!(
        r#"
    > after 308 ms
    > a@1: GET k
      a@1 waits for batch 1
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 follows epoch 7
      2 leads epoch 7
      a@1 gets -LOADING another primary took over before this command was on disk; it has no effect
    "#
    );
}

#[test]
fn a_core_that_is_primary_again_counts_its_batches_on() {
    script!(
        r#"
    > a@1: SET k 1
      a@1 waits for batch 1
    > 1 releases
      1 proposes batch 1: put k "1"
      1 proposes release behind batch 1
    > commit
      1 is accepted up to 1
      a@1 gets +OK
    > commit
      1 has void batches 2 to 2
      1 is accepted up to 2
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 7
    > commit
      1 follows epoch 9
      2 leads epoch 9
    > 2 releases
      2 proposes release behind batch 0
    > commit
      1 proposes claim of life 4 after epoch 9, renewed at 9
      2 has void batches 1 to 1
      2 is accepted up to 1
      2 follows epoch 9
    > commit
      1 leads epoch 11
      2 follows epoch 11
    > 1 is what?
      primary with a lease of epoch 11
    > a@1: SET k 3
      a@1 waits for batch 3
    > 1 closes
      1 proposes batch 1: put k "3"
    > commit
      1 is accepted up to 3
      a@1 gets +OK
    "#
    );
}

#[test]
fn an_expired_key_is_absent_on_a_standby_and_stays_for_the_primary_to_delete() {
    script!(
        r#"
    > a@1: SET k v PX 100
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put k "v" until 1700000000100
    > commit
      1 is accepted up to 1
      a@1 gets +OK
    > b@2: CONSISTENCY EVENTUAL GET k
      b@2 gets $"v"
    > after 100 ms
    > b@2: CONSISTENCY EVENTUAL GET k
      b@2 gets "$-1\r\n"
    > b@2: CONSISTENCY EVENTUAL EXISTS k
      b@2 gets :0
    > 2 closes
    > a@1: GET k
      a@1 waits for batch 2
    > 1 closes
      1 proposes batch 2: delete k
    > commit
      1 is accepted up to 2
      a@1 gets "$-1\r\n"
    "#
    );
}
