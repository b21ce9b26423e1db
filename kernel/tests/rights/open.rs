//! A change of a user applies to connections that are open.

use mneme_kernel::session::Port;

use crate::stage::Stage;

const NOAUTH: &str = "NOAUTH Authentication required.";

fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.ask("admin", "USER CREATE ann PASSWORD p ROLE readwrite");
    stage.log_in("ann", "p");
    stage.asks("ann", &[("SET k v", "OK")]);
    stage
}

#[test]
fn a_new_role_and_new_grants_apply_at_once() {
    let mut stage = stage();
    let may_not = "NOPERM User ann has no permissions to run the 'set' command";
    stage.ask("admin", "USER SET ann ROLE readonly");
    stage.asks("ann", &[("SET k w", may_not), ("GET k", "v")]);
    stage.ask("admin", "USER SET ann ROLE admin");
    stage.asks("ann", &[("SET k w", "OK"), ("CONFIG GET maxmemory", "maxmemory 0")]);
    stage.ask("admin", "USER SET ann ROLE readwrite DATABASES 1");
    stage.asks("ann", &[("GET k", "NOPERM User ann has no permissions to access database 0"), ("SELECT 1", "OK")]);
    stage.ask("admin", "USER SET ann DATABASES *");
    stage.asks("ann", &[("SELECT 0", "OK"), ("GET k", "w")]);
}

/// Before it is accepted, for what comes behind it in the log may rest on it.
#[test]
fn a_change_applies_when_it_is_executed() {
    let mut stage = stage();
    let (replies, _) = stage.send("admin", "USER SET ann ROLE readonly");
    assert!(replies.is_empty());
    let (replies, _) = stage.send("ann", "SET k w");
    assert_eq!(crate::stage::text(&replies[0]), "NOPERM User ann has no permissions to run the 'set' command");
}

#[test]
fn whose_user_is_dropped_is_a_stranger() {
    let mut stage = stage();
    stage.ask("admin", "USER DROP ann");
    stage.asks("ann", &[("GET k", NOAUTH), ("PING", NOAUTH), ("USER WHOAMI", NOAUTH)]);
    // One of the same name is another.
    stage.ask("admin", "USER CREATE ann PASSWORD p ROLE admin");
    stage.asks("ann", &[("GET k", NOAUTH), ("AUTH ann p", "OK"), ("GET k", "v")]);
}

/// Also if it asks for nothing in between.
#[test]
fn a_user_who_is_made_anew_is_another() {
    let mut stage = stage();
    stage.ask("admin", "USER DROP ann");
    stage.ask("admin", "USER CREATE ann PASSWORD p ROLE admin");
    stage.asks("ann", &[("GET k", NOAUTH)]);
}

#[test]
fn a_new_password_ends_what_the_old_one_began() {
    let mut stage = stage();
    stage.ask("admin", "USER SET ann PASSWORD q");
    stage.asks("ann", &[("GET k", NOAUTH)]);
    let wrong = "WRONGPASS invalid username-password pair or user is disabled.";
    stage.asks("ann", &[("AUTH ann p", wrong), ("AUTH ann q", "OK"), ("GET k", "v")]);
    // One's own, too: this connection may be the one that it was changed for.
    stage.asks("admin", &[("USER SET admin PASSWORD s", "OK"), ("PING", NOAUTH)]);
}

#[test]
fn who_may_not_monitor_any_more_sees_nothing_more() {
    for change in ["USER SET ann ROLE readwrite", "USER SET ann PASSWORD q", "USER DROP ann"] {
        let mut stage = stage();
        stage.ask("admin", "USER SET ann ROLE admin");
        stage.asks("ann", &[("MONITOR", "OK")]);
        stage.ask("admin", "ECHO seen");
        assert!(
            format!("{:?}", {
                stage.is_closed("ann");
                stage.receive("ann")
            })
            .contains("seen")
        );
        stage.ask("admin", change);
        stage.ask("admin", "ECHO hidden");
        assert!(stage.is_closed("ann"), "{change}");
        assert!(!format!("{:?}", stage.receive("ann")).contains("hidden"));
    }
}

#[test]
fn the_read_port_changes_nothing() {
    let mut stage = stage();
    stage.connect("reader", Port::Read);
    let readonly = "READONLY You can't write against a read only replica.";
    stage.asks("reader", &[("AUTH admin secret", "OK"), ("USER CREATE bob PASSWORD p ROLE admin", readonly)]);
    stage.asks("reader", &[("DATABASE CREATE shop", readonly), ("USER WHOAMI", "admin"), ("GET k", "v")]);
    assert_eq!(stage.hashed, 1);
}
