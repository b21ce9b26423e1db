//! Latency spikes: by kind of event, when the last ones were and how long they took, as `LATENCY` shows them.

use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;

use crate::time::Wall;

/// Spikes kept by event, as in Redis; those of one second are one.
const KEPT: usize = 160;

/// Unix time in seconds and milliseconds that it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spike {
    pub at: u64,
    pub millis: u64,
}

/// What is kept of one event.
#[derive(Debug, Default)]
pub(crate) struct Event {
    /// The oldest first; at least one.
    pub spikes: VecDeque<Spike>,
    /// The longest one since the last reset.
    pub longest: u64,
}

/// The events by name.
#[derive(Debug, Default)]
pub(crate) struct Spikes(BTreeMap<&'static str, Event>);

impl Spikes {
    pub(crate) fn add(&mut self, event: &'static str, at: Wall, took: Duration) {
        let spike = Spike { at: at.0 / 1000, millis: took.as_millis() as u64 };
        let event = self.0.entry(event).or_default();
        event.longest = event.longest.max(spike.millis);
        match event.spikes.back_mut() {
            Some(last) if last.at == spike.at => last.millis = last.millis.max(spike.millis),
            _ => event.spikes.push_back(spike),
        }
        if event.spikes.len() > KEPT {
            event.spikes.pop_front();
        }
    }

    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = (&'static str, &Event)> {
        self.0.iter().map(|(name, event)| (*name, event))
    }

    pub(crate) fn of(&self, event: &[u8]) -> Option<&Event> {
        self.0.get(core::str::from_utf8(event).ok()?)
    }

    /// Forgets an event; whether there was any.
    pub(crate) fn forget(&mut self, event: &[u8]) -> bool {
        core::str::from_utf8(event).is_ok_and(|event| self.0.remove(event).is_some())
    }

    /// Forgets all; how many there were.
    pub(crate) fn clear(&mut self) -> usize {
        core::mem::take(&mut self.0).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_of_a_second_is_kept_and_a_bounded_number() {
        let mut spikes = Spikes::default();
        let millis = Duration::from_millis;
        for at in 0..200 {
            spikes.add("command", Wall(at * 1000), millis(20));
            spikes.add("command", Wall(at * 1000 + 900), millis(at));
            spikes.add("command", Wall(at * 1000 + 999), millis(1));
        }
        let event = spikes.of(b"command").expect("it was added");
        assert_eq!((event.spikes.len(), event.longest), (KEPT, 199));
        assert_eq!(event.spikes[0], Spike { at: 40, millis: 40 });
        assert!(spikes.of(b"other").is_none() && !spikes.forget(b"other"));
        assert!(spikes.forget(b"command") && spikes.clear() == 0);
    }
}
