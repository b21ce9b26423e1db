//! Commands that wait for a key: in order of arrival, across nodes, and through a change of the primary.

#[test]
fn who_came_first_is_served_first_whichever_node_it_is_at() {
    script!(
        r#"
    > agree
    > a@2: BLPOP q 0
    > 2 forwards
      2 asks 1 in epoch 5, 1: BLPOP q 0
    > b@1: BLPOP q 0
    > c@2: BLPOP q 0
    > 2 forwards
      2 asks 1 in epoch 5, 2: BLPOP q 0
    > d@1: RPUSH q 1 2
      b@1 waits for batch 1
      d@1 waits for batch 1
    > d@1: LLEN q
    > 1 closes
      1 proposes batch 1: change q Push { side: Right, elements: Words([1, 49, 1, 50]) }, change q Pop { side: Left, count: 1 }, answered 1:1 "*2\r\n$1\r\nq\r\n$1\r\n1\r\n", change q Pop { side: Left, count: 1 }
    > commit
      1 is accepted up to 1
      b@1 gets Array([Bulk([113]), Bulk([50])])
      d@1 gets :2
      d@1 gets :0
    > 2 forwards
      1 answers 2 1: "*2\r\n$1\r\nq\r\n$1\r\n1\r\n"
      a@2 gets Array([Bulk([113]), Bulk([49])])
    > d@1: RPUSH q 3
      d@1 waits for batch 2
    > 1 closes
      1 proposes batch 2: change q Push { side: Right, elements: Words([1, 51]) }, change q Pop { side: Left, count: 1 }, answered 2:2 "*2\r\n$1\r\nq\r\n$1\r\n3\r\n"
    > commit
      1 is accepted up to 2
      d@1 gets :1
    > 2 forwards
      1 answers 2 2: "*2\r\n$1\r\nq\r\n$1\r\n3\r\n"
      c@2 gets Array([Bulk([113]), Bulk([51])])
    "#
    );
}

#[test]
fn what_was_served_is_answered_by_the_next_primary_too() {
    script!(
        r#"
    > agree
    > a@2: BLPOP q 0
    > 2 forwards
      2 asks 1 in epoch 5, 1: BLPOP q 0
    > b@1: RPUSH q 1
      b@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: change q Push { side: Right, elements: Words([1, 49]) }, change q Pop { side: Left, count: 1 }, answered 1:1 "*2\r\n$1\r\nq\r\n$1\r\n1\r\n"
    > 2 loses its link
    > commit
      1 is accepted up to 1
      b@1 gets :1
    > 1 releases
      1 proposes release behind batch 1
    > commit
      1 has void batches 2 to 2
      1 is accepted up to 2
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 8
      a@2 gets Array([Bulk([113]), Bulk([49])])
    > commit
      1 follows epoch 10
      2 leads epoch 10
    "#
    );
}

#[test]
fn what_was_served_is_not_refused_by_a_primary_that_hands_over() {
    script!(
        r#"
    > agree
    > a@2: BLPOP q 0
    > 2 forwards
      2 asks 1 in epoch 5, 1: BLPOP q 0
    > b@1: RPUSH q 1 2
      b@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: change q Push { side: Right, elements: Words([1, 49, 1, 50]) }, change q Pop { side: Left, count: 1 }, answered 1:1 "*2\r\n$1\r\nq\r\n$1\r\n1\r\n"
    > 1 releases
      1 proposes release behind batch 1
    > 2 forwards
    > commit
      1 is accepted up to 1
      b@1 gets :2
    > 2 forwards
    > commit
      1 has void batches 2 to 2
      1 is accepted up to 2
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 8
      a@2 gets Array([Bulk([113]), Bulk([49])])
    "#
    );
}

#[test]
fn what_came_again_by_another_link_is_served_once() {
    script!(
        r#"
    > agree
    > a@2: BLPOP q 0
    > 2 forwards
      2 asks 1 in epoch 5, 1: BLPOP q 0
    > 2 loses its link unnoticed
    > 2 forwards
      2 asks 1 to resume sessions 1 from 1
      2 asks 1 in epoch 5, 1: BLPOP q 0
    > b@1: RPUSH q 1 2
      b@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: change q Push { side: Right, elements: Words([1, 49, 1, 50]) }, change q Pop { side: Left, count: 1 }, answered 1:1 "*2\r\n$1\r\nq\r\n$1\r\n1\r\n"
    > commit
      1 is accepted up to 1
      b@1 gets :2
    > 2 forwards
      1 answers 2 1: "*2\r\n$1\r\nq\r\n$1\r\n1\r\n"
      a@2 gets Array([Bulk([113]), Bulk([49])])
    > a@2: LLEN q | BLPOP other 0
    > 2 forwards
      2 asks 1 in epoch 5, 2: LLEN q
      2 asks 1 in epoch 5, 3: BLPOP other 0
      1 answers 2 2: ":1\r\n"
      a@2 gets :1
    > 2 forwards
    "#
    );
}

#[test]
fn who_was_not_served_waits_at_the_next_primary() {
    script!(
        r#"
    > agree
    > a@2: BLPOP q 0
    > b@1: BLPOP q 0
    > 2 forwards
      2 asks 1 in epoch 5, 1: BLPOP q 0
    > 1 releases
      1 proposes release behind batch 0
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > commit
      1 follows epoch 9
      2 leads epoch 9
    > 1 forwards
      1 asks 2 in epoch 9, 1: BLPOP q 0
    > c@2: RPUSH q 1 2
      c@2 waits for batch 1
    > 2 closes
      2 proposes batch 1: change q Push { side: Right, elements: Words([1, 49, 1, 50]) }, change q Pop { side: Left, count: 1 }, answered 1:1 "*2\r\n$1\r\nq\r\n$1\r\n1\r\n"
    > commit
      2 is accepted up to 1
      c@2 gets :2
    > 1 forwards
      2 answers 1 1: "*2\r\n$1\r\nq\r\n$1\r\n1\r\n"
      b@1 gets Array([Bulk([113]), Bulk([49])])
    "#
    );
}

#[test]
fn a_served_element_that_the_log_does_not_take_is_not_gone() {
    script!(
        r#"
    > agree
    > a@1: RPUSH other x
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: change other Push { side: Right, elements: Words([1, 120]) }
    > commit
      1 is accepted up to 1
      a@1 gets :1
    > a@1: BLPOP q 0
    > b@1: RPUSH q 1
      a@1 waits for batch 2
      b@1 waits for batch 2
    > 1 hears nothing
    > 1 closes
      1 proposes batch 2: change q Push { side: Right, elements: Words([1, 49]) }, change q Pop { side: Left, count: 1 }
    > 2 ticks
    > after 1000 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 8
    > last first
    > commit
      2 leads epoch 9
    > commit
    > 1 hears all
      1 has void batches 2 to 3
      1 is accepted up to 3
      1 is deposed by epoch 9
      1 proposes hello of node-1
      a@1 gets -LOADING another primary took over before this command was on disk; it has no effect
      b@1 gets -LOADING another primary took over before this command was on disk; it has no effect
    > 1 forwards
    > c@2: LRANGE q 0 -1
      c@2 gets Array([])
    "#
    );
}

#[test]
fn whoever_leaves_takes_nothing() {
    script!(
        r#"
    > agree
    > a@2: BLPOP q 0
    > b@1: BLPOP q 0
    > 2 forwards
      2 asks 1 in epoch 5, 1: BLPOP q 0
    > a@2 leaves
    > 2 forwards
      2 asks 1 to forget session 1
    > b@1 leaves
    > c@1: RPUSH q 1
      c@1 waits for batch 1
    > c@1: LLEN q
    > 1 closes
      1 proposes batch 1: change q Push { side: Right, elements: Words([1, 49]) }
    > commit
      1 is accepted up to 1
      c@1 gets :1
      c@1 gets :1
    "#
    );
}

#[test]
fn time_ends_and_types_are_looked_at() {
    script!(
        r#"
    > agree
    > a@1: BLPOP q 2
    > b@1: BZPOPMIN q 0
    > c@1: SET q text
      c@1 waits for batch 1
    > c@1: DEL q
    > c@1: ZADD q 1 m
      b@1 waits for batch 1
    > after 1999 ms
    > after 1 ms
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put q "text", delete q, change q Rank(Words([9, 191, 240, 0, 0, 0, 0, 0, 0, 109])), change q Unrank(Words([1, 109]))
    > commit
      1 is accepted up to 1
      a@1 gets "*-1\r\n"
      b@1 gets Array([Bulk([113]), Bulk([109]), Bulk([49])])
      c@1 gets +OK
      c@1 gets :1
      c@1 gets :1
    "#
    );
}

#[test]
fn moves_serve_whoever_waits_for_what_is_moved() {
    script!(
        r#"
    > agree
    > a@1: BLMOVE q r LEFT RIGHT 0
    > b@1: BLPOP r 0
    > c@1: MULTI | RPUSH q 1 | RPUSH q 2 | LLEN q | EXEC
      a@1 waits for batch 1
      b@1 waits for batch 1
      c@1 gets +OK
      c@1 gets +QUEUED
      c@1 gets +QUEUED
      c@1 gets +QUEUED
      c@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: change q Push { side: Right, elements: Words([1, 49]) }, change q Push { side: Right, elements: Words([1, 50]) }, change r Push { side: Right, elements: Words([1, 49]) }, change q Pop { side: Left, count: 1 }, change r Pop { side: Left, count: 1 }
    > commit
      1 is accepted up to 1
      a@1 gets $"1"
      b@1 gets Array([Bulk([114]), Bulk([49])])
      c@1 gets Array([Int(1), Int(2), Int(2)])
    > c@1: LLEN q
      c@1 gets :1
    "#
    );
}

#[test]
fn in_a_transaction_nobody_waits() {
    script!(
        r#"
    > agree
    > a@1: MULTI | BLPOP q 0 | BLMOVE q r LEFT LEFT 0 | BZPOPMIN q 0 | EXEC
      a@1 gets +OK
      a@1 gets +QUEUED
      a@1 gets +QUEUED
      a@1 gets +QUEUED
      a@1 gets Array([Null, Null, Null])
    "#
    );
}

#[test]
fn another_session_ends_the_waiting() {
    script!(
        r#"
    > agree
    > a@1: BLPOP q 0
    > b@1: BLPOP q 0
    > c@1: CLIENT UNBLOCK 1
      a@1 gets "*-1\r\n"
      c@1 gets :1
    > c@1: CLIENT UNBLOCK 2 ERROR
      b@1 gets -UNBLOCKED client unblocked via CLIENT UNBLOCK
      c@1 gets :1
    > c@1: CLIENT UNBLOCK 3
      c@1 gets :0
    "#
    );
}

/// Also where its connection has not heard of it: nothing is taken for somebody who is not there.
#[test]
fn who_was_killed_takes_nothing() {
    script!(
        r#"
    > agree
    > a@1: BLPOP q 0
    > b@1: CLIENT KILL ID 1 | RPUSH q x | LLEN q
      a@1 is closed
      b@1 gets :1
      b@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: change q Push { side: Right, elements: Words([1, 120]) }
    > commit
      1 is accepted up to 1
      b@1 gets :1
      b@1 gets :1
    "#
    );
}

#[test]
fn who_reads_for_a_group_hears_that_the_database_was_emptied() {
    script!(
        r#"
    > agree
    > b@1: XGROUP CREATE s g $ MKSTREAM
      b@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: change s PutGroup { group: [103], last: StreamId { ms: 0, seq: 0 }, read: None }
    > commit
      1 is accepted up to 1
      b@1 gets +OK
    > a@1: XREADGROUP GROUP g c BLOCK 0 STREAMS s >
    > 1 closes
      1 proposes batch 2: change s PutConsumer { group: [103], consumer: [99], seen: 1700000000000, active: None }
    > commit
      1 is accepted up to 2
    > b@1: FLUSHDB
      a@1 waits for batch 3
      b@1 waits for batch 3
    > 1 closes
      1 proposes batch 3: flush 0
    > commit
      1 is accepted up to 3
      a@1 gets -NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option
      b@1 gets +OK
    "#
    );
}

#[test]
fn a_move_that_waited_in_vain_answers_a_null_array() {
    script!(
        r#"
    > agree
    > a@1: BLMOVE q r LEFT LEFT 0.01 | BRPOPLPUSH q r 0
    > after 20 ms
      a@1 gets "*-1\r\n"
    > b@1: CLIENT UNBLOCK 1
      a@1 gets "*-1\r\n"
      b@1 gets :1
    "#
    );
}

#[test]
fn who_hands_over_serves_nobody_any_more() {
    script!(
        r#"
    > agree
    > a@1: BLPOP q 0
    > b@1: MULTI | RPUSH q 1 | CLIENT PAUSE 1000 WRITE | EXEC
      b@1 gets +OK
      b@1 gets +QUEUED
      b@1 gets +QUEUED
      b@1 waits for batch 1
    > 1 releases
      1 proposes batch 1: change q Push { side: Right, elements: Words([1, 49]) }
      1 proposes release behind batch 1
    > after 2000 ms
    > 1 ticks
    > 1 closes
    > commit
      1 is accepted up to 1
      b@1 gets Array([Int(1), Simple("OK")])
    > commit
      1 has void batches 2 to 2
      1 is accepted up to 2
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 8
    > commit
      1 follows epoch 10
      2 leads epoch 10
    > 1 forwards
      1 asks 2 in epoch 10, 1: BLPOP q 0
    > 2 closes
      2 proposes batch 1: change q Pop { side: Left, count: 1 }, answered 1:1 "*2\r\n$1\r\nq\r\n$1\r\n1\r\n"
    > commit
      2 is accepted up to 1
    > 1 forwards
      2 answers 1 1: "*2\r\n$1\r\nq\r\n$1\r\n1\r\n"
      a@1 gets Array([Bulk([113]), Bulk([49])])
    "#
    );
}
