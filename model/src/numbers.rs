//! Numbers that must not be mistaken for each other, as in the kernel's `ids`; two bytes, because states are many and a run's
//! log is long ([`crate::trace`]).

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u16);

        impl $name {
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// A place in the log, from 1. Zero as a watermark: nothing yet.
    Index
);
number!(
    /// The index of the accepted `Claim` that began a primary's reign. Zero: there never was one.
    Epoch
);
number!(
    /// A batch's place in its epoch, from 1; a `Release` takes one too.
    Seq
);
number!(
    /// A `Renew`'s place in its epoch, from 1.
    Number
);
number!(
    /// The index of the logged `Hello` of one life of a Core.
    Incarnation
);
number!(
    /// How many entries of its reign a primary had sent for the first time, this one included.
    Ordinal
);

/// A Core by its place in the list of nodes: its name, which its incarnations share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub u8);

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(b'A' + self.0))
    }
}

/// One request of one client: its place in the client's script. Scripts belong to the scenario, so this says all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    pub client: u8,
    pub number: u8,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}'s request {}", self.client + 1, self.number + 1)
    }
}
