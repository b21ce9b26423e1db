//! A user's life: made, used, without the right to write, dropped. What an acknowledged command took away is gone for every
//! connection from then on, at whatever node, and whoever of them was primary then.

use std::time::Instant;

use mneme_checks::history::Level;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};

use crate::client::{Client, open, open_as};
use crate::run::{Ended, Sample, now};

const USER_PASSWORD: &str = "another-password-of-tests";

/// One user's life, as far as it comes: whoever is not answered leaves it.
pub async fn life(client: &mut Client, number: u32) {
    let user = format!("user-{number}");
    let (admins, own) = (client.choose(), client.choose());
    let Ok(mut admin) = open(&client.run, admins).await else { return };
    if !is_done(client, &mut admin, &["USER", "CREATE", &user, "PASSWORD", USER_PASSWORD, "ROLE", "readwrite"]).await {
        return;
    }
    // A node that has not heard of the user yet turns it away.
    let Ok(mut connection) = open_as(&client.run, own, &user, USER_PASSWORD).await else { return };
    let key = format!("of:{user}");
    is_done(client, &mut connection, &["SET", &key, "1"]).await;
    if is_done(client, &mut admin, &["USER", "SET", &user, "ROLE", "readonly"]).await {
        must_not(client, &mut connection, &["SET", &key, "2"], &format!("{user}, which only reads by then")).await;
    }
    if is_done(client, &mut admin, &["USER", "DROP", &user]).await {
        must_not(client, &mut connection, &["GET", &key], &format!("{user}, which is dropped by then")).await;
        let elsewhere = client.choose();
        // A node that has not heard of it yet may let it in; what counts is that it gets nothing.
        if let Ok(mut late) = open_as(&client.run, elsewhere, &user, USER_PASSWORD).await {
            must_not(client, &mut late, &["SET", &key, "3"], &format!("{user}, dropped before it came")).await;
        }
    }
}

/// Whether it is answered, and not by an error.
async fn is_done(client: &Client, connection: &mut MultiplexedConnection, words: &[&str]) -> bool {
    let (called, began) = (now(), Instant::now());
    let answer = ask(connection, words).await;
    let kind = match &answer {
        Ok(_) => Ended::Ok,
        Err(error) if error.code().is_some() => Ended::Refused,
        Err(_) => Ended::Unknown,
    };
    client.run.sample(Sample { called, took: began.elapsed(), level: Level::Quorum, is_read: false, kind });
    answer.is_ok()
}

async fn must_not(client: &Client, connection: &mut MultiplexedConnection, words: &[&str], who: &str) {
    if let Ok(value) = ask(connection, words).await {
        client.run.rights_broken(format!("{words:?} of {who} is answered {value:?}, at {:.3} s", now().as_secs_f64()));
    }
}

async fn ask(connection: &mut MultiplexedConnection, words: &[&str]) -> RedisResult<Value> {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(connection).await
}
