//! The request table: the replies of commands that Cores forwarded and that changed something, as long as their origin may
//! ask for them (PROTOCOL rules 8 to 10). Part of the replicated state, so that it outlives the primary that executed
//! them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bincode::{Decode, Encode};

use crate::cores::Cores;
use crate::effect::Effect;
use crate::ids::Incarnation;

/// By the origin, which a process keeps for as long as it lives (see [`Cores`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Requests(BTreeMap<Incarnation, Part>);

/// What concerns one origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct Part {
    /// By session, then by number.
    sessions: BTreeMap<u64, BTreeMap<u64, Kept>>,
    /// As accounted by [`Kept::size`].
    bytes: u64,
}

/// The reply of an executed request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Kept {
    /// Empty if it was too large to be kept.
    pub reply: Vec<u8>,
    /// The database that its session had selected then.
    pub db: u16,
}

impl Kept {
    /// Bytes that it is accounted for.
    pub(crate) fn size(&self) -> usize {
        const OVERHEAD: usize = 64;
        OVERHEAD + self.reply.len()
    }
}

impl Requests {
    /// Applies an effect; most do not concern it, nor do those of an origin that a later life of its node has replaced.
    pub(crate) fn apply(&mut self, effect: &Effect<'_>, cores: &Cores) {
        match *effect {
            Effect::Answered { origin, session, number, db, reply } if cores.is_origin(origin) => {
                let kept = Kept { reply: reply.to_vec(), db };
                let part = self.0.entry(origin).or_default();
                part.bytes += kept.size() as u64;
                let before = part.sessions.entry(session).or_default().insert(number, kept);
                part.bytes -= before.map_or(0, |before| before.size() as u64);
            }
            Effect::Acknowledged { origin, session, number } => self.clear(origin, session, number),
            _ => {}
        }
    }

    /// Forgets a session's replies up to this number.
    fn clear(&mut self, origin: Incarnation, session: u64, number: u64) {
        let Some(part) = self.0.get_mut(&origin) else { return };
        let Some(kept) = part.sessions.get_mut(&session) else { return };
        let later = kept.split_off(&number.saturating_add(1));
        let gone = core::mem::replace(kept, later);
        part.bytes -= gone.values().map(|kept| kept.size() as u64).sum::<u64>();
        if kept.is_empty() {
            part.sessions.remove(&session);
        }
        if part.sessions.is_empty() {
            self.0.remove(&origin);
        }
    }

    /// Forgets the origins that a later life of their node has replaced.
    pub(crate) fn forget_replaced(&mut self, cores: &Cores) {
        self.0.retain(|origin, _| cores.is_origin(*origin));
    }

    pub fn get(&self, origin: Incarnation, session: u64, number: u64) -> Option<&Kept> {
        self.0.get(&origin)?.sessions.get(&session)?.get(&number)
    }

    /// Bytes that an origin's replies take.
    pub fn bytes(&self, origin: Incarnation) -> usize {
        self.0.get(&origin).map_or(0, |part| part.bytes as usize)
    }

    /// Bytes that all replies take.
    pub fn all_bytes(&self) -> usize {
        self.0.values().map(|part| part.bytes as usize).sum()
    }

    /// The lowest and the highest number of each session of an origin.
    pub(crate) fn sessions(&self, origin: Incarnation) -> impl Iterator<Item = (u64, u64, u64)> {
        let sessions = self.0.get(&origin).into_iter().flat_map(|part| &part.sessions);
        sessions.filter_map(|(session, kept)| Some((*session, *kept.keys().next()?, *kept.keys().next_back()?)))
    }

    /// The lowest and the highest number of a session.
    pub(crate) fn numbers(&self, origin: Incarnation, session: u64) -> Option<(u64, u64)> {
        let kept = self.0.get(&origin)?.sessions.get(&session)?;
        Some((*kept.keys().next()?, *kept.keys().next_back()?))
    }

    /// All replies, by origin, session and number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Incarnation, u64, u64, &Kept)> {
        self.0.iter().flat_map(|(origin, part)| {
            part.sessions
                .iter()
                .flat_map(|(session, kept)| kept.iter().map(|(number, kept)| (*origin, *session, *number, kept)))
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::entry::Entry;
    use crate::ids::Index;

    const ORIGIN: Incarnation = Incarnation(3);

    fn cores() -> Cores {
        let mut cores = Cores::default();
        cores.see(Index(3), &Entry::Hello { node: "node-1", nonce: 1, address: "node-1:1", origin: None });
        cores
    }

    fn answered(session: u64, number: u64, reply: &[u8]) -> Effect<'_> {
        Effect::Answered { origin: ORIGIN, session, number, db: 0, reply }
    }

    fn table(effects: &[Effect<'_>]) -> Requests {
        let mut table = Requests::default();
        effects.iter().for_each(|effect| table.apply(effect, &cores()));
        table
    }

    fn numbers(table: &Requests) -> Vec<(u64, u64)> {
        table.iter().map(|(_, session, number, _)| (session, number)).collect()
    }

    #[test]
    fn what_is_acknowledged_is_forgotten_with_its_bytes() {
        let acknowledged = |number| Effect::Acknowledged { origin: ORIGIN, session: 1, number };
        let mut table = table(&[answered(1, 4, b":1\r\n"), answered(2, 5, b""), answered(1, 6, b":2\r\n")]);
        table.apply(&acknowledged(3), &cores());
        assert_eq!(numbers(&table), [(1, 4), (1, 6), (2, 5)]);
        table.apply(&acknowledged(5), &cores());
        assert_eq!(numbers(&table), [(1, 6), (2, 5)]);
        assert_eq!(table.bytes(ORIGIN), 2 * Kept::default().size() + 4);
        table.apply(&acknowledged(9), &cores());
        assert_eq!(numbers(&table), [(2, 5)]);
        table.apply(&Effect::Acknowledged { origin: ORIGIN, session: 2, number: 5 }, &cores());
        assert_eq!(table, Requests::default());
    }

    #[test]
    fn a_number_is_kept_once() {
        let table = table(&[answered(1, 4, b":1\r\n"), answered(1, 4, b":1\r\n")]);
        assert_eq!(table.bytes(ORIGIN), Kept { reply: vec![0; 4], db: 0 }.size());
    }

    #[test]
    fn a_replaced_origin_is_forgotten_and_stays_so() {
        let (mut table, mut cores) = (table(&[answered(1, 4, b"")]), cores());
        cores.see(Index(9), &Entry::Hello { node: "node-1", nonce: 2, address: "node-1:1", origin: Some(ORIGIN) });
        table.forget_replaced(&cores);
        assert_eq!(numbers(&table), [(1, 4)]);
        cores.see(Index(12), &Entry::Hello { node: "node-1", nonce: 3, address: "node-1:1", origin: None });
        table.forget_replaced(&cores);
        table.apply(&answered(1, 5, b""), &cores);
        assert_eq!(table, Requests::default());
    }
}
