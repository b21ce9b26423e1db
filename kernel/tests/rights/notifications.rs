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
