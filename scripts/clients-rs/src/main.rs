//! redis-rs against the node of `scripts/clients`, over TLS and by Unix socket, in both protocols; and in its modes for Redis
//! Cluster and Sentinel against the pair of nodes there.

mod pair;

use std::env::var;
use std::error::Error;
use std::fmt::Debug;

use redis::{Client, Commands, Connection, ErrorKind, RedisResult, TlsCertificates, cmd, pipe};

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    // redis-rs leaves the choice to its user.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (password, port, socket) = (var("PASSWORD")?, var("PORT")?, var("SOCKET")?);
    let ca = std::fs::read(var("CA")?)?;
    for protocol in ["resp2", "resp3"] {
        for user in ["", "admin"] {
            let tls = |password: &str, db: u8| {
                let url = format!("rediss://{user}:{password}@localhost:{port}/{db}?protocol={protocol}");
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(ca.clone()) };
                Client::build_with_tls(url, certificates)
            };
            let by_socket = |password: &str, db: u8| {
                let user = if user.is_empty() { String::new() } else { format!("&user={user}") };
                Client::open(format!("unix://{socket}?db={db}&pass={password}&protocol={protocol}{user}"))
            };
            check(&password, protocol, tls).map_err(|error| format!("{protocol}, TLS, user {user:?}: {error}"))?;
            check(&password, protocol, by_socket)
                .map_err(|error| format!("{protocol}, unix, user {user:?}: {error}"))?;
        }
        pair::check(&password, protocol).map_err(|error| format!("{protocol}, two nodes: {error}"))?;
    }
    println!("redis-rs is content");
    Ok(())
}

fn equal<T: PartialEq + Debug>(got: T, wanted: T) -> Outcome {
    if got == wanted { Ok(()) } else { Err(format!("{got:?} instead of {wanted:?}").into()) }
}

fn refused<T: Debug>(got: RedisResult<T>, text: &str) -> Outcome {
    match got {
        Err(error) if error.to_string().contains(text) => Ok(()),
        other => Err(format!("{other:?} instead of an error with {text:?}").into()),
    }
}

fn check(password: &str, protocol: &str, client: impl Fn(&str, u8) -> RedisResult<Client>) -> Outcome {
    let connect = |db| -> RedisResult<Connection> { client(password, db)?.get_connection() };
    let mut db = connect(0)?;
    cmd("FLUSHALL").exec(&mut db)?;
    let info: String = cmd("CLIENT").arg("INFO").query(&mut db)?;
    for part in ["user=admin", "lib-name=redis-rs", &protocol.replace("resp", "resp=")] {
        equal((part, info.contains(part)), (part, true))?;
    }

    equal(db.set::<_, _, String>("key", "value")?, "OK".into())?;
    equal(db.get::<_, Option<String>>("key")?, Some("value".into()))?;
    equal(db.get::<_, Option<String>>("none")?, None)?;
    equal(db.set_nx::<_, _, bool>("key", "other")?, false)?;
    db.set_ex::<_, _, ()>("short", "lived", 100)?;
    equal((98..=100).contains(&db.ttl::<_, i64>("short")?), true)?;
    equal(db.expire::<_, bool>("key", 50)?, true)?;
    equal((49..=50).contains(&db.ttl::<_, i64>("key")?), true)?;
    equal((db.incr::<_, _, i64>("counter", 1)?, db.incr::<_, _, i64>("counter", 10)?), (1, 11))?;

    let mut many = pipe();
    (0..1000).for_each(|i| {
        many.set(format!("many:{i}"), i).ignore().get(format!("many:{i}"));
    });
    equal(many.query::<Vec<i64>>(&mut db)?, (0..1000).collect())?;
    let mut found = db.scan_match::<_, String>("many:*")?.collect::<RedisResult<Vec<_>>>()?;
    found.sort();
    let mut wanted: Vec<String> = (0..1000).map(|i| format!("many:{i}")).collect();
    wanted.sort();
    equal(found, wanted)?;

    equal(pipe().atomic().incr("counter", 1).get("key").query::<(i64, String)>(&mut db)?, (12, "value".into()))?;
    let mut other = connect(0)?;
    cmd("WATCH").arg("counter").exec(&mut db)?;
    other.incr::<_, _, i64>("counter", 1)?;
    equal(pipe().atomic().set("counter", 0).query::<Option<(String,)>>(&mut db)?, None)?;
    equal(db.get::<_, i64>("counter")?, 13)?;

    let mut third = connect(3)?;
    cmd("CLIENT").arg("SETNAME").arg("third").exec(&mut third)?;
    equal(cmd("CLIENT").arg("GETNAME").query::<String>(&mut third)?, "third".into())?;
    equal(third.get::<_, Option<String>>("key")?, None)?;

    refused(cmd("NONSENSE").arg("a").exec(&mut db), "unknown command 'NONSENSE', with args beginning with: 'a'")?;
    refused(db.incr::<_, _, i64>("key", 1), "value is not an integer or out of range")?;
    equal(db.get::<_, String>("key")?, "value".into())?;
    match client("wrong", 0)?.get_connection() {
        Err(error) if error.kind() == ErrorKind::AuthenticationFailed || error.code() == Some("WRONGPASS") => Ok(()),
        Err(error) => Err(format!("a wrong password is answered {error}").into()),
        Ok(_) => Err("a wrong password is taken".into()),
    }
}
