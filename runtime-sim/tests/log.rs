//! What is cut off the log, and what is there after the power failed.

use madsim::runtime::Runtime;
use mneme_driver::log::Log;
use mneme_driver::types::{self, log_id};
use mneme_kernel::wal::LogId as WalId;
use mneme_runtime_sim::{DiskOptions, SimDisk, SimEnv, SimRuntime};
use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};

type Entry = types::Entry<SimRuntime>;

const SEGMENT_BYTES: u64 = 64 << 10;

async fn open(env: &SimEnv) -> Log<SimEnv> {
    Log::open(env, None, SEGMENT_BYTES).await.expect("the disk is sound")
}

async fn append(log: &mut Log<SimEnv>, ids: &[(u64, u64)]) {
    let entry = |(term, index): &(u64, u64)| {
        Entry::new(log_id::<SimRuntime>(WalId { term: *term, index: *index }), EntryPayload::Blank)
    };
    log.append(ids.iter().map(entry).collect::<Vec<_>>(), IOFlushed::noop()).await.expect("the disk is sound");
}

async fn ids(log: &Log<SimEnv>) -> Vec<(u64, u64)> {
    let entries = log.read(0, 9).await.expect("the disk is sound");
    entries.iter().map(|(id, _)| (id.term, id.index)).collect()
}

/// Before it installs a snapshot, openraft cuts off all that it does not know to be committed, and that may be all there is.
#[test]
fn what_is_cut_off_goes_only_when_something_takes_its_place() {
    Runtime::new().block_on(async {
        let disk = SimDisk::new(DiskOptions::default());
        let env = SimEnv::new(&disk);
        let mut log = open(&env).await;
        append(&mut log, &[(1, 0), (1, 1), (1, 2)]).await;
        log.flushed().await;
        log.truncate_after(None).await.expect("the disk is sound");
        assert_eq!(ids(&log).await, []);
        log.flushed().await;
        disk.crash();

        let env = env.next_life(&disk);
        let mut log = open(&env).await;
        assert_eq!(ids(&log).await, [(1, 0), (1, 1), (1, 2)]);
        log.truncate_after(Some(log_id::<SimRuntime>(WalId { term: 1, index: 1 }))).await.expect("the disk is sound");
        log.truncate_after(Some(log_id::<SimRuntime>(WalId { term: 1, index: 0 }))).await.expect("the disk is sound");
        append(&mut log, &[(2, 1)]).await;
        log.flushed().await;
        disk.crash();

        assert_eq!(ids(&open(&env.next_life(&disk)).await).await, [(1, 0), (2, 1)]);
    });
}
