//! Which databases a user may use, and DATABASE.

use mneme_kernel::limits;

use crate::stage::{Stage, facades};

fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.ask("admin", "USER CREATE rw PASSWORD p ROLE readwrite DATABASES 1 2");
    stage.ask("admin", "USER CREATE ro PASSWORD p ROLE readonly DATABASES 1");
    stage.log_in("rw", "p");
    stage.log_in("ro", "p");
    stage
}

fn refused(user: &str, database: &str) -> String {
    format!("NOPERM User {user} has no permissions to access database {database}")
}

#[test]
fn rights_are_checked_against_every_database_that_a_command_touches() {
    let mut stage = stage();
    let [zero, three, all] = ["0", "3", "*"].map(|database| refused("rw", database));
    stage.asks("rw", &[("GET k", &zero), ("SELECT 0", &zero), ("WATCH k", &zero), ("KEYS *", &zero)]);
    stage
        .asks("rw", &[("SCAN 0", &zero), ("DBSIZE", &zero), ("FLUSHDB", &zero), ("CONSISTENCY EVENTUAL GET k", &zero)]);
    stage.asks(
        "rw",
        &[
            ("SELECT 1", "OK"),
            ("SET k v", "OK"),
            ("MOVE k 0", &zero),
            ("MOVE k 3", &three),
            ("COPY k l DB 3", &three),
            ("COPY k l DB 2 DB 3", &three),
            ("COPY k l REPLACE DB 3", &three),
            ("COPY k db", "1"),
            ("COPY k db DB 2", "1"),
            ("COPY db 3 REPLACE", "1"),
            ("CONSISTENCY QUORUM MOVE k 3", &three),
            ("SWAPDB 1 0", &zero),
            ("SWAPDB 0 1", &zero),
            ("SWAPDB 1 2", "OK"),
            ("SWAPDB 2 1", "OK"),
            ("FLUSHALL", &all),
            ("FUNCTION LOAD x", &all),
            ("FUNCTION DELETE x", &all),
            ("FUNCTION FLUSH", &all),
            ("FUNCTION RESTORE x", &all),
            ("FUNCTION LIST", ""),
            ("FLUSHDB", "OK"),
            ("SET k v", "OK"),
            ("MOVE k 2", "1"),
            ("SELECT 2", "OK"),
            ("GET k", "v"),
            ("CONFIG SET maxmemory 1", "NOPERM User rw has no permissions to run the 'config|set' command"),
            ("CLUSTER TRANSFER", "NOPERM User rw has no permissions to run the 'cluster|transfer' command"),
        ],
    );
    stage.asks(
        "ro",
        &[
            ("SELECT 1", "OK"),
            ("GET k", "(nil)"),
            ("SET k v", "NOPERM User ro has no permissions to run the 'set' command"),
            ("SWAPDB 1 1", "NOPERM User ro has no permissions to run the 'swapdb' command"),
            ("USER LIST", "NOPERM User ro has no permissions to run the 'user|list' command"),
        ],
    );
}

#[test]
fn a_transaction_is_checked_when_it_is_queued_and_when_it_runs() {
    let mut stage = stage();
    let three = refused("rw", "3");
    let abort = "EXECABORT Transaction discarded because of previous errors.";
    // Where it starts nothing may be touched: what counts is what is selected then.
    stage.asks("rw", &[("MULTI", "OK"), ("SELECT 2", "QUEUED"), ("SET k v", "QUEUED"), ("EXEC", "OK OK")]);
    stage.asks("rw", &[("MULTI", "OK"), ("SET k v", "QUEUED"), ("MOVE k 3", &three), ("EXEC", abort)]);
    stage.asks("rw", &[("MULTI", "OK"), ("SELECT 3", &three), ("EXEC", abort)]);
    let client = "NOPERM User rw has no permissions to run the 'client|kill' command";
    stage.asks("rw", &[("MULTI", "OK"), ("CLIENT KILL ID 1", client), ("EXEC", abort)]);
    stage.asks("rw", &[("MULTI", "OK"), ("SET k w", "QUEUED"), ("SELECT 1", "QUEUED"), ("SET k x", "QUEUED")]);
    stage.ask("admin", "USER SET rw DATABASES 2");
    let one = refused("rw", "1");
    // As in Redis, what may not run fails by itself. The database stays selected, so the rest goes there.
    assert_eq!(stage.ask("rw", "EXEC"), format!("OK {one} OK"));
    stage.asks("rw", &[("GET k", "x"), ("MULTI", "OK"), ("SET k y", "QUEUED")]);
    stage.ask("admin", "USER SET rw ROLE readonly");
    let set = "NOPERM User rw has no permissions to run the 'set' command";
    stage.asks("rw", &[("EXEC", set), ("GET k", "x")]);
}

#[test]
fn a_database_with_a_name_is_one_like_the_others() {
    let mut stage = stage();
    stage.asks(
        "admin",
        &[
            ("DATABASE CREATE shop", "16"),
            ("DATABASE CREATE shop", "ERR there is a database 'shop' already"),
            ("SELECT shop", "OK"),
            ("SET k v", "OK"),
            ("SELECT 0", "OK"),
            ("SELECT 16", "OK"),
            ("GET k", "v"),
            ("SELECT 17", "ERR DB index is out of range"),
            ("COPY k k DB shop", "ERR source and destination objects are the same"),
            ("MOVE k 1", "1"),
            ("SWAPDB shop 1", "OK"),
            ("GET k", "v"),
            ("DATABASE SET shop CONSISTENCY ALL", "OK"),
            ("DATABASE SET nosuch CONSISTENCY ALL", "ERR there is no database 'nosuch', DATABASE LIST shows all"),
            ("DATABASE SET shop CONSISTENCY some", "ERR unknown consistency level, use EVENTUAL, QUORUM or ALL"),
            ("USER SET rw DATABASES 1 shop", "OK"),
            ("USER SHOW rw", "name rw role readwrite databases 1 shop consistency (nil)"),
        ],
    );
    let list = "number 1 name (nil) keys 0 consistency (nil) number 16 name shop keys 1 consistency ALL";
    stage
        .asks("rw", &[("SELECT 16", "OK"), ("GET k", "v"), ("DATABASE LIST", list), ("MOVE k 2", &refused("rw", "2"))]);
    stage.asks("ro", &[("SELECT shop", &refused("ro", "shop")), ("SELECT 16", &refused("ro", "shop"))]);
    let may_not = |command: &str| format!("NOPERM User rw has no permissions to run the 'database|{command}' command");
    stage.asks("rw", &[("DATABASE CREATE own", &may_not("create")), ("DATABASE DROP shop", &may_not("drop"))]);
    // FLUSHALL is about this one as well.
    stage.asks("admin", &[("FLUSHALL", "OK"), ("SELECT shop", "OK"), ("DBSIZE", "0")]);
}

#[test]
fn a_dropped_database_is_gone_with_its_keys_and_grants() {
    let mut stage = stage();
    stage.asks("admin", &[("DATABASE CREATE shop", "16"), ("USER SET rw DATABASES shop 1", "OK")]);
    stage.asks(
        "rw",
        &[("SELECT shop", "OK"), ("SET k v", "OK"), ("WATCH w", "OK"), ("MULTI", "OK"), ("PING", "QUEUED")],
    );
    stage.asks(
        "admin",
        &[
            ("DATABASE DROP 3", "ERR a numbered database is always there, FLUSHDB empties it"),
            ("DATABASE DROP shop", "OK"),
            ("DATABASE DROP shop", "ERR there is no database 'shop', DATABASE LIST shows all"),
            ("USER SHOW rw", "name rw role readwrite databases 1 consistency (nil)"),
            ("SELECT 16", "ERR DB index is out of range"),
        ],
    );
    let dropped = "ERR the selected database was dropped, SELECT another one";
    stage.asks("rw", &[("EXEC", "(nil)"), ("GET k", dropped), ("SET k v", dropped), ("PING", "PONG")]);
    // Its place is given to another one, its number is not.
    stage.asks("admin", &[("DATABASE CREATE shop", "17"), ("SELECT shop", "OK"), ("DBSIZE", "0")]);
    stage.asks(
        "rw",
        &[("GET k", dropped), ("SELECT shop", &refused("rw", "shop")), ("SELECT 1", "OK"), ("GET k", "(nil)")],
    );
}

/// Slots of keys are looked at in the selected database; what else a client of Redis Cluster or a Sentinel asks has nothing to do
/// with one.
#[test]
fn keys_of_slots_are_those_of_a_database_that_may_be_used_and_is_there() {
    let mut stage = Stage::with_facade(facades());
    stage.asks(
        "admin",
        &[("DATABASE CREATE shop", "16"), ("USER CREATE rw PASSWORD p ROLE readwrite DATABASES shop", "OK")],
    );
    stage.log_in("rw", "p");
    let zero = refused("rw", "0");
    let (count, list) = ("CLUSTER COUNTKEYSINSLOT 12182", "CLUSTER GETKEYSINSLOT 12182 10");
    stage.asks("rw", &[(count, &zero), (list, &zero), ("SELECT shop", "OK"), ("SET foo v", "OK")]);
    stage.asks("rw", &[(count, "1"), (list, "foo"), ("CONSISTENCY EVENTUAL CLUSTER COUNTKEYSINSLOT 12182", "1")]);
    stage.ask("admin", "DATABASE DROP shop");
    let dropped = "ERR the selected database was dropped, SELECT another one";
    stage.asks("rw", &[(count, dropped), (list, dropped), ("CLUSTER KEYSLOT foo", "12182"), ("ASKING", "OK")]);
    for asked in ["CLUSTER SLOTS", "CLUSTER MYID", "CLUSTER COUNT-FAILURE-REPORTS x", "SENTINEL MYID"] {
        let answer = stage.ask("rw", asked);
        assert!(!answer.contains("ERR") && !answer.contains("NOPERM"), "{asked}: {answer}");
    }
}

#[test]
fn names_of_databases_are_told_from_numbers_and_options() {
    let mut stage = Stage::new();
    let long = "x".repeat(limits::MAX_NAME + 1);
    for name in ["1", "1a", "-1", "*", "", "role", "DATABASES", "ä", &long] {
        let answer = stage.ask("admin", &format!("DATABASE CREATE {name}"));
        assert!(answer.starts_with("ERR the name of a database begins with a letter and has up to 64"), "{answer}");
    }
    for i in 0..limits::NAMED_DATABASES {
        assert_eq!(stage.ask("admin", &format!("DATABASE CREATE d{i}")), (limits::DATABASES + i).to_string());
    }
    let full = "ERR there are too many databases, DATABASE DROP removes one";
    stage.asks("admin", &[("DATABASE CREATE more", full), ("DATABASE DROP d7", "OK"), ("DATABASE CREATE more", "64")]);
}
