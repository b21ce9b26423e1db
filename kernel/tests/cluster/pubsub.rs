//! What is published, and who hears it at other nodes.

macro_rules! script {
    ($script:literal) => {
        insta::assert_snapshot!(crate::script::play_among(3, $script), @$script)
    };
}

#[test]
fn everybody_hears_what_is_published_anywhere_and_each_once() {
    script!(
        r#"
    > a@1: HELLO 3 | SUBSCRIBE c
      a@1 gets a map
      a@1 gets >$"subscribe" $"c" :1
    > b@2: HELLO 3 | SUBSCRIBE c
      b@2 gets a map
      b@2 gets >$"subscribe" $"c" :1
    > c@3: HELLO 3 | PSUBSCRIBE c*
      c@3 gets a map
      c@3 gets >$"psubscribe" $"c*" :1
    > 2 exchanges
    > 3 exchanges
    > p@2: PUBLISH c one | PUBLISH c two
      b@2 gets >$"message" $"c" $"one"
      b@2 gets >$"message" $"c" $"two"
      p@2 gets :1
      p@2 gets :1
    > 2 exchanges
      a@1 gets >$"message" $"c" $"one"
      a@1 gets >$"message" $"c" $"two"
    > 3 exchanges
      c@3 gets >$"pmessage" $"c*" $"c" $"one"
      c@3 gets >$"pmessage" $"c*" $"c" $"two"
    > p@1: PUBLISH c three
      a@1 gets >$"message" $"c" $"three"
      p@1 gets :1
    > 2 exchanges
      b@2 gets >$"message" $"c" $"three"
    > 3 exchanges
      c@3 gets >$"pmessage" $"c*" $"c" $"three"
    > p@3: SPUBLISH c shard | PUBSUB NUMPAT
      p@3 gets :0
      p@3 gets :1
    > 3 exchanges
    > 2 exchanges
    "#
    );
}

#[test]
fn what_is_published_without_a_primary_waits_for_one_and_not_for_ever() {
    script!(
        r#"
    > a@1: HELLO 3 | SUBSCRIBE c
      a@1 gets a map
      a@1 gets >$"subscribe" $"c" :1
    > b@2: HELLO 3 | SUBSCRIBE c
      b@2 gets a map
      b@2 gets >$"subscribe" $"c" :1
    > p@3: PUBLISH c late
      p@3 gets :0
    > after 400 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 follows epoch 8
      2 leads epoch 8
      3 follows epoch 8
    > 1 exchanges
    > 3 exchanges
      b@2 gets >$"message" $"c" $"late"
    > 1 exchanges
      a@1 gets >$"message" $"c" $"late"
    > p@3: PUBLISH c too-late
      p@3 gets :0
    > after 10000 ms
    > 3 ticks
      3 proposes claim of life 7 after epoch 8, renewed at 8
    > 3 exchanges
    > p@3: PUBLISH c in-time
      p@3 gets :0
    > 3 exchanges
      b@2 gets >$"message" $"c" $"in-time"
    "#
    );
}

/// Else what it has passed on could come behind what came later by another one.
#[test]
fn who_is_primary_no_more_passes_nothing_on() {
    script!(
        r#"
    > a@1: HELLO 3 | SUBSCRIBE c
      a@1 gets a map
      a@1 gets >$"subscribe" $"c" :1
    > 3 exchanges
    > p@3: PUBLISH c early
      p@3 gets :0
    > 3 posts
    > after 400 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 follows epoch 8
      2 leads epoch 8
      3 follows epoch 8
    > 3 is passed on
    > p@3: PUBLISH c later
      p@3 gets :0
    > 3 exchanges
    > 3 exchanges
    > 1 exchanges
    > p@3: PUBLISH c last
      p@3 gets :0
    > 3 exchanges
    > 1 exchanges
      a@1 gets >$"message" $"c" $"last"
    "#
    );
}

#[test]
fn a_change_is_told_of_when_it_is_accepted_and_to_all_if_one_wants_it() {
    script!(
        r#"
    > a@2: CONFIG SET notify-keyspace-events KEA | HELLO 3 | PSUBSCRIBE __key*
      a@2 gets +OK
      a@2 gets a map
      a@2 gets >$"psubscribe" $"__key*" :1
    > 2 exchanges
    > b@1: SET k v EX 1 | DEL k
      b@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put k "v" until 1700000001000, delete k
    > 2 exchanges
    > commit
      1 is accepted up to 1
      b@1 gets +OK
      b@1 gets :1
    > 2 exchanges
      a@2 gets >$"pmessage" $"__key*" $"__keyspace@0__:k" $"set"
      a@2 gets >$"pmessage" $"__key*" $"__keyevent@0__:set" $"k"
      a@2 gets >$"pmessage" $"__key*" $"__keyspace@0__:k" $"expire"
      a@2 gets >$"pmessage" $"__key*" $"__keyevent@0__:expire" $"k"
      a@2 gets >$"pmessage" $"__key*" $"__keyspace@0__:k" $"del"
      a@2 gets >$"pmessage" $"__key*" $"__keyevent@0__:del" $"k"
    > b@1: SET void w
      b@1 waits for batch 2
    > after 400 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 8
    > commit
      1 has void batches 2 to 2
      1 is accepted up to 2
      1 is deposed by epoch 9
      1 proposes hello of node-1
      2 leads epoch 9
      3 follows epoch 9
      b@1 gets -LOADING another primary took over before this command was on disk; it has no effect
    > 1 exchanges
    > a@2: GET void | SET k v PX 10
      a@2 gets "_\r\n"
      a@2 waits for batch 1
    > 2 closes
      2 proposes batch 1: put k "v" until 1700000000410
    > commit
    > after 20 ms
    > b@2: GET k
      b@2 waits for batch 2
    > 2 closes
      2 proposes batch 2: delete k
    > commit
      2 is accepted up to 1
      a@2 gets +OK
      a@2 gets >$"pmessage" $"__key*" $"__keyspace@0__:k" $"set"
      a@2 gets >$"pmessage" $"__key*" $"__keyevent@0__:set" $"k"
      a@2 gets >$"pmessage" $"__key*" $"__keyspace@0__:k" $"expire"
      a@2 gets >$"pmessage" $"__key*" $"__keyevent@0__:expire" $"k"
    > commit
      2 is accepted up to 2
      a@2 gets >$"pmessage" $"__key*" $"__keyspace@0__:k" $"expired"
      a@2 gets >$"pmessage" $"__key*" $"__keyevent@0__:expired" $"k"
      b@2 gets "$-1\r\n"
    "#
    );
}

/// Whoever hears of a change finds it done.
#[test]
fn a_message_waits_for_the_commands_before_it() {
    script!(
        r#"
    > a@2: HELLO 3 | SUBSCRIBE c
      a@2 gets a map
      a@2 gets >$"subscribe" $"c" :1
    > p@2: SET k v | PUBLISH c changed
    > 2 forwards
      2 asks 1 in epoch 5, 1: SET k v
    > 1 closes
      1 proposes batch 1: put k "v", answered 2:1 "+OK\r\n"
    > commit
      1 is accepted up to 1
    > 2 forwards
      1 answers 2 1: "+OK\r\n"
      p@2 gets +OK
      p@2 gets :1
    "#
    );
}

#[test]
fn a_transaction_without_data_runs_where_its_client_is() {
    script!(
        r#"
    > a@2: HELLO 3
      a@2 gets a map
    > a@2: MULTI | SUBSCRIBE c | PUBLISH c one | EXEC
      a@2 gets +OK
      a@2 gets +QUEUED
      a@2 gets +QUEUED
      a@2 gets Array([Push([Bulk([115, 117, 98, 115, 99, 114, 105, 98, 101]), Bulk([99]), Int(1)]), Int(1)])
      a@2 gets >$"message" $"c" $"one"
    > a@2: MULTI | PUBLISH c two | SUBSCRIBE d | GET k | EXEC
      a@2 gets +OK
      a@2 gets +QUEUED
      a@2 gets +QUEUED
      a@2 gets +QUEUED
    > 2 forwards
      2 asks 1 in epoch 5, 1: EXEC of 3
      1 answers 2 1: "*3\r\n:0\r\n-ERR subscriptions in a transaction that touches data are for clients of the primary: subscribe outside of it\r\n_\r\n"
      a@2 gets Array([Int(0), Error("ERR subscriptions in a transaction that touches data are for clients of the primary: subscribe outside of it"), Null])
    "#
    );
}

#[test]
fn a_user_that_is_gone_hears_nothing_more() {
    script!(
        r#"
    > reader@1: HELLO 3 | SUBSCRIBE c | PUBLISH c mine
      reader@1 gets a map
      reader@1 gets >$"subscribe" $"c" :1
      reader@1 gets -NOPERM User reader has no permissions to run the 'publish' command
    > a@1: PUBLISH c one | USER DROP reader
      a@1 gets :1
      a@1 waits for batch 1
      reader@1 is closed
    > a@1: PUBLISH c two | PUBSUB NUMSUB c
    "#
    );
}
