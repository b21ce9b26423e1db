//! One run: a seed, from its options to its verdict.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Arc;
use std::time::Duration;

use madsim::Config;
use madsim::net::NetSim;
use madsim::runtime::Runtime;
use madsim::time::{Instant, sleep};

use crate::appends::{self, Transaction};
use crate::check::linearizable::Finding;
use crate::check::{append, durable, eventual, linearizable, queue, walk};
use crate::cluster::Cluster;
use crate::copies;
use crate::history::Operation;
use crate::last_look;
use crate::operators;
use crate::plan::Plan;
use crate::publishers::{self, Published};
use crate::queues;
use crate::readers;
use crate::rights;
use crate::timeline::{Band, Lane};
use crate::waits;
use crate::workload;
use crate::world::{Counts, Violation, World};

/// What fails where the search for a linearization was given up.
pub const UNDECIDED: &str = "undecided";

/// How long, once all faults have ended, all servers may take until they serve again.
pub const RECOVERY: Duration = Duration::from_secs(20);
/// Virtual time that no run may exceed.
const LIMIT: Duration = Duration::from_secs(600);

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub seed: u64,
    pub violations: Vec<Violation>,
    pub counts: Counts,
    /// How often each rare state was reached, of those that were.
    pub marks: Counts,
    /// What clients saw.
    pub operations: Vec<Operation>,
    /// What those saw who append to lists.
    pub transactions: Vec<Transaction>,
    pub virtual_time: Duration,
    /// Real time, and how much of it went into judging what clients saw.
    pub took: Duration,
    pub judging: Duration,
    /// Operations of clients in that time: those of both, where it was run twice.
    pub load: u64,
    /// Differs when anything in the run did.
    pub trace_hash: u64,
    /// The trace, if it was asked for.
    pub trace: Option<String>,
    /// What else there is to see, if the trace was asked for.
    pub record: Option<Record>,
}

/// What a run leaves for people to look at.
#[derive(Clone, Debug)]
pub struct Record {
    pub bands: Vec<Band>,
    /// When checks failed during the run, and which.
    pub failures: Vec<(Duration, &'static str)>,
    /// By stamp, when in virtual time it was given.
    pub times: Vec<Duration>,
}

/// Runs a seed.
pub fn run(seed: u64, keeps_trace: bool) -> Report {
    run_plan(Plan::from_seed(seed), keeps_trace)
}

/// Runs a plan. In a thread of its own: what a thread initialises once, each run initialises anew.
pub fn run_plan(plan: Plan, keeps_trace: bool) -> Report {
    let start = std::time::Instant::now();
    let seed = plan.options.seed;
    let world = Arc::new(World::new(plan, keeps_trace));
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
    let simulated = start.elapsed();
    let operations = world.history().finish();
    let appended = world.appends().finish();
    if !world.options.evicts() {
        judge(&world, &operations, &appended);
    }
    let transactions: Vec<Transaction> =
        appended.iter().filter_map(|operation| Transaction::of(operation).ok()).collect();
    world.count("lists read at the end", append::last_reads(&transactions) as u64);
    let record = keeps_trace.then(|| {
        let (timeline, times) = (world.timeline(), world.history().times().to_vec());
        // After a panic nobody knows when the run ended.
        let end = virtual_time.max(times.last().copied().unwrap_or_default());
        Record { bands: timeline.bands(end), failures: timeline.failures().to_vec(), times }
    });
    let trace = world.trace();
    let counts = world.counts();
    Report {
        seed,
        violations: world.violations(),
        load: counts.get("operations").copied().unwrap_or_default(),
        counts,
        marks: world.marks(),
        operations,
        transactions,
        virtual_time,
        took: start.elapsed(),
        judging: start.elapsed() - simulated,
        trace_hash: trace.hash(),
        trace: trace.text().map(str::to_owned),
        record,
    }
}

/// Holds what clients saw against the models.
fn judge(world: &World, operations: &[Operation], appended: &[Operation]) {
    world.check_history("durable", durable::check(operations));
    world.check_history("eventual", eventual::check(operations));
    match linearizable::check(operations) {
        Ok(()) => {}
        Err(Finding::Broken(why)) => world.check_history("linearizable", Err(why)),
        Err(Finding::Undecided(why)) => world.check(UNDECIDED, Err(why)),
    }
    world.check_history("walk", walk::check(operations));
    world.check("append", append::check(appended));
    if queues::are_judged(&world.options) {
        let queued = world.queues().events().to_vec();
        world.check_history("queue", queue::check(&queued));
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
    let mut runtime = Runtime::with_seed_and_config(world.options.chance, config);
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
    if !world.options.topology.is_solo() {
        // Founding is not what is tested here.
        cluster.until_up(RECOVERY).await.map_err(|late| format!("at the start: {late}"))?;
    }
    let start = Instant::now();
    world.shows(Lane::Running, Some("faults and commands".to_owned()));
    let mut clients = Vec::new();
    for number in 0..world.options.clients.count {
        // One that does nothing has its machine all the same: faults name clients by number.
        let machine = cluster.add_client();
        if !world.options.clients.silent.contains(&number) {
            clients.push(machine.spawn(workload::run(cluster.clone(), number)));
        }
    }
    if world.options.reads_everywhere {
        let with_data: Vec<usize> = cluster.with_data().map(|machine| machine.number()).collect();
        clients.extend(with_data.iter().map(|at| cluster.add_client().spawn(readers::run(cluster.clone(), *at))));
    }
    if world.options.counts_waits && cluster.cores().count() > 1 {
        clients.push(cluster.add_client().spawn(waits::run(cluster.clone())));
    }
    let published = Published::default();
    if world.options.publishes {
        let with_data: Vec<usize> = cluster.with_data().map(|machine| machine.number()).collect();
        for at in with_data {
            let machine = cluster.add_client();
            clients.push(machine.spawn(publishers::publish(cluster.clone(), at, published.clone())));
            clients.push(machine.spawn(publishers::listen(cluster.clone(), at, published.clone())));
            clients.push(cluster.add_client().spawn(copies::keep(cluster.clone(), at)));
        }
        clients.push(cluster.add_client().spawn(copies::write(cluster.clone())));
    }
    if world.options.changes_rights {
        clients.push(cluster.add_client().spawn(rights::run(cluster.clone())));
    }
    if world.options.is_operated {
        clients.push(cluster.add_client().spawn(operators::run(cluster.clone())));
    }
    if appends::are_safe(&world.options) {
        clients.extend(
            (0..appends::CLIENTS).map(|number| cluster.add_client().spawn(appends::run(cluster.clone(), number))),
        );
    }
    if queues::are_judged(&world.options) {
        clients.extend(
            (0..queues::CLIENTS).map(|number| cluster.add_client().spawn(queues::run(cluster.clone(), number))),
        );
    }
    world.schedule.carry_out(&cluster).await;
    let left = world.options.lasts.saturating_sub(start.elapsed());
    if !left.is_zero() {
        sleep(left).await;
    }

    world.shows(Lane::Running, None);
    cluster.event(format_args!("all faults end"));
    world.end();
    cluster.serve_without_some().await?;
    cluster.until_up(RECOVERY).await?;
    for client in clients {
        client.await.map_err(|error| format!("a client ended: {error}"))?;
    }
    if world.options.publishes {
        let heard = cluster.add_client().spawn(publishers::last_look(cluster.clone(), published));
        heard.await.map_err(|error| format!("the last subscribers: {error}"))??;
    }
    let result = match world.options.topology.is_solo() {
        true => last_look::at_one(&cluster).await,
        false => last_look::at_all(&cluster).await,
    };
    cluster.count_disks();
    cluster.count_marks();
    cluster.count_model_steps();
    world.event(format_args!("{} messages passed", NetSim::current().stat().msg_count));
    result
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
