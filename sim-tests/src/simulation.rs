//! One run: a seed, from its options to its verdict.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Arc;
use std::time::Duration;

use madsim::Config;
use madsim::net::NetSim;
use madsim::runtime::Runtime;
use madsim::time::{Instant, sleep};
use mneme_kernel::resp::Value;

use crate::check::{durable, linearizable, walk};
use crate::client::{Client, Request};
use crate::cluster::{Cluster, Ending};
use crate::model::{Command, Key};
use crate::nemesis::Schedule;
use crate::options::{Options, TEXTS};
use crate::workload;
use crate::world::{Counts, Violation, World};

/// How long, once all faults have ended, the server may take until it serves again.
const RECOVERY: Duration = Duration::from_secs(20);
/// Virtual time that no run may exceed.
const LIMIT: Duration = Duration::from_secs(600);
/// How long a client waits for a reply when nothing is wrong any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub seed: u64,
    pub violations: Vec<Violation>,
    pub counts: Counts,
    pub virtual_time: Duration,
    /// Differs when anything in the run did.
    pub trace_hash: u64,
    /// The trace, if it was asked for.
    pub trace: Option<String>,
}

/// Runs a seed. In a thread of its own: what a thread initialises once, each run initialises anew.
pub fn run(seed: u64, keeps_trace: bool) -> Report {
    let options = Options::from_seed(seed);
    let world = Arc::new(World::new(options, keeps_trace));
    let shared = world.clone();
    let thread = std::thread::Builder::new().name(format!("seed {seed}"));
    let running = thread.spawn(move || caught(|| simulate(&shared)));
    let finished = running
        .map_err(|error| format!("no thread can be started: {error}"))
        .and_then(|running| running.join().unwrap_or_else(|_| Err("a panic while panicking".to_owned())));
    let virtual_time = finished.unwrap_or_else(|panic| {
        world.check("panic", Err(panic));
        Duration::ZERO
    });
    let operations = world.history().finish();
    world.check("durable", durable::check(&operations));
    world.check("linearizable", linearizable::check(&operations));
    world.check("walk", walk::check(&operations));
    let trace = world.trace();
    Report {
        seed,
        violations: world.violations(),
        counts: world.counts(),
        virtual_time,
        trace_hash: trace.hash(),
        trace: trace.text().map(str::to_owned),
    }
}

/// What is initialised once in a process draws from the randomness of the run that comes first: let it be this one.
pub fn warm_up() {
    run(0, false);
}

fn simulate(world: &Arc<World>) -> Duration {
    let mut config = Config::default();
    config.net.send_latency = world.options.latency.clone();
    config.net.packet_loss_rate = world.options.loss;
    let mut runtime = Runtime::with_seed_and_config(world.options.seed, config);
    runtime.set_time_limit(LIMIT);
    runtime.block_on(async {
        let start = Instant::now();
        if let Err(late) = scenario(world).await {
            world.check("liveness", Err(late));
        }
        start.elapsed()
    })
}

/// Faults and commands at the same time; then everything heals, and it is looked at what is left.
async fn scenario(world: &Arc<World>) -> Result<(), String> {
    let cluster = Cluster::start(world.clone());
    let clients: Vec<_> = (0..world.options.clients.count)
        .map(|number| cluster.add_client().spawn(workload::run(cluster.clone(), number)))
        .collect();
    Schedule::draw(&world.options).carry_out(&cluster).await;

    cluster.event(format_args!("all faults end"));
    cluster.heal();
    world.end();
    cluster.until_up(RECOVERY).await?;
    for client in clients {
        while !client.is_finished() {
            cluster.run_for(Duration::from_millis(10)).await;
        }
    }
    let result = last_look(&cluster).await;
    cluster.count_disk();
    world.event(format_args!("{} messages passed", NetSim::current().stat().msg_count));
    result
}

/// What the quiet server says of its data must be what the power's next cut leaves, and what clients then read.
async fn last_look(cluster: &Cluster) -> Result<(), String> {
    let reader = cluster.add_client();
    let looking = cluster.clone();
    let asked = reader.spawn(async move {
        // While writers are held back, no key is deleted for its deadline either.
        Client::new(looking.clone(), PATIENCE)
            .ask(&["CLIENT", "PAUSE", "60000", "WRITE"])
            .await
            .map_err(|error| format!("CLIENT PAUSE is not answered: {error}"))?;
        digest(&looking).await
    });
    let before = asked.await.map_err(|error| format!("asking for the digest: {error}"))??;
    cluster.restart(Ending::PowerCut, Duration::from_millis(100)).await;
    cluster.until_up(RECOVERY).await?;
    let looking = cluster.clone();
    let after = reader.spawn(async move {
        let after = digest(&looking).await?;
        read_everything(&looking).await.map(|()| after)
    });
    let after = after.await.map_err(|error| format!("reading everything: {error}"))??;
    let same = before.1 == after.1 && before.0 <= after.0 || cluster.has_expired_keys();
    let what = || format!("DEBUG DIGEST says {after:?} after a restart and said {before:?} before it");
    cluster.world().check("digest", if same { Ok(()) } else { Err(what()) });
    Ok(())
}

/// `DEBUG DIGEST`: the index and the digest of the data.
async fn digest(cluster: &Cluster) -> Result<(i64, String), String> {
    let mut client = Client::new(cluster.clone(), PATIENCE);
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
async fn read_everything(cluster: &Cluster) -> Result<(), String> {
    let options = &cluster.world().options.clients;
    let mut client = Client::new(cluster.clone(), PATIENCE);
    for database in 0..options.databases {
        let size = std::iter::once(Command::Size(database));
        let numbers = (0..options.keys).chain(TEXTS..TEXTS + options.texts);
        let keys = numbers
            .map(|number| Key { database, number })
            .flat_map(|key| [Command::Get(key), Command::TimeLeft { key, seconds: false }]);
        let requests: Vec<_> =
            size.chain(keys).map(|command| Request { command, level: None, text: 0, other_name: false }).collect();
        if !client.send(database, &requests).await {
            return Err("a server without faults leaves a read without an answer".to_owned());
        }
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

thread_local! {
    /// The message of this thread's last panic, with its place.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs what may panic; of a panic its message and place.
pub fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(run)).map_err(|_| PANIC.take().unwrap_or_default())
}

/// Keeps panics for the report instead of printing them.
pub fn keep_panics() {
    panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        PANIC.set(Some(info.to_string()));
    }));
}
