//! What is looked at when all faults have ended: whether the servers work again, and whether everything is there.

use std::time::Duration;

use madsim::time::{Instant, sleep};
use mneme_kernel::resp::Value;

use crate::appends;
use crate::client::Client;
use crate::cluster::{Cluster, Ending};
use crate::model::{Command, Key};
use crate::options::{TEXTS, TYPED, Type};
use crate::queues;
use crate::simulation::RECOVERY;
use crate::wire::Request;
use crate::workload::typed::whole;

/// How long a client waits for a reply when nothing is wrong any more.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long Cores may take until all have the same data.
const CONVERGENCE: Duration = Duration::from_secs(10);
/// The database of what is written here; no client uses it.
const PROBES: &str = "15";

/// What the only server, now quiet, says of its data must be what the power's next cut leaves, and what clients then read.
pub async fn at_one(cluster: &Cluster) -> Result<(), String> {
    let reader = cluster.add_client();
    let looking = cluster.clone();
    let asked = reader.spawn(async move {
        // While writers are held back, no key is deleted for its deadline either.
        Client::new(looking.clone(), 0, PATIENCE)
            .ask(&["CLIENT", "PAUSE", "60000", "WRITE"])
            .await
            .map_err(|error| format!("CLIENT PAUSE is not answered: {error}"))?;
        digest(&looking).await
    });
    let before = asked.await.map_err(|error| format!("asking for the digest: {error}"))??;
    cluster.outage(1, Ending::PowerCut, Duration::from_millis(100)).await;
    cluster.until_up(RECOVERY).await?;
    let looking = cluster.clone();
    let after = reader.spawn(async move {
        let after = digest(&looking).await?;
        read_everything(&looking, 0).await.map(|()| after)
    });
    let after = after.await.map_err(|error| format!("reading everything: {error}"))??;
    let same = before.1 == after.1 && before.0 <= after.0 || cluster.has_expired_keys();
    let what = || format!("DEBUG DIGEST says {after:?} after a restart and said {before:?} before it");
    cluster.world().check("digest", if same { Ok(()) } else { Err(what()) });
    Ok(())
}

/// Every Core takes writes, and all come to the same data. Then the power of all machines is cut at once: every Core
/// must read everything acknowledged.
pub async fn at_all(cluster: &Cluster) -> Result<(), String> {
    let clients = cluster.add_client();
    for core in 0..cluster.cores().count() {
        let writing = cluster.clone();
        let written = clients.spawn(async move { write(&writing, core).await });
        written.await.map_err(|error| format!("writing a probe: {error}"))??;
    }
    converge(cluster).await?;
    let all = (1 << cluster.machines().len()) - 1;
    cluster.outage(all, Ending::PowerCut, Duration::from_millis(100)).await;
    cluster.until_up(RECOVERY).await.map_err(|late| format!("after the last outage: {late}"))?;
    for core in 0..cluster.cores().count() {
        let reading = cluster.clone();
        let read = clients.spawn(async move { read_everything(&reading, core).await });
        read.await.map_err(|error| format!("reading everything: {error}"))??;
    }
    converge(cluster).await
}

/// A write by a client of this Core, sent again until it is acknowledged: somebody may have to take over first.
async fn write(cluster: &Cluster, core: usize) -> Result<(), String> {
    let mut client = Client::new(cluster.clone(), core, PATIENCE);
    let name = format!("probe:{core}");
    let end = Instant::now() + RECOVERY;
    for command in [&["SELECT", PROBES][..], &["SET", &name, "1"]] {
        loop {
            match client.ask(command).await {
                Ok(Value::Simple(_)) => break,
                // It serves, as far as it may.
                Ok(Value::Error(why)) if why.starts_with("OOM ") && cluster.world().options.max_memory > 0 => break,
                other if Instant::now() > end => {
                    return Err(format!("{RECOVERY:?} after all faults {command:?} is answered {other:?}"));
                }
                _ => sleep(Duration::from_millis(10)).await,
            }
        }
    }
    Ok(())
}

/// Waits until all Cores have applied the same and all Keepers have committed the same, and compares what they have.
async fn converge(cluster: &Cluster) -> Result<(), String> {
    let end = Instant::now() + CONVERGENCE;
    while !cluster.have_converged() {
        if Instant::now() > end {
            return Err(format!("the nodes have not come to the same within {CONVERGENCE:?}"));
        }
        sleep(Duration::from_millis(3)).await;
    }
    while let left @ [_, ..] = &*cluster.leftovers().await {
        if Instant::now() > end {
            return Err(format!("something is left over {CONVERGENCE:?} after all faults: {}", left.join(", ")));
        }
        sleep(Duration::from_millis(20)).await;
    }
    cluster.compare_data();
    cluster.count_feeds();
    cluster.count_evictions();
    cluster.world().count("converged", 1);
    Ok(())
}

/// `DEBUG DIGEST`: the index and the digest of the data.
async fn digest(cluster: &Cluster) -> Result<(i64, String), String> {
    let mut client = Client::new(cluster.clone(), 0, PATIENCE);
    let answer =
        client.ask(&["DEBUG", "DIGEST"]).await.map_err(|error| format!("DEBUG DIGEST is not answered: {error}"))?;
    match &answer {
        Value::Array(items) => match items.as_slice() {
            [Value::Int(index), Value::Bulk(digest)] => Ok((*index, String::from_utf8_lossy(digest).into_owned())),
            _ => Err(format!("DEBUG DIGEST answers {answer:?}")),
        },
        _ => Err(format!("DEBUG DIGEST answers {answer:?}")),
    }
}

/// Reads every key; the answers go into the history. An acknowledged write that nobody read before is missed here.
async fn read_everything(cluster: &Cluster, core: usize) -> Result<(), String> {
    let options = &cluster.world().options.clients;
    let mut client = Client::new(cluster.clone(), core, PATIENCE);
    for database in 0..options.databases {
        let size = std::iter::once(Command::Size(database));
        let typed = TYPED..TYPED + options.types.len() as u16;
        let key = |number| Key { database, number };
        let read = |key| [Command::Get(key), Command::TimeLeft { key, seconds: false }];
        let reads = (0..options.keys).chain(TEXTS..TEXTS + options.texts).chain(typed.clone()).map(key).flat_map(read);
        // What commands move may stand where another type was meant to.
        let read = |key| Type::ALL.into_iter().filter(|of| options.types.contains(of)).map(move |of| whole(of, key));
        let collections = (0..options.keys).chain(typed).map(key).flat_map(read);
        let commands = size.chain(reads).chain(collections);
        let requests: Vec<_> = commands.map(Request::new).collect();
        if !client.send(database, &requests).await {
            return Err("a server without faults leaves a read without an answer".to_owned());
        }
        sleep(Duration::from_millis(1)).await;
    }
    if !appends::read_all(cluster, core, PATIENCE).await {
        return Err("a server without faults does not say what is in the lists".to_owned());
    }
    if !queues::read_all(cluster, core, PATIENCE).await {
        return Err("a server without faults does not say what is in the queues".to_owned());
    }
    Ok(())
}
