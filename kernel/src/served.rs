//! What a primary has executed for other Cores in its reign: each request once, however often it comes (PROTOCOL rule 8).
//! It outlives links, so that a reply which was lost with one is given by the next.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::ids::{Incarnation, Seq};
use crate::level::Level;
use crate::requests::Kept;
use crate::time::Monotonic;

/// By origin.
#[derive(Debug, Default)]
pub(crate) struct Served(BTreeMap<Incarnation, ServedOrigin>);

#[derive(Debug, Default)]
struct ServedOrigin {
    sessions: BTreeMap<u64, ServedSession>,
    /// Of replies that are in no batch.
    bytes: usize,
}

#[derive(Debug, Default)]
struct ServedSession {
    /// The highest number that was executed, whether or not it changed anything.
    highest: u64,
    /// What was executed and is not acknowledged, by number.
    executed: BTreeMap<u64, Executed>,
}

/// A request that was executed, and what its reply waits for.
#[derive(Clone, Debug)]
pub(crate) struct Executed {
    /// Its reply, if that is in no batch; otherwise the request table has it.
    pub kept: Option<Kept>,
    pub wait: Option<Seq>,
    pub level: Level,
    /// When the reply becomes an error that says what it waits for.
    pub until: Monotonic,
    /// It changed nothing and rests on data, so that it leans on the lease.
    pub leans: bool,
}

impl Executed {
    fn size(&self) -> usize {
        self.kept.as_ref().map_or(0, Kept::size)
    }
}

impl Served {
    /// The highest number of the session that was executed.
    pub(crate) fn highest(&self, origin: Incarnation, session: u64) -> u64 {
        self.session(origin, session).map_or(0, |session| session.highest)
    }

    pub(crate) fn get(&self, origin: Incarnation, session: u64, number: u64) -> Option<&Executed> {
        self.session(origin, session)?.executed.get(&number)
    }

    fn session(&self, origin: Incarnation, session: u64) -> Option<&ServedSession> {
        self.0.get(&origin)?.sessions.get(&session)
    }

    /// Bytes of an origin's replies that are in no batch.
    pub(crate) fn bytes(&self, origin: Incarnation) -> usize {
        self.0.get(&origin).map_or(0, |origin| origin.bytes)
    }

    /// Notes a request that was executed, behind all earlier ones of its session.
    pub(crate) fn add(&mut self, origin: Incarnation, session: u64, number: u64, executed: Executed) {
        let served = self.0.entry(origin).or_default();
        served.bytes += executed.size();
        let session = served.sessions.entry(session).or_default();
        session.highest = number;
        let before = session.executed.insert(number, executed);
        served.bytes -= before.map_or(0, |before| before.size());
    }

    /// Takes a session's replies that are in no batch: now they will be.
    pub(crate) fn take_kept(&mut self, origin: Incarnation, session: u64) -> Vec<(u64, Kept)> {
        let Some(served) = self.0.get_mut(&origin) else { return Vec::new() };
        let Some(session) = served.sessions.get_mut(&session) else { return Vec::new() };
        let taken = session.executed.iter_mut();
        let taken: Vec<_> = taken.filter_map(|(number, executed)| Some((*number, executed.kept.take()?))).collect();
        served.bytes -= taken.iter().map(|(_, kept)| kept.size()).sum::<usize>();
        taken
    }

    /// The origin has the replies of a session up to this number.
    pub(crate) fn acknowledge(&mut self, origin: Incarnation, session: u64, number: u64) {
        let Some(served) = self.0.get_mut(&origin) else { return };
        let Some(session) = served.sessions.get_mut(&session) else { return };
        let later = session.executed.split_off(&number.saturating_add(1));
        let gone = core::mem::replace(&mut session.executed, later);
        served.bytes -= gone.values().map(Executed::size).sum::<usize>();
    }

    /// A session has ended: nothing more will come of it.
    pub(crate) fn end(&mut self, origin: Incarnation, session: u64) {
        self.acknowledge(origin, session, u64::MAX);
        if let Some(served) = self.0.get_mut(&origin) {
            served.sessions.remove(&session);
        }
    }

    /// An origin begins anew, with the requests that have no reply: each of these sessions from this number on, and no
    /// others.
    pub(crate) fn resume(&mut self, origin: Incarnation, open: &BTreeMap<u64, u64>) {
        let Some(served) = self.0.get(&origin) else { return };
        let sessions: Vec<u64> = served.sessions.keys().copied().collect();
        for session in sessions {
            match open.get(&session) {
                Some(lowest) => self.acknowledge(origin, session, lowest.saturating_sub(1)),
                None => self.end(origin, session),
            }
        }
    }

    /// Forgets the origins that a later life of their node has replaced.
    pub(crate) fn forget_replaced(&mut self, is_origin: impl Fn(Incarnation) -> bool) {
        self.0.retain(|origin, _| is_origin(*origin));
    }

    /// Asserts that what is accounted is there.
    pub(crate) fn check(&self) {
        for served in self.0.values() {
            let executed = served.sessions.values().flat_map(|session| session.executed.values());
            assert_eq!(served.bytes, executed.map(Executed::size).sum::<usize>());
        }
    }
}
