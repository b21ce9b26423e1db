//! Client-side caching: who keeps a copy of a key is told that it has changed, at whatever node it changes.

macro_rules! script {
    ($script:literal) => {
        insta::assert_snapshot!(crate::script::play_among(2, $script), @$script)
    };
}

#[test]
fn who_has_read_a_key_is_told_once_behind_what_it_has_read() {
    script!(
        r#"
    > b@1: CONSISTENCY EVENTUAL MSET k v j v
      b@1 gets +OK
    > 1 closes
      1 proposes batch 1: put k "v", put j "v"
    > commit
      1 is accepted up to 1
    > a@1: HELLO 3 | CLIENT TRACKING ON | GET k | MGET j k | GET absent
      a@1 gets a map
      a@1 gets +OK
      a@1 gets $"v"
      a@1 gets Array([Bulk([118]), Bulk([118])])
      a@1 gets "_\r\n"
    > b@1: CONSISTENCY EVENTUAL SET k w | CONSISTENCY EVENTUAL SET k x | CONSISTENCY EVENTUAL DEL j | CONSISTENCY EVENTUAL SET absent v | CONSISTENCY EVENTUAL SET other v
      a@1 gets >$"invalidate" Array([Bulk([107])])
      a@1 gets >$"invalidate" Array([Bulk([106])])
      a@1 gets >$"invalidate" Array([Bulk([97, 98, 115, 101, 110, 116])])
      b@1 gets +OK
      b@1 gets +OK
      b@1 gets :1
      b@1 gets +OK
      b@1 gets +OK
    "#
    );
}

#[test]
fn a_standby_tells_its_clients_what_changes_behind_what_they_read_anywhere() {
    script!(
        r#"
    > a@2: HELLO 3 | CLIENT TRACKING ON | GET k
      a@2 gets a map
      a@2 gets +OK
    > b@1: SET k new
      b@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put k "new"
    > commit
      1 is accepted up to 1
      b@1 gets +OK
    > 2 forwards
      2 asks 1 in epoch 5, 1: GET k
      1 answers 2 1: "$3\r\nnew\r\n"
      a@2 gets $"new"
      a@2 gets >$"invalidate" Array([Bulk([107])])
    > b@1: SET k newer
      b@1 waits for batch 2
    > 1 closes
      1 proposes batch 2: put k "newer"
    > commit
      1 is accepted up to 2
      b@1 gets +OK
    "#
    );
}

#[test]
fn what_the_client_changes_itself_is_told_unless_it_wants_none_of_it() {
    script!(
        r#"
    > a@1: HELLO 3 | CLIENT TRACKING ON | GET k | CONSISTENCY EVENTUAL SET k v | PING
      a@1 gets a map
      a@1 gets +OK
      a@1 gets "_\r\n"
      a@1 gets +OK
      a@1 gets >$"invalidate" Array([Bulk([107])])
      a@1 gets +PONG
    > b@1: HELLO 3 | CLIENT TRACKING ON NOLOOP | CONSISTENCY EVENTUAL GET k | CONSISTENCY EVENTUAL SET k v | PING
      b@1 gets a map
      b@1 gets +OK
      b@1 gets $"v"
      b@1 gets +OK
      b@1 gets +PONG
    > c@1: CONSISTENCY EVENTUAL SET k v
      b@1 gets >$"invalidate" Array([Bulk([107])])
      c@1 gets +OK
    "#
    );
}

#[test]
fn prefixes_are_told_of_every_key_that_begins_with_them() {
    script!(
        r#"
    > a@2: HELLO 3 | CLIENT TRACKING ON BCAST PREFIX one PREFIX two
      a@2 gets a map
      a@2 gets +OK
    > b@1: MSET one:1 v two v three v
      b@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put one:1 "v", put two "v", put three "v"
    > commit
      1 is accepted up to 1
      a@2 gets >$"invalidate" Array([Bulk([111, 110, 101, 58, 49])])
      a@2 gets >$"invalidate" Array([Bulk([116, 119, 111])])
      b@1 gets +OK
    "#
    );
}

#[test]
fn only_what_is_asked_for_is_told_of_with_optin_and_optout() {
    script!(
        r#"
    > b@1: CONSISTENCY EVENTUAL MSET k v j v
      b@1 gets +OK
    > 1 closes
      1 proposes batch 1: put k "v", put j "v"
    > commit
      1 is accepted up to 1
    > a@1: HELLO 3 | CLIENT TRACKING ON OPTIN | CONSISTENCY EVENTUAL GET k | CLIENT CACHING YES | GET j | CLIENT CACHING YES | MULTI | GET i | GET h | EXEC
      a@1 gets a map
      a@1 gets +OK
      a@1 gets $"v"
      a@1 gets +OK
      a@1 gets $"v"
      a@1 gets +OK
      a@1 gets +OK
      a@1 gets +QUEUED
      a@1 gets +QUEUED
      a@1 gets Array([Null, Null])
    > c@1: HELLO 3 | CLIENT TRACKING ON OPTOUT | GET k | CLIENT CACHING NO | GET j
      c@1 gets a map
      c@1 gets +OK
      c@1 gets $"v"
      c@1 gets +OK
      c@1 gets $"v"
    > b@1: CONSISTENCY EVENTUAL MSET k w j w i w h w
      a@1 gets >$"invalidate" Array([Bulk([106])])
      a@1 gets >$"invalidate" Array([Bulk([105])])
      a@1 gets >$"invalidate" Array([Bulk([104])])
      b@1 gets +OK
      c@1 gets >$"invalidate" Array([Bulk([107])])
    "#
    );
}

#[test]
fn another_connection_is_told_in_its_place_until_it_has_gone() {
    script!(
        r#"
    > b@1: SUBSCRIBE __redis__:invalidate
      b@1 gets Array([Bulk([115, 117, 98, 115, 99, 114, 105, 98, 101]), Bulk([95, 95, 114, 101, 100, 105, 115, 95, 95, 58, 105, 110, 118, 97, 108, 105, 100, 97, 116, 101]), Int(1)])
    > a@1: HELLO 3 | CLIENT TRACKING ON REDIRECT 2 | CLIENT TRACKING ON REDIRECT 1 | GET k | CLIENT GETREDIR
      a@1 gets a map
      a@1 gets +OK
      a@1 gets +OK
      a@1 gets "_\r\n"
      a@1 gets :1
    > c@1: CONSISTENCY EVENTUAL SET k v
      b@1 gets Array([Bulk([109, 101, 115, 115, 97, 103, 101]), Bulk([95, 95, 114, 101, 100, 105, 115, 95, 95, 58, 105, 110, 118, 97, 108, 105, 100, 97, 116, 101]), Array([Bulk([107])])])
      c@1 gets +OK
    > 1 closes
      1 proposes batch 1: put k "v"
    > commit
      1 is accepted up to 1
    > a@1: GET k
      a@1 gets $"v"
    > b@1 leaves
    > c@1: CONSISTENCY EVENTUAL SET k v
      a@1 gets >$"tracking-redir-broken" :1
      c@1 gets +OK
    "#
    );
}

/// What expires or makes room is nobody's doing, and what a NOLOOP client has changed itself others may change after it.
#[test]
fn who_spares_itself_is_told_of_everything_else() {
    script!(
        r#"
    > a@1: HELLO 3 | CLIENT TRACKING ON NOLOOP | CONSISTENCY EVENTUAL SET k v PX 50 | CONSISTENCY EVENTUAL GET k | CONSISTENCY EVENTUAL SET k w PX 50
      a@1 gets a map
      a@1 gets +OK
      a@1 gets +OK
      a@1 gets $"v"
      a@1 gets +OK
    > after 60 ms
    > a@1: CONSISTENCY EVENTUAL STRLEN k
      a@1 gets :0
      a@1 gets >$"invalidate" Array([Bulk([107])])
    > b@1: CONSISTENCY EVENTUAL SET k v
      b@1 gets +OK
    > a@1: CONSISTENCY EVENTUAL GET k | CONSISTENCY EVENTUAL SET k w
      a@1 gets $"v"
      a@1 gets +OK
    > b@1: CONSISTENCY EVENTUAL SET k v
      a@1 gets >$"invalidate" Array([Bulk([107])])
      b@1 gets +OK
    "#
    );
}

/// A read that waits is a read of what it waited for, too.
#[test]
fn who_has_waited_for_a_key_is_told_of_the_next_change() {
    script!(
        r#"
    > agree
    > a@1: HELLO 3 | CLIENT TRACKING ON OPTIN | CLIENT CACHING YES | CONSISTENCY EVENTUAL XREAD BLOCK 1000 STREAMS s 0
      a@1 gets a map
      a@1 gets +OK
      a@1 gets +OK
    > b@1: CONSISTENCY EVENTUAL XADD s 1-0 f v
      a@1 gets a map
      a@1 gets >$"invalidate" Array([Bulk([115])])
      b@1 gets $"1-0"
    > b@1: CONSISTENCY EVENTUAL XADD s 2-0 f v
      a@1 gets >$"invalidate" Array([Bulk([115])])
      b@1 gets $"2-0"
    > a@1: CONSISTENCY EVENTUAL GET k
      a@1 gets "_\r\n"
    > b@1: CONSISTENCY EVENTUAL SET k v
      b@1 gets +OK
    "#
    );
}

#[test]
fn within_a_transaction_nobody_begins_to_track() {
    script!(
        r#"
    > a@1: HELLO 3 | MULTI | CLIENT TRACKING ON | EXEC | CLIENT TRACKINGINFO
      a@1 gets a map
      a@1 gets +OK
      a@1 gets +QUEUED
      a@1 gets Array([Error("ERR Command not allowed inside a transaction")])
      a@1 gets a map
    "#
    );
}

/// What was executed and is void was perhaps read, and is no more.
#[test]
fn who_throws_its_memory_away_takes_all_copies_with_it() {
    script!(
        r#"
    > a@1: HELLO 3 | CLIENT TRACKING ON | CONSISTENCY EVENTUAL GET k
      a@1 gets a map
      a@1 gets +OK
      a@1 gets "_\r\n"
    > b@1: HELLO 3 | CLIENT TRACKING ON BCAST | CONSISTENCY EVENTUAL SET j v
      b@1 gets a map
      b@1 gets +OK
      b@1 gets +OK
      b@1 gets >$"invalidate" Array([Bulk([106])])
    > after 400 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 is deposed by epoch 7
      1 proposes hello of node-1
      2 leads epoch 7
      a@1 gets >$"invalidate" $-1
      b@1 gets >$"invalidate" $-1
    "#
    );
}

#[test]
fn whatever_empties_a_database_is_told_as_everything() {
    script!(
        r#"
    > a@1: HELLO 3 | CLIENT TRACKING ON | GET k | CONSISTENCY EVENTUAL FLUSHDB | CONSISTENCY EVENTUAL GET k | CONSISTENCY EVENTUAL SWAPDB 0 1 | CLIENT TRACKING OFF | CONSISTENCY EVENTUAL FLUSHALL
      a@1 gets a map
      a@1 gets +OK
      a@1 gets "_\r\n"
      a@1 gets +OK
      a@1 gets >$"invalidate" $-1
      a@1 gets "_\r\n"
      a@1 gets +OK
      a@1 gets >$"invalidate" $-1
      a@1 gets +OK
      a@1 gets +OK
    "#
    );
}

#[test]
fn keys_beyond_what_a_node_may_remember_are_told_as_changed() {
    script!(
        r#"
    > a@1: HELLO 3 | CONFIG SET tracking-table-max-keys 2 | CLIENT TRACKING ON | MGET a b c | GET d
      a@1 gets a map
      a@1 gets +OK
      a@1 gets +OK
      a@1 gets Array([Null, Null, Null])
      a@1 gets >$"invalidate" $-1
      a@1 gets "_\r\n"
    "#
    );
}

#[test]
fn what_does_not_go_together_is_refused() {
    script!(
        r#"
    > a@1: CLIENT TRACKING on PREFIX a | CLIENT TRACKING on BCAST OPTIN | CLIENT TRACKING on OPTIN OPTOUT | CLIENT TRACKING on BCAST PREFIX a PREFIX ab | CLIENT TRACKING maybe | CLIENT CACHING YES | CLIENT TRACKING on REDIRECT 77
      a@1 gets -ERR PREFIX option requires BCAST mode to be enabled
      a@1 gets -ERR OPTIN and OPTOUT are not compatible with BCAST
      a@1 gets -ERR You can't specify both OPTIN mode and OPTOUT mode
      a@1 gets -ERR Prefix 'a' overlaps with another provided prefix 'ab'. Prefixes for a single client must not overlap.
      a@1 gets -ERR syntax error
      a@1 gets -ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled
      a@1 gets -ERR The client ID you want redirect to does not exist
    > a@1: CLIENT TRACKING on OPTIN NOLOOP | CLIENT TRACKING on BCAST | CLIENT CACHING NO | CLIENT TRACKINGINFO | CLIENT CACHING YES | CLIENT TRACKINGINFO | RESET
      a@1 gets +OK
      a@1 gets -ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.
      a@1 gets -ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.
      a@1 gets Array([Bulk([102, 108, 97, 103, 115]), Array([Bulk([111, 110]), Bulk([111, 112, 116, 105, 110]), Bulk([110, 111, 108, 111, 111, 112])]), Bulk([114, 101, 100, 105, 114, 101, 99, 116]), Int(0), Bulk([112, 114, 101, 102, 105, 120, 101, 115]), Array([])])
      a@1 gets +OK
      a@1 gets Array([Bulk([102, 108, 97, 103, 115]), Array([Bulk([111, 110]), Bulk([111, 112, 116, 105, 110]), Bulk([99, 97, 99, 104, 105, 110, 103, 45, 121, 101, 115]), Bulk([110, 111, 108, 111, 111, 112])]), Bulk([114, 101, 100, 105, 114, 101, 99, 116]), Int(0), Bulk([112, 114, 101, 102, 105, 120, 101, 115]), Array([])])
      a@1 gets +RESET
    "#
    );
}
