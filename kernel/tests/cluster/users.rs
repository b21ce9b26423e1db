//! Users and databases that are changed and used through several Cores.

/// What leaves the Core of the client is the hash of a password, never the password.
#[test]
fn a_user_is_made_through_a_standby() {
    script!(
        r#"
    > a@2: USER CREATE bob PASSWORD p DATABASES 0 1 ROLE readwrite
    > 2 forwards
      2 asks 1 in epoch 5, 1: USER CREATE bob HASH hash-of-p DATABASES 0 1 ROLE readwrite
    > 1 closes
      1 proposes batch 1: user bob, bob nowhere, grant bob 0, grant bob 1, answered 1:1 "+OK\r\n"
    > commit
      1 is accepted up to 1
    > 2 forwards
      1 answers 2 1: "+OK\r\n"
      a@2 gets +OK
    > bob@2: AUTH bob p | SELECT 3 | SET k v
      bob@2 gets +OK
      bob@2 gets -NOPERM User bob has no permissions to access database 3
    > 2 forwards
      2 asks 1 in epoch 5, 2: SET k v
    > 1 closes
      1 proposes batch 2: put k "v", answered 2:2 "+OK\r\n"
    > commit
      1 is accepted up to 2
    > 2 forwards
      1 answers 2 2: "+OK\r\n"
      bob@2 gets +OK
    > bob@1: AUTH bob p | GET k
      bob@1 gets +OK
      bob@1 gets $"v"
    "#
    );
}

/// The standby may not know of it yet: the primary does.
#[test]
fn the_primary_looks_at_the_rights_of_this_moment() {
    script!(
        r#"
    > a@1: USER CREATE bob PASSWORD p ROLE readwrite
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: user bob
    > commit
      1 is accepted up to 1
      a@1 gets +OK
    > bob@2: AUTH bob p | SET k v
      bob@2 gets +OK
    > 2 forwards
      2 asks 1 in epoch 5, 1: SET k v
    > 1 closes
      1 proposes batch 2: put k "v", answered 1:1 "+OK\r\n"
    > commit
      1 is accepted up to 2
    > 2 forwards
      1 answers 2 1: "+OK\r\n"
      bob@2 gets +OK
    > 2 hears nothing
    > a@1: USER SET bob ROLE readonly
      a@1 waits for batch 3
    > bob@2: SET k w | GET k
    > 2 forwards
      2 asks 1 in epoch 5, 2: SET k w
      2 asks 1 in epoch 5, 3: GET k
      1 answers 2 2: "-NOPERM User bob has no permissions to run the 'set' command\r\n"
      1 answers 2 3: "$1\r\nv\r\n"
      bob@2 gets -NOPERM User bob has no permissions to run the 'set' command
      bob@2 gets $"v"
    > 1 closes
      1 proposes batch 3: user bob
    > commit
      1 is accepted up to 3
      a@1 gets +OK
    > 2 forwards
    > 2 hears all
    > bob@2: SET k w
      bob@2 gets -NOPERM User bob has no permissions to run the 'set' command
    "#
    );
}

#[test]
fn a_user_who_was_dropped_and_made_anew_is_not_the_one_who_is_connected_elsewhere() {
    script!(
        r#"
    > a@1: USER CREATE bob PASSWORD p ROLE readwrite
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: user bob
    > commit
      1 is accepted up to 1
      a@1 gets +OK
    > bob@2: AUTH bob p
      bob@2 gets +OK
    > 2 hears nothing
    > a@1: USER DROP bob | USER CREATE bob PASSWORD q ROLE admin
      a@1 waits for batch 2
    > 1 closes
      1 proposes batch 2: drop user bob, user bob
    > commit
      1 is accepted up to 2
      a@1 gets +OK
      a@1 gets +OK
    > bob@2: SET k v | USER LIST
    > 2 forwards
      2 asks 1 in epoch 5, 1: SET k v
      1 answers 2 1: "-NOAUTH Authentication required.\r\n"
      bob@2 gets -NOAUTH Authentication required.
      bob@2 gets -NOPERM User bob has no permissions to run the 'user|list' command
    > 2 hears all
    > bob@2: GET k
      bob@2 gets -NOAUTH Authentication required.
    > bob@2: AUTH bob q | SET k v
      bob@2 gets +OK
    > 2 forwards
      2 asks 1 in epoch 5, 2: SET k v
    "#
    );
}

#[test]
fn a_database_is_made_and_dropped_through_a_standby() {
    script!(
        r#"
    > a@2: DATABASE CREATE shop
    > 2 forwards
      2 asks 1 in epoch 5, 1: DATABASE CREATE shop
    > 1 closes
      1 proposes batch 1: database shop 16 at 16, answered 1:1 ":16\r\n"
    > commit
      1 is accepted up to 1
    > 2 forwards
      1 answers 2 1: ":16\r\n"
      a@2 gets :16
    > a@2: SELECT shop | SET k v
      a@2 gets +OK
    > 2 forwards
      2 asks 1 in epoch 5, 2: SET k v
    > 1 closes
      1 proposes batch 2: put k "v", acknowledged 1:1, answered 1:2 "+OK\r\n"
    > commit
      1 is accepted up to 2
    > 2 forwards
      1 answers 2 2: "+OK\r\n"
      a@2 gets +OK
    > a@1: DATABASE DROP shop
      a@1 waits for batch 3
    > 1 closes
      1 proposes batch 3: flush 16, drop database 16
    > commit
      1 is accepted up to 3
      a@1 gets +OK
    > a@2: GET k | CONSISTENCY EVENTUAL GET k | SELECT shop
      a@2 gets -ERR the selected database was dropped, SELECT another one
      a@2 gets -ERR the selected database was dropped, SELECT another one
      a@2 gets -ERR value is not an integer or out of range
    "#
    );
}

/// Who has authenticated as a user that is forgotten again is a stranger.
#[test]
fn a_change_that_was_not_accepted_is_void() {
    script!(
        r#"
    > a@1: USER CREATE bob PASSWORD p ROLE admin
      a@1 waits for batch 1
    > bob@1: AUTH bob p
      bob@1 gets +OK
    > 1 closes
      1 proposes batch 1: user bob
    > 1 hears nothing
    > lose
    > after 400 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 5
    > commit
      2 leads epoch 7
    > 1 hears all
      1 has void batches 1 to 2
      1 is accepted up to 2
      1 is deposed by epoch 7
      1 proposes hello of node-1
      a@1 gets -LOADING another primary took over before this command was on disk; it has no effect
    > commit
    > bob@1: GET k | USER WHOAMI
      bob@1 gets -NOAUTH Authentication required.
      bob@1 gets -NOAUTH Authentication required.
    > a@1: USER SHOW bob
    > 1 forwards
      1 asks 2 in epoch 7, 1: USER SHOW bob
      2 answers 1 1: "-ERR there is no user 'bob', USER LIST shows all\r\n"
      a@1 gets -ERR there is no user 'bob', USER LIST shows all
    "#
    );
}

/// What was executed is not executed again, whoever asks for its reply: rights count for what comes next.
#[test]
fn a_command_that_was_executed_keeps_its_reply_though_its_user_may_do_less_by_now() {
    script!(
        r#"
    > a@1: USER CREATE bob PASSWORD p ROLE readwrite
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: user bob
    > commit
      1 is accepted up to 1
      a@1 gets +OK
    > bob@2: AUTH bob p | INCR k
      bob@2 gets +OK
    > 2 forwards
      2 asks 1 in epoch 5, 1: INCR k
    > 1 closes
      1 proposes batch 2: put k "1", answered 1:1 ":1\r\n"
    > commit
      1 is accepted up to 2
    > 2 loses its link
    > 2 hears nothing
    > a@1: USER SET bob ROLE readonly
      a@1 waits for batch 3
    > 1 closes
      1 proposes batch 3: user bob
    > commit
      1 is accepted up to 3
      a@1 gets +OK
    > bob@2: INCR k
    > 2 forwards
      2 asks 1 to resume sessions 1 from 1
      2 asks 1 in epoch 5, 1: INCR k
      2 asks 1 in epoch 5, 2: INCR k
      1 answers 2 2: "-NOPERM User bob has no permissions to run the 'incr' command\r\n"
      1 answers 2 1: ":1\r\n"
      bob@2 gets :1
      bob@2 gets -NOPERM User bob has no permissions to run the 'incr' command
    "#
    );
}

/// A change of a user has its reply in the log, as every write that is forwarded.
#[test]
fn a_user_is_made_once_though_the_primary_is_lost() {
    script!(
        r#"
    > a@2: USER CREATE bob PASSWORD p ROLE readwrite
    > 2 forwards
      2 asks 1 in epoch 5, 1: USER CREATE bob HASH hash-of-p ROLE readwrite
    > 1 closes
      1 proposes batch 1: user bob, answered 1:1 "+OK\r\n"
    > 1 hears nothing
    > commit
    > 2 loses its link
    > after 400 ms
    > 2 ticks
      2 proposes claim of life 6 after epoch 5, renewed at 7
    > commit
      2 leads epoch 8
      a@2 gets +OK
    > bob@2: AUTH bob p | SET k v
      bob@2 gets +OK
      bob@2 waits for batch 1
    "#
    );
}

/// A default is no less than what is asked for.
#[test]
fn a_users_level_all_holds_at_a_standby_too() {
    script!(
        r#"
    > a@1: USER SET reader CONSISTENCY ALL
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: level of reader Some(All)
    > commit
      1 is accepted up to 1
      a@1 gets +OK
    > reader@2: GET k
    > 2 forwards
      2 asks 1 in epoch 5, 1: GET k
    > 1 hears that all have it
    > 2 forwards
      1 answers 2 1: "$-1\r\n"
      reader@2 gets "$-1\r\n"
    "#
    );
}

/// So are the passwords of ACL's rules; and the primary looks at the rules of this moment.
#[test]
fn rules_are_set_through_a_standby_and_looked_at_by_both() {
    script!(
        r#"
    > agree
    > a@2: ACL SETUSER bob on >p +get ~k
    > 2 forwards
      2 asks 1 in epoch 5, 1: ACL SETUSER bob on #sha256:hash-of-148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940 +get ~k
    > 1 closes
      1 proposes batch 1: user bob, rules of bob, 20 bytes, answered 1:1 "+OK\r\n"
    > commit
      1 is accepted up to 1
    > 2 forwards
      1 answers 2 1: "+OK\r\n"
      a@2 gets +OK
    > bob@2: AUTH bob p | GET k | GET x
      bob@2 gets +OK
    > 2 forwards
      2 asks 1 in epoch 5, 2: GET k
      1 answers 2 2: "$-1\r\n"
      bob@2 gets "$-1\r\n"
      bob@2 gets -NOPERM No permissions to access a key
    > 2 hears nothing
    > a@1: ACL SETUSER bob -get
      a@1 waits for batch 2
    > bob@2: GET k
    > 2 forwards
      2 asks 1 in epoch 5, 3: GET k
      1 answers 2 3: "-NOPERM User bob has no permissions to run the 'get' command\r\n"
      bob@2 gets -NOPERM User bob has no permissions to run the 'get' command
    "#
    );
}

/// The primary trusts the hashes that other nodes send, so each looks at what its clients say.
#[test]
fn no_node_passes_on_what_is_no_hash() {
    script!(
        r#"
    > agree
    > a@2: ACL SETUSER bob #nonsense | ACL SETUSER bob !nonsense | ACL SETUSER bob on #$argon2id$v=19$m=4194304,t=90,p=1$c2FsdA$aGFzaA
      a@2 gets -ERR Error in ACL SETUSER modifier '#nonsense': The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters
      a@2 gets -ERR Error in ACL SETUSER modifier '!nonsense': The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters
      a@2 gets -ERR Error in ACL SETUSER modifier '#$argon2id$v=19$m=4194304,t=90,p=1$c2FsdA$aGFzaA': The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters
    > 2 forwards
    "#
    );
}

/// USER and ACL hash it in two ways, and what Redis stores of it does not tell that it is the same.
#[test]
fn a_password_is_removed_through_a_standby_with_all_its_hashes() {
    script!(
        r#"
    > agree
    > a@1: USER CREATE bob PASSWORD p ROLE readwrite | ACL SETUSER bob #148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940 >q
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: user bob, user bob, rules of bob, 11 bytes
    > commit
      1 is accepted up to 1
      a@1 gets +OK
      a@1 gets +OK
    > a@2: ACL SETUSER bob <p
    > 2 forwards
      2 asks 1 in epoch 5, 1: ACL SETUSER bob !hash-of-p !sha256:hash-of-148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940
    > 1 closes
      1 proposes batch 2: user bob, rules of bob, 11 bytes, answered 1:1 "+OK\r\n"
    > commit
      1 is accepted up to 2
    > 2 forwards
      1 answers 2 1: "+OK\r\n"
      a@2 gets +OK
    "#
    );
}
