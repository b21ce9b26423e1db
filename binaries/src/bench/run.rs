//! One run, from the first connection to the report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mneme_runtime_real::process::raise_file_limit;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::live::{self, Live};
use super::load;
use super::mix::Mix;
use super::options::Options;
use super::pace::{Nanos, Pace};
use super::presets;
use super::redial::Opener;
use super::report::{Report, Second};
use super::tally::Tally;
use super::work::Work;
use super::worker::{News, Plan, Worker};
use crate::cli::dial::{Dialler, Link};
use crate::cli::flags::words_of;
use crate::cli::stop::Stop;

/// What a run has shown.
#[derive(Debug)]
pub struct Outcome {
    pub report: Report,
    /// All latencies, microseconds.
    pub times: Histogram<u64>,
}

/// Puts the load on.
///
/// # Errors
/// If the mix is wrong, no server can be reached and trusted, or it answers an error at the start.
pub fn run(options: &Options) -> Result<Outcome, Stop> {
    let work = Work::new(options.mix.clone(), &options.own, options.sizes, options.strict).map_err(Stop::Usage)?;
    let names = names(&work, options.levels.as_ref());
    let plan = Arc::new(plan(options, work)?);
    // Where that is refused, opening a connection tells.
    let _ = raise_file_limit();
    let links = connect(&plan, options)?;
    prepare(&plan, options)?;
    // From here the first signal ends it in order, and the second at once, as every one did before.
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_default(signal, Arc::clone(&plan.is_over))?;
        flag::register(signal, Arc::clone(&plan.is_over))?;
    }

    let (news, heard) = channel();
    let mut workers = Vec::new();
    for (thread, links) in links.into_iter().enumerate() {
        workers.push(Worker::new(Arc::clone(&plan), thread, links, news.clone())?);
    }
    drop(news);
    let start = Instant::now();
    let threads: Vec<_> = workers.into_iter().map(|worker| thread::spawn(move || worker.run(start))).collect();
    let bar = options.duration.map(live::seconds);
    let heard = listen(&heard, &plan, Live::new(bar, "running"));
    // So far only a signal has set it.
    let interrupted = plan.is_over.swap(true, Ordering::Relaxed);
    for thread in threads {
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
    let Heard { tally, series, until } = heard?;
    let seconds = Duration::from_nanos(until.saturating_sub(plan.warm_up)).as_secs_f64();
    let mut report = Report::new(options.shown.clone(), &names, &tally, seconds);
    report.series = series;
    report.interrupted = interrupted;
    Ok(Outcome { report, times: tally.all().times })
}

/// What each row of a tally is called.
fn names(work: &Work, levels: Option<&Mix>) -> Vec<String> {
    match levels {
        Some(levels) if levels.parts.len() > 1 => {
            let of_level = |level: String| work.names().map(move |name| format!("{name} {level}"));
            levels.parts.iter().flat_map(|part| of_level(part.name.clone())).collect()
        }
        _ => work.names().map(str::to_owned).collect(),
    }
}

fn plan(options: &Options, work: Work) -> Result<Plan, Stop> {
    let with_level = |level: &str| {
        let mut opening = options.opening.clone();
        opening.push(words_of(&["CLIENT", "CONSISTENCY", level]));
        opening
    };
    let (openings, levels) = match &options.levels {
        None => (vec![options.opening.clone()], vec![0; options.clients]),
        Some(levels) => {
            let shared = levels.shared_by(options.clients);
            let shared = shared.map_err(|problem| Stop::Usage(format!("--clients: {problem}")))?;
            (levels.parts.iter().map(|part| with_level(&part.name)).collect(), shared)
        }
    };
    let clients = options.clients as u64;
    let nanos = |duration: Duration| duration.as_nanos() as Nanos;
    Ok(Plan {
        work,
        pace: options.rate.map_or(Pace::Closed, |rate| Pace::Open { rate, clients }),
        levels,
        pipeline: options.pipeline,
        distribution: options.distribution,
        keys: options.keys,
        seed: options.seed,
        warm_up: nanos(options.warm_up),
        end: options.duration.map(|duration| nanos(options.warm_up + duration)),
        requests: options.requests,
        answer_timeout: nanos(options.answer_timeout),
        threads: options.threads,
        opener: Arc::new(Opener { dialler: Dialler::new(options.target.clone())?, openings }),
        is_over: Arc::new(AtomicBool::new(false)),
    })
}

/// Opens all connections, one after the other; those of each thread.
fn connect(plan: &Plan, options: &Options) -> Result<Vec<Vec<Link>>, Stop> {
    let live = Live::new(Some(options.clients as u64), "connecting");
    let mut links: Vec<Vec<Link>> = (0..plan.threads).map(|_| Vec::new()).collect();
    for (number, level) in plan.levels.iter().enumerate() {
        let first = if options.spread { number % plan.opener.dialler.hosts() } else { 0 };
        let (link, _) = plan.opener.link(*level, first)?;
        links[number % plan.threads].push(link);
        live.step(1);
    }
    live.end();
    Ok(links)
}

/// What is done before the clock starts.
fn prepare(plan: &Plan, options: &Options) -> Result<(), Stop> {
    if options.before.is_empty() && !options.load {
        return Ok(());
    }
    let (mut connection, _) = plan.opener.open(0, 0)?;
    load::prepare(&mut connection, &options.before)?;
    if options.load {
        let loading = presets::loading(plan.work.names(), options.keys, options.sizes).map_err(Stop::Usage)?;
        let live = Live::new(Some(loading.iter().map(|loading| loading.times).sum()), "loading");
        load::load(&mut connection, &loading, options.keys, |commands| live.step(commands))?;
        live.end();
    }
    Ok(())
}

/// What all threads have told.
struct Heard {
    tally: Tally,
    series: Vec<Second>,
    /// When the last of them ended.
    until: Nanos,
}

/// Listens to the threads until all have ended.
fn listen(news: &Receiver<News>, plan: &Plan, live: Live) -> Result<Heard, Stop> {
    let mut heard = Heard { tally: plan.tally(), series: Vec::new(), until: 0 };
    // Seconds that some threads have told.
    let mut pending: BTreeMap<usize, (usize, Tally)> = BTreeMap::new();
    let mut refused = None;
    for news in news {
        match news {
            News::Second(second, tally) => {
                heard.tally.add(&tally);
                let (told, sum) = pending.entry(second).or_insert_with(|| (0, plan.tally()));
                *told += 1;
                sum.add(&tally);
                if *told == plan.threads
                    && let Some((_, sum)) = pending.remove(&second)
                {
                    heard.series.push(Second::of(second, &sum));
                    heard.series.iter().last().inspect(|second| live.second(second));
                }
            }
            News::Done { until, refusal } => {
                heard.until = heard.until.max(until);
                if let Some(refusal) = refusal {
                    refused.get_or_insert(Stop::Server(refusal));
                    plan.is_over.store(true, Ordering::Relaxed);
                }
            }
            News::Failed(error) => {
                refused.get_or_insert(Stop::Stream(error));
                plan.is_over.store(true, Ordering::Relaxed);
            }
        }
    }
    live.end();
    heard.series.extend(pending.into_iter().map(|(second, (_, sum))| Second::of(second, &sum)));
    heard.series.sort_by_key(|second| second.second);
    match refused {
        Some(stop) => Err(stop),
        None => Ok(heard),
    }
}
