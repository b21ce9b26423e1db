//! Which level a command has: its prefix's, the one that was said for it, the connection's, the user's, the database's,
//! the server's. A write at EVENTUAL is answered before it is accepted, one at QUORUM is not.

use crate::stage::Stage;

#[test]
fn the_stronger_word_counts() {
    let mut stage = Stage::new();
    stage.ask("admin", "USER CREATE ann PASSWORD p ROLE readwrite");
    stage.log_in("ann", "p");
    let writes_at_once = |stage: &mut Stage| stage.is_answered_at_once("ann", "SET k v");
    // The server's.
    assert!(!writes_at_once(&mut stage));
    assert_eq!(stage.ask("ann", "CLIENT CONSISTENCY"), "QUORUM");
    // The database's.
    stage.ask("admin", "DATABASE SET 0 CONSISTENCY EVENTUAL");
    assert!(writes_at_once(&mut stage));
    assert_eq!(stage.ask("ann", "CLIENT CONSISTENCY"), "EVENTUAL");
    stage.ask("ann", "SELECT 1");
    assert!(!writes_at_once(&mut stage));
    stage.ask("ann", "SELECT 0");
    // The user's.
    stage.ask("admin", "USER SET ann CONSISTENCY QUORUM");
    assert!(!writes_at_once(&mut stage));
    assert_eq!(stage.ask("ann", "CLIENT CONSISTENCY"), "QUORUM");
    // The connection's.
    assert_eq!(stage.ask("ann", "CLIENT CONSISTENCY EVENTUAL"), "OK");
    assert!(writes_at_once(&mut stage));
    // The next command's.
    assert_eq!(stage.ask("ann", "CLIENT CONSISTENCY NEXT QUORUM"), "OK");
    assert!(!writes_at_once(&mut stage));
    assert!(writes_at_once(&mut stage));
    // The prefix.
    assert_eq!(stage.ask("ann", "CLIENT CONSISTENCY NEXT QUORUM"), "OK");
    assert!(stage.is_answered_at_once("ann", "CONSISTENCY EVENTUAL SET k v"));
    assert!(!stage.is_answered_at_once("ann", "CONSISTENCY QUORUM SET k v"));
    // Without them, it is as before.
    stage.ask("admin", "USER SET ann CONSISTENCY DEFAULT");
    stage.ask("admin", "DATABASE SET 0 CONSISTENCY DEFAULT");
    stage.log_in("ann", "p");
    assert!(!writes_at_once(&mut stage));
}

/// READONLY is the connection's word about reads.
#[test]
fn readonly_stands_above_the_user() {
    let mut stage = Stage::new();
    stage.ask("admin", "USER CREATE ann PASSWORD p ROLE readwrite CONSISTENCY QUORUM");
    stage.log_in("ann", "p");
    stage.send("admin", "SET k v");
    assert!(!stage.is_answered_at_once("ann", "GET k"));
    assert_eq!(stage.ask("ann", "READONLY"), "OK");
    stage.send("admin", "SET k w");
    assert!(stage.is_answered_at_once("ann", "GET k"));
}

/// Whoever is told that somebody has lost a right can rely on it.
#[test]
fn users_and_databases_are_changed_at_quorum_at_least() {
    let mut stage = Stage::new();
    stage.ask("admin", "CLIENT CONSISTENCY EVENTUAL");
    for change in [
        "USER CREATE ann PASSWORD p ROLE readonly",
        "CONSISTENCY EVENTUAL USER SET ann ROLE readwrite",
        "USER DROP ann",
        "DATABASE CREATE shop",
        "DATABASE SET shop CONSISTENCY ALL",
        "DATABASE DROP shop",
    ] {
        assert!(!stage.is_answered_at_once("admin", change), "{change}");
    }
    // And so is who asks for them.
    stage.send("admin", "USER CREATE bob PASSWORD p ROLE readonly");
    stage.log_in_as("other", "admin", "secret");
    stage.send("admin", "USER CREATE eve PASSWORD p ROLE readonly");
    assert!(!stage.is_answered_at_once("other", "USER LIST"));
}
