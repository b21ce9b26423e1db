//! What happens to the keys of a database is for whom it was granted to.

use crate::stage::Stage;

#[test]
fn a_database_that_was_not_granted_is_not_heard_of() {
    let mut stage = Stage::new();
    stage.ask("admin", "CONFIG SET notify-keyspace-events EA");
    for (user, databases) in [("all", "*"), ("one", "1")] {
        stage.ask("admin", &format!("USER CREATE {user} PASSWORD p ROLE readonly DATABASES {databases}"));
        stage.log_in(user, "p");
        stage.send(user, "PSUBSCRIBE __keyevent@*");
        stage.receive(user);
    }
    stage.asks("admin", &[("SET secret v", "OK"), ("SELECT 1", "OK"), ("SET shown v", "OK")]);
    let mut heard = |user: &str| {
        let (mut replies, _) = stage.send(user, "PING");
        replies.extend(stage.receive(user));
        let texts: Vec<String> = replies.iter().map(crate::stage::text).collect();
        texts
    };
    let (first, second, pong) =
        ("pmessage __keyevent@* __keyevent@0__:set secret", "pmessage __keyevent@* __keyevent@1__:set shown", "pong ");
    assert_eq!(heard("all"), [first, second, pong]);
    assert_eq!(heard("one"), [second, pong]);
}

#[test]
fn what_is_stored_over_a_key_is_not_new_and_who_writes_misses_nothing() {
    let mut stage = Stage::new();
    stage.ask("admin", "CONFIG SET notify-keyspace-events EAnm");
    stage.ask("admin", "USER CREATE u PASSWORD p ROLE readonly DATABASES *");
    stage.log_in("u", "p");
    stage.send("u", "PSUBSCRIBE __keyevent@0__:*");
    stage.receive("u");
    for (command, told) in [
        ("SADD s a", "new s, sadd s"),
        ("ZADD z 1 a", "new z, zadd z"),
        ("SUNIONSTORE t s", "new t, sunionstore t"),
        ("SUNIONSTORE t s", "sunionstore t"),
        ("SORT s ALPHA STORE t", "sortstore t"),
        ("ZRANGESTORE t z 0 -1", "zrangestore t"),
        ("SUNIONSTORE t u", "keymiss u, del t"),
        ("BITFIELD b SET u8 0 1", "new b, setbit b"),
        ("BITFIELD c GET u8 0", "keymiss c"),
    ] {
        stage.ask("admin", command);
        let (mut replies, _) = stage.send("u", "PING");
        replies.extend(stage.receive("u"));
        let texts: Vec<String> = replies.iter().map(crate::stage::text).collect();
        let heard = texts.iter().filter_map(|text| text.rsplit_once("__keyevent@0__:").map(|(_, event)| event));
        assert_eq!(heard.collect::<Vec<_>>().join(", "), told, "{command}: {texts:?}");
    }
}
