//! Leases, in two ways (rule 2).
//!
//! [`Leases::Clocks`] has a clock for each Core, which runs at any rate between two bounds. Nobody reads a clock's absolute
//! value, so what is kept are ages: how long ago by the holder's own clock. They stop growing where they make no difference
//! any more. So time may go on for ever and the states are still finite.
//!
//! [`Leases::Untimed`] supposes what the clocks are there for: *when a claim is sent, every lease that rests on a renewal
//! up to the one it names is over*. A lease otherwise lasts as long as it can, which is the worst case. That leaves room
//! for longer scripts. The property `a claim is sent when what it names is over`, checked in the scenarios with clocks,
//! is exactly this supposition.

use crate::mutant::Mutant;
use crate::numbers::Index;

/// How leases end in a scenario.
#[derive(Clone, Copy, Debug)]
pub enum Leases {
    Untimed,
    Clocks(Clocks),
}

/// Bounds of the clocks, in units. A tick is a span of real time in which nothing else happens.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// How long a lease lasts, by the primary's clock: T.
    pub lease: u8,
    /// How long a standby waits, by its own.
    pub wait: u8,
    /// The units that a clock counts in a tick, at least and at most.
    pub slowest: u8,
    pub fastest: u8,
}

/// What a primary's right to read rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The newest accepted renewal that the primary has heard of.
    pub basis: Index,
    /// How long ago it was first sent, by the primary's clock.
    pub age: u8,
}

impl Leases {
    /// How long a lease lasts, by its holder's clock.
    pub fn lease(self, mutant: Option<Mutant>) -> u8 {
        match self {
            Leases::Untimed => 1,
            Leases::Clocks(clocks) if mutant == Some(Mutant::LongLease) => clocks.wait + 1,
            Leases::Clocks(clocks) => clocks.lease,
        }
    }

    /// How long a standby waits, by its own clock.
    pub fn wait(self, mutant: Option<Mutant>) -> u8 {
        match self {
            Leases::Untimed => 0,
            Leases::Clocks(clocks) if mutant == Some(Mutant::WaitWithoutMargin) => clocks.lease,
            Leases::Clocks(clocks) => clocks.wait,
        }
    }
}
