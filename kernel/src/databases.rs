//! Which database users mean by which number. SWAPDB changes that, and nothing of the data.

use bincode::{Decode, Encode};

use crate::effect::Effect;
use crate::ids::{DbId, DbNumber};
use crate::limits;

/// Where each numbered database is kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Databases([DbId; limits::DATABASES as usize]);

impl Default for Databases {
    fn default() -> Self {
        Self(core::array::from_fn(|i| DbId(i as u16)))
    }
}

impl Databases {
    /// # Panics
    /// If there is no such database: who makes a [`DbNumber`] from input checks it.
    #[inline]
    pub fn id(&self, number: DbNumber) -> DbId {
        self.0[usize::from(number.0)]
    }

    /// The number of a database.
    pub fn number(&self, id: DbId) -> DbNumber {
        let place = self.0.iter().position(|other| *other == id);
        DbNumber(place.map_or(id.0, |place| place as u16))
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = (DbNumber, DbId)> {
        (0..).map(DbNumber).zip(self.0.iter().copied())
    }

    /// Applies a change; those of data do not concern it.
    pub fn apply(&mut self, effect: &Effect<'_>) {
        if let Effect::SwapDatabases { a, b } = *effect {
            let (a, b) = (self.number(a), self.number(b));
            self.0.swap(usize::from(a.0), usize::from(b.0));
        }
    }
}
