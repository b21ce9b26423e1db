//! Numbers that must not be mistaken for each other.

use bincode::de::Decoder;
use bincode::error::DecodeError;
use bincode::{Decode, Encode};

use crate::limits;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name(pub u64);

        impl $name {
            pub const ZERO: Self = Self(0);

            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// A place in the Raft log. The first entry has index 0; an index never changes its meaning once committed.
    Index
);
number!(
    /// The index of the accepted `Claim` that began a primary's reign. Zero: there never was one.
    Epoch
);
number!(
    /// A batch's place in its epoch, from 1. Zero as a watermark: nothing yet.
    Seq
);
number!(
    /// The index of the logged `Hello` of one life of a Core: unique and ordered without a disk (PROTOCOL rule 3).
    Incarnation
);

/// A database as users number it: below [`limits::DATABASES`] one that is always there, above one that has a name too.
/// [`crate::databases::Databases`] tells whether there is such a one, and where it is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct DbNumber(pub u16);

/// A database as the store and the log know it, 0 to [`limits::STORED_DATABASES`] - 1; others are not decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct DbId(pub u16);

impl<C> Decode<C> for DbId {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let n = u16::decode(decoder)?;
        if n < limits::STORED_DATABASES { Ok(Self(n)) } else { Err(DecodeError::Other("there is no such database")) }
    }
}
bincode::impl_borrow_decode!(DbId);
