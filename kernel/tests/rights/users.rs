//! USER, and ACL as a view of the same.

use mneme_kernel::limits;

use crate::stage::Stage;

#[test]
fn a_user_is_made_shown_changed_and_dropped() {
    let mut stage = Stage::new();
    stage.asks(
        "admin",
        &[
            ("USER CREATE ann PASSWORD p ROLE readwrite", "OK"),
            ("USER SHOW ann", "name ann role readwrite databases * consistency (nil)"),
            ("user create bob role READONLY consistency eventual databases 1 2 password q", "OK"),
            ("USER SHOW bob", "name bob role readonly databases 1 2 consistency EVENTUAL"),
            ("USER SET bob DATABASES 3 ROLE readwrite", "OK"),
            ("USER SHOW bob", "name bob role readwrite databases 3 consistency EVENTUAL"),
            ("USER SET bob DATABASES * CONSISTENCY DEFAULT", "OK"),
            ("USER SHOW bob", "name bob role readwrite databases * consistency (nil)"),
            ("USER DROP ann", "OK"),
            (
                "USER LIST",
                "name admin role admin databases * consistency (nil) name bob role readwrite databases * consistency (nil)",
            ),
            ("USER WHOAMI", "admin"),
        ],
    );
    stage.log_in("bob", "q");
    stage.asks("bob", &[("USER WHOAMI", "bob"), ("SET k v", "OK")]);
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let mut stage = Stage::new();
    let long = "x".repeat(limits::MAX_NAME + 1);
    let secret = "x".repeat(limits::MAX_PASSWORD + 1);
    let user_name = "ERR the name of a user has from 1 to 64 characters of ASCII, without spaces or control characters";
    stage.asks(
        "admin",
        &[
            ("USER CREATE ann PASSWORD p", "ERR USER CREATE needs a PASSWORD and a ROLE, see USER HELP"),
            ("USER CREATE ann ROLE admin", "ERR USER CREATE needs a PASSWORD and a ROLE, see USER HELP"),
            ("USER CREATE ann PASSWORD p ROLE root", "ERR unknown role 'root', use admin, readwrite or readonly"),
            (
                "USER CREATE ann PASSWORD p ROLE readonly DATABASES 99",
                "ERR there is no database '99', DATABASE LIST shows all",
            ),
            (
                "USER CREATE ann PASSWORD p ROLE readonly DATABASES shop",
                "ERR there is no database 'shop', DATABASE LIST shows all",
            ),
            (
                "USER CREATE ann PASSWORD p ROLE readonly DATABASES",
                "ERR DATABASES needs numbers or names of databases, or * for all",
            ),
            (
                "USER CREATE ann PASSWORD p ROLE admin DATABASES 1",
                "ERR an admin may use every database, give another role or leave DATABASES out",
            ),
            (
                "USER CREATE ann PASSWORD p ROLE readonly CONSISTENCY some",
                "ERR unknown consistency level, use EVENTUAL, QUORUM or ALL",
            ),
            (
                "USER CREATE ann PASSWORD p NOSUCH x",
                "ERR unknown option 'NOSUCH', use PASSWORD, ROLE, DATABASES or CONSISTENCY",
            ),
            (
                "USER CREATE ann HASH p ROLE readonly",
                "ERR unknown option 'HASH', use PASSWORD, ROLE, DATABASES or CONSISTENCY",
            ),
            ("USER CREATE ann PASSWORD", "ERR syntax error"),
            ("USER CREATE ann PASSWORD  ROLE readonly", "ERR a password has from 1 to 1024 bytes"),
            (&format!("USER CREATE ann PASSWORD {secret} ROLE readonly"), "ERR a password has from 1 to 1024 bytes"),
            (&format!("USER CREATE {long} PASSWORD p ROLE readonly"), user_name),
            ("USER CREATE  PASSWORD p ROLE readonly", user_name),
            ("USER CREATE admin PASSWORD p ROLE readonly", "ERR there is a user 'admin' already, USER SET changes it"),
            ("USER SET ann ROLE readonly", "ERR there is no user 'ann', USER LIST shows all"),
            ("USER SHOW ann", "ERR there is no user 'ann', USER LIST shows all"),
            ("USER DROP ann", "ERR there is no user 'ann', USER LIST shows all"),
            ("USER NOSUCH", "ERR unknown subcommand 'NOSUCH'. Try USER HELP."),
            ("USER DROP", "ERR wrong number of arguments for 'user|drop' command"),
            ("USER LIST", "name admin role admin databases * consistency (nil)"),
        ],
    );
}

#[test]
fn the_last_admin_stays() {
    let mut stage = Stage::new();
    let last = "ERR 'admin' is the last admin, make another user an admin first";
    stage.asks(
        "admin",
        &[
            ("USER DROP admin", last),
            ("USER SET admin ROLE readwrite", last),
            ("USER SET admin CONSISTENCY QUORUM ROLE admin", "OK"),
            ("USER CREATE root PASSWORD p ROLE admin", "OK"),
            ("USER SET admin ROLE readwrite", "OK"),
            ("USER DROP root", "NOPERM User admin has no permissions to run the 'user|drop' command"),
        ],
    );
    stage.log_in("root", "p");
    stage.asks(
        "root",
        &[
            ("USER DROP admin", "OK"),
            ("USER DROP root", "ERR 'root' is the last admin, make another user an admin first"),
        ],
    );
}

#[test]
fn there_are_so_many_users_and_no_more() {
    let mut stage = Stage::new();
    for i in 1..limits::MAX_USERS {
        let (replies, _) = stage.send("admin", &format!("USER CREATE u{i} PASSWORD p ROLE readonly"));
        assert!(replies.is_empty());
    }
    stage.accept();
    assert_eq!(stage.receive("admin").len(), limits::MAX_USERS - 1);
    let full = "ERR there are too many users, USER DROP removes one";
    stage.asks(
        "admin",
        &[
            ("USER CREATE one-more PASSWORD p ROLE readonly", full),
            ("USER DROP u1", "OK"),
            ("USER CREATE one-more PASSWORD p ROLE readonly", "OK"),
        ],
    );
}

/// A password can be any word; it is hashed once, and only for a command that would do something.
#[test]
fn a_password_is_hashed_before_the_command_is_executed() {
    let mut stage = Stage::new();
    for (i, password) in ["ROLE", "password", "CONSISTENCY", "DATABASES"].into_iter().enumerate() {
        let made = format!("USER CREATE u{i} DATABASES 1 2 PASSWORD {password} ROLE readonly");
        assert_eq!(stage.ask("admin", &made), "OK");
        stage.log_in(&format!("u{i}"), password);
    }
    assert_eq!(stage.hashed, 4);
    stage.ask("admin", "USER CREATE ann PASSWORD p ROLE nosuch");
    stage.ask("admin", "USER SHOW u1");
    stage.ask("u0", "USER SET u0 PASSWORD p");
    assert_eq!(stage.hashed, 4);
}

#[test]
fn the_slow_log_and_monitors_see_no_password() {
    let mut stage = Stage::new();
    stage.log_in_as("monitor", "admin", "secret");
    stage.asks("admin", &[("CONFIG SET slowlog-log-slower-than 0", "OK")]);
    assert_eq!(stage.ask("monitor", "MONITOR"), "OK");
    stage.asks("admin", &[("USER CREATE ann PASSWORD hush ROLE readonly", "OK"), ("PING", "PONG")]);
    assert!(!stage.ask("admin", "SLOWLOG GET -1").contains("hush"));
    stage.send("monitor", "PING");
    assert!(!format!("{:?}", stage.receive("monitor")).contains("hush"));
}

#[test]
fn users_have_no_place_in_a_transaction() {
    let mut stage = Stage::new();
    stage.asks(
        "admin",
        &[
            ("MULTI", "OK"),
            ("USER CREATE ann PASSWORD p ROLE readonly", "ERR Command not allowed inside a transaction"),
            ("EXEC", "EXECABORT Transaction discarded because of previous errors."),
        ],
    );
}

#[test]
fn acl_shows_the_same_users() {
    let mut stage = Stage::new();
    stage.ask("admin", "USER CREATE ann PASSWORD p ROLE readwrite DATABASES 1 2");
    stage.ask("admin", "USER CREATE bob PASSWORD p ROLE readonly");
    stage.asks(
        "admin",
        &[
            ("ACL WHOAMI", "admin"),
            ("ACL USERS", "admin ann bob"),
            (
                "ACL LIST",
                "user admin on sanitize-payload #hash 0 of secret ~* &* +@all user ann on sanitize-payload #hash 1 of p ~* &* +@all -@admin -@dangerous user bob on sanitize-payload #hash 2 of p ~* &* +@all -@admin -@dangerous -@write -publish -spublish",
            ),
            (
                "ACL GETUSER ann",
                "flags on sanitize-payload passwords hash 1 of p commands +@all -@admin -@dangerous keys ~* channels &* selectors ",
            ),
            ("ACL GETUSER nobody", "(nil)"),
            ("ACL DRYRUN bob GET k", "OK"),
            ("ACL DRYRUN bob SET k v", "User bob has no permissions to run the 'set' command"),
            ("ACL DRYRUN ann GET k", "User ann has no permissions to access database 0"),
            ("ACL DRYRUN nobody GET k", "ERR User 'nobody' not found"),
            ("ACL DRYRUN ann NOSUCH k", "ERR Command 'NOSUCH' not found"),
            ("ACL SAVE", "OK"),
            ("ACL LOAD", "OK"),
        ],
    );
    stage.log_in("bob", "p");
    let refused = |command: &str| format!("NOPERM User bob has no permissions to run the '{command}' command");
    let (list, show) = (refused("acl|list"), refused("acl|getuser"));
    stage.asks("bob", &[("ACL WHOAMI", "bob"), ("ACL LIST", &list), ("ACL GETUSER ann", &show)]);
}
