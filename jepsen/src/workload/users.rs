//! A user's life: made, used, without the right to write, dropped. What an acknowledged command took away is gone for every
//! connection from then on, at whatever node, and whoever of them was primary then.

use std::time::Instant;

use mneme_checks::export::{Completion, Form, Recorded};
use mneme_checks::history::{Level, NEVER, Stamp};
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};

use crate::client::{Client, open, open_as};
use crate::cluster::USER;
use crate::run::{Ended, Sample, now};

const USER_PASSWORD: &str = "another-password-of-tests";

/// A command of the administrator or of a user, and what came of it: an event of the history.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which user's life it belongs to.
    life: u32,
    called: Stamp,
    ended: Stamp,
    /// As whom.
    user: String,
    words: Vec<String>,
    completion: Completion,
    /// The reply, or the error.
    heard: String,
}

/// As whom, the command's further words, and the answer: `:user ["admin" "DROP" "user-7" "OK"]`.
impl Recorded for Asked {
    fn client(&self) -> u32 {
        self.life
    }

    fn called(&self) -> Stamp {
        self.called
    }

    fn ended(&self) -> Stamp {
        self.ended
    }

    fn function(&self) -> String {
        self.words[0].to_lowercase()
    }

    fn asked(&self) -> Form {
        self.form(Form::Nil)
    }

    fn heard(&self) -> (Completion, Form) {
        (self.completion, self.form(Form::Text(self.heard.clone())))
    }
}

impl Asked {
    fn form(&self, answer: Form) -> Form {
        let words = [&self.user].into_iter().chain(&self.words[1..]).cloned().map(Form::Text);
        Form::List(words.chain([answer]).collect())
    }
}

/// Somebody's connection.
struct Session {
    /// The life that it is for.
    life: u32,
    user: String,
    connection: MultiplexedConnection,
}

/// One user's life, as far as it comes: whoever is not answered leaves it.
pub async fn life(client: &mut Client, number: u32) {
    let user = format!("user-{number}");
    let (admins, own) = (client.choose(), client.choose());
    let session = |user: &str, connection| Session { life: number, user: user.to_owned(), connection };
    let Ok(admin) = open(&client.run, admins).await else { return };
    let mut admin = session(USER, admin);
    if !is_done(client, &mut admin, &["USER", "CREATE", &user, "PASSWORD", USER_PASSWORD, "ROLE", "readwrite"]).await {
        return;
    }
    // A node that has not heard of the user yet turns it away.
    let Ok(connection) = open_as(&client.run, own, &user, USER_PASSWORD).await else { return };
    let mut own = session(&user, connection);
    let key = format!("of:{user}");
    is_done(client, &mut own, &["SET", &key, "1"]).await;
    if is_done(client, &mut admin, &["USER", "SET", &user, "ROLE", "readonly"]).await {
        must_not(client, &mut own, &["SET", &key, "2"], "which only reads by then").await;
    }
    if is_done(client, &mut admin, &["USER", "DROP", &user]).await {
        must_not(client, &mut own, &["GET", &key], "which is dropped by then").await;
        let elsewhere = client.choose();
        // A node that has not heard of it yet may let it in; what counts is that it gets nothing.
        if let Ok(late) = open_as(&client.run, elsewhere, &user, USER_PASSWORD).await {
            must_not(client, &mut session(&user, late), &["SET", &key, "3"], "dropped before it came").await;
        }
    }
}

/// Whether it is answered, and not by an error.
async fn is_done(client: &Client, session: &mut Session, words: &[&str]) -> bool {
    let (called, began) = (now(), Instant::now());
    let answer = ask(client, session, words).await;
    let kind = match completion(&answer) {
        Completion::Ok => Ended::Ok,
        Completion::Fail => Ended::Refused,
        Completion::Info => Ended::Unknown,
    };
    client.run.sample(Sample { called, took: began.elapsed(), level: Level::Quorum, is_read: false, kind });
    answer.is_ok()
}

async fn must_not(client: &Client, session: &mut Session, words: &[&str], why: &str) {
    if let Ok(value) = ask(client, session, words).await {
        let (user, at) = (&session.user, now().as_secs_f64());
        client.run.rights_broken(format!("{words:?} of {user}, {why}, is answered {value:?}, at {at:.3} s"));
    }
}

/// Asks, and notes it.
async fn ask(client: &Client, session: &mut Session, words: &[&str]) -> RedisResult<Value> {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    let called = client.run.history().stamp();
    let answer = command.query_async(&mut session.connection).await;
    let completion = completion(&answer);
    let heard = match &answer {
        Ok(Value::Okay) => "OK".to_owned(),
        Ok(value) => format!("{value:?}"),
        Err(error) => error.to_string(),
    };
    let ended = if completion == Completion::Info { NEVER } else { client.run.history().stamp() };
    let (life, user) = (session.life, session.user.clone());
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    client.run.was_asked(Asked { life, called, ended, user, words, completion, heard });
    answer
}

fn completion(answer: &RedisResult<Value>) -> Completion {
    match answer {
        Ok(_) => Completion::Ok,
        // It may have been done, or be done yet.
        Err(error) if matches!(error.code(), None | Some("UNCERTAIN" | "NOQUORUM")) => Completion::Info,
        Err(_) => Completion::Fail,
    }
}

#[cfg(test)]
mod tests {
    use mneme_checks::export::{edn, jsonl};

    use super::*;

    #[test]
    fn a_users_life_is_a_history() {
        let asked = |called, user: &str, words: &[&str], completion, heard: &str| Asked {
            life: 7,
            called: Stamp(called),
            ended: if completion == Completion::Info { NEVER } else { Stamp(called + 1) },
            user: user.to_owned(),
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            completion,
            heard: heard.to_owned(),
        };
        let history = [
            asked(1, "admin", &["USER", "DROP", "user-7"], Completion::Ok, "OK"),
            asked(3, "user-7", &["GET", "of:user-7"], Completion::Fail, "NOAUTH"),
            asked(5, "user-7", &["SET", "of:user-7", "3"], Completion::Info, "no answer"),
        ];
        let lines = edn(&history);
        assert_eq!(lines.lines().count(), 6);
        assert!(lines.contains(r#":type :ok, :f :user, :value ["admin" "DROP" "user-7" "OK"]"#), "{lines}");
        assert!(lines.contains(r#":type :fail, :f :get, :value ["user-7" "of:user-7" "NOAUTH"]"#), "{lines}");
        assert!(jsonl(&history).contains(r#""type": "info", "f": "set""#));
    }
}
