//! What the nemesis does to the server, its machine and its links.

use std::time::Duration;

use madsim::net::NetSim;
use madsim::runtime::Handle;
use madsim::task::NodeId;
use madsim::time::{Instant, sleep};
use mneme_runtime_sim::Trap;
use mneme_runtime_sim::sleep::timeout;

use super::{Cluster, Ending, REVIVAL, STOP, WATCH};
use crate::world::lock;

/// How long a trap may take to catch something.
const TRAPPING: Duration = Duration::from_secs(2);

impl Cluster {
    /// Flips a bit on the disk while the server is stopped. It must refuse to start and say why, or need nothing of what
    /// was damaged. Then the bit is flipped back.
    pub async fn damage(&self, draw: u64) {
        let stopped = self.world().counted("stopped in order");
        self.stop().await;
        if self.world().counted("stopped in order") == stopped {
            return;
        }
        self.end_life(Ending::Kill);
        let disk = &self.machine.disk;
        let Some((path, sound, offset)) = self.victim(draw) else { return self.begin_life() };
        let mut damaged = sound.clone();
        damaged[offset] ^= 1 << (draw % 8);
        self.event(format_args!("a bit of {path} at {offset} is flipped"));
        disk.write_file(&path, &damaged).expect("the file was read a moment ago");
        self.begin_life();
        let end = Instant::now() + STOP;
        while !self.is_up() && lock(&self.machine.life).start_error.is_none() && Instant::now() < end {
            sleep(WATCH).await;
        }
        let Some(why) = lock(&self.machine.life).start_error.take() else {
            return self.world().count("damage not needed", 1);
        };
        self.world().count("damage refused", 1);
        let named = why.contains("damaged") && why.contains(&path);
        self.world().check("damage", if named { Ok(()) } else { Err(format!("refused {path}, but by: {why}")) });
        self.end_life(Ending::Kill);
        disk.write_file(&path, &sound).expect("the file was written a moment ago");
        self.begin_life();
    }

    /// A byte on the disk that the log attests as synced, or that a snapshot consists of: its file, the file's content,
    /// and its place.
    fn victim(&self, draw: u64) -> Option<(String, Vec<u8>, usize)> {
        /// The last record of the log attests all before itself.
        const NOT_ATTESTED: usize = 64;
        let files = self.machine.disk.list_files();
        let of = |folder: &str| files.iter().filter(|path| path.starts_with(folder)).cloned().collect::<Vec<_>>();
        let (log, snapshot) = (of("log/0"), of("snapshot/0"));
        let candidates = if draw.is_multiple_of(2) || snapshot.is_empty() { log } else { snapshot };
        let path = candidates.get((draw / 2) as usize % candidates.len().max(1))?.clone();
        let content = self.machine.disk.read_file(&path).ok()?;
        let end = content.iter().rposition(|byte| *byte != 0)? + 1;
        let end = if path.starts_with("log/") { end.saturating_sub(NOT_ATTESTED) } else { end };
        (end > 0).then(|| (path, content, (draw >> 16) as usize % end))
    }

    /// Suspends the server's process.
    pub async fn pause(&self, lasts: Duration) {
        self.world().count("paused", 1);
        Handle::current().pause(self.server);
        sleep(lasts).await;
        Handle::current().resume(self.server);
    }

    /// Cuts the link to a client, in both directions.
    pub fn cut_link(&self, client: u64, lasts: Duration) {
        self.world().count("link cut", 1);
        let Some(client) = lock(&self.machine.clients).get(client as usize).copied() else { return };
        self.set_link(client, false);
        let cluster = self.clone();
        madsim::task::spawn(async move {
            sleep(lasts).await;
            cluster.set_link(client, true);
        });
    }

    pub(super) fn set_link(&self, client: NodeId, passes: bool) {
        let network = NetSim::current();
        for (from, to) in [(client, self.server), (self.server, client)] {
            if passes { network.unclog_link(from, to) } else { network.clog_link(from, to) }
        }
    }

    /// Sets the machine's wall clock ahead, or back.
    pub fn jump_clock(&self, millis: i64) {
        self.world().count("clock set", 1);
        let before = self.wall();
        let clock = &self.machine.clock;
        let offset = i64::try_from(before).unwrap_or_default() - self.true_wall() + millis;
        clock.set_wall_offset(offset);
        self.world().history().jump(before, self.wall());
    }

    /// What the wall clock would say if nobody had set it.
    fn true_wall(&self) -> i64 {
        let now = madsim::time::TimeHandle::current().now_time();
        let since = now.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or_default()
    }

    /// Lets syncs of the disk fail for a while.
    pub async fn break_disk(&self, lasts: Duration) {
        let options = &self.world().options;
        self.machine.disk.set_options(options.bad_disk());
        self.run_for(lasts).await;
        self.machine.disk.set_options(options.sound_disk());
    }

    /// Makes syncs slow for a while.
    pub async fn slow_disk(&self, sync: Duration, lasts: Duration) {
        let options = &self.world().options;
        self.machine.disk.set_options(options.slow_disk(sync));
        self.run_for(lasts).await;
        self.machine.disk.set_options(options.sound_disk());
    }

    /// Lets the disk be full for a while.
    pub async fn fill_disk(&self, lasts: Duration) {
        self.machine.disk.set_capacity(Some(0));
        self.run_for(lasts).await;
        self.machine.disk.set_capacity(None);
    }

    /// Lets reads and writes fail for a while, and reads find the end too early.
    pub async fn fail_operations(&self, lasts: Duration) {
        let options = &self.world().options;
        self.machine.disk.set_options(options.failing_disk());
        self.run_for(lasts).await;
        self.machine.disk.set_options(options.sound_disk());
    }

    /// Ends the life in the middle of an operation, of recovery if it is told so; counts it under this name. If the
    /// operation does not occur for a while, nothing happens.
    pub async fn end_in(&self, what: &'static str, trap: Trap, in_recovery: bool, ending: Ending, down: Duration) {
        let mut sprung = self.machine.disk.trap(trap);
        if in_recovery {
            self.restart(Ending::Kill, REVIVAL).await;
        }
        let end = Instant::now() + TRAPPING;
        while Instant::now() < end {
            match timeout(WATCH, &mut sprung).await {
                Ok(true) => {
                    self.world().count(what, 1);
                    return self.restart(ending, down).await;
                }
                Ok(false) => return,
                // As for a server that ends itself at any time.
                Err(_) => self.run_for(Duration::from_millis(1)).await,
            }
        }
    }
}
