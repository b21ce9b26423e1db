//! One command in execution: how its code reads and changes the data, and what its reply then waits for.

use crate::commands::{Access, Command, CommandError, connection, is_word};
use crate::core::{Answer, Core, Now};
use crate::effect::Effect;
use crate::ids::{DbId, Seq};
use crate::level::Level;
use crate::resp::{Args, Reply};
use crate::session::{Port, Session};
use crate::store::Item;
use crate::time::{Monotonic, Wall};

/// What a command's code is given.
#[derive(Debug)]
pub struct Call<'a> {
    pub(crate) core: &'a mut Core,
    pub(crate) session: &'a mut Session,
    pub(crate) args: Args<'a>,
    pub(crate) reply: &'a mut Reply,
    /// The data's time: the wall clock, but never below what the log has seen.
    pub(crate) now: Wall,
    pub(crate) monotonic: Monotonic,
    /// The command that runs, by its place in the command table.
    pub(crate) command: Option<usize>,
    /// What is to happen beside the reply.
    pub(crate) then: Then,
    /// The newest batch that what was read depends on; may be accepted already.
    pub(crate) depends: Seq,
    /// Whether there were effects: then the reply waits for the batch that is open.
    pub(crate) wrote: bool,
}

/// What a connection is to do after a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// The reply stands; go on.
    #[default]
    Reply,
    /// The reply stands; close once it has been sent.
    Close,
    /// There is no reply yet: check this password, then [`crate::connection::Connection::password_checked`].
    CheckPassword(Credentials),
    /// There is no reply: not now, ask again when the watermark has moved.
    Retry,
    /// There is no reply yet: make a snapshot, then [`crate::connection::Connection::saved`].
    Save,
    /// The reply stands; make a snapshot in the background.
    SaveLater,
    /// There will be no reply: the server is to stop, as after SIGTERM.
    Shutdown,
}

/// A password to be checked away from the store's lock: it is slow on purpose.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: alloc::string::String,
    pub password: alloc::vec::Vec<u8>,
    /// The user's hash; `None` if there is no such user, which must take as long to find out.
    pub hash: Option<alloc::string::String>,
}

impl Then {
    /// Whether the reply stands.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self, Then::Reply | Then::Close | Then::SaveLater)
    }
}

impl core::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl<'a> Call<'a> {
    pub(crate) fn db(&self) -> DbId {
        self.session.db
    }

    /// The key's item. One whose deadline has passed is deleted, as an effect that the reply waits for (rule 14).
    pub(crate) fn get(&mut self, key: &[u8]) -> Option<Item<'_>> {
        let db = self.db();
        match self.core.store.database(db).get(key) {
            Some(item) if item.is_expired(self.now) => {
                self.core.stats.expired_keys += 1;
                self.effect(&Effect::Delete { db, key });
            }
            _ => self.depends = self.depends.max(self.core.changed.of_key(db, key)),
        }
        // Looked up again only for the borrow checker's sake; the deleted one is gone by now.
        self.core.store.database(db).get(key)
    }

    /// As [`Call::get`], counted as a hit or a miss.
    pub(crate) fn look_up(&mut self, key: &[u8]) -> Option<Item<'_>> {
        let hit = self.get(key).is_some();
        self.core.stats.count_lookup(hit);
        self.core.store.database(self.session.db).get(key)
    }

    pub(crate) fn exists(&mut self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn put(&mut self, key: &[u8], value: &[u8], deadline: Option<u64>) {
        let db = self.db();
        self.effect(&Effect::Put { db, key, value, deadline });
    }

    pub(crate) fn delete(&mut self, key: &[u8]) {
        let db = self.db();
        self.effect(&Effect::Delete { db, key });
    }

    pub(crate) fn set_deadline(&mut self, key: &[u8], deadline: Option<u64>) {
        let db = self.db();
        self.effect(&Effect::Deadline { db, key, deadline });
    }

    pub(crate) fn flush(&mut self, db: DbId) {
        // Waits for the batch even if the database is empty here: it may be so only by what is not accepted yet.
        self.effect(&Effect::Flush { db });
    }

    /// A reply about a whole database waits for its last change.
    pub(crate) fn depend_on_database(&mut self, db: DbId) {
        self.depends = self.depends.max(self.core.changed.of_database(db));
    }

    fn effect(&mut self, effect: &Effect<'_>) {
        self.core.execute_effect(effect);
        self.wrote = true;
    }
}

impl Call<'_> {
    /// Finds the command and runs it; returns the level that its reply is held to.
    pub(crate) fn dispatch(&mut self) -> Result<Level, CommandError> {
        let mut level = None;
        if is_word(self.args.at(0), "consistency") {
            let (i, command) = self.find()?;
            self.check_rights(command).inspect_err(|_| self.core.stats.calls[i].rejected += 1)?;
            level = Some(Level::parse(self.args.at(1)).ok_or(connection::UNKNOWN_LEVEL)?);
            self.args = self.args.skip(2);
        }
        let (i, command) = self.find()?;
        let level = match self.admit(command, level) {
            Ok(Some(level)) => level,
            Ok(None) => {
                self.then = Then::Retry;
                return Ok(Level::Quorum);
            }
            Err(error) => {
                self.core.stats.calls[i].rejected += 1;
                return Err(error);
            }
        };
        self.core.begins(Now { wall: self.now, monotonic: self.monotonic }, self.session, i);
        let start = self.reply.bytes.len();
        let result = (command.run)(self);
        match self.then {
            Then::Retry => {}
            Then::CheckPassword(_) | Then::Save => self.session.unfinished = Some(i),
            _ => self.core.stats.count_outcome(i, result.is_ok()),
        }
        if self.then != Then::Retry {
            self.command = Some(i);
        }
        // An error is a reply like any other: it may rest on a key that is not accepted yet, and waits for it.
        if let Err(error) = result {
            self.reply.bytes.truncate(start);
            self.reply.error(error);
        }
        Ok(level)
    }

    /// The command that the arguments name.
    #[inline]
    fn find(&mut self) -> Result<(usize, &'static Command), CommandError> {
        let core = &mut *self.core;
        core.commands.resolve(self.args).inspect_err(|_| match core.commands.find(self.args.at(0)) {
            Some((i, _)) => core.stats.calls[i].rejected += 1,
            None => core.stats.unknown_commands += 1,
        })
    }

    /// Whether a command may run, and then its level; `None` if it may later.
    #[inline]
    fn admit(&mut self, command: &Command, level: Option<Level>) -> Result<Option<Level>, CommandError> {
        self.check_rights(command)?;
        if command.is_write() && self.core.keeper.disk_full {
            return Err(CommandError::DiskFull);
        }
        if command.is_write() && self.core.holds_writes(self.monotonic) {
            return Ok(None);
        }
        let one_shot = self.session.next_level.take();
        let asked = level.or(one_shot).or(self.session.level);
        match self.session.port {
            Port::Main => Ok(Some(asked.unwrap_or(self.core.config.default_level))),
            Port::Read if asked.is_none_or(|level| level == Level::Eventual) => Ok(Some(Level::Eventual)),
            Port::Read => Err(CommandError::ReadPortLevel),
        }
    }

    fn check_rights(&self, command: &Command) -> Result<(), CommandError> {
        if command.access == Access::Anyone {
            return Ok(());
        }
        let name = self.session.user.as_ref().ok_or(CommandError::NoAuth)?;
        let user = self.core.system.users.get(name).ok_or(CommandError::NoAuth)?;
        if !user.role.allows(command.access) {
            return Err(CommandError::NoPerm { user: name.clone(), command: command.name });
        }
        if self.session.port == Port::Read && command.is_write() {
            return Err(CommandError::ReadOnly);
        }
        if !self.core.serves() {
            return Err(CommandError::Loading);
        }
        Ok(())
    }

    /// Says what the reply waits for (rules 12 and 13).
    pub(crate) fn answer(self, level: Level) -> Answer {
        let wait = match level {
            Level::Eventual => None,
            Level::Quorum | Level::All if self.wrote => Some(self.core.executed()),
            Level::Quorum | Level::All => (self.depends > self.core.accepted()).then_some(self.depends),
        };
        Answer { then: self.then, level, wait }
    }
}
