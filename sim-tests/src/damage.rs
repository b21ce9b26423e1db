//! Exhaustive damage to a single node: every record, every block and every manifest of its disk is damaged in every way,
//! one at a time. The node must refuse to start and name the place, or hold exactly what it had acknowledged. The same
//! to one node of three ([`group`]), of which by default a part is tried.

mod cases;
mod group;
pub mod history;
pub mod node;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, ensure};
use madsim::Config;
use madsim::runtime::Runtime;
use mneme_kernel::resp::Value;
use mneme_runtime_sim::SimDisk;

use crate::dice::Dice;
use crate::simulation;
use crate::world::lock;

use self::cases::{Case, Damage};
pub use self::group::Scenario;
use self::history::{DATABASES, End, Items, Left};
use self::node::{Client, Life, Refusal};

/// Cases that share a runtime.
const CHUNK: usize = 50;
/// The seed of the first chunk; those before are the histories'.
const FIRST_SEED: u64 = 100;
/// Failures that are shown.
const SHOWN: usize = 10;
/// Records that the log must have for this to be worth its name.
const RECORDS: usize = 1_000;

/// What became of a damaged disk.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// It made no difference to what the disk holds.
    Nothing,
    Refused,
    /// The node has started and holds everything.
    Harmless,
}

/// By kind of damage: how often it was refused, and how often it was harmless.
pub type Counts = BTreeMap<&'static str, (u64, u64)>;

/// Into so many parts the cases of one node of three are divided; all take minutes.
const PARTS: usize = 8;

/// Which cases of one node of three.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    All,
    /// Counted from 0; a greater number than there are parts begins anew.
    Number(usize),
}

/// Damages everything, `threads` nodes or groups at the same time, and says what came of it: a single node, unless it is to
/// be `only_group`, and this part of one node of three.
pub fn damage(threads: usize, part: Part, only_group: bool) -> anyhow::Result<ExitCode> {
    let mut failures = Vec::new();
    if !only_group {
        let (start, mut counts) = (Instant::now(), Counts::new());
        failures.extend(damage_all(threads, usize::MAX, &mut counts)?);
        println!("\n{:10} {:>8} {:>8} {:>8}", "damage", "cases", "refused", "harmless");
        for (kind, (refused, harmless)) in &counts {
            println!("{kind:10} {:8} {refused:8} {harmless:8}", refused + harmless);
        }
        println!("{} failures in {:.1} s\n", failures.len(), start.elapsed().as_secs_f64());
    }
    let start = Instant::now();
    let of_three = damage_one_of_three(threads, usize::MAX, part)?;
    println!("{} failures in {:.1} s", of_three.len(), start.elapsed().as_secs_f64());
    failures.extend(of_three.into_iter().map(|(scenario, why)| format!("one of three, {scenario:?}: {why}")));
    failures.iter().take(SHOWN).for_each(|failure| println!("FAILS: {failure:.500}"));
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Damages one node of three; returns what failed. With `enough` failures in a scenario it goes on to the next.
pub fn damage_one_of_three(threads: usize, enough: usize, part: Part) -> anyhow::Result<Vec<(Scenario, String)>> {
    let making = std::thread::spawn(|| runtime(5).block_on(group::Left::make()));
    let left = making.join().ok().context("making the history of three")?;
    let disk = left.disk();
    let (records, mut cases) = (cases::records(&disk)?, cases::all(&disk, &mut Dice::new(2, 0))?);
    ensure!(records >= RECORDS, "one of three: only {records} records");
    let all = cases.len();
    if let Part::Number(number) = part {
        cases = cases.into_iter().skip(number % PARTS).step_by(PARTS).collect();
    }
    println!("one of three: {records} records, {} files, {} of {all} cases", disk.list_files().len(), cases.len());
    let mut failures = Vec::new();
    for scenario in Scenario::ALL {
        let before = failures.len();
        let (mut mended, mut refused, mut harmless) = (0, 0, 0);
        let tried = try_all(&cases, threads, enough, |chunk, seed| {
            runtime(seed).block_on(try_of_three(&left, chunk, scenario))
        });
        for (case, outcome) in cases.iter().zip(tried) {
            match outcome {
                Ok(group::Outcome::Nothing) => {}
                Ok(group::Outcome::Mended) => mended += 1,
                Ok(group::Outcome::Refused) => refused += 1,
                Ok(group::Outcome::Harmless) => harmless += 1,
                Err(why) => failures.push((scenario, format!("{case}: {why}"))),
            }
        }
        println!("{scenario:?}: mended {mended}, refused {refused}, harmless {harmless}");
        if failures.len() == before && (mended == 0 || harmless == 0) {
            failures.push((scenario, format!("mended {mended} times and harmless {harmless} times")));
        }
    }
    Ok(failures)
}

async fn try_of_three(left: &group::Left, cases: &[Case], scenario: Scenario) -> Vec<Result<group::Outcome, String>> {
    let (mut group, mut outcomes) = (group::Group::new(), Vec::new());
    for case in cases {
        outcomes.push(group.try_case(left, case, scenario).await);
    }
    outcomes
}

/// As [`damage`]; returns what failed. With `enough` failures it stops.
pub fn damage_all(threads: usize, enough: usize, counts: &mut Counts) -> anyhow::Result<Vec<String>> {
    let mut failures = Vec::new();
    for left in histories()? {
        let disk = SimDisk::from_image(&left.image, history::fast());
        let cases = cases::all(&disk, &mut Dice::new(1, 0))?;
        let records = cases::records(&disk)?;
        ensure!(left.name.contains("snapshot") || records >= RECORDS, "{}: only {records} records", left.name);
        println!("{}: {records} records, {} files, {} cases", left.name, disk.list_files().len(), cases.len());
        let tried = try_all(&cases, threads, enough, |chunk, seed| try_chunk(&left, chunk, seed));
        for (case, outcome) in cases.iter().zip(tried) {
            let (refused, harmless) = counts.entry(case.damage.kind()).or_default();
            match outcome {
                Ok(Outcome::Nothing) => {}
                Ok(Outcome::Refused) => *refused += 1,
                Ok(Outcome::Harmless) => *harmless += 1,
                Err(why) => failures.push(format!("{}: {case}: {why}", left.name)),
            }
        }
        if failures.len() >= enough {
            return Ok(failures);
        }
    }
    for kind in Damage::KINDS {
        let (refused, harmless) = counts.get(kind).copied().unwrap_or_default();
        if refused == 0 || (harmless == 0 && ALSO_HARMLESS.contains(&kind)) {
            failures.push(format!("{kind} was refused {refused} times and harmless {harmless} times"));
        }
    }
    Ok(failures)
}

/// Kinds that must also hit places on which nothing depends: padding, space that is not used yet.
const ALSO_HARMLESS: [&str; 2] = ["flip", "truncate"];

/// The disks that are damaged.
fn histories() -> anyhow::Result<Vec<Left>> {
    let in_thread = |make: fn() -> Left| std::thread::spawn(make).join().ok().context("making a history");
    Ok(vec![
        in_thread(|| runtime(1).block_on(history::long_log(End::Stop)))?,
        in_thread(|| runtime(2).block_on(history::long_log(End::Kill)))?,
        in_thread(|| runtime(3).block_on(history::large_snapshot(End::Stop)))?,
        in_thread(|| runtime(4).block_on(history::large_snapshot(End::Kill)))?,
    ])
}

/// What is drawn differs from seed to seed; a node that draws the secrets of an earlier life would take its batches for
/// its own.
fn runtime(seed: u64) -> Runtime {
    Runtime::with_seed_and_config(seed, Config::default())
}

/// Tries cases in chunks, each in a thread of its own: what a thread initialises once, each chunk initialises anew.
/// Of a chunk that panics, nothing is known but that.
fn try_all<O: Clone + Send>(
    cases: &[Case],
    threads: usize,
    enough: usize,
    try_chunk: impl Fn(&[Case], u64) -> Vec<Result<O, String>> + Sync,
) -> Vec<Result<O, String>> {
    let chunks: Vec<&[Case]> = cases.chunks(CHUNK).collect();
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let done: Mutex<BTreeMap<usize, Vec<Result<O, String>>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(chunk) = chunks.get(number) else { return };
                    if failed.load(Ordering::Relaxed) >= enough {
                        return;
                    }
                    let tried = std::thread::scope(|scope| {
                        scope.spawn(|| simulation::caught(|| try_chunk(chunk, FIRST_SEED + number as u64))).join()
                    });
                    let outcomes = tried.unwrap_or_else(|_| Err("a panic while panicking".into()));
                    let outcomes = outcomes.unwrap_or_else(|panic| vec![Err(panic); chunk.len()]);
                    let failures = outcomes.iter().filter(|outcome| outcome.is_err()).count();
                    failed.fetch_add(failures, Ordering::Relaxed);
                    lock(&done).insert(number, outcomes);
                }
            });
        }
    });
    let done = std::mem::take(&mut *lock(&done));
    done.into_values().flatten().collect()
}

fn try_chunk(left: &Left, cases: &[Case], seed: u64) -> Vec<Result<Outcome, String>> {
    runtime(seed).block_on(async {
        let mut outcomes = Vec::new();
        for case in cases {
            outcomes.push(try_case(left, case).await);
        }
        outcomes
    })
}

/// Damages a copy of the disk and starts a node on it; if it does start, twice: what it made of the damage must last.
async fn try_case(left: &Left, case: &Case) -> Result<Outcome, String> {
    let disk = SimDisk::from_image(&left.image, history::fast());
    if !case.happen(&disk).map_err(|error| format!("cannot be damaged: {error}"))? {
        return Ok(Outcome::Nothing);
    }
    for attempt in ["first", "second"] {
        match Life::start(&disk).await {
            Ok(life) => {
                let looked = look(&mut life.client().await.map_err(|error| error.to_string())?, &left.items).await;
                looked.map_err(|wrong| format!("at the {attempt} start: {wrong}"))?;
                life.kill();
            }
            Err(Refusal { why, is_damage: true }) if attempt == "first" && names_the_place(&why, case) => {
                return Ok(Outcome::Refused);
            }
            Err(Refusal { why, is_damage }) => {
                let what = if is_damage { "damage" } else { "something else" };
                return Err(format!("at the {attempt} start it says that it is {what}: {why}"));
            }
        }
    }
    Ok(Outcome::Harmless)
}

/// A refusal names the file and where in it, of a missing one the file alone.
fn names_the_place(why: &str, case: &Case) -> bool {
    why.contains(&case.path) && (matches!(case.damage, Damage::Missing) || why.contains(" at offset "))
}

/// Every acknowledged value is there, and nothing else is.
async fn look(client: &mut Client, items: &Items) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    for database in DATABASES {
        let items: Vec<_> = items.iter().filter(|((of, _), _)| *of == database).collect();
        let number = database.to_string();
        let mut commands = vec![vec!["SELECT", number.as_str()], vec!["DBSIZE"]];
        commands.extend(items.iter().map(|((_, key), _)| vec!["GET", key.as_str()]));
        let answers = client.ask_all(&commands).await.map_err(failed)?;
        let mut expected = vec![Value::Simple("OK".into()), Value::Int(items.len() as i64)];
        expected.extend(items.iter().map(|(_, value)| Value::Bulk(value.as_bytes().to_vec())));
        if let Some((i, answer)) = answers.iter().enumerate().find(|(i, answer)| **answer != expected[*i]) {
            return Err(format!("{:?} in {database} is answered {answer:?} instead of {:?}", commands[i], expected[i]));
        }
    }
    Ok(())
}
