//! Which databases there are, and where each is kept: the numbered ones, and those that were made with a name. SWAPDB
//! changes where, and nothing of the data.

use alloc::collections::BTreeMap;
use alloc::string::String;

use bincode::{Decode, Encode};

use crate::effect::Effect;
use crate::ids::{DbId, DbNumber};
use crate::level::Level;
use crate::limits;

/// All databases.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Databases {
    /// Where each numbered database is kept.
    numbered: [DbId; limits::DATABASES as usize],
    named: BTreeMap<DbNumber, Named>,
    /// The number of the one that was made last. Numbers are given in turn, so that one that was dropped is not taken for
    /// another by whoever still has it selected.
    last_made: DbNumber,
    /// What commands on a database have that ask for no level.
    levels: BTreeMap<DbNumber, Level>,
}

/// A database that was made with a name.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Named {
    name: String,
    id: DbId,
}

impl Default for Databases {
    fn default() -> Self {
        Self {
            numbered: core::array::from_fn(|i| DbId(i as u16)),
            named: BTreeMap::new(),
            last_made: DbNumber(limits::DATABASES - 1),
            levels: BTreeMap::new(),
        }
    }
}

impl Databases {
    /// Where the database is kept, if there is one with this number.
    #[inline]
    pub fn find(&self, number: DbNumber) -> Option<DbId> {
        match self.numbered.get(usize::from(number.0)) {
            Some(id) => Some(*id),
            None => self.named.get(&number).map(|named| named.id),
        }
    }

    /// # Panics
    /// If there is no such database: before a command runs, it is looked whether the selected one is there.
    #[inline]
    pub fn id(&self, number: DbNumber) -> DbId {
        self.find(number).unwrap_or_else(|| panic!("there is no database {}", number.0))
    }

    /// The number of the database that is kept there.
    pub fn number(&self, id: DbId) -> Option<DbNumber> {
        self.iter().find(|(_, other)| *other == id).map(|(number, _)| number)
    }

    /// The number of the database with this name.
    pub fn by_name(&self, name: &[u8]) -> Option<DbNumber> {
        self.named.iter().find(|(_, named)| named.name.as_bytes() == name).map(|(number, _)| *number)
    }

    /// The name of a database that was made with one.
    pub fn name(&self, number: DbNumber) -> Option<&str> {
        self.named.get(&number).map(|named| &*named.name)
    }

    /// How people call it: by its name, or else by its number.
    pub fn shown(&self, number: DbNumber) -> String {
        self.name(number).map_or_else(|| alloc::format!("{}", number.0), String::from)
    }

    /// The level of commands on this database that ask for none.
    #[inline]
    pub fn level(&self, number: DbNumber) -> Option<Level> {
        if self.levels.is_empty() { None } else { self.levels.get(&number).copied() }
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = (DbNumber, DbId)> {
        let named = self.named.iter().map(|(number, named)| (*number, named.id));
        (0..).map(DbNumber).zip(self.numbered.iter().copied()).chain(named)
    }

    /// The number and the place for a further database, if there may be one more.
    pub fn vacant(&self) -> Option<(DbNumber, DbId)> {
        let id = (0..limits::STORED_DATABASES).map(DbId).find(|id| self.number(*id).is_none())?;
        let after = self.last_made.0.checked_add(1).unwrap_or(limits::DATABASES);
        let in_turn = (after..=u16::MAX).chain(limits::DATABASES..after).map(DbNumber);
        let number = in_turn.into_iter().find(|number| !self.named.contains_key(number))?;
        Some((number, id))
    }

    /// Applies a change; those of data do not concern it.
    pub fn apply(&mut self, effect: &Effect<'_>) {
        match *effect {
            Effect::SwapDatabases { a, b } => {
                if let (Some(first), Some(second)) = (self.number(a), self.number(b)) {
                    self.keep(first, b);
                    self.keep(second, a);
                }
            }
            Effect::CreateDatabase { name, db, id } => {
                self.named.insert(db, Named { name: name.into(), id });
                self.last_made = db;
            }
            Effect::DropDatabase { db } => {
                self.named.remove(&db);
                self.levels.remove(&db);
            }
            Effect::DatabaseLevel { db, level: Some(level) } => {
                self.levels.insert(db, level);
            }
            Effect::DatabaseLevel { db, level: None } => {
                self.levels.remove(&db);
            }
            _ => {}
        }
    }

    /// The database with this number is kept there from now on.
    fn keep(&mut self, number: DbNumber, at: DbId) {
        if let Some(id) = self.numbered.get_mut(usize::from(number.0)) {
            *id = at;
        } else if let Some(named) = self.named.get_mut(&number) {
            named.id = at;
        }
    }
}
