//! What was so from when to when, for a person to see at once ([`crate::failure`] draws it).

use std::collections::BTreeMap;
use std::time::Duration;

use madsim::time::TimeHandle;

/// What a band is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Faults and commands go on.
    Running,
    /// A fault, by its place in the schedule.
    Fault(usize),
    Machine(usize, State),
    /// The links between clients and machines.
    Clients,
}

/// What a machine can be, several at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Its Core is primary.
    Primary,
    /// Its Keeper leads.
    Leads,
    /// It does not serve its role.
    Down,
    /// It does not hear some of the others.
    Deaf,
}

/// A stretch of virtual time in which something was so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Band {
    pub lane: Lane,
    pub what: String,
    pub from: Duration,
    /// The end of the run, if it was so until then.
    pub to: Duration,
}

/// A run's bands. They are kept only if somebody wants to see them.
#[derive(Debug)]
pub struct Timeline {
    keeps: bool,
    open: BTreeMap<Lane, (Duration, String)>,
    bands: Vec<Band>,
    /// When checks failed during the run, and which.
    failures: Vec<(Duration, &'static str)>,
}

impl Timeline {
    pub fn new(keeps: bool) -> Timeline {
        Timeline { keeps, open: BTreeMap::new(), bands: Vec::new(), failures: Vec::new() }
    }

    pub fn keeps(&self) -> bool {
        self.keeps
    }

    /// Notes what is so in a lane from now on; the same again changes nothing.
    pub fn shows(&mut self, lane: Lane, now_so: Option<String>) {
        if !self.keeps || self.open.get(&lane).map(|(_, what)| what) == now_so.as_ref() {
            return;
        }
        let to = now();
        if let Some((from, what)) = self.open.remove(&lane) {
            self.bands.push(Band { lane, what, from, to });
        }
        if let Some(what) = now_so {
            self.open.insert(lane, (to, what));
        }
    }

    /// Notes that a check fails now.
    pub fn fails(&mut self, check: &'static str) {
        if let Some(now) = TimeHandle::try_current().map(|time| time.elapsed()) {
            self.failures.push((now, check));
        }
    }

    /// All bands, in the order of their lanes and times, of a run that has ended.
    pub fn bands(&self, end: Duration) -> Vec<Band> {
        let open = self.open.iter();
        let open = open.map(|(lane, (from, what))| Band { lane: *lane, what: what.clone(), from: *from, to: end });
        let mut bands: Vec<Band> = self.bands.iter().cloned().chain(open).collect();
        bands.sort_by_key(|band| (band.lane, band.from));
        bands
    }

    pub fn failures(&self) -> &[(Duration, &'static str)] {
        &self.failures
    }
}

/// The virtual time; outside of a run there is none.
pub fn now() -> Duration {
    TimeHandle::try_current().map_or(Duration::ZERO, |time| time.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_lasts_until_something_else_is_so() {
        let mut timeline = Timeline::new(true);
        let (lane, what) = (Lane::Machine(0, State::Primary), |what: &str| Some(what.to_owned()));
        for so in [what("epoch 1"), what("epoch 1"), what("epoch 2"), None, what("epoch 3")] {
            timeline.shows(lane, so);
        }
        let bands = timeline.bands(Duration::from_secs(1));
        let ended: Vec<(&str, bool)> = bands.iter().map(|band| (&*band.what, band.to.is_zero())).collect();
        assert_eq!(ended, [("epoch 1", true), ("epoch 2", true), ("epoch 3", false)]);
    }
}
