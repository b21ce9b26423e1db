//! Which keys make room when memory is full: Redis's `maxmemory-policy`, by samples and a pool of the best candidates, as
//! in Redis. A primary decides; what it evicts is deleted by an effect like any other, so that every copy follows.
//!
//! When and how often items are used is noted only under a policy that asks for it, on the node that executes, and is in no
//! log: after a failover the new primary knows of each key when it was written.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::call::Call;
use crate::core::Core;
use crate::effect::Effect;
use crate::events::Events;
use crate::ids::DbId;
use crate::limits;
use crate::random::Random;
use crate::store::{Place, Stamp, Store, UNUSED};
use crate::time::{Monotonic, Wall};

/// Candidates that are remembered from one sample to the next; as in Redis.
const POOL: usize = 16;

/// Milliseconds of the unit in which it is noted when an item was used: fine enough to tell apart what is used a thousand
/// times a second, and 32 bits of it last for two years.
const TICK_BITS: u32 = 4;

/// Marks a stamp that counts uses, so that it is never [`UNUSED`].
const COUNTS: Stamp = 1 << 31;
/// How often a new item counts as used, as in Redis: so that it is not the first to go.
const NEW: u8 = 5;
const MINUTE: u64 = 60_000;

/// Which keys make room: Redis's `maxmemory-policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    VolatileLru,
    VolatileLfu,
    VolatileRandom,
    VolatileTtl,
    AllkeysLru,
    AllkeysLfu,
    AllkeysRandom,
    /// None: commands that may need more memory are refused.
    #[default]
    NoEviction,
}

/// What comes first among the keys that may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    /// What was not used for longest.
    Idle,
    /// What is used least often.
    Rare,
    /// What lives shortest.
    Brief,
    Any,
}

impl Policy {
    /// In Redis's order, by Redis's names.
    pub const ALL: [(&str, Policy); 8] = [
        ("volatile-lru", Policy::VolatileLru),
        ("volatile-lfu", Policy::VolatileLfu),
        ("volatile-random", Policy::VolatileRandom),
        ("volatile-ttl", Policy::VolatileTtl),
        ("allkeys-lru", Policy::AllkeysLru),
        ("allkeys-lfu", Policy::AllkeysLfu),
        ("allkeys-random", Policy::AllkeysRandom),
        ("noeviction", Policy::NoEviction),
    ];

    pub fn name(self) -> &'static str {
        Policy::ALL[self as usize].0
    }

    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        Policy::ALL.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name.as_bytes())).map(|(_, policy)| policy)
    }

    /// Only keys with a deadline go.
    fn is_volatile(self) -> bool {
        matches!(self, Policy::VolatileLru | Policy::VolatileLfu | Policy::VolatileRandom | Policy::VolatileTtl)
    }

    fn rank(self) -> Rank {
        match self {
            Policy::VolatileLru | Policy::AllkeysLru => Rank::Idle,
            Policy::VolatileLfu | Policy::AllkeysLfu => Rank::Rare,
            Policy::VolatileTtl => Rank::Brief,
            Policy::VolatileRandom | Policy::AllkeysRandom | Policy::NoEviction => Rank::Any,
        }
    }
}

/// What is known about who goes next.
#[derive(Debug)]
pub(crate) struct Eviction {
    policy: Policy,
    rank: Rank,
    /// `maxmemory-samples`: keys that are looked at for each that goes.
    pub samples: usize,
    /// `lfu-log-factor`: the more, the more uses it takes to count one more.
    pub log_factor: usize,
    /// `lfu-decay-time`: minutes after which one use less counts; zero: never.
    pub decay_minutes: usize,
    /// When the policy was chosen: what was not used since has been idle for as long.
    since: Stamp,
    /// The best go first: they stand last.
    pool: Vec<Candidate>,
}

/// A key that may go.
#[derive(Debug)]
struct Candidate {
    /// The more, the sooner.
    score: u64,
    db: DbId,
    key: Box<[u8]>,
}

impl Eviction {
    pub(crate) fn new(policy: Policy) -> Self {
        // Redis's defaults.
        let (samples, log_factor, decay_minutes) = (5, 10, 1);
        Self { policy, rank: policy.rank(), samples, log_factor, decay_minutes, since: UNUSED, pool: Vec::new() }
    }

    pub(crate) fn policy(&self) -> Policy {
        self.policy
    }

    /// Whether it is noted when items are used.
    #[inline]
    pub(crate) fn notes_uses(&self) -> bool {
        matches!(self.rank, Rank::Idle | Rank::Rare)
    }

    /// The stamp of an item that is made now.
    #[inline]
    pub(crate) fn fresh(&self, now: Wall) -> Stamp {
        match self.rank {
            Rank::Idle => time(now),
            Rank::Rare => count(now, NEW),
            Rank::Brief | Rank::Any => UNUSED,
        }
    }

    /// The stamp of an item that is used now.
    #[inline]
    fn used(&self, stamp: Stamp, now: Wall, random: &mut Random) -> Stamp {
        if self.rank != Rank::Rare {
            return self.fresh(now);
        }
        let uses = self.uses(stamp, now);
        let steps = usize::from(uses.saturating_sub(NEW)).saturating_mul(self.log_factor).saturating_add(1);
        count(now, uses.saturating_add(u8::from(random.below(steps) == 0)))
    }

    /// How often an item counts as used.
    fn uses(&self, stamp: Stamp, now: Wall) -> u8 {
        let stamp = if stamp == UNUSED { self.since } else { stamp };
        let minutes = (now.0 / MINUTE) as u16;
        let passed = usize::from(minutes.wrapping_sub((stamp >> 8) as u16));
        let lost = passed.checked_div(self.decay_minutes).unwrap_or(0);
        (stamp as u8).saturating_sub(u8::try_from(lost).unwrap_or(u8::MAX))
    }

    /// Milliseconds since an item was used.
    fn idle_time(&self, stamp: Stamp, now: Wall) -> u64 {
        let stamp = if stamp == UNUSED { self.since } else { stamp };
        u64::from(time(now).wrapping_sub(stamp)) << TICK_BITS
    }

    fn score(&self, deadline: Option<u64>, stamp: Stamp, now: Wall) -> u64 {
        match self.rank {
            Rank::Idle => self.idle_time(stamp, now),
            Rank::Rare => u64::from(u8::MAX - self.uses(stamp, now)),
            Rank::Brief => u64::MAX - deadline.unwrap_or(u64::MAX),
            Rank::Any => 0,
        }
    }

    /// The key to go next, if there is one that may.
    fn next(&mut self, store: &mut Store, now: Wall, random: &mut Random) -> Option<(DbId, Box<[u8]>)> {
        if !self.has_candidates(store) {
            return None;
        }
        if self.rank == Rank::Any {
            return self.any(store, random);
        }
        // What is in the pool may have changed; what is sampled behind it has not.
        for _ in 0..2 {
            self.sample(store, now, random);
            while let Some(Candidate { score, db, key }) = self.pool.pop() {
                let database = store.database(db);
                let Some(place) = database.find(&key) else { continue };
                let deadline = database.at(place).deadline;
                // It may have been used since, or live longer.
                if (deadline.is_some() || !self.policy.is_volatile())
                    && self.score(deadline, database.stamp(place), now) >= score
                {
                    return Some((db, key));
                }
            }
        }
        None
    }

    fn any(&self, store: &mut Store, random: &mut Random) -> Option<(DbId, Box<[u8]>)> {
        let volatile = self.policy.is_volatile();
        let mut place = random.below(self.candidates(store));
        let dbs =
            store.databases().map(|(db, database)| (db, if volatile { database.volatile() } else { database.len() }));
        let mut found = None;
        for (db, keys) in dbs {
            if place < keys {
                found = Some(db);
                break;
            }
            place -= keys;
        }
        let db = found?;
        // One of several that stand together: the first of them is more often one that has much free space before it.
        let (mut key, mut seen) = (None, 0);
        store.database_mut(db).sample(random.next(), POOL, volatile, |found, _, _| {
            seen += 1;
            if random.below(seen) == 0 {
                key = Some(found.into());
            }
        });
        key.map(|key| (db, key))
    }

    /// Puts the best of some keys of each database into the pool.
    fn sample(&mut self, store: &mut Store, now: Wall, random: &mut Random) {
        let volatile = self.policy.is_volatile();
        let mut pool = core::mem::take(&mut self.pool);
        for db in (0..limits::STORED_DATABASES).map(DbId) {
            let database = store.database(db);
            if (if volatile { database.volatile() } else { database.len() }) == 0 {
                continue;
            }
            store.database_mut(db).sample(random.next(), self.samples, volatile, |key, deadline, stamp| {
                let score = self.score(deadline, stamp, now);
                let at = pool.partition_point(|other| other.score < score);
                let is_known = |other: &Candidate| other.db == db && *other.key == *key;
                if at == 0 && pool.len() == POOL || pool.iter().any(is_known) {
                    return;
                }
                pool.insert(at, Candidate { score, db, key: key.into() });
                if pool.len() > POOL {
                    pool.remove(0);
                }
            });
        }
        self.pool = pool;
    }

    /// How many keys may go.
    fn candidates(&self, store: &Store) -> usize {
        let volatile = self.policy.is_volatile();
        store.databases().map(|(_, database)| if volatile { database.volatile() } else { database.len() }).sum()
    }

    /// Whether any key may go.
    fn has_candidates(&self, store: &Store) -> bool {
        self.policy != Policy::NoEviction && self.candidates(store) > 0
    }
}

fn time(now: Wall) -> Stamp {
    ((now.0 >> TICK_BITS) as Stamp).max(1)
}

/// Counted uses, and the minute of the last.
fn count(now: Wall, uses: u8) -> Stamp {
    let minutes = (now.0 / MINUTE) as u16;
    COUNTS | Stamp::from(minutes) << 8 | Stamp::from(uses)
}

impl Core {
    pub(crate) fn set_policy(&mut self, policy: Policy) {
        let Eviction { samples, log_factor, decay_minutes, .. } = self.eviction;
        self.eviction = Eviction { samples, log_factor, decay_minutes, ..Eviction::new(policy) };
        // What one policy noted means nothing to another.
        self.store.forget_stamps();
        self.eviction.since = self.eviction.fresh(self.newest_wall());
        self.store.fresh = self.eviction.since;
    }

    /// Whether nothing more may be stored, and nothing can make room.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.is_memory_full() && !self.eviction.has_candidates(&self.store)
    }

    fn is_memory_full(&self) -> bool {
        self.config.max_memory > 0 && self.bounded_memory() as u64 >= self.config.max_memory
    }

    /// Makes room for so many bytes, if there is a limit and a policy: keys go until what was too much has gone from the data.
    /// That clients are told of each that goes must not make more go. At most about `most` of them go at once, unless more
    /// are needed for what is about to come.
    pub(crate) fn make_room(&mut self, now: Monotonic, bytes: usize, most: u64) {
        if !self.is_memory_full()
            || !self.eviction.has_candidates(&self.store)
            || !self.takes_writes()
            // Between two steps of a script.
            || self.is_busy()
            || self.pause.is_some_and(|pause| now < pause.until)
        {
            return;
        }
        let before = self.used_memory();
        let surplus = (self.bounded_memory() as u64).saturating_sub(self.config.max_memory);
        let wall = self.newest_wall();
        for evicted in 0.. {
            let freed = before.saturating_sub(self.used_memory());
            let is_enough = evicted >= most && freed >= bytes || evicted >= limits::EVICTED_AT_TICK;
            if freed as u64 > surplus || is_enough || self.holds_writes(now) {
                return;
            }
            let Some((db, key)) = self.eviction.next(&mut self.store, wall, &mut self.random) else { return };
            let running = self.set_running(None);
            self.execute_effect(&Effect::Delete { db, key: &key });
            self.set_running(running);
            self.stats.evicted_keys += 1;
            self.tell_of(Events::EVICTED, "evicted", db, &key, now);
        }
    }

    /// Milliseconds since the item was used, if that is noted.
    pub(crate) fn idle_time(&self, db: DbId, place: Place, now: Wall) -> Option<u64> {
        let stamp = self.store.database(db).stamp(place);
        (self.eviction.rank == Rank::Idle).then(|| self.eviction.idle_time(stamp, now))
    }

    /// How often the item counts as used, if that is noted.
    pub(crate) fn frequency(&self, db: DbId, place: Place, now: Wall) -> Option<u8> {
        let stamp = self.store.database(db).stamp(place);
        (self.eviction.rank == Rank::Rare).then(|| self.eviction.uses(stamp, now))
    }

    /// The item was used: says when, or how often, if that is noted.
    #[cold]
    fn use_item(&mut self, db: DbId, place: Place, now: Wall) {
        let database = self.store.database_mut(db);
        let stamp = self.eviction.used(database.stamp(place), now, &mut self.random);
        database.set_stamp(place, stamp);
    }
}

impl Call<'_> {
    /// The item at a place that was just found is used.
    #[inline]
    pub(crate) fn use_item(&mut self, db: DbId, place: Place) {
        if self.core.eviction.notes_uses() && !self.session.no_touch {
            self.core.use_item(db, place, self.now);
        }
    }

    /// The key is about to be overwritten: whoever is there is used.
    #[inline]
    pub(crate) fn use_key(&mut self, key: &[u8]) {
        if self.core.eviction.notes_uses() {
            let db = self.db();
            if let Some(place) = self.core.store.database(db).find(key) {
                self.use_item(db, place);
            }
        }
    }

    /// What RESTORE says about the key's former life: how long it was idle, or how often it was used.
    pub(crate) fn set_past(&mut self, key: &[u8], idle_seconds: Option<u64>, uses: Option<u8>) {
        let db = self.db();
        let Some(place) = self.core.store.database(db).find(key) else { return };
        let stamp = match (self.core.eviction.rank, idle_seconds, uses) {
            (Rank::Idle, Some(seconds), _) => {
                let idle = seconds.saturating_mul(1000).min(u64::from(Stamp::MAX) << TICK_BITS);
                time(Wall(self.now.0.saturating_sub(idle)))
            }
            (Rank::Rare, _, Some(uses)) => count(self.now, uses),
            _ => return,
        };
        self.core.store.database_mut(db).set_stamp(place, stamp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_has_its_name() {
        for (name, policy) in Policy::ALL {
            assert_eq!((policy.name(), Policy::parse(name.to_uppercase().as_bytes())), (name, Some(policy)));
        }
        assert_eq!(Policy::parse(b"allkeys"), None);
    }

    #[test]
    fn uses_count_less_with_time_and_more_by_their_logarithm() {
        let eviction = Eviction::new(Policy::AllkeysLfu);
        let mut random = Random::new(1);
        let now = Wall(1_000_000 * MINUTE);
        let mut stamp = eviction.fresh(now);
        assert_eq!(eviction.uses(stamp, now), NEW);
        for _ in 0..1000 {
            stamp = eviction.used(stamp, now, &mut random);
        }
        let uses = eviction.uses(stamp, now);
        // Redis's table for a factor of 10 says 18 after 1000 hits.
        assert!((14..=24).contains(&uses), "{uses}");
        assert_eq!(eviction.uses(stamp, Wall(now.0 + 3 * MINUTE)), uses - 3);
        assert_eq!(eviction.uses(stamp, Wall(now.0 + 1000 * MINUTE)), 0);
        let never = Eviction { decay_minutes: 0, ..eviction };
        assert_eq!(never.uses(stamp, Wall(now.0 + 1000 * MINUTE)), uses);
    }

    #[test]
    fn what_was_never_used_is_idle_since_that_is_noted() {
        let eviction = Eviction { since: time(Wall(160_000)), ..Eviction::new(Policy::AllkeysLru) };
        assert_eq!(eviction.idle_time(UNUSED, Wall(320_000)), 160_000);
        assert_eq!(eviction.idle_time(eviction.fresh(Wall(319_984)), Wall(320_000)), 16);
    }
}
