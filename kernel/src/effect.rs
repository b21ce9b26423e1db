//! What a command changed: physical, already decided, so that applying it can neither fail nor differ between nodes.

use alloc::vec::Vec;

use bincode::{BorrowDecode, Decode, Encode};

use crate::agreed;
use crate::codec::{self, CodecError};
use crate::ids::{DbId, DbNumber, Incarnation};
use crate::level::Level;
use crate::store::{StreamId, Words};

/// One change of the data set. Deadlines are wall-clock milliseconds ([`crate::time::Wall`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub enum Effect<'a> {
    /// The key now holds this byte string, with this deadline or none.
    Put { db: DbId, key: &'a [u8], value: &'a [u8], deadline: Option<u64> },
    /// The key is gone.
    Delete { db: DbId, key: &'a [u8] },
    /// The key's deadline is now this one, or none.
    Deadline { db: DbId, key: &'a [u8], deadline: Option<u64> },
    /// The database is empty.
    Flush { db: DbId },
    /// The user now exists, with this password hash (PHC string) and role. One that is new may use every database.
    User { name: &'a str, password_hash: &'a str, role: crate::users::Role },
    /// These bytes now stand at `offset` of the key's value, which was lengthened with zeros if it was too short; the
    /// deadline stays. A key that was absent began with an empty value and no deadline.
    Patch { db: DbId, key: &'a [u8], offset: u64, bytes: &'a [u8] },
    /// Each of the two databases is now known by the other's number.
    SwapDatabases { a: DbId, b: DbId },
    /// The key of the cluster's CA, sealed.
    SealCa { sealed: &'a [u8] },
    /// A command that another Core forwarded was executed: its reply, and the database that its session had selected then.
    /// The reply is empty if it is too large to be kept.
    Answered { origin: Incarnation, session: u64, number: u64, db: u16, reply: &'a [u8] },
    /// The origin has the replies of the session's commands up to this number.
    Acknowledged { origin: Incarnation, session: u64, number: u64 },
    /// The user may now use every database, or none but those that are granted next.
    Reach { user: &'a str, everywhere: bool },
    /// The user may use this database, too.
    Grant { user: &'a str, db: DbNumber },
    /// The user's commands now have this level unless they ask for another.
    UserLevel { user: &'a str, level: Option<Level> },
    /// The user is gone.
    DropUser { name: &'a str },
    /// There is a further database: its name, the number that users may say as well, and where it is kept.
    CreateDatabase { name: &'a str, db: DbNumber, id: DbId },
    /// The database is gone, and with it every grant of it. It was emptied before.
    DropDatabase { db: DbNumber },
    /// Commands on this database now have this level unless somebody asks for another.
    DatabaseLevel { db: DbNumber, level: Option<Level> },
    /// The key's collection has changed. One that was absent began empty and without a deadline; one that has become empty
    /// is gone, unless it is a stream. A value of another type stays as it is.
    Change { db: DbId, key: &'a [u8], change: Change<'a> },
    /// The user now has these ACL rules ([`Rules`](crate::rules::Rules), encoded), or none if there are no bytes.
    Rules { user: &'a str, rules: &'a [u8] },
    /// This script can be called by its SHA-1. The oldest ones make room for it.
    LoadScript { body: &'a [u8] },
    /// No script can be called by its SHA-1.
    FlushScripts,
    /// There is such a library, in place of one of that name, with these functions: encoded ones of
    /// [`crate::script::Function`].
    LoadLibrary { name: &'a str, code: &'a [u8], functions: &'a [u8] },
    /// The library is gone.
    DropLibrary { name: &'a str },
}

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Side {
    Left,
    Right,
}

/// A change of a collection, as small as what it changes. Grows only at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub enum Change<'a> {
    /// These fields of the hash now have these values: one behind the other.
    PutFields(Words<'a>),
    /// These fields of the hash are gone.
    DropFields(Words<'a>),
    /// These elements now stand at the list's end, one after the other: the last of them outermost.
    Push { side: Side, elements: Words<'a> },
    /// So many elements at the list's end are gone.
    Pop { side: Side, count: u64 },
    /// This element now stands before the one with this place from the list's left, or behind the last.
    InsertAt { index: u64, element: &'a [u8] },
    /// This element now stands in that place.
    SetAt { index: u64, element: &'a [u8] },
    /// The element in this place is gone.
    RemoveAt { index: u64 },
    /// These are now members of the set.
    AddMembers(Words<'a>),
    /// These are no members of the set any more.
    DropMembers(Words<'a>),
    /// These members of the sorted set now have these scores. Each word is a score, as eight bytes whose order is that of
    /// scores, and a member.
    Rank(Words<'a>),
    /// These are no members of the sorted set any more.
    Unrank(Words<'a>),
    /// These entries now stand at the stream's end, where they are counted; the first begins a new block if they stand apart.
    /// Each word is an ID, as sixteen bytes whose order is that of IDs, and the names and values of the fields.
    AddEntries { apart: bool, entries: Words<'a> },
    /// The entries with these IDs are gone, and the stream remembers the largest of them.
    DropEntries(Words<'a>),
    /// So many entries at the stream's front are gone.
    Trim { count: u64 },
    /// The stream has these counters.
    SetStream { last: StreamId, max_deleted: StreamId, added: u64 },
    /// There is such a group, which has read up to that ID, and so many entries if that is known.
    PutGroup { group: &'a [u8], last: StreamId, read: Option<u64> },
    /// The group is gone, with its consumers.
    DropGroup { group: &'a [u8] },
    /// There is such a consumer, which asked for something at this time, and got something at that time if it ever did.
    PutConsumer { group: &'a [u8], consumer: &'a [u8], seen: u64, active: Option<u64> },
    /// The consumer is gone, and nothing is pending that was delivered to it.
    DropConsumer { group: &'a [u8], consumer: &'a [u8] },
    /// Every entry behind what the group has read, up to this ID, was delivered to the consumer now, for the first time;
    /// the group has read up to there.
    Deliver { group: &'a [u8], consumer: &'a [u8], last: StreamId, read: Option<u64>, time: u64 },
    /// These are pending with the consumer, and with no other. Each word is an ID, a time and how often it was delivered.
    Pend { group: &'a [u8], consumer: &'a [u8], entries: Words<'a> },
    /// The entries with these IDs are not pending any more.
    Unpend { group: &'a [u8], ids: Words<'a> },
    /// This value, encoded ([`crate::json`]), now stands in this place of the document. Each word of a place is a step from
    /// the root on; in a place without steps stands the document itself. In an object it may be new, and is the last then.
    JsonSet { place: Words<'a>, value: &'a [u8] },
    /// These members of the object in this place now have these values: names and values one behind the other.
    JsonPut { place: Words<'a>, members: Words<'a> },
    /// What these steps lead to from the container in this place is gone.
    JsonDrop { place: Words<'a>, steps: Words<'a> },
    /// These values, encoded one behind the other, now stand before the one with this index in the array in this place, or
    /// behind the last.
    JsonInsert { place: Words<'a>, index: u64, values: &'a [u8] },
    /// Of the elements of the array in this place only so many are left, from one on.
    JsonKeep { place: Words<'a>, start: u64, count: u64 },
    /// The text in this place now ends with this.
    JsonAppend { place: Words<'a>, text: &'a [u8] },
}

impl Change<'_> {
    /// The format that all nodes must have agreed on before it is written.
    pub fn format(&self) -> u32 {
        match self {
            Change::JsonSet { .. }
            | Change::JsonPut { .. }
            | Change::JsonDrop { .. }
            | Change::JsonInsert { .. }
            | Change::JsonKeep { .. }
            | Change::JsonAppend { .. } => agreed::DOCUMENTS,
            _ => agreed::COLLECTIONS,
        }
    }

    /// Whether it leaves a stream's entries as they are: only its counters change, or what it knows of a group.
    pub fn spares_entries(&self) -> bool {
        matches!(
            self,
            Change::SetStream { .. }
                | Change::PutGroup { .. }
                | Change::DropGroup { .. }
                | Change::PutConsumer { .. }
                | Change::DropConsumer { .. }
                | Change::Deliver { .. }
                | Change::Pend { .. }
                | Change::Unpend { .. }
        )
    }
}

impl<'a> Effect<'a> {
    /// The key that it changes, if it is about one.
    pub fn key(&self) -> Option<(DbId, &'a [u8])> {
        match *self {
            Effect::Put { db, key, .. }
            | Effect::Delete { db, key }
            | Effect::Deadline { db, key, .. }
            | Effect::Patch { db, key, .. }
            | Effect::Change { db, key, .. } => Some((db, key)),
            _ => None,
        }
    }

    /// The same on keys of another database, if it is about keys: `None` if not, or if there is no such database.
    pub fn placed(&self, place: impl FnOnce(DbId) -> Option<DbId>) -> Option<Self> {
        let mut placed = *self;
        match &mut placed {
            Effect::Put { db, .. }
            | Effect::Delete { db, .. }
            | Effect::Deadline { db, .. }
            | Effect::Flush { db }
            | Effect::Patch { db, .. }
            | Effect::Change { db, .. } => *db = place(*db)?,
            _ => return None,
        }
        Some(placed)
    }

    /// Whether it changes what somebody may do.
    pub fn changes_rights(&self) -> bool {
        matches!(
            self,
            Effect::User { .. }
                | Effect::Reach { .. }
                | Effect::Grant { .. }
                | Effect::UserLevel { .. }
                | Effect::DropUser { .. }
                | Effect::DropDatabase { .. }
                | Effect::Rules { .. }
        )
    }

    /// Whether it changes who the users are or which databases there are, rather than keys.
    pub fn changes_system(&self) -> bool {
        self.changes_rights()
            || self.changes_programs()
            || matches!(self, Effect::CreateDatabase { .. } | Effect::DatabaseLevel { .. })
    }

    /// Whether it changes which scripts and libraries can be called.
    pub fn changes_programs(&self) -> bool {
        matches!(
            self,
            Effect::LoadScript { .. } | Effect::FlushScripts | Effect::LoadLibrary { .. } | Effect::DropLibrary { .. }
        )
    }
}

/// The effects of a batch, one behind the other.
#[derive(Clone, Debug)]
pub struct Effects<'a>(&'a [u8]);

impl<'a> Effects<'a> {
    pub fn new(encoded: &'a [u8]) -> Self {
        Self(encoded)
    }
}

impl<'a> Iterator for Effects<'a> {
    type Item = Result<Effect<'a>, CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        match codec::decode(self.0) {
            Ok((effect, rest)) => {
                self.0 = rest;
                Some(Ok(effect))
            }
            Err(error) => {
                self.0 = &[];
                Some(Err(error))
            }
        }
    }
}

/// Appends an effect to those of a batch.
pub fn record(effect: &Effect<'_>, batch: &mut Vec<u8>) {
    codec::encode(effect, batch);
}
