//! Every place of a disk, and all that can happen to it.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use madsim::rand::Rng;
use mneme_driver::wal::checksum;
use mneme_kernel::wal::{Record, SegmentHeader};
use mneme_runtime_sim::SimDisk;

use crate::dice::Dice;

/// Bytes that a disk writes as a whole.
const SECTOR: u64 = 512;
/// Bytes that a file system writes as a whole.
const PAGE: u64 = 4_096;

/// Bits that are flipped of each record or block.
const FLIPS: u64 = 4;
/// Blocks that go astray to each place.
const STRAYS: u64 = 3;

/// One damage to one file.
#[derive(Clone, Debug)]
pub struct Case {
    pub path: String,
    pub damage: Damage,
}

#[derive(Clone, Debug)]
pub enum Damage {
    Flip {
        offset: u64,
        bit: u8,
    },
    Zero {
        offset: u64,
        len: u64,
    },
    Truncate {
        len: u64,
    },
    /// What stands elsewhere in the file stands here.
    Misdirect {
        from: u64,
        to: u64,
        len: u64,
    },
    /// What stands in another file stands here.
    Stray {
        source: String,
        from: u64,
        to: u64,
        len: u64,
    },
    /// The last write there never happened.
    Stale {
        offset: u64,
        len: u64,
    },
    Missing,
}

impl Case {
    /// Damages the disk; whether that made a difference.
    pub fn happen(&self, disk: &SimDisk) -> io::Result<bool> {
        let path = self.path.as_str();
        match &self.damage {
            Damage::Flip { offset, bit } => change(disk, path, |bytes| bytes[*offset as usize] ^= 1 << bit),
            Damage::Zero { offset, len } => disk.zero(path, *offset, *len),
            Damage::Truncate { len } => disk.truncate_file(path, *len),
            Damage::Misdirect { from, to, len } => disk.misdirect(path, *from, *to, *len),
            Damage::Stray { source, from, to, len } => {
                let source = disk.read_file(source)?;
                change(disk, path, |bytes| {
                    let (from, to) = (&source[(*from as usize).min(source.len())..], &mut bytes[*to as usize..]);
                    let len = from.len().min(to.len()).min(*len as usize);
                    to[..len].copy_from_slice(&from[..len]);
                })
            }
            Damage::Stale { offset, len } => disk.stale(path, *offset, *len),
            Damage::Missing => disk.remove_file(path).map(|()| true),
        }
    }
}

fn change(disk: &SimDisk, path: &str, act: impl FnOnce(&mut Vec<u8>)) -> io::Result<bool> {
    let before = disk.read_file(path)?;
    let mut after = before.clone();
    act(&mut after);
    disk.write_file(path, &after)?;
    Ok(before != after)
}

impl Damage {
    pub const KINDS: [&str; 7] = ["flip", "zero", "truncate", "misdirect", "stray", "stale", "missing"];

    pub fn kind(&self) -> &'static str {
        let number = match self {
            Damage::Flip { .. } => 0,
            Damage::Zero { .. } => 1,
            Damage::Truncate { .. } => 2,
            Damage::Misdirect { .. } => 3,
            Damage::Stray { .. } => 4,
            Damage::Stale { .. } => 5,
            Damage::Missing => 6,
        };
        Self::KINDS[number]
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.path, self.damage)
    }
}

/// All cases of a disk; `dice` chooses among what would be too many: which bit, and which block goes astray.
pub fn all(disk: &SimDisk, dice: &mut Dice) -> io::Result<Vec<Case>> {
    let mut cases = Vec::new();
    let files = disk.list_files();
    for path in &files {
        let bytes = disk.read_file(path)?;
        let units = units(path, &bytes);
        let mut damages = at_units(&units, dice);
        damages.extend(at_blocks(&bytes, &units, path, &files, dice));
        for page in disk.stale_pages(path)? {
            damages.push(Damage::Stale { offset: page, len: PAGE });
            let sectors = (page..(page + PAGE).min(bytes.len() as u64)).step_by(SECTOR as usize);
            damages.extend(sectors.map(|offset| Damage::Stale { offset, len: SECTOR }));
        }
        damages.extend([Damage::Truncate { len: 0 }, Damage::Missing]);
        cases.extend(damages.into_iter().map(|damage| Case { path: path.clone(), damage }));
    }
    Ok(cases)
}

/// How many records the logs of a disk have.
pub fn records(disk: &SimDisk) -> io::Result<usize> {
    let mut count = 0;
    for path in disk.list_files().iter().filter(|path| path.starts_with("log/")) {
        // All but the header.
        count += units(path, &disk.read_file(path)?).len().saturating_sub(1);
    }
    Ok(count)
}

/// What a file consists of, each its offset and its bytes: a header and records, blocks, or all of it.
fn units(path: &str, bytes: &[u8]) -> Vec<(u64, u64)> {
    let mut units = Vec::new();
    if path.ends_with(".log") {
        let Ok(header) = SegmentHeader::decode(checksum, bytes) else { return units };
        units.push((0, SegmentHeader::LEN));
        let mut offset = SegmentHeader::LEN;
        while let Some((_, len)) = Record::decode(&header, checksum, bytes, offset) {
            units.push((offset, len));
            offset += len;
        }
    } else if path.ends_with(".part") {
        let mut offset = 0;
        while let Some(head) = bytes.get(offset..offset + 4) {
            let len = 8 + u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
            units.push((offset as u64, len as u64));
            offset += len;
        }
    } else {
        units.push((0, bytes.len() as u64));
    }
    units
}

fn at_units(units: &[(u64, u64)], dice: &mut Dice) -> Vec<Damage> {
    let mut damages = Vec::new();
    for &(offset, len) in units {
        for _ in 0..FLIPS.min(len) {
            damages.push(Damage::Flip { offset: offset + dice.gen_range(0..len), bit: dice.gen_range(0..8) });
        }
        damages.push(Damage::Zero { offset, len });
        damages.extend([offset, offset + dice.gen_range(0..len.max(1))].map(|len| Damage::Truncate { len }));
    }
    damages
}

/// What happens to the sectors and pages in which something stands.
fn at_blocks(bytes: &[u8], units: &[(u64, u64)], path: &str, files: &[String], dice: &mut Dice) -> Vec<Damage> {
    let mut damages = Vec::new();
    for block in [SECTOR, PAGE] {
        let touched: BTreeSet<u64> = units.iter().map(|(offset, _)| offset / block * block).collect();
        let blocks = (bytes.len() as u64).div_ceil(block);
        let others: Vec<&String> = files.iter().filter(|other| *other != path).collect();
        for to in touched {
            damages.push(Damage::Zero { offset: to, len: block });
            for _ in 0..STRAYS {
                damages.push(Damage::Misdirect { from: dice.gen_range(0..blocks) * block, to, len: block });
                let source = others[dice.gen_range(0..others.len())].clone();
                // The same place of another file, or its beginning.
                let from = if dice.chance(0.7) { to } else { 0 };
                damages.push(Damage::Stray { source, from, to, len: block });
            }
        }
    }
    damages
}
