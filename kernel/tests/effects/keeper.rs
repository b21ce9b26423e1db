//! A Keeper's view of the log, and snapshots of it.

use mneme_kernel::codec;
use mneme_kernel::core::{Core, Input, Now};
use mneme_kernel::effect::{Effect, Effects};
use mneme_kernel::entry::Entry;
use mneme_kernel::ids::Index;
use mneme_kernel::store::{Digest, Store};
use mneme_kernel::system::System;
use mneme_kernel::verdict::Verdict;

/// What a Keeper makes of the log, as `compaction.rs` of the driver does: no Core is asked.
#[derive(Debug)]
pub struct Keeper {
    pub system: System,
    pub store: Store,
    last: Option<Index>,
}

impl Keeper {
    pub fn new() -> Self {
        Self { system: System::default(), store: Store::new(2), last: None }
    }

    /// Takes the next committed entry; says whether it counts.
    pub fn take(&mut self, index: Index, entry: Option<&[u8]>) -> Option<Verdict> {
        self.last = Some(index);
        let entry = Entry::decode(entry?).expect("what a Core proposed");
        let newest = self.system.newest_wall;
        let verdict = self.system.judge(index, &entry);
        if let Entry::Batch { effects, wall, .. } = entry
            && verdict == Verdict::Accepted
        {
            assert!(wall >= newest.0, "the log's time goes back: {wall} after {newest:?}");
            for effect in Effects::new(effects) {
                let effect = effect.expect("what a Core executed");
                self.store.apply(&effect);
                self.system.apply(&effect);
            }
        }
        Some(verdict)
    }

    pub fn digest(&self) -> Digest {
        self.store.check();
        self.store.digest(&self.system)
    }

    pub fn snapshot(&self) -> Snapshot {
        let mut system = Vec::new();
        codec::encode(&self.system, &mut system);
        let mut items = vec![Vec::new(); 3];
        let (mut pieces, mut i) = (self.store.pieces(), 0);
        // The effects of a key stay together, as in a partition.
        let mut effect = Vec::new();
        let mut last = None;
        while pieces.append_next(&mut effect) {
            let key =
                codec::decode::<Effect<'_>>(&effect).expect("an effect").0.key().map(|(db, key)| (db, key.to_vec()));
            i += usize::from(key != last);
            last = key;
            items[i % 3].append(&mut effect);
        }
        Snapshot { last: self.last, system, counts: self.store.counts(), items }
    }
}

/// A snapshot as it lies on disk: encoded, in partitions.
#[derive(Clone, Debug)]
pub struct Snapshot {
    last: Option<Index>,
    system: Vec<u8>,
    counts: Vec<u64>,
    items: Vec<Vec<u8>>,
}

impl Snapshot {
    /// Fills an empty Core; says which entry comes next.
    pub fn install(&self, core: &mut Core, now: Now) -> u64 {
        let Some(index) = self.last else { return 0 };
        let system = codec::decode_all(&self.system).expect("what was encoded");
        let mut out = Vec::new();
        let begin = Input::Snapshot { index, system, items: &self.counts };
        core.handle(now, begin, &mut out).expect("a snapshot");
        for items in &self.items {
            core.handle(now, Input::Items(items), &mut out).expect("items");
        }
        assert!(out.is_empty(), "a snapshot makes a Core do nothing");
        index.0 + 1
    }
}
