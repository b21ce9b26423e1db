//! One run: what everybody in it shares, and its course.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use mneme_checks::check::queue;
use mneme_checks::export::Recorded as _;
use mneme_checks::history::{History, Level, Remains};
use mneme_checks::model::Between;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::client::Client;
use crate::cluster::{self, Cluster};
use crate::hosts::{self, Hosts};
use crate::judge;
use crate::nemesis;
use crate::options::{self, Options, System, Topology};
use crate::report::{self, Report};
use crate::workload::{self, Asked, Work, Workload};

/// When the run began, for the history's clock.
static BEGAN: OnceLock<Instant> = OnceLock::new();

/// How long the run has lasted.
pub fn now() -> Duration {
    BEGAN.get().map_or(Duration::ZERO, Instant::elapsed)
}

/// What everybody shares.
#[derive(Debug)]
pub struct Run {
    pub options: Options,
    pub seed: u64,
    pub folder: PathBuf,
    pub cluster: Cluster,
    pub hosts: Arc<Hosts>,
    pub work: Work,
    pub ca: Vec<u8>,
    history: Mutex<History>,
    samples: Mutex<Vec<Sample>>,
    bands: Mutex<Bands>,
    /// Replies that no command of their kind has.
    wrong: Mutex<Vec<String>>,
    /// What users were told that they had done, and may not do.
    rights: Mutex<Vec<String>>,
    /// The history of `users`.
    asked: Mutex<Vec<Asked>>,
    /// Only one Keeper's disk may be damaged at a time.
    pub damage: tokio::sync::Mutex<()>,
    over: AtomicBool,
}

/// How one command went, for the analysis.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub called: Duration,
    pub took: Duration,
    pub level: Level,
    pub is_read: bool,
    pub kind: Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Ok,
    Refused,
    Unknown,
}

/// A stretch of time in which something was so.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Band {
    pub lane: String,
    pub what: String,
    pub from: f64,
    pub to: f64,
}

#[derive(Debug, Default)]
struct Bands {
    open: Vec<(String, String, Duration)>,
    closed: Vec<Band>,
}

impl Run {
    pub fn history(&self) -> MutexGuard<'_, History> {
        lock(&self.history)
    }

    pub fn sample(&self, sample: Sample) {
        lock(&self.samples).push(sample);
    }

    /// Notes a reply that its command does not have.
    pub fn wrong(&self, what: String) {
        lock(&self.wrong).push(what);
    }

    /// Notes that somebody was told to have done what he may not do.
    pub fn rights_broken(&self, what: String) {
        lock(&self.rights).push(what);
    }

    /// Notes what was asked about users, or as one.
    pub fn was_asked(&self, asked: Asked) {
        lock(&self.asked).push(asked);
    }

    /// All of that, in the order of the calls.
    pub fn asked(&self) -> Vec<Asked> {
        let mut asked = lock(&self.asked).clone();
        asked.sort_by_key(Asked::called);
        asked
    }

    /// Notes what is so in a lane from now on.
    pub fn band(&self, lane: &str, what: Option<String>) {
        let (at, mut bands) = (now(), lock(&self.bands));
        println!("{:8.3} {lane}: {}", at.as_secs_f64(), what.as_deref().unwrap_or("-"));
        if let Some(place) = bands.open.iter().position(|(open, ..)| open == lane) {
            let (lane, what, from) = bands.open.remove(place);
            bands.closed.push(Band { lane, what, from: from.as_secs_f64(), to: at.as_secs_f64() });
        }
        if let Some(what) = what {
            bands.open.push((lane.to_owned(), what, at));
        }
    }

    /// All bands; open ones last until now.
    pub fn bands(&self) -> Vec<Band> {
        let bands = lock(&self.bands);
        let open = bands.open.iter().map(|(lane, what, from)| Band {
            lane: lane.clone(),
            what: what.clone(),
            from: from.as_secs_f64(),
            to: now().as_secs_f64(),
        });
        let mut all: Vec<Band> = bands.closed.iter().cloned().chain(open).collect();
        all.sort_by(|a, b| (&a.lane, a.from).partial_cmp(&(&b.lane, b.from)).expect("times are numbers"));
        all
    }

    /// Between which times the servers' wall clocks are.
    pub fn walls(&self) -> Between {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let wrong = nemesis::most_wrong(&self.options).as_millis() as u64;
        Between { least: wall.saturating_sub(wrong + 1), most: wall + wrong + 1 }
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Sleeps, but not past the end of the run.
    pub async fn rest(&self, duration: Duration) {
        let end = Instant::now() + duration;
        while !self.is_over() && Instant::now() < end {
            sleep(Duration::from_millis(20).min(end.saturating_duration_since(Instant::now()))).await;
        }
    }

    /// Random numbers of the run's seed; each `stream` has its own.
    pub fn dice(&self, stream: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// Does one run and writes its report.
///
/// # Errors
/// If it cannot be done: what a check finds is in the report.
pub fn test(mut options: Options) -> anyhow::Result<Report> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    BEGAN.get_or_init(Instant::now);
    hosts::clear_when_panicking();
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let seed = options.seed.unwrap_or(seconds);
    nemesis::draw_if_asked(&mut options.nemesis, seed);
    let nemeses: Vec<String> = options.nemesis.iter().map(options::name).collect();
    let name = format!(
        "{seconds}-{}-{}-{}",
        options::name(&options.workload),
        nemeses.join("+"),
        options::name(&options.topology)
    );
    fs::create_dir_all(&options.out)?;
    let folder = options.out.canonicalize()?.join(name.replace("--", "-quiet-"));
    fs::create_dir_all(folder.join("logs")).with_context(|| format!("making {}", folder.display()))?;
    println!("{}; seed {seed}", folder.display());
    let nodes = cluster::count(&options);
    let hosts = if options.compose {
        fit_for_compose(&options)?;
        Hosts::in_containers(nodes, cluster::PASSWORD, cluster::SECRET)?
    } else {
        Hosts::new(nodes, options.loopback)?
    };
    let hosts = Arc::new(hosts);
    let cluster = Cluster::new(&options, &hosts, &folder)?;
    if !options.compose
        && hosts.switch().is_none()
        && let Some(kind) = options.nemesis.iter().find(|kind| kind.needs_network())
    {
        bail!("{} needs network namespaces, which only root may make", options::name(kind));
    }
    let runtime = runtime_on(&hosts, hosts::CLIENTS)?;
    let others = runtime_on(&hosts, hosts.other_clients())?;
    let course = runtime.spawn(unless_told(course(options, seed, folder, cluster, hosts, others.handle().clone())));
    runtime.block_on(course)?
}

/// # Errors
/// If something is asked for that is not there in containers.
fn fit_for_compose(options: &Options) -> anyhow::Result<()> {
    if options.system != System::Mneme || options.topology != Topology::Ha3 {
        bail!("compose.yaml has Mneme as ha3, and neither other topologies nor other systems here");
    }
    match options.nemesis.iter().find(|kind| !kind.works_in_compose()) {
        Some(kind) => bail!("{} cannot be done to containers", options::name(kind)),
        None => Ok(()),
    }
}

/// What runs there opens its sockets on that host.
fn runtime_on(hosts: &Arc<Hosts>, host: usize) -> io::Result<Runtime> {
    let hosts = Arc::clone(hosts);
    let enter = move || {
        // Without its host no client reaches anybody, which is soon seen.
        if let Err(why) = hosts.enter(host) {
            eprintln!("entering the clients' host: {why}");
        }
    };
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).on_thread_start(enter).enable_all().build()
}

/// Does this, unless the process is told to end meanwhile.
async fn unless_told(course: impl Future<Output = anyhow::Result<Report>>) -> anyhow::Result<Report> {
    let mut told = signal(SignalKind::terminate())?;
    tokio::select! {
        report = course => report,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = told.recv() => bail!("ended by a signal"),
    }
}

async fn course(
    options: Options,
    seed: u64,
    folder: PathBuf,
    cluster: Cluster,
    hosts: Arc<Hosts>,
    others: Handle,
) -> anyhow::Result<Report> {
    nemesis::prepare(&options, &cluster, &hosts, seed)?;
    cluster.start(&hosts).await?;
    let ca = cluster.ca()?;
    let run = Arc::new(Run {
        seed,
        folder,
        cluster,
        hosts,
        work: Work::new(options.workload),
        ca,
        history: Mutex::new(History::new(Remains::Elsewhere, now)),
        samples: Mutex::default(),
        bands: Mutex::default(),
        wrong: Mutex::default(),
        rights: Mutex::default(),
        asked: Mutex::default(),
        damage: tokio::sync::Mutex::default(),
        over: AtomicBool::new(false),
        options,
    });
    println!("{:8.3} all nodes are ready", now().as_secs_f64());
    let watch = tokio::spawn(cluster::watch(Arc::clone(&run)));
    sleep(Duration::from_millis(300)).await;
    let from = now();
    let clients = run.options.clients;
    // Of each habit as many here as there.
    let work = (0..clients).map(|number| match number / 3 % 2 {
        0 => tokio::spawn(work(Arc::clone(&run), number)),
        _ => others.spawn(work(Arc::clone(&run), number)),
    });
    let work: Vec<_> = work.collect();
    let faults = run.options.nemesis.clone().into_iter().enumerate();
    let faults: Vec<_> =
        faults.map(|(number, kind)| tokio::spawn(nemesis::run(Arc::clone(&run), kind, number))).collect();
    sleep(run.options.time).await;
    run.over.store(true, Ordering::Relaxed);
    let until = now();
    let mut found = judge::Verdict::default();
    for fault in faults {
        found.note("nemesis", fault.await?);
    }
    found.note("liveness", nemesis::heal(&run).await);
    for client in work {
        client.await?;
    }
    run.band("final reads", Some("at every Core".into()));
    found.note("final reads", last_reads(&run).await);
    run.band("final reads", None);
    if run.cluster.system == System::Mneme {
        found.note("digest", cluster::digests_agree(&run).await);
    }
    let first = |list: &Mutex<Vec<String>>| lock(list).first().map_or(Ok(()), |what| Err(anyhow::anyhow!("{what}")));
    found.note("answers", first(&run.wrong));
    found.note("rights", first(&run.rights));
    found.note("fatal", unasked_ends(&run));
    watch.abort();
    for node in &run.cluster.nodes {
        node.kill();
    }
    println!("{:8.3} judging", now().as_secs_f64());
    let history = run.history();
    let operations = history.finish();
    if run.options.workload == Workload::Queue {
        let judged = queue::check(run.work.queues().events());
        found.note("queue", judged.map_err(|found| anyhow::anyhow!("{}", found.what)));
    }
    judge::judge(run.options.workload, &operations, &mut found);
    let report = report::write(&run, &operations, history.times(), &lock(&run.samples), from..until, found)?;
    // Small disks go by themselves.
    let is_on_disk = !run.options.nemesis.contains(&nemesis::Kind::DiskFull);
    if report.is_valid() && !run.options.keep && is_on_disk {
        forget_data(&run.folder);
    }
    Ok(report)
}

/// One client's work until the run is over.
async fn work(run: Arc<Run>, number: usize) {
    let mut client = Client::new(Arc::clone(&run), number);
    let between = Duration::from_secs_f64(run.options.clients as f64 / run.options.rate);
    let mut next = Instant::now() + between.mul_f64(number as f64 / run.options.clients as f64);
    while !run.is_over() {
        sleep(next.saturating_duration_since(Instant::now())).await;
        run.work.turn(&mut client).await;
        // Who had to wait does not catch up.
        next = Instant::now().max(next + between);
    }
}

/// Reads everything at every Core.
async fn last_reads(run: &Arc<Run>) -> anyhow::Result<()> {
    let cores: Vec<_> = run.cluster.cores().map(|node| node.number()).collect();
    let requests = run.work.last_reads();
    for (place, core) in cores.iter().enumerate() {
        let mut client = Client::at(Arc::clone(run), run.options.clients + place, *core);
        // Many are shared out.
        let own = requests.iter().enumerate().filter(|(i, _)| requests.len() < 3000 || i % cores.len() == place);
        let own: Vec<_> = own.map(|(_, request)| request.clone()).collect();
        for some in own.chunks(50) {
            let mut heard = false;
            for _ in 0..20 {
                heard = client.send(some).await.is_some();
                if heard {
                    break;
                }
                sleep(Duration::from_millis(500)).await;
            }
            if !heard {
                bail!("{} does not answer the last reads", run.cluster.nodes[*core].name());
            }
        }
        if run.options.workload == Workload::Queue {
            workload::read_all(&mut client).await?;
        }
    }
    Ok(())
}

fn unasked_ends(run: &Run) -> anyhow::Result<()> {
    for node in &run.cluster.nodes {
        if let Some(status) = node.ended() {
            bail!("{} has ended by itself with {}:\n{}", node.name(), cluster::told(status), node.last_words());
        }
    }
    Ok(())
}

fn forget_data(folder: &Path) {
    if let Err(why) = fs::remove_dir_all(folder.join("nodes")) {
        eprintln!("{}: {why}", folder.display());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
