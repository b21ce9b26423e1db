//! Redis's ACL rules, beneath the roles.

use mneme_kernel::session::Port;

use crate::stage::Stage;

const NOAUTH: &str = "NOAUTH Authentication required.";
const WRONGPASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const NO_KEY: &str = "NOPERM No permissions to access a key";
const NO_CHANNEL: &str = "NOPERM No permissions to access a channel";

fn no_command(user: &str, command: &str) -> String {
    format!("NOPERM User {user} has no permissions to run the '{command}' command")
}

/// With a user, and a connection of it, that has these rules.
fn stage(rules: &str) -> Stage {
    let mut stage = Stage::new();
    assert_eq!(stage.ask("admin", &format!("ACL SETUSER ann on >p {rules}")), "OK");
    stage.log_in("ann", "p");
    stage
}

/// What `ACL LIST` shows of a user.
fn listed(stage: &mut Stage, user: &str) -> String {
    let lines = stage.ask("admin", "ACL LIST");
    let at = lines.find(&format!("user {user} ")).unwrap_or_else(|| panic!("{user} in {lines}"));
    let line = &lines[at..];
    line[5..].find("user ").map_or(line, |end| &line[..end + 4]).into()
}

#[test]
fn a_new_user_may_nothing_until_rules_say_so() {
    let mut stage = Stage::new();
    stage.asks("admin", &[("ACL SETUSER ann", "OK"), ("ACL SETUSER ann >p", "OK")]);
    assert_eq!(listed(&mut stage, "ann").split(" #").next(), Some("user ann off sanitize-payload"));
    assert!(
        listed(&mut stage, "ann")
            .ends_with("of 148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940 resetchannels -@all")
    );
    stage.connect("ann", Port::Main);
    stage.asks("ann", &[("AUTH ann p", WRONGPASS)]);
    stage.ask("admin", "ACL SETUSER ann on");
    stage.asks(
        "ann",
        &[("AUTH ann p", "OK"), ("GET k", &no_command("ann", "get")), ("PING", &no_command("ann", "ping"))],
    );
    stage.ask("admin", "ACL SETUSER ann +get +ping");
    stage.asks("ann", &[("PING", "PONG"), ("GET k", NO_KEY)]);
    stage.ask("admin", "ACL SETUSER ann ~k*");
    stage.asks("ann", &[("GET k", "(nil)"), ("GET other", NO_KEY), ("SET k v", &no_command("ann", "set"))]);
}

#[test]
fn commands_subcommands_and_categories_are_told_apart_in_the_order_of_the_rules() {
    let mut stage = stage("~* +@read +set -get +client -client|setname +select|1");
    stage.asks("ann", &[("SET k v", "OK"), ("GET k", &no_command("ann", "get")), ("STRLEN k", "1")]);
    stage.asks("ann", &[("CLIENT GETNAME", "(nil)"), ("CLIENT SETNAME x", &no_command("ann", "client|setname"))]);
    stage.asks("ann", &[("SELECT 0", &no_command("ann", "select")), ("SELECT 1", "OK")]);
    // Not even what Redis's rules do not know of.
    stage.asks("ann", &[("DATABASE CREATE d", &no_command("ann", "database|create"))]);
    stage.asks("ann", &[("CONSISTENCY ALL STRLEN k", "0"), ("CONSISTENCY ALL GET k", &no_command("ann", "get"))]);
}

/// As in Redis: what a script reads is looked at when it does.
#[test]
fn scripts_that_only_read_are_no_reads() {
    let mut stage = stage("~* +@read");
    for command in ["eval_ro", "evalsha_ro", "fcall_ro"] {
        stage.asks("ann", &[(&format!("{command} x 0"), &no_command("ann", command))]);
    }
    stage.asks("ann", &[("FUNCTION LIST", &no_command("ann", "function|list")), ("STRLEN k", "0")]);
    stage.asks("ann", &[("SCRIPT EXISTS x", &no_command("ann", "script|exists"))]);
}

#[test]
fn keys_may_be_read_or_written_or_both() {
    let mut stage = stage("+@all -@admin %R~r* %W~w* ~b*");
    stage.asks(
        "ann",
        &[("GET r", "(nil)"), ("SET r v", NO_KEY), ("SET w v", "OK"), ("GET w", NO_KEY), ("INCR w", NO_KEY)],
    );
    stage.asks("ann", &[("SET w v GET", NO_KEY), ("SET b v GET", "(nil)"), ("INCR b1", "1")]);
    // Both, from rules or from one another, but never for a key that has neither.
    stage.asks("ann", &[("EXISTS r w b", "2"), ("EXISTS r x", NO_KEY), ("COPY r w", "0"), ("COPY w r", NO_KEY)]);
    stage.asks("ann", &[("SUNIONSTORE w r", "0"), ("SUNIONSTORE r w", NO_KEY), ("BITFIELD r GET u4 0", "0")]);
    stage.asks("ann", &[("BITFIELD r SET u4 0 1", NO_KEY), ("BITFIELD b2 SET u4 0 1", "0")]);
}

/// What is taken for a key has to be what is used as one.
#[test]
fn keys_are_found_wherever_they_are() {
    let mut stage = stage("+@all -@admin ~a* %W~w");
    stage.asks("ann", &[("ZUNIONSTORE a 2 a1 x", NO_KEY), ("ZUNION 2 a a1", ""), ("LMPOP 2 a x LEFT", NO_KEY)]);
    stage.asks("ann", &[("SORT a STORE w", "0"), ("SORT a STORE x", NO_KEY), ("SORT a BY store STORE x", NO_KEY)]);
    stage.asks("ann", &[("SORT a GET store STORE x", NO_KEY), ("SORT a LIMIT 0 store STORE x", NO_KEY)]);
    stage.asks("ann", &[("GEORADIUS a 0 0 1 m STORE x", NO_KEY), ("GEORADIUS a 0 0 1 m STORE a STOREDIST x", NO_KEY)]);
    stage.asks("ann", &[("XREAD STREAMS a x 0 0", NO_KEY), ("XREADGROUP GROUP g streams STREAMS x >", NO_KEY)]);
    stage.asks("ann", &[("XREADGROUP COUNT 1 GROUP g streams STREAMS x >", NO_KEY), ("OBJECT ENCODING x", NO_KEY)]);
    stage.asks("ann", &[("XINFO STREAM x", NO_KEY), ("MEMORY USAGE x", NO_KEY), ("WATCH a x", NO_KEY)]);
    let denied = |option| format!("ERR {option} option of SORT denied due to insufficient ACL permissions.");
    stage.asks(
        "ann",
        &[("SORT a BY a*", &denied("BY")), ("SORT a GET a*", &denied("GET")), ("SORT a GET #", &denied("GET"))],
    );
    stage.ask("admin", "ACL SETUSER ann %R~*");
    stage.asks("ann", &[("SORT a BY a*", ""), ("SORT a BY a* STORE x", NO_KEY)]);
}

#[test]
fn what_one_selector_allows_another_does_not_complete() {
    let mut stage = stage("(+get ~a*) (+set ~b*) ( +copy %R~a* )");
    stage.asks("ann", &[("GET a", "(nil)"), ("SET b v", "OK"), ("GET b", NO_KEY), ("SET a v", NO_KEY)]);
    stage.asks("ann", &[("COPY a b", NO_KEY), ("DEL a", &no_command("ann", "del"))]);
    assert!(listed(&mut stage, "ann").ends_with(
        "resetchannels -@all (~a* resetchannels -@all +get) (~b* resetchannels -@all +set) (%R~a* resetchannels -@all +copy)"
    ));
    stage.ask("admin", "ACL SETUSER ann clearselectors");
    stage.asks("ann", &[("GET a", &no_command("ann", "get"))]);
}

#[test]
fn channels_are_for_whom_they_are_allowed() {
    let mut stage = stage("+@pubsub &a* &b");
    stage.asks(
        "ann",
        &[("PUBLISH a1 x", "0"), ("SPUBLISH b x", "0"), ("PUBLISH c x", NO_CHANNEL), ("SPUBLISH c x", NO_CHANNEL)],
    );
    stage.asks("ann", &[("SUBSCRIBE a1 c", NO_CHANNEL), ("SSUBSCRIBE c", NO_CHANNEL), ("PSUBSCRIBE a1", NO_CHANNEL)]);
    // A pattern is allowed by the same pattern.
    stage.asks("ann", &[("PSUBSCRIBE a*", "psubscribe a* 1"), ("SUBSCRIBE b", "subscribe b 2")]);
}

#[test]
fn who_may_not_hear_any_more_is_sent_off_at_once() {
    for subscription in ["SUBSCRIBE a1", "PSUBSCRIBE a*", "SSUBSCRIBE a1"] {
        let mut stage = stage("+@pubsub &a* &b");
        stage.ask("ann", subscription);
        stage.ask("admin", "ACL SETUSER ann resetchannels &a* -ping");
        assert!(!stage.is_closed("ann"), "{subscription} is still allowed");
        stage.ask("admin", "ACL SETUSER ann resetchannels &b");
        assert!(stage.is_closed("ann"), "{subscription}");
    }
}

#[test]
fn what_a_role_forbids_no_rule_allows() {
    let mut stage = Stage::new();
    stage.ask("admin", "USER CREATE bob PASSWORD p ROLE readonly DATABASES 0");
    stage.log_in("bob", "p");
    stage.ask("admin", "ACL SETUSER bob +@all ~* &*");
    let (set, config) = (no_command("bob", "set"), no_command("bob", "config|get"));
    stage.asks("bob", &[("SET k v", &set), ("CONFIG GET maxmemory", &config), ("GET k", "(nil)")]);
    stage.asks("bob", &[("SELECT 1", "NOPERM User bob has no permissions to access database 1")]);
    stage.ask("admin", "ACL SETUSER bob -get");
    stage.asks("bob", &[("GET k", &no_command("bob", "get")), ("STRLEN k", "0")]);
    // A role that is given stays, whatever the rules are, and the rules stay with another role.
    stage.ask("admin", "USER SET bob ROLE readwrite");
    stage.asks("bob", &[("SET k v", "OK"), ("GET k", &no_command("bob", "get"))]);
}

#[test]
fn who_is_made_by_rules_has_the_least_role_that_allows_what_they_allow() {
    let mut stage = Stage::new();
    for (rules, role) in [
        ("", "readonly"),
        ("+@all -@write -@admin -publish -spublish", "readonly"),
        ("+@all -@write -@admin", "readwrite"),
        ("+@all -@admin", "readwrite"),
        ("+@all -@dangerous ~app:*", "readwrite"),
        ("(+set)", "readwrite"),
        ("+@all", "admin"),
        ("+config|get", "admin"),
        ("+@slow -@admin -@dangerous -@write", "readonly"),
        ("+acl|log", "admin"),
    ] {
        stage.ask("admin", format!("ACL SETUSER ann reset {rules}").trim_end());
        let shown = stage.ask("admin", "USER SHOW ann");
        assert!(shown.contains(&format!("role {role} ")), "{rules}: {shown}");
    }
    // Whoever is given a role has that from then on.
    stage.asks("admin", &[("USER SET ann ROLE readonly", "OK"), ("ACL SETUSER ann reset +@all", "OK")]);
    assert!(stage.ask("admin", "USER SHOW ann").contains("role readonly "));
}

#[test]
fn who_is_no_admin_makes_nobody() {
    let mut stage = stage("~* &* +@all -@admin -@dangerous");
    let refused = |command| no_command("ann", command);
    stage.asks(
        "ann",
        &[("ACL SETUSER bob on nopass +@all", &refused("acl|setuser")), ("ACL DELUSER admin", &refused("acl|deluser"))],
    );
    stage.asks(
        "ann",
        &[
            ("ACL LIST", &refused("acl|list")),
            ("ACL GETUSER ann", &refused("acl|getuser")),
            ("ACL LOG", &refused("acl|log")),
        ],
    );
    stage.asks("ann", &[("ACL WHOAMI", "ann"), ("USER CREATE bob PASSWORD p ROLE admin", &refused("user|create"))]);
    // Nor does who may do nothing but that, beneath a role that does not allow it.
    stage.ask("admin", "USER CREATE eve PASSWORD p ROLE readwrite");
    stage.log_in("eve", "p");
    stage.ask("admin", "ACL SETUSER eve +acl");
    stage.asks("eve", &[("ACL SETUSER eve +@all", &no_command("eve", "acl|setuser"))]);
}

#[test]
fn somebody_can_always_change_users() {
    let mut stage = Stage::new();
    let last = "ERR 'admin' is the last admin, make another user an admin first";
    for change in [
        "ACL SETUSER admin off",
        "ACL SETUSER admin -@all",
        "ACL SETUSER admin -@admin -@dangerous",
        "ACL SETUSER admin resetpass",
        "ACL SETUSER admin <secret",
        "ACL DELUSER admin",
    ] {
        assert_eq!(stage.ask("admin", change), last, "{change}");
    }
    // One that could not is no other, and neither is one as whom nobody can authenticate.
    stage.asks("admin", &[("ACL SETUSER eve on +@all", "OK"), ("ACL SETUSER admin resetpass", last)]);
    stage.asks("admin", &[("ACL SETUSER eve nopass", "OK"), ("ACL SETUSER admin resetpass", "OK")]);
    stage.log_in("eve", "anything");
    stage.asks("eve", &[("ACL SETUSER admin >secret", "OK")]);
    stage.asks("admin", &[("AUTH admin secret", "OK"), ("USER DROP eve", "OK")]);
    stage.asks("admin", &[("ACL SETUSER ann on >p +config", "OK"), ("ACL SETUSER admin off", last)]);
    stage.asks("admin", &[("ACL SETUSER ann +acl", "OK"), ("ACL SETUSER admin off", "OK")]);
    // As in Redis, who is there already stays.
    stage.asks("admin", &[("ACL SETUSER admin on", "OK"), ("ACL DELUSER admin ann ann nobody", last)]);
    stage.asks(
        "admin",
        &[("ACL DELUSER ann ann nobody", "1"), ("ACL DELUSER default", "ERR The 'default' user cannot be removed")],
    );
}

/// USER and ACL hash it in two ways, and what Redis stores of it does not tell that it is the same.
#[test]
fn a_password_that_is_removed_remains_under_no_other_hash() {
    let p = "148de9c5a7a44d19e56cd9ae1a554bf67847afb0c58f6e12fa29ac7ddfca9940";
    let hashes = |stage: &mut Stage| listed(stage, "ann").matches(" #").count();
    let mut stage = Stage::new();
    stage.ask("admin", "USER CREATE ann PASSWORD p ROLE readonly");
    stage.asks("admin", &[(&format!("ACL SETUSER ann #{p} >q"), "OK")]);
    assert_eq!(hashes(&mut stage), 3);
    stage.asks("admin", &[("ACL SETUSER ann >p", "OK")]);
    assert_eq!(hashes(&mut stage), 3, "it is there already");
    stage.log_in("ann", "p");
    stage.asks("admin", &[("ACL SETUSER ann <p", "OK")]);
    assert_eq!(hashes(&mut stage), 1);
    stage.asks("ann", &[("GET k", NOAUTH), ("AUTH ann p", WRONGPASS), ("AUTH ann q", "OK")]);
    // In whatever forms one command says it.
    stage.asks("admin", &[("USER SET ann PASSWORD p", "OK"), (&format!("ACL SETUSER ann #{p} <p"), "OK")]);
    stage.asks("admin", &[(&format!("ACL SETUSER bob >p #{p} on"), "OK")]);
    assert_eq!(hashes(&mut stage), 0);
    assert_eq!(listed(&mut stage, "bob").matches(" #").count(), 1);
    stage.asks("ann", &[("AUTH ann p", WRONGPASS)]);
}

#[test]
fn a_user_has_several_passwords_and_who_came_by_one_stays_as_long_as_it_is() {
    let mut stage = stage("+ping >q");
    stage.log_in_as("second", "ann", "q");
    // Passwords that are the user's already are no others.
    let hashed = stage.hashed;
    stage.asks("admin", &[("ACL SETUSER ann >q >p", "OK")]);
    assert_eq!(stage.hashed, hashed + 2);
    assert_eq!(listed(&mut stage, "ann").matches(" #").count(), 2);
    stage.asks("second", &[("PING", "PONG")]);
    let absent =
        "ERR Error in ACL SETUSER modifier '<r': The password you are trying to remove from the user does not exist";
    stage.asks("admin", &[("ACL SETUSER ann <q", "OK"), ("ACL SETUSER ann <r", absent)]);
    stage.asks("second", &[("PING", NOAUTH), ("AUTH ann q", WRONGPASS)]);
    stage.asks("ann", &[("PING", "PONG")]);
    stage.ask("admin", "ACL SETUSER ann nopass");
    stage.asks("second", &[("AUTH ann anything", "OK"), ("PING", "PONG")]);
    stage.ask("admin", "ACL SETUSER ann >r");
    stage.asks("second", &[("PING", NOAUTH), ("AUTH ann anything", WRONGPASS), ("AUTH ann r", "OK")]);
    stage.ask("admin", "ACL SETUSER ann resetpass");
    stage.asks("second", &[("PING", NOAUTH), ("AUTH ann r", WRONGPASS)]);
    // USER's password is one of them.
    stage.asks("admin", &[("ACL SETUSER ann nopass", "OK"), ("USER SET ann PASSWORD s", "OK")]);
    stage.asks("second", &[("AUTH ann r", WRONGPASS), ("AUTH ann s", "OK")]);
    stage.asks("admin", &[("ACL SETUSER ann <s", "OK")]);
    stage.asks("second", &[("PING", NOAUTH)]);
    let many = "ERR a user has at most 8 passwords";
    stage.asks(
        "admin",
        &[("ACL SETUSER ann >1 >2 >3 >4 >5 >6 >7 >8 >9", many), ("ACL SETUSER ann >1 >2 >3 >4 >5 >6 >7 >8", "OK")],
    );
    stage.asks("admin", &[("ACL SETUSER ann >9", many)]);
}

/// `printf passwd4 | sha256sum`.
const SHA256: &str = "34344e4d60c2b6d639b7bd22e18f2b0b91bc34bf0ac5f9952744435093cfb4e6";

#[test]
fn a_password_may_come_as_redis_stores_it() {
    let mut stage = Stage::new();
    stage.ask("admin", &format!("ACL SETUSER ann on +ping #{SHA256}"));
    stage.log_in("ann", "passwd4");
    stage.ask("admin", "ACL SETUSER ann >passwd4");
    assert_eq!(listed(&mut stage, "ann").matches(" #").count(), 1);
    stage.asks("admin", &[(&format!("ACL SETUSER ann !{SHA256}"), "OK")]);
    stage.asks("ann", &[("PING", NOAUTH)]);
    let not_hex = SHA256.replace('6', "g");
    for (rule, wrong) in [
        (
            "#1234".into(),
            "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters",
        ),
        (
            format!("#{not_hex}"),
            "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters",
        ),
        (format!("!{SHA256}"), "The password you are trying to remove from the user does not exist"),
    ] {
        stage.asks(
            "admin",
            &[(&format!("ACL SETUSER ann {rule}"), &format!("ERR Error in ACL SETUSER modifier '{rule}': {wrong}"))],
        );
    }
    // As it is shown here, it comes from another cluster.
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA";
    stage.asks("admin", &[(&format!("ACL SETUSER ann #{hash}"), "OK")]);
    assert!(listed(&mut stage, "ann").contains(hash));
}

#[test]
fn rules_that_are_wrong_change_nothing() {
    let mut stage = Stage::new();
    let unknown = "Unknown command or category name in ACL";
    for (rule, wrong) in [
        ("+nothing", unknown),
        ("-@nothing", unknown),
        ("+config|nothing", unknown),
        ("-select|0", unknown),
        ("+get|a|b", unknown),
        ("+config|get|x", "Allowing first-arg of a subcommand is not supported"),
        ("+get|", "Syntax error"),
        ("word", "Syntax error"),
        ("%X~k", "Syntax error"),
        ("%~k", "Syntax error"),
        (")", "Syntax error"),
        ("(word)", "Syntax error"),
        ("(+get (+set))", "Syntax error"),
    ] {
        let answer = format!("ERR Error in ACL SETUSER modifier '{rule}': {wrong}");
        stage.asks("admin", &[(&format!("ACL SETUSER ann on >p {rule}"), &answer)]);
    }
    stage.asks("admin", &[
        ("ACL SETUSER ann (+get", "ERR Unmatched parenthesis in acl selector starting at '(+get'."),
        ("ACL SETUSER ann ~* ~a", "ERR Error in ACL SETUSER modifier '~a': Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns"),
        ("ACL SETUSER ann &* &a", "ERR Error in ACL SETUSER modifier '&a': Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels"),
        ("ACL GETUSER ann", "(nil)"),
        ("ACL USERS", "admin"),
    ]);
    assert_eq!(stage.hashed, 0);
    let long = format!("ACL SETUSER ann ~{}", "k".repeat(16 << 10));
    stage.asks("admin", &[(&long, "ERR the rules of a user have at most 16384 bytes")]);
}

#[test]
fn rules_are_shown_as_they_were_given_without_what_they_overrule() {
    let mut stage = Stage::new();
    for (rules, shown) in [
        ("+@all -debug +client|id", "+@all -debug +client|id"),
        ("-@all +memory|usage +memory", "-@all +memory"),
        ("+config|get -config +config|set", "-@all -config +config|set"),
        ("+@READ +Get -@read", "-@all +get -@read"),
        ("+get +@all", "+@all"),
        ("+select|0 +select|1 -select", "-@all -select"),
    ] {
        stage.ask("admin", &format!("ACL SETUSER ann reset {rules}"));
        let got = stage.ask("admin", "ACL GETUSER ann");
        assert!(got.contains(&format!(" commands {shown} keys ")), "{rules}: {got}");
    }
    stage.ask("admin", "ACL SETUSER ann reset on nopass %R~a %W~a %W~b ~c &d &e (~f)");
    assert_eq!(
        stage.ask("admin", "ACL GETUSER ann"),
        "flags on nopass sanitize-payload passwords  commands -@all keys ~a %W~b ~c channels &d &e selectors commands -@all keys ~f channels "
    );
}

#[test]
fn what_is_refused_is_in_the_log_of_the_node() {
    let mut stage = stage("+get +multi +exec +publish ~k");
    stage.asks(
        "ann",
        &[("SET k v", &no_command("ann", "set")), ("GET x", NO_KEY), ("GET x", NO_KEY), ("PUBLISH c m", NO_CHANNEL)],
    );
    stage.asks(
        "ann",
        &[
            ("MULTI", "OK"),
            ("INCR k", &no_command("ann", "incr")),
            ("EXEC", "EXECABORT Transaction discarded because of previous errors."),
            ("AUTH ann q", WRONGPASS),
        ],
    );
    let log = stage.ask("admin", "ACL LOG");
    let wanted = [
        "count 1 reason auth context toplevel object AUTH username ann",
        "count 1 reason command context multi object incr username ann",
        "count 1 reason channel context toplevel object c username ann",
        "count 2 reason key context toplevel object x username ann",
        "count 1 reason command context toplevel object set username ann",
    ];
    let mut rest = log.as_str();
    for entry in wanted {
        let at = rest.find(entry).unwrap_or_else(|| panic!("{entry} in {log}"));
        rest = &rest[at..];
    }
    assert!(log.contains("client-info id="));
    let info = stage.ask("admin", "INFO stats");
    for (what, count) in [("auth", 1), ("cmd", 2), ("key", 2), ("channel", 1)] {
        assert!(info.contains(&format!("acl_access_denied_{what}:{count}\r\n")), "{what}: {info}");
    }
    assert_eq!(stage.ask("admin", "ACL LOG 1").matches("count ").count(), 1);
    stage.asks("admin", &[("CONFIG SET acllog-max-len 2", "OK")]);
    assert_eq!(stage.ask("admin", "ACL LOG").matches("count ").count(), 2);
    stage.asks("admin", &[("ACL LOG RESET", "OK"), ("ACL LOG", "")]);
}

#[test]
fn a_change_applies_to_what_is_queued() {
    let mut stage = stage("+@all -@admin ~*");
    stage.asks("ann", &[("MULTI", "OK"), ("SET k v", "QUEUED"), ("GET k", "QUEUED")]);
    stage.ask("admin", "ACL SETUSER ann -set");
    stage.asks("ann", &[("EXEC", &format!("{} (nil)", no_command("ann", "set")))]);
    assert!(stage.ask("admin", "ACL LOG").contains("context multi object set"));
    stage.asks("admin", &[("MULTI", "OK"), ("ACL SETUSER ann on", "ERR Command not allowed inside a transaction")]);
}

#[test]
fn a_dry_run_tells_why_and_notes_nothing() {
    let mut stage = stage("+get +publish ~k");
    stage.asks(
        "admin",
        &[
            ("ACL DRYRUN ann GET k", "OK"),
            ("ACL DRYRUN ann GET x", "User ann has no permissions to access the 'x' key"),
            ("ACL DRYRUN ann PUBLISH c m", "User ann has no permissions to access the 'c' channel"),
            ("ACL DRYRUN ann CONFIG GET x", "User ann has no permissions to run the 'config|get' command"),
            ("ACL DRYRUN ann GET", "ERR wrong number of arguments for 'get' command"),
            ("ACL DRYRUN ann NOTHING x", "ERR Command 'NOTHING' not found"),
            ("ACL DRYRUN bob GET k", "ERR User 'bob' not found"),
            ("ACL DRYRUN ann CONSISTENCY ALL GET k", "OK"),
            ("ACL DRYRUN ann CONSISTENCY ALL SET k v", "User ann has no permissions to run the 'set' command"),
            ("ACL DRYRUN ann CONSISTENCY ALL GET x", "User ann has no permissions to access the 'x' key"),
            ("ACL DRYRUN ann CONSISTENCY ALL", "ERR wrong number of arguments for 'consistency' command"),
            ("ACL DRYRUN ann CONSISTENCY SOME GET k", "ERR unknown consistency level, use EVENTUAL, QUORUM or ALL"),
            ("ACL LOG", ""),
        ],
    );
}

#[test]
fn secrets_are_made() {
    let mut stage = Stage::new();
    let wrong =
        "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096";
    stage.asks("admin", &[("ACL GENPASS 0", wrong), ("ACL GENPASS -236", wrong), ("ACL GENPASS 4097", wrong)]);
    let (one, other) = (stage.ask("admin", "ACL GENPASS"), stage.ask("admin", "ACL GENPASS"));
    assert_eq!((one.len(), other.len(), stage.ask("admin", "ACL GENPASS 5").len()), (64, 64, 2));
    assert_ne!(one, other);
}

/// On the read port, users cannot be changed, but what was refused there is told.
#[test]
fn the_read_port_tells_its_own_refusals() {
    let mut stage = stage("+get ~k");
    stage.connect("reader", Port::Read);
    stage.asks("reader", &[("AUTH ann p", "OK"), ("GET x", NO_KEY), ("AUTH admin secret", "OK")]);
    assert!(stage.ask("reader", "ACL LOG").contains("object x"));
    let readonly = "READONLY You can't write against a read only replica.";
    stage.asks("reader", &[("ACL SETUSER ann >secret +@all", readonly)]);
}
