//! Disks that lose what is on them, or some of it: the nemesis takes no more than others can give back.

use std::time::Duration;

use madsim::time::{Instant, sleep};
use mneme_runtime_sim::{Operation, SimDisk, Trap};

use super::faults::FALLING_BEHIND;
use super::lives::{REVIVAL, STOP};
use super::machine::Hold;
use super::{Cluster, Ending, WATCH};
use crate::world::lock;

/// How long a machine whose disk is lost or damaged may take to recover from that while faults go on.
const REPAIR: Duration = Duration::from_secs(20);

impl Cluster {
    /// Damages something on the disk while the server is stopped. Alone it must refuse to start and say why, or need nothing of
    /// what was damaged; then it is as it was. With others it must recover what is damaged from them.
    pub async fn damage(&self, machine: usize, draw: u64) {
        let is_solo = self.world().options.topology.is_solo();
        if !is_solo && !self.can_spare(machine) {
            return;
        }
        let Some(hold) = self.take(machine) else { return };
        let machine = hold.machine();
        // Another disk may have been lost while it stopped.
        if !machine.stop().await || !is_solo && !self.can_spare(machine.number()) {
            return if !is_solo {
                machine.restart(Ending::Kill, REVIVAL).await
            };
        }
        machine.end_life(Ending::Kill);
        let Some((path, sound)) = self.spoil(&hold, draw) else { return machine.begin_life() };
        if !is_solo {
            machine.set_impaired(true);
            // Some are ended while they move aside what is damaged.
            let trap = Trap { after: &[], operation: Operation::Rename, prefix: "damaged-", skip: (draw >> 52) % 3 };
            let sprung = (draw >> 50).is_multiple_of(4).then(|| machine.disk().trap(trap));
            machine.begin_life();
            if let Some(sprung) = sprung {
                self.end_when(sprung, &hold, "ended in setting aside", Ending::PowerCut, REVIVAL).await;
            }
            return self.await_repair(&hold, "damage repaired").await;
        }
        machine.begin_life();
        let end = Instant::now() + STOP;
        while !machine.is_up() && lock(&machine.life).start_error.is_none() && Instant::now() < end {
            sleep(WATCH).await;
        }
        let Some(why) = lock(&machine.life).start_error.take() else {
            return self.world().count("damage not needed", 1);
        };
        self.world().count("damage refused", 1);
        let named = why.contains("damaged") && why.contains(&path);
        self.world().check("damage", if named { Ok(()) } else { Err(format!("refused {path}, but by: {why}")) });
        machine.end_life(Ending::Kill);
        machine.disk().write_file(&path, &sound).expect("the file was written a moment ago");
        machine.begin_life();
    }

    /// Damages something on the disk when its log is what decides. Half of the other Keepers miss what the rest has committed,
    /// and come back together with the damaged one, which alone must not make up a majority with them; the other half,
    /// which has everything, is down meanwhile.
    pub async fn damage_what_decides(&self, machine: usize, draw: u64, down: Duration) {
        if !self.can_spare(machine) {
            return;
        }
        let others = self.keepers().map(|keeper| keeper.number()).filter(|other| *other != machine);
        let Some(hold) = self.take(machine) else { return };
        let mut late: Vec<Hold> = others.filter_map(|other| self.take(other)).collect();
        let spare = self.world().options.topology.spare_keepers();
        if late.len() != 2 * spare {
            return;
        }
        late.rotate_left((draw >> 8) as usize % (2 * spare));
        let early = late.split_off(spare);
        late.iter().for_each(|hold| hold.machine().end_life(Ending::Kill));
        sleep(FALLING_BEHIND).await;
        let has_stopped = hold.machine().stop().await;
        hold.machine().end_life(Ending::Kill);
        early.iter().for_each(|hold| hold.machine().end_life(Ending::Kill));
        if has_stopped && self.spoil(&hold, draw).is_some() {
            hold.machine().set_impaired(true);
        }
        late.iter().chain([&hold]).for_each(|hold| hold.machine().begin_life());
        sleep(FALLING_BEHIND + down).await;
        early.iter().for_each(|hold| hold.machine().begin_life());
        drop((late, early));
        if hold.machine().is_impaired() {
            self.await_repair(&hold, "what decides repaired").await;
        }
    }

    /// Spoils something on a stopped server's disk; returns which file it is in, and what was in that.
    fn spoil(&self, hold: &Hold, draw: u64) -> Option<(String, Vec<u8>)> {
        let disk = hold.machine().disk();
        let Victim { path, sound, end, offset } = victim(&disk, draw)?;
        let mut damaged = sound.clone();
        let len = SPOILT.min(end - offset);
        let what = match (draw >> 40) % 4 {
            // What was written last never got to the disk: new space is empty.
            1 => {
                damaged[offset..offset + len].fill(0);
                "written in vain"
            }
            // Something else was written there, or is read from there.
            2 => {
                let other = (draw >> 44) as usize % (end - len + 1);
                damaged.copy_within(other..other + len, offset);
                "misdirected"
            }
            _ => {
                damaged[offset] ^= 1 << (draw % 8);
                "bits flipped"
            }
        };
        if damaged == sound {
            return None;
        }
        self.event(format_args!("{path} of {} is damaged at {offset}: {what}", hold.machine().name()));
        self.world().count(what, 1);
        disk.write_file(&path, &damaged).expect("the file was read a moment ago");
        Some((path, sound))
    }

    /// A machine loses its disk with all that is on it, and joins anew.
    pub async fn wipe(&self, machine: usize, down: Duration) {
        if !self.can_spare(machine) {
            return;
        }
        let Some(hold) = self.take(machine) else { return };
        let machine = hold.machine();
        machine.set_impaired(true);
        machine.end_life(Ending::Kill);
        self.event(format_args!("{} loses its disk", machine.name()));
        machine.lose_disk();
        sleep(down).await;
        machine.begin_life();
        self.await_repair(&hold, "joined anew").await;
    }

    /// Whether the disk of a machine may be lost without losing what is acknowledged.
    pub(super) fn can_spare(&self, machine: usize) -> bool {
        let impaired = self.keepers().filter(|other| other.is_impaired() || other.number() == machine);
        impaired.count() <= self.world().options.topology.spare_keepers()
    }

    /// Waits until a machine has recovered with the help of others; it may take longer than this waits.
    async fn await_repair(&self, hold: &Hold, repaired: &'static str) {
        let end = Instant::now() + REPAIR;
        while hold.machine().is_impaired() && Instant::now() < end {
            hold.machine().run_for(WATCH).await;
        }
        self.world().count(repaired, u64::from(!hold.machine().is_impaired()));
    }
}

/// Bytes of what is lost or misdirected at once.
const SPOILT: usize = 512;

/// A byte on a disk that the log attests as synced, or that a snapshot consists of.
struct Victim {
    path: String,
    /// The file's content.
    sound: Vec<u8>,
    /// Before here it must be as it is.
    end: usize,
    offset: usize,
}

fn victim(disk: &SimDisk, draw: u64) -> Option<Victim> {
    /// The last record of the log attests all before itself.
    const NOT_ATTESTED: usize = 64;
    let files = disk.list_files();
    let of = |folder: &str| files.iter().filter(|path| path.starts_with(folder)).cloned().collect::<Vec<_>>();
    let (log, snapshot) = (of("log/0"), of("snapshot/0"));
    let candidates = if draw.is_multiple_of(2) || snapshot.is_empty() { log } else { snapshot };
    let path = candidates.get((draw / 2) as usize % candidates.len().max(1))?.clone();
    let content = disk.read_file(&path).ok()?;
    let end = content.iter().rposition(|byte| *byte != 0)? + 1;
    let end = if path.starts_with("log/") { end.saturating_sub(NOT_ATTESTED) } else { end };
    (end > 0).then(|| Victim { path, sound: content, end, offset: (draw >> 16) as usize % end })
}
