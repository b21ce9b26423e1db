//! Makes a failing run as small as it can be while the same check fails (delta debugging: Zeller and Hildebrandt,
//! "Simplifying and isolating failure-inducing input", IEEE TSE 2002).
//!
//! Whatever is left out changes what comes after it: the network and the disks draw other numbers. So each plan is tried
//! with a few seeds of theirs.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use mneme_driver::keeper::RaftTimes;
use mneme_kernel::agreed::NEWEST;
use mneme_runtime_sim::Skew;

use crate::nemesis::{Fault, Schedule};
use crate::options::{Mix, Options};
use crate::plan::{Kept, Plan};
use crate::runs;
use crate::simulation::{self, Report, UNDECIDED};
use crate::timeline::Lane;

/// How hard it is tried.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Effort {
    /// How many smaller plans are tried, at most.
    #[arg(long, default_value_t = 300)]
    tries: u32,
    /// How often each is, with other latencies.
    #[arg(long, default_value_t = 4)]
    chances: u64,
    /// How many run at the same time.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// Shrinks a plan that fails by this check, or by whichever fails first, and keeps what is left in a file.
///
/// # Errors
/// If the plan does not fail, or the file cannot be written.
pub fn shrink(
    plan: Plan,
    check: Option<String>,
    mutant: Option<String>,
    effort: Effort,
    save: &Path,
) -> anyhow::Result<ExitCode> {
    simulation::warm_up();
    let report = simulation::run_plan(plan.clone(), true);
    let failing = report.violations.iter().map(|violation| violation.check).filter(|check| *check != UNDECIDED);
    let failing: Vec<&str> = failing.collect();
    let Some(first) = failing.first() else { bail!("seed {} passes", plan.options.seed) };
    let check = check.unwrap_or_else(|| (*first).to_owned());
    if !failing.contains(&&*check) {
        bail!("seed {} fails, but by {}", plan.options.seed, failing.join(", "));
    }
    let before = plan.schedule.0.len();
    println!(
        "seed {} fails by {check}; {before} faults, {} commands",
        plan.options.seed, plan.options.clients.commands
    );
    let mut shrinking = Shrinking { check, plan, report, effort, tried: 0 };
    shrinking.shrink();
    let Shrinking { check, plan, report, tried, .. } = shrinking;
    println!(
        "\nafter {tried} tries, {} faults of {before} are left:\n\n{:#?}\n\n{}",
        plan.schedule.0.len(),
        plan.options,
        plan.schedule
    );
    let what = report.violations.iter().find(|violation| violation.check == check);
    let what = what.map_or("", |violation| &violation.what);
    println!("{check}: {what}\n");
    let kept = Kept { check: check.clone(), what: first_line(what), ..runs::kept(&plan, mutant, &report) };
    if let Some(folder) = save.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    kept.write(save)?;
    println!("again: cargo sim replay --plan {}", save.display());
    Ok(ExitCode::SUCCESS)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

struct Shrinking {
    /// It must go on failing.
    check: String,
    /// The smallest that fails so far.
    plan: Plan,
    /// What came of that one.
    report: Report,
    effort: Effort,
    /// Plans that were tried.
    tried: u32,
}

/// Makes something smaller, unless it is as small as can be.
type Step = fn(&mut Options) -> bool;

impl Shrinking {
    fn shrink(&mut self) {
        // What is as long as it was has room for its commands, whichever faults are left.
        self.plan.options.lasts = self.phase();
        let mut before = String::new();
        while !self.is_over() && before != format!("{:?}", self.plan) {
            before = format!("{:?}", self.plan);
            self.drop_faults();
            self.drop_clients();
            while self.attempt("fewer commands", |plan| fewer_commands(&mut plan.options)) {}
            while self.attempt("a shorter time", shorter) {}
            for (what, step) in NOISE.into_iter().chain(TASKS) {
                self.attempt(what, |plan| step(&mut plan.options));
            }
            for number in 0..self.plan.options.skews.len() {
                self.attempt("a clock that is right", |plan| right_clock(&mut plan.options.skews[number]));
            }
            for kind in KINDS {
                self.attempt("a kind of command less", |plan| zero(kind(&mut plan.options.clients.mix)));
            }
        }
    }

    fn is_over(&self) -> bool {
        self.tried >= self.effort.tries
    }

    /// How long faults and commands went on.
    fn phase(&self) -> Duration {
        let bands = self.report.record.iter().flat_map(|record| &record.bands);
        bands.filter(|band| band.lane == Lane::Running).map(|band| band.to - band.from).max().unwrap_or_default()
    }

    fn drop_faults(&mut self) {
        let Schedule(faults) = &self.plan.schedule;
        // Where faults wait for each other, the time that one took passes all the same.
        let is_solo = self.plan.options.topology.is_solo();
        let took = |number: usize| {
            let bands = self.report.record.iter().flat_map(|record| &record.bands);
            let took = bands.filter(|band| band.lane == Lane::Fault(number)).map(|band| band.to - band.from).max();
            took.filter(|_| is_solo).unwrap_or_default()
        };
        let items: Vec<Item> = faults
            .iter()
            .enumerate()
            .map(|(number, (gap, fault))| Item { number, gap: *gap, took: took(number), fault: *fault })
            .collect();
        let count = items.len();
        let all = items.clone();
        self.drop_all_but(items, |plan, kept| plan.schedule = schedule(&all, kept));
        self.say("faults", count, self.plan.schedule.0.len());
    }

    fn drop_clients(&mut self) {
        let clients = &self.plan.options.clients;
        let speaking: Vec<u64> = (0..clients.count).filter(|number| !clients.silent.contains(number)).collect();
        let count = speaking.len();
        self.drop_all_but(speaking, |plan, kept| {
            let clients = &mut plan.options.clients;
            clients.silent = (0..clients.count).filter(|number| !kept.contains(number)).collect();
        });
        let clients = &self.plan.options.clients;
        self.say("clients", count, clients.count as usize - clients.silent.len());
    }

    /// Leaves out pieces of a list, the largest first.
    fn drop_all_but<T: Clone>(&mut self, mut kept: Vec<T>, with: impl Fn(&mut Plan, &[T])) {
        let mut size = kept.len();
        while size > 0 {
            let mut at = 0;
            while at < kept.len() && !self.is_over() {
                let rest: Vec<T> = kept[..at].iter().chain(kept.iter().skip(at + size)).cloned().collect();
                let mut plan = self.plan.clone();
                with(&mut plan, &rest);
                match self.fails(plan) {
                    true => kept = rest,
                    false => at += size,
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    fn attempt(&mut self, what: &str, step: impl Fn(&mut Plan) -> bool) -> bool {
        let mut plan = self.plan.clone();
        if self.is_over() || !step(&mut plan) {
            return false;
        }
        let fails = self.fails(plan);
        if fails {
            println!("{:>4} tries: {what}", self.tried);
        }
        fails
    }

    fn say(&self, what: &str, before: usize, after: usize) {
        if before != after {
            println!("{:>4} tries: {before} {what} are now {after}", self.tried);
        }
    }

    /// Whether a plan fails as the first one does, with any of the chances; if so, it takes the place of the one before.
    fn fails(&mut self, plan: Plan) -> bool {
        self.tried += 1;
        let chances: Vec<u64> = (0..self.effort.chances).map(|more| plan.options.chance.wrapping_add(more)).collect();
        for chances in chances.chunks(self.effort.threads) {
            let reports: Vec<(Plan, Report)> = std::thread::scope(|scope| {
                let runs: Vec<_> = chances
                    .iter()
                    .map(|chance| {
                        let mut plan = plan.clone();
                        plan.options.chance = *chance;
                        scope.spawn(move || (plan.clone(), simulation::run_plan(plan, true)))
                    })
                    .collect();
                runs.into_iter().filter_map(|run| run.join().ok()).collect()
            });
            let failing = |report: &Report| report.violations.iter().any(|violation| violation.check == self.check);
            if let Some((plan, report)) = reports.into_iter().find(|(_, report)| failing(report)) {
                (self.plan, self.report) = (plan, report);
                return true;
            }
        }
        false
    }
}

/// A fault that may be left out.
#[derive(Clone)]
struct Item {
    number: usize,
    gap: Duration,
    /// How long the faults behind it wait for it.
    took: Duration,
    fault: Fault,
}

/// A schedule of some of all faults, each at the time that it had among all.
fn schedule(all: &[Item], kept: &[Item]) -> Schedule {
    let mut passed = Duration::ZERO;
    let mut faults = Vec::new();
    for item in all {
        passed += item.gap;
        if kept.iter().any(|kept| kept.number == item.number) {
            faults.push((std::mem::take(&mut passed), item.fault));
        } else {
            passed += item.took;
        }
    }
    Schedule(faults)
}

fn fewer_commands(options: &mut Options) -> bool {
    let clients = &mut options.clients;
    let least = clients.count as usize;
    let fewer = (clients.commands / 2).max(least);
    std::mem::replace(&mut clients.commands, fewer) > fewer
}

/// Half as long; if faults take more time than that, they come twice as fast.
fn shorter(plan: &mut Plan) -> bool {
    const LEAST: Duration = Duration::from_millis(50);
    let Schedule(faults) = &mut plan.schedule;
    plan.options.lasts /= 2;
    if faults.iter().map(|(gap, _)| *gap).sum::<Duration>() > plan.options.lasts {
        faults.iter_mut().for_each(|(gap, _)| *gap /= 2);
    }
    plan.options.lasts > LEAST
}

const NOISE: [(&str, Step); 9] = [
    ("reads from links give all that has come", |options| std::mem::take(&mut options.pieces) > 0.0),
    ("Raft's usual clock", |options| {
        let usual = RaftTimes::default();
        std::mem::replace(&mut options.raft, usual).heartbeat != usual.heartbeat
    }),
    ("no limit of memory", |options| std::mem::take(&mut options.max_memory) > 0),
    ("all of the newest version", |options| {
        let newest = vec![NEWEST; options.reads.len()];
        std::mem::replace(&mut options.reads, newest.clone()) != newest
    }),
    ("no packet is lost", |options| std::mem::replace(&mut options.loss, 0.0) > 0.0),
    ("all packets take the same time", |options| {
        let all = options.latency.start..options.latency.start + Duration::from_nanos(1);
        std::mem::replace(&mut options.latency, all.clone()) != all
    }),
    ("all syncs take the same time", |options| {
        let all = *options.sync.start()..=*options.sync.start();
        std::mem::replace(&mut options.sync, all.clone()) != all
    }),
    ("all clocks are right", |options| {
        let before = options.skews.clone();
        options.skews.iter_mut().for_each(|skew| {
            right_clock(skew);
        });
        options.skews != before
    }),
    ("no snapshot for its own sake", |options| {
        const NEVER: u64 = 1 << 40;
        options.snapshots.interval = Duration::from_secs(86_400);
        std::mem::replace(&mut options.snapshots.log_bytes, NEVER) != NEVER
    }),
];

const TASKS: [(&str, Step); 11] = [
    ("no operator", |options| std::mem::take(&mut options.is_operated)),
    ("no changes of rights", |options| std::mem::take(&mut options.changes_rights)),
    ("nobody publishes", |options| std::mem::take(&mut options.publishes)),
    ("nobody counts by WAIT", |options| std::mem::take(&mut options.counts_waits)),
    ("nobody reads everywhere", |options| std::mem::take(&mut options.reads_everywhere)),
    ("nobody names a level", |options| std::mem::take(&mut options.clients.named_level) > 0.0),
    ("nobody asks at EVENTUAL", |options| std::mem::take(&mut options.clients.eventual) > 0.0),
    ("one command at a time", |options| std::mem::replace(&mut options.clients.pipeline, 1) > 1),
    ("one database", |options| std::mem::replace(&mut options.clients.databases, 1) > 1),
    ("three keys", |options| std::mem::replace(&mut options.clients.keys, 3) > 3),
    ("one key", |options| std::mem::replace(&mut options.clients.keys, 1) > 1),
];

/// Every kind of command but SET, which may be all that there is.
const KINDS: [fn(&mut Mix) -> &mut u32; 17] = [
    |mix| &mut mix.walk,
    |mix| &mut mix.disturb,
    |mix| &mut mix.look,
    |mix| &mut mix.block,
    |mix| &mut mix.across,
    |mix| &mut mix.rename,
    |mix| &mut mix.further,
    |mix| &mut mix.typed,
    |mix| &mut mix.list,
    |mix| &mut mix.text,
    |mix| &mut mix.several,
    |mix| &mut mix.size,
    |mix| &mut mix.flush,
    |mix| &mut mix.deadline,
    |mix| &mut mix.increment,
    |mix| &mut mix.delete,
    |mix| &mut mix.get,
];

fn zero(weight: &mut u32) -> bool {
    std::mem::take(weight) > 0
}

fn right_clock(skew: &mut Skew) -> bool {
    // It does not begin at zero: no machine's does.
    let right = Skew { wall: 0, monotonic: Duration::from_secs(1), rate: 0 };
    std::mem::replace(skew, right) != right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_happens_when_it_did() {
        let item = |number: usize, gap: u64, took: u64| Item {
            number,
            gap: Duration::from_millis(gap),
            took: Duration::from_millis(took),
            fault: Fault::FallBehind { machine: number },
        };
        let all = [item(0, 10, 3), item(1, 20, 5), item(2, 40, 7)];
        let gaps =
            |kept: &[Item]| -> Vec<u128> { schedule(&all, kept).0.iter().map(|(gap, _)| gap.as_millis()).collect() };
        assert_eq!(gaps(&all), [10, 20, 40]);
        assert_eq!(gaps(&all[2..]), [10 + 3 + 20 + 5 + 40]);
        assert_eq!(gaps(&[all[0].clone(), all[2].clone()]), [10, 20 + 5 + 40]);
    }

    #[test]
    fn each_step_comes_to_an_end() {
        for seed in 0..50 {
            let mut plan = Plan::from_seed(seed);
            plan.options.lasts = plan.options.duration;
            assert!((0..64).any(|_| !shorter(&mut plan)), "seed {seed}");
            let options = &mut plan.options;
            let steps = NOISE.into_iter().chain(TASKS).map(|(_, step)| step);
            for step in steps.chain([fewer_commands as Step]) {
                assert!((0..64).any(|_| !step(options)), "seed {seed}");
            }
        }
    }
}
