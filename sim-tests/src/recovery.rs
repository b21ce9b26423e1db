//! Mistakes in recovery that the simulation once found, each caught in the act: a trap ends the process where it matters,
//! then the power goes. What was acknowledged must be there, and the node must start.

use std::future::Future;

use madsim::Config;
use madsim::rand::{Rng, thread_rng};
use madsim::runtime::Runtime;
use mneme_kernel::resp::Value;
use mneme_runtime_sim::{DiskOptions, Operation, SimDisk, Trap};

use crate::damage::history::fast;
use crate::damage::node::{Client, Life, SEGMENT_BYTES};

/// Enough that each test meets what it is about many times, whatever chance decides.
const SEEDS: u64 = 60;
/// Bytes of a value; a few dozen fill a segment.
const VALUE: usize = 200;

/// A disk and what a client of its node knows to be there: the keys below a number.
struct Machine {
    disk: SimDisk,
    acknowledged: u64,
}

impl Machine {
    fn new() -> Machine {
        Machine { disk: SimDisk::new(fast()), acknowledged: 0 }
    }

    async fn start(&self) -> (Life, Client) {
        let life = Life::start(&self.disk).await.unwrap_or_else(|refusal| panic!("it does not start: {}", refusal.why));
        let client = life.client().await.expect("a node that has started serves");
        (life, client)
    }

    /// Writes so many keys, or fewer if one is not acknowledged.
    async fn write(&mut self, client: &mut Client, keys: u64) {
        for _ in 0..keys {
            let (key, value) = (self.acknowledged.to_string(), "x".repeat(VALUE));
            match client.ask(&["SET", &key, &value]).await {
                Ok(Value::Simple(_)) => self.acknowledged += 1,
                _ => return,
            }
        }
    }

    /// Starts once more after a power cut: everything acknowledged is there.
    async fn check(&mut self) {
        self.disk.crash();
        let (life, mut client) = self.start().await;
        for key in 0..self.acknowledged {
            let answer = client.ask(&["EXISTS", &key.to_string()]).await;
            assert!(matches!(answer, Ok(Value::Int(1))), "key {key} is answered {answer:?}");
        }
        self.write(&mut client, 1).await;
        life.kill();
    }

    /// Sets a trap, runs a start into it, and cuts nothing yet: only the process has ended.
    async fn start_into(&self, operation: Operation, prefix: &'static str, skip: u64) -> bool {
        let sprung = self.disk.trap(Trap { after: &[], operation, prefix, skip });
        match Life::start(&self.disk).await {
            Ok(life) => life.kill(),
            Err(_) => return sprung.await,
        }
        false
    }

    /// A life that ends in the middle of a rotation, where the new segment's name awaits its sync.
    async fn end_in_rotation(&mut self) {
        let (life, mut client) = self.start().await;
        self.write(&mut client, 1).await;
        let sprung = self.disk.trap(Trap { after: &[], operation: Operation::SyncFolder, prefix: "log/", skip: 0 });
        self.write(&mut client, 200).await;
        life.kill();
        assert!(sprung.await, "the log has rotated");
    }
}

fn for_each_seed<F: Future<Output = bool>>(test: impl Fn(Machine) -> F + Sync) {
    let mut met = 0;
    for seed in 0..SEEDS {
        // What a thread initialises once, each seed initialises anew.
        let run = || Runtime::with_seed_and_config(seed, Config::default()).block_on(test(Machine::new()));
        let run = std::thread::scope(|scope| scope.spawn(run).join());
        met += u32::from(run.unwrap_or_else(|_| panic!("seed {seed}")));
    }
    assert!(met > 3, "what this is about was met {met} times");
}

/// Whether each name that programs see is on the platter, too.
async fn names_last(disk: &SimDisk, folder: &str, ending: &str) -> bool {
    use mneme_driver::env::Disk;
    let seen = disk.mount().list(folder).await.expect("the folder is there");
    let durable = disk.list_files();
    let relied_on = |name: &&String| name.ends_with(ending);
    seen.iter().filter(relied_on).all(|name| durable.contains(&format!("{folder}/{name}")))
}

#[test]
fn what_was_acknowledged_in_a_new_segment_has_a_name_that_lasts() {
    for_each_seed(async |mut machine| {
        let (life, mut client) = machine.start().await;
        machine.write(&mut client, 100).await;
        life.kill();
        machine.check().await;
        true
    });
}

/// A killed life left the name of a segment without a sync; the next one relied on it, and the power took it back.
#[test]
fn a_start_relies_on_no_segment_whose_name_a_power_cut_would_take() {
    for_each_seed(async |mut machine| {
        machine.end_in_rotation().await;
        let met = !names_last(&machine.disk, "log", ".log").await;
        assert!(machine.start_into(Operation::Open, "log/0", 0).await, "it opens the segments");
        assert!(names_last(&machine.disk, "log", ".log").await, "it opens one whose name may go");
        machine.check().await;
        met
    });
}

#[test]
fn a_manifest_does_not_outlast_the_partitions_that_it_names() {
    for_each_seed(async |mut machine| {
        let (life, mut client) = machine.start().await;
        machine.write(&mut client, 20).await;
        let sprung = machine.disk.trap(Trap { after: &[], operation: Operation::Rename, prefix: "snapshot/", skip: 0 });
        let saved = client.ask(&["SAVE"]).await;
        assert!(saved.is_err(), "SAVE is answered {saved:?}");
        life.kill();
        assert!(sprung.await);
        machine.check().await;
        true
    });
}

/// A killed life left the name of a manifest without a sync; the next one purged the log and removed the snapshot before
/// it, and the power took the name back.
#[test]
fn a_start_relies_on_no_manifest_whose_name_a_power_cut_would_take() {
    for_each_seed(async |mut machine| {
        let (life, mut client) = machine.start().await;
        machine.write(&mut client, 10).await;
        assert!(matches!(client.ask(&["SAVE"]).await, Ok(Value::Simple(_))));
        machine.write(&mut client, 10).await;
        // The first sync is for the names of its files, the second for its own.
        let sprung =
            machine.disk.trap(Trap { after: &[], operation: Operation::SyncFolder, prefix: "snapshot/", skip: 1 });
        assert!(client.ask(&["SAVE"]).await.is_err());
        life.kill();
        assert!(sprung.await);
        let met = !names_last(&machine.disk, "snapshot", ".snapshot").await;
        // It removes the manifest before this one.
        assert!(machine.start_into(Operation::Remove, "snapshot/", 0).await);
        assert!(names_last(&machine.disk, "snapshot", ".snapshot").await, "it goes by one whose name may go");
        machine.check().await;
        met
    });
}

/// Each start begins a segment, with the space of a whole one.
#[test]
fn a_loop_of_starts_does_not_fill_the_disk() {
    for_each_seed(async |mut machine| {
        // Less than all these starts would take, had each a segment that stays as long as it was made.
        machine.disk.set_capacity(Some(10 * SEGMENT_BYTES));
        for _ in 0..20 {
            let (life, mut client) = machine.start().await;
            machine.write(&mut client, 1).await;
            life.kill();
            machine.disk.crash();
        }
        for _ in 0..20 {
            // Before the last segment's space is given back, or the new one has its name.
            let operation = if thread_rng().gen_bool(0.5) { Operation::Truncate } else { Operation::SyncFolder };
            machine.start_into(operation, "log/", thread_rng().gen_range(0..2)).await;
        }
        machine.check().await;
        true
    });
}

/// A sync of the folder that failed lost a segment's name for good, and a later sync did not tell.
#[test]
fn an_empty_segment_whose_name_could_not_be_made_durable_is_made_again() {
    for_each_seed(async |mut machine| {
        machine.end_in_rotation().await;
        machine.disk.set_options(DiskOptions { failed_sync: 0.3, ..fast() });
        while Life::start(&machine.disk).await.map(Life::kill).is_err() {}
        let met = machine.disk.stats().failed_syncs > 0;
        machine.disk.set_options(fast());
        let (life, mut client) = machine.start().await;
        machine.write(&mut client, 1).await;
        life.kill();
        machine.check().await;
        met
    });
}
