//! One command in execution: how its code reads and changes the data, and what its reply then waits for.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use crate::agreed;
use crate::commands::{Access, Command, CommandError, acl, connection, is_word, tracking, transactions, user};
use crate::core::{Answer, Core};
use crate::effect::{Change, Effect};
use crate::events::Events;
use crate::ids::{DbId, Seq};
use crate::level::Level;
use crate::limits;
use crate::mutant::Mutant;
use crate::password::{Credentials, Password};
use crate::probe::Probe;
use crate::removal::Departure;
use crate::resp::{Args, OwnedArgs, Protocol, Reply};
use crate::session::{Port, Session};
use crate::stopwatch::Timing;
use crate::store::{Item, Kind, Place as ItemPlace};
use crate::time::{Monotonic, Wall};
use crate::transaction::Transaction;
use crate::users::Role;
use crate::waiters::{For, Wish};

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
    /// What is to happen beside the reply.
    pub(crate) then: Then,
    /// The newest batch that what was read depends on; may be accepted already.
    pub(crate) depends: Seq,
    /// The level that the command itself asks for, whatever the client did.
    pub(crate) level: Option<Level>,
    /// Whether there were effects: then the reply waits for the batch that is open.
    pub(crate) wrote: bool,
    /// Whether it ended by an error.
    pub(crate) failed: bool,
    /// Whether what it writes takes the place of what was there: then no key is new.
    pub(crate) replaces: bool,
    /// Whether its reply rests on the data.
    pub(crate) touches_data: bool,
    /// Whether it may wait for a key. If not, it answers that it has waited in vain.
    pub(crate) may_wait: MayWait,
    /// What it is about to wait for.
    pub(crate) wish: Option<Wish>,
}

/// Whether a command may wait for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MayWait {
    Yes,
    /// It has, and its time is over.
    NoMore,
    /// A transaction waits for nothing.
    Never,
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
    /// There is no reply yet: hash this password, then [`crate::connection::Connection::password_hashed`] and ask again.
    HashPassword(Password),
    /// There is no reply: not now, ask again when the watermark has moved.
    Retry,
    /// The primary has the command under this number, and gives the reply.
    Forwarded(u64),
    /// There is no reply yet: make a snapshot, then [`crate::connection::Connection::done`].
    Save,
    /// There is no reply yet: remove this node from the cluster, then [`crate::connection::Connection::done`].
    Remove(Departure),
    /// There is no reply yet: have every node get a new certificate, then [`crate::connection::Connection::done`].
    RotateCertificates,
    /// The reply stands; make a snapshot in the background.
    SaveLater,
    /// There is no reply yet: read on in the log, then [`crate::connection::Connection::backed_up`].
    Backup(Wanted),
    /// There will be no reply: the server is to stop, as after SIGTERM.
    Shutdown,
    /// The reply stands, but it leaves only after so long, and what follows waits too.
    Delay(Duration),
    /// The reply tells how far others are. It is not far enough: ask again when they are further, or after so long.
    Count(Duration),
    /// There is no reply yet: its script takes long and has changed nothing. Ask again on a thread for which nobody waits.
    Elsewhere,
    /// There is no reply yet: it waits for a key, so long at most. Ask again when the connection is woken, or then.
    Block(Duration),
}

/// What `BACKUP` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The next changes.
    Next,
    /// Databases and users behind those.
    Outline,
    /// Nothing any more.
    End,
}

impl Then {
    /// Whether the reply stands, and leaves as soon as what it waits for is accepted.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self, Then::Reply | Then::Close | Then::SaveLater)
    }
}

/// A byte string and its deadline.
type Text<'a> = (&'a [u8], Option<u64>);

impl<'a> Call<'a> {
    /// The same call with other arguments.
    pub(crate) fn with_args<'b>(&'b mut self, args: Args<'b>) -> Call<'b> {
        Call {
            core: self.core,
            session: self.session,
            args,
            reply: self.reply,
            now: self.now,
            monotonic: self.monotonic,
            then: Then::Reply,
            depends: self.depends,
            level: None,
            wrote: self.wrote,
            failed: false,
            replaces: false,
            touches_data: false,
            may_wait: MayWait::Never,
            wish: None,
        }
    }

    /// The same, whose reply is not the client's.
    pub(crate) fn inner<'b>(&'b mut self, args: Args<'b>, reply: &'b mut Reply) -> Call<'b> {
        Call {
            core: self.core,
            session: self.session,
            args,
            reply,
            now: self.now,
            monotonic: self.monotonic,
            then: Then::Reply,
            depends: self.depends,
            level: None,
            wrote: self.wrote,
            failed: false,
            replaces: false,
            touches_data: self.touches_data,
            may_wait: MayWait::Never,
            wish: None,
        }
    }

    /// The database that was selected. Before a command runs that touches it, it is looked whether it is there.
    pub(crate) fn db(&self) -> DbId {
        self.core.system.databases.id(self.session.db)
    }

    /// The key's item, which is used. One whose deadline has passed is deleted, as an effect that the reply waits for
    /// (rule 14).
    pub(crate) fn get(&mut self, key: &[u8]) -> Option<Item<'_>> {
        let db = self.db();
        let place = self.find(db, key)?;
        self.use_item(db, place);
        Some(self.core.store.database(db).at(place))
    }

    /// As [`Call::get`], but only looked at.
    pub(crate) fn peek(&mut self, key: &[u8]) -> Option<Item<'_>> {
        self.get_in(self.db(), key)
    }

    /// As [`Call::peek`], in any database.
    pub(crate) fn get_in(&mut self, db: DbId, key: &[u8]) -> Option<Item<'_>> {
        let place = self.find(db, key)?;
        Some(self.core.store.database(db).at(place))
    }

    /// Where the key's item is, if it has not expired.
    pub(crate) fn find(&mut self, db: DbId, key: &[u8]) -> Option<ItemPlace> {
        let database = self.core.store.database(db);
        let place = database.find(key);
        if let Some(place) = place
            && database.at(place).is_expired(self.now)
        {
            if self.core.serves() {
                self.core.stats.expired_keys += 1;
                // Whoever looks has not changed it.
                let running = self.core.set_running(None);
                self.effect(&Effect::Delete { db, key });
                self.core.set_running(running);
                self.notify_in(db, Events::EXPIRED, "expired", key);
            }
            return None;
        }
        self.depends = self.depends.max(self.core.changed.of_key(db, key));
        place
    }

    /// As [`Call::get`], counted as a hit or a miss.
    pub(crate) fn look_up(&mut self, key: &[u8]) -> Option<Item<'_>> {
        let db = self.db();
        let place = self.find(db, key);
        self.count_lookup(key, place.is_some());
        let place = place?;
        self.use_item(db, place);
        Some(self.core.store.database(db).at(place))
    }

    /// As [`Call::look_up`], but only looked at.
    pub(crate) fn look_at(&mut self, key: &[u8]) -> Option<Item<'_>> {
        let db = self.db();
        let place = self.find(db, key);
        self.count_lookup(key, place.is_some());
        place.map(|place| self.core.store.database(db).at(place))
    }

    fn count_lookup(&mut self, key: &[u8], hit: bool) {
        self.core.stats.count_lookup(hit);
        if !hit && self.core.serves() {
            self.notify(Events::MISS, "keymiss", key);
        }
    }

    pub(crate) fn exists(&mut self, key: &[u8]) -> bool {
        self.find(self.db(), key).is_some()
    }

    /// The key's value, which must be of this type if it is there. Who writes asks like this.
    pub(crate) fn value<K: Kind + ?Sized>(&mut self, key: &[u8]) -> Result<Option<&K>, CommandError> {
        self.value_and_reply(key).map(|(value, _)| value)
    }

    /// As [`Call::value`], and beside it where the reply goes.
    pub(crate) fn value_and_reply<K: Kind + ?Sized>(
        &mut self,
        key: &[u8],
    ) -> Result<(Option<&K>, &mut Reply), CommandError> {
        let db = self.db();
        let Some(place) = self.find(db, key) else { return Ok((None, self.reply)) };
        self.use_item(db, place);
        let value = K::of(self.core.store.database(db).at(place).value).ok_or(CommandError::WrongType)?;
        Ok((Some(value), self.reply))
    }

    /// As [`Call::value_and_reply`], counted as a hit or a miss: who reads asks like this.
    pub(crate) fn read<K: Kind + ?Sized>(&mut self, key: &[u8]) -> Result<(Option<&K>, &mut Reply), CommandError> {
        let db = self.db();
        let place = self.find(db, key);
        self.count_lookup(key, place.is_some());
        let Some(place) = place else { return Ok((None, self.reply)) };
        self.use_item(db, place);
        let value = K::of(self.core.store.database(db).at(place).value).ok_or(CommandError::WrongType)?;
        Ok((Some(value), self.reply))
    }

    /// The key's byte string and deadline.
    pub(crate) fn text(&mut self, key: &[u8]) -> Result<Option<Text<'_>>, CommandError> {
        let Some(item) = self.get(key) else { return Ok(None) };
        <[u8]>::of(item.value).map(|text| Some((text, item.deadline))).ok_or(CommandError::WrongType)
    }

    /// Replies with the key's byte string, or null. The lookup is counted; says whether there was one.
    pub(crate) fn reply_value(&mut self, key: &[u8]) -> Result<bool, CommandError> {
        let (value, reply) = self.read::<[u8]>(key)?;
        reply.optional_bulk(value);
        Ok(value.is_some())
    }

    /// Changes the key's collection, which is there or begins empty.
    pub(crate) fn change(&mut self, key: &[u8], change: Change<'_>) {
        let db = self.db();
        self.effect(&Effect::Change { db, key, change });
    }

    pub(crate) fn put(&mut self, key: &[u8], value: &[u8], deadline: Option<u64>) {
        self.put_in(self.db(), key, value, deadline);
    }

    pub(crate) fn put_in(&mut self, db: DbId, key: &[u8], value: &[u8], deadline: Option<u64>) {
        self.effect(&Effect::Put { db, key, value, deadline });
    }

    /// Overwrites a part of the key's value, so that no more than the part goes into the log. The caller has seen that
    /// it ends within [`crate::limits::MAX_BULK`].
    pub(crate) fn patch(&mut self, key: &[u8], offset: usize, bytes: &[u8]) {
        let db = self.db();
        self.effect(&Effect::Patch { db, key, offset: offset as u64, bytes });
    }

    pub(crate) fn delete(&mut self, key: &[u8]) {
        let db = self.db();
        self.effect(&Effect::Delete { db, key });
    }

    /// Makes room for what is stored in a key, whatever it holds. Says whether it was there.
    pub(crate) fn clear(&mut self, key: &[u8]) -> bool {
        self.replaces = self.exists(key);
        if self.replaces {
            self.delete(key);
        }
        self.replaces
    }

    pub(crate) fn set_deadline(&mut self, key: &[u8], deadline: Option<u64>) {
        let db = self.db();
        self.effect(&Effect::Deadline { db, key, deadline });
    }

    /// Sets a deadline; one that has passed deletes the key at once.
    pub(crate) fn expire_at(&mut self, key: &[u8], deadline: u64) {
        if deadline <= self.now.0 {
            self.delete(key);
            self.notify(Events::GENERIC, "del", key);
        } else {
            self.set_deadline(key, Some(deadline));
            self.notify(Events::GENERIC, "expire", key);
        }
    }

    pub(crate) fn flush(&mut self, db: DbId) {
        // Waits for the batch even if the database is empty here: it may be so only by what is not accepted yet.
        self.effect(&Effect::Flush { db });
    }

    /// A reply about a whole database waits for its last change.
    pub(crate) fn depend_on_database(&mut self, db: DbId) {
        self.depends = self.depends.max(self.core.changed.of_database(db));
    }

    /// A reply about users or databases waits for their last change.
    pub(crate) fn depend_on_system(&mut self) {
        self.depends = self.depends.max(self.core.changed.of_system());
    }

    pub(crate) fn effect(&mut self, effect: &Effect<'_>) {
        let is_absent = |core: &Core, (db, key)| core.store.database(db).find(key).is_none();
        let may_be_new = !self.replaces && self.core.tells(Events::NEW);
        let new = effect.key().filter(|at| may_be_new && is_absent(self.core, *at));
        self.core.execute_effect(effect);
        self.wrote = true;
        if let Some((db, key)) = new.filter(|at| !is_absent(self.core, *at)) {
            self.notify_in(db, Events::NEW, "new", key);
        }
    }
}

impl Call<'_> {
    /// Waits for one of the keys to hold what it is for, unless it must not wait: then `false`.
    pub(crate) fn wait_for(&mut self, what: For, keys: &[&[u8]], timeout: Option<Duration>) -> bool {
        if self.may_wait != MayWait::Yes {
            return false;
        }
        let until = self.session.waits_until.take().or_else(|| timeout.map(|timeout| self.monotonic + timeout));
        let left = until.map_or(crate::limits::MAX_PAUSE, |until| until - self.monotonic);
        if left.is_zero() {
            return false;
        }
        self.then = Then::Block(left);
        if self.session.waiting.is_none() {
            self.wish = Some(Wish { what, keys: keys.iter().map(|key| (*key).into()).collect(), until, args: None });
        }
        true
    }

    /// Runs a command that waits for a key, again.
    pub(crate) fn run_again(&mut self) {
        self.touches_data = true;
        let Ok((number, command)) = self.core.commands.resolve(self.args) else { return };
        match self.check_rights(number, command).and_then(|()| self.admit(number, command, false)) {
            Err(error) => self.refuse(self.reply.bytes.len(), error),
            Ok(()) if self.then == Then::Retry => {}
            Ok(()) => {
                // What it waited for was a change, which took back what it had read.
                let reads = self.tracked_reads(number, command);
                self.track(reads);
                self.run(number, command);
            }
        }
    }

    /// Finds the command and runs it, or queues it; returns the level that its reply is held to.
    pub(crate) fn dispatch(&mut self) -> Result<Level, CommandError> {
        let result = self.try_dispatch();
        if result.is_err() {
            self.session.hashed.clear();
            self.session.counting = None;
            // Refused before it ran; the arguments are those of the inner command if the prefix was in order.
            let command = self.core.commands.find(self.args.at(0)).map(|(number, _)| number);
            self.core.stats.count_rejected(command);
            if let Some(transaction) = &mut self.session.transaction {
                transaction.is_broken = true;
            }
        }
        result
    }

    fn try_dispatch(&mut self) -> Result<Level, CommandError> {
        let level = self.take_prefix()?;
        let (number, command) = match self.core.commands.resolve(self.args) {
            Ok(found) => found,
            Err(error) => {
                let command = self.core.commands.find(self.args.at(0)).map(|(_, command)| command);
                return Err(transactions::refused(self, command, error));
            }
        };
        self.session.last_command = command.name;
        self.session.last_active = self.monotonic;
        self.core.check_busy(command, self.args).map_err(|error| transactions::refused(self, Some(command), error))?;
        match self.must_wait(command) {
            Ok(false) => {}
            Ok(true) => {
                self.then = Then::Retry;
                return Ok(Level::Quorum);
            }
            Err(error) => {
                if command.name == "discard" {
                    // It has discarded all the same: else what its client sends next would be queued.
                    transactions::discard(self);
                }
                return Err(transactions::refused(self, Some(command), error));
            }
        }
        let queued = self.session.transaction.is_some() && !command.is_transactional();
        let admitted = self
            .check_rights(number, command)
            .and_then(|()| self.check_subscribed(number, command))
            .and_then(|()| self.admit(number, command, queued));
        if let Err(error) = admitted {
            return Err(transactions::refused(self, Some(command), error));
        }
        if self.then == Then::Retry {
            return Ok(Level::Quorum);
        }
        if queued {
            transactions::queue(self, number, command)?;
            return Ok(Level::Eventual);
        }
        let access = self.core.commands.access(number, self.args);
        self.touches_data = command.touches_data(access) && !self.runs_without_data(command);
        let level = self.level(command, access, level.or(self.session.next_level))?;
        if self.touches_data && !self.session.is_proxy {
            if let Some(password) = self.unhashed(command)? {
                self.then = Then::HashPassword(password);
                return Ok(level);
            }
            if let Some(reply) = transactions::answer_here(self, command) {
                self.session.next_level = None;
                self.show_to_monitors(command);
                self.run_as(number, |_| reply);
                return Ok(Level::Eventual);
            }
            let reads = self.tracked_reads(number, command);
            match self.place(command, access, level) {
                Err(error) => return Err(transactions::refused(self, Some(command), error)),
                // What a script reads it tells itself.
                Ok(Place::Here) if command.runs_script() => {}
                // By this node's clients alone, and before anything else can change it.
                Ok(Place::Here) => self.track(reads),
                Ok(Place::Nowhere) => {
                    self.then = Then::Retry;
                    return Ok(level);
                }
                Ok(Place::Primary) => {
                    // Before it is sent: no change behind the one that it reads is overlooked.
                    self.track(reads);
                    self.session.next_level = None;
                    self.session.counting = None;
                    self.then = Then::Forwarded(transactions::forward(self, command, level));
                    return Ok(level);
                }
            }
        }
        self.session.next_level = None;
        if self.session.counting.is_none() {
            self.show_to_monitors(command);
        }
        self.run(number, command);
        if self.then == Then::Elsewhere {
            self.session.next_level = Some(level);
        }
        let level = self.level.unwrap_or(level);
        if let Some(wish) = self.wish.take() {
            let args: OwnedArgs = self.args.into();
            self.session.waiting = Some(self.core.waiters.add(self.session.slot, self.session.db, args, level, wish));
        }
        Ok(level)
    }

    /// What the command reads that its client keeps copies of.
    pub(crate) fn tracked_reads(&self, number: usize, command: &Command) -> Vec<(DbId, Box<[u8]>)> {
        if self.session.tracks.is_none() { Vec::new() } else { tracking::reads(self, number, command) }
    }

    pub(crate) fn track(&mut self, reads: Vec<(DbId, Box<[u8]>)>) {
        reads.iter().for_each(|(db, key)| self.core.track(self.session, *db, key));
    }

    /// Takes the prefix `CONSISTENCY level` off.
    fn take_prefix(&mut self) -> Result<Option<Level>, CommandError> {
        if !is_word(self.args.at(0), "consistency") {
            return Ok(None);
        }
        let (number, prefix) = self.core.commands.resolve(self.args)?;
        // Whose rights are whose is not known before the log has been read; then nothing runs either.
        if self.core.is_hot() {
            self.check_rights(number, prefix)?;
        }
        let level = Level::parse(self.args.at(1)).ok_or(connection::UNKNOWN_LEVEL)?;
        if self.session.transaction.is_some() {
            return Err(CommandError::Other("inside MULTI there is no CONSISTENCY; the level is that of EXEC"));
        }
        self.args = self.args.skip(2);
        Ok(Some(level))
    }

    /// The level at which a command runs; `access` is that of its subcommand.
    fn level(&self, command: &Command, access: Access, asked: Option<Level>) -> Result<Level, CommandError> {
        let eventually = self.session.reads_eventually && access == Access::Read;
        let asked = asked.or(self.session.level).or(eventually.then_some(Level::Eventual));
        let default = || if self.touches_data { self.default_level() } else { self.core.config.default_level };
        match self.session.port {
            Port::Main => match asked.unwrap_or_else(default) {
                // Nobody is to lose rights, or keep them, by a change that was acknowledged and is forgotten.
                Level::Eventual if command.access == Access::Admin && command.is_write() => Ok(Level::Quorum),
                level => Ok(level),
            },
            Port::Read if asked.is_none_or(|level| level == Level::Eventual) => Ok(Level::Eventual),
            Port::Read => Err(CommandError::ReadPortLevel),
        }
    }

    /// Runs the command; an error that it ends with becomes its reply.
    pub(crate) fn run(&mut self, number: usize, command: &Command) {
        if command.keys.are_many() && self.args.len() > 2 {
            self.core.fetch_keys(self.session, self.args, command.keys);
        }
        self.run_as(number, command.run);
    }

    fn run_as(&mut self, number: usize, code: impl FnOnce(&mut Self) -> Result<(), CommandError>) {
        let start = self.reply.bytes.len();
        let timing = self.core.timing(number, self.session);
        if timing == Timing::Alone {
            self.core.close_times(self.now, self.session, Args::none());
        }
        let result = code(self);
        let ok = result.is_ok();
        // An error is a reply like any other: it may rest on a key that is not accepted yet, and waits for it.
        if let Err(error) = result {
            self.refuse(start, error);
        }
        match self.then {
            Then::Retry | Then::Count(_) | Then::Block(_) | Then::Elsewhere => return,
            Then::CheckPassword(_) | Then::Save | Then::Backup(_) | Then::Remove(_) | Then::RotateCertificates => {
                self.session.unfinished = Some(number);
            }
            _ => self.core.stats.count_outcome(number, ok),
        }
        if self.core.has_run(number, timing, self.reply.bytes.len() - start) {
            self.core.close_times(self.now, self.session, self.args);
        }
    }

    /// Makes an error the reply, in place of what has been written from `start` on.
    #[cold]
    pub(crate) fn refuse(&mut self, start: usize, error: CommandError) {
        self.failed = true;
        self.reply.bytes.truncate(start);
        let is_counted = matches!(error, CommandError::Counted(_));
        self.reply.error(error);
        if !is_counted {
            self.core.stats.count_error(&self.reply.bytes[start..]);
        }
    }

    /// Whether the command may not even be looked at yet.
    fn must_wait(&mut self, command: &Command) -> Result<bool, CommandError> {
        // Users, too, are known only when the log has been read. Were MULTI refused, what follows it would be executed by
        // itself.
        if !self.core.is_hot() && !matches!(command.name, "quit" | "multi") {
            return self.park().map(|()| true);
        }
        // Whoever hears of a change by a message is to find it done.
        let replies_first = self.session.awaits_db
            || command.name == "reset"
            || command.access == Access::Publish
            || self.runs_without_data(command);
        Ok(self.session.forwarded > 0 && replies_first)
    }

    /// The command waits for a primary, but not for ever.
    fn park(&mut self) -> Result<(), CommandError> {
        let since = *self.session.parked.get_or_insert(self.monotonic);
        if self.monotonic - since < self.core.config.park_timeout {
            return Ok(());
        }
        // What came with it has waited as long.
        Err(CommandError::NoPrimary)
    }

    /// The password in the command, if it has one, that is to be hashed before it can go on.
    fn unhashed(&self, command: &Command) -> Result<Option<Password>, CommandError> {
        match command.name {
            "user" => user::unhashed(self),
            "acl" => acl::unhashed(self),
            _ => Ok(None),
        }
    }

    /// Where a command on data is executed now; `access` is that of its subcommand.
    fn place(&mut self, command: &Command, access: Access, level: Level) -> Result<Place, CommandError> {
        // The commands of a connection take effect in their order, wherever they go.
        let idle = self.session.forwarded == 0;
        let is_read_port = self.session.port == Port::Read;
        if self.core.config.replica && command.name == "watch" {
            return Err(CommandError::Other("WATCH is for the primary: a Replica answers reads only"));
        }
        let place = if self.core.serves() {
            if idle { Place::Here } else { Place::Nowhere }
        } else if level == Level::Eventual && self.only_reads(command, access) && self.core.is_hot()
            || is_read_port && command.counts_others()
        {
            Place::Here
        } else if !self.core.is_primary()
            && self.core.is_hot()
            && self.core.primary().is_some()
            && !self.core.origin.is_full()
        {
            Place::Primary
        } else {
            Place::Nowhere
        };
        if place == Place::Nowhere && idle {
            self.park()?;
        } else {
            self.session.parked = None;
        }
        Ok(place)
    }

    /// Whether the command runs a transaction that has nothing to do with data: then it needs no primary.
    fn runs_without_data(&self, command: &Command) -> bool {
        let is_without = |transaction: &Transaction| !transaction.touches_data && !transaction.queue.is_empty();
        command.runs_transaction()
            && self.session.transaction.as_deref().is_some_and(is_without)
            && self.session.watching.len() == 0
            && self.session.remote_watch.is_none()
    }

    /// Whether the command, or the transaction that it runs, rests on the data alone.
    fn only_reads(&self, command: &Command, access: Access) -> bool {
        let reads = |transaction: &Transaction| {
            command.runs_transaction()
                && !transaction.writes
                && self.session.watching.len() == 0
                && self.session.remote_watch.is_none()
        };
        access == Access::Read || self.session.transaction.as_deref().is_some_and(reads)
    }

    /// In RESP2 a client cannot tell a message from a reply. So one that has subscribed gets no replies but to what it may
    /// be told in between.
    pub(crate) fn hears_only(&self) -> bool {
        !self.session.subscriptions.is_empty() && self.reply.protocol == Protocol::Resp2
    }

    fn check_subscribed(&self, number: usize, command: &Command) -> Result<(), CommandError> {
        if command.is_for_subscribers() || !self.hears_only() {
            return Ok(());
        }
        let word = self.args.get(1).unwrap_or_default();
        let mut subcommands = self.core.commands.subcommands(number);
        let subcommand = subcommands.find(|(name, ..)| is_word(word, name));
        let name = subcommand.map_or_else(|| command.name.into(), |(name, ..)| format!("{}|{name}", command.name));
        Err(CommandError::Text(format!(
            "Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
        )))
    }

    /// Whether the command may run now, as far as the server is concerned: refuses it, or has it wait. A command that is
    /// only queued needs no room yet, but there must be some.
    fn admit(&mut self, number: usize, command: &Command, queued: bool) -> Result<(), CommandError> {
        let transaction = self.session.transaction.as_deref().filter(|_| command.runs_transaction());
        let writes = command.is_write() || transaction.is_some_and(|transaction| transaction.writes);
        let grows =
            command.is_denied_without_memory(self.args) || transaction.is_some_and(|transaction| transaction.grows);
        if (writes || grows) && self.core.config.max_memory > 0 {
            // What a word costs beside its bytes, if it becomes an element.
            let bytes = self.args.bytes() + 64 * self.args.len();
            self.core.make_room(self.monotonic, bytes, limits::EVICTED_AT_ONCE);
        }
        if grows && self.core.is_primary() && self.core.is_out_of_memory() {
            self.core.probes.hit(Probe::OutOfMemory);
            return Err(CommandError::OutOfMemory);
        }
        if writes && self.core.is_primary() && self.core.is_disk_full() {
            self.core.probes.hit(Probe::DiskFull);
            return Err(CommandError::DiskFull);
        }
        if let Some(refusal) = self.lacks_agreement(number, command) {
            // Until the nodes have agreed, as a young cluster is about to.
            let since = *self.session.parked.get_or_insert(self.monotonic);
            if self.monotonic - since >= self.core.config.park_timeout {
                return Err(refusal);
            }
            self.then = Then::Retry;
        }
        let held = writes && self.core.is_primary() && self.core.holds_writes(self.monotonic);
        if !queued && (self.is_paused(command, writes) || held) {
            self.then = Then::Retry;
        }
        Ok(())
    }

    /// What is to be said if the command makes what not every node is known to read.
    fn lacks_agreement(&self, number: usize, command: &Command) -> Option<CommandError> {
        let keeps_scripts = || {
            let word = self.args.get(1).unwrap_or_default();
            command.name == "script" && is_word(word, "load")
                || command.name == "function" && ["load", "restore"].iter().any(|name| is_word(word, name))
        };
        let writes = |format| self.core.writes(format);
        if command.is_write() && !writes(self.core.commands.format(number))
            || acl::changes_users(command, self.args) && !writes(agreed::RULES)
        {
            return Some(NOT_AGREED);
        }
        (!writes(agreed::SCRIPTS) && keeps_scripts()).then_some(NOT_KEPT)
    }

    fn is_paused(&self, command: &Command, writes: bool) -> bool {
        let Some(pause) = self.core.pause else { return false };
        let is_spared = matches!(command.access, Access::Anyone | Access::Connection | Access::Subscribe);
        let concerned = writes || command.access == Access::Publish || !pause.writes_only && !is_spared;
        concerned && self.monotonic < pause.until
    }

    /// What `MONITOR` shows of a command that is about to run; nothing of those that carry passwords or administer.
    fn show_to_monitors(&mut self, command: &Command) {
        let peer = core::mem::take(&mut self.session.peer.address);
        self.show_to_monitors_as(command, &peer);
        self.session.peer.address = peer;
    }

    /// The same, of a command that somebody else than the client has brought.
    pub(crate) fn show_to_monitors_as(&mut self, command: &Command, by: &str) {
        if !self.core.clients.is_monitored() || command.is_hidden() {
            return;
        }
        let now = self.now.0;
        let mut line = alloc::format!("+{}.{:03}000 [{} ", now / 1000, now % 1000, self.session.db.0).into_bytes();
        line.extend_from_slice(by.as_bytes());
        line.push(b']');
        for arg in self.args.iter() {
            line.push(b' ');
            quote(arg, &mut line);
        }
        line.extend_from_slice(b"\r\n");
        let users = &self.core.system.users;
        let is_admin =
            |user: &str, stamp: u64| users.get(user).is_some_and(|user| user.role == Role::Admin && user.knows(stamp));
        self.core.clients.show(&line, is_admin);
    }

    /// Says what the reply waits for (rules 12 and 13).
    pub(crate) fn answer(self, level: Level) -> Answer {
        if matches!(self.then, Then::Forwarded(_) | Then::Block(_) | Then::Elsewhere) {
            // It waits where it is executed, or has no reply yet.
            return Answer { then: self.then, level, wait: None, leans: false, wrote: false };
        }
        // An error that changed nothing promises nothing of other nodes: it must not become one that says it was executed.
        let level = if level == Level::All && self.failed && !self.wrote { Level::Quorum } else { level };
        let wait = match level {
            Level::Eventual => {
                if self.wrote {
                    self.session.weak_since.get_or_insert(self.core.epoch());
                }
                None
            }
            // What is everywhere must contain what a read saw, whoever wrote it and however long ago.
            Level::All if self.touches_data || self.wrote => Some(self.core.executed()),
            Level::Quorum | Level::All if self.wrote => {
                (!Mutant::ReplyBeforeCommit.is_chosen()).then(|| self.core.executed())
            }
            Level::Quorum | Level::All => {
                let depends = self.depends > self.core.accepted() && !Mutant::ReadUncommitted.is_chosen();
                let write = || self.core.commands.find(self.args.at(0)).is_some_and(|(_, command)| command.is_write());
                let mistaken = Mutant::AnswerEffectless.is_chosen() && write();
                (depends && !mistaken).then_some(self.depends)
            }
        };
        let leans = level != Level::Eventual && self.touches_data && !self.wrote;
        if let Some(seq) = wait {
            self.core.awaits(seq);
            if level == Level::All {
                self.core.awaits_others(seq, self.monotonic + self.core.config.level_timeout);
            }
        }
        Answer { then: self.then, level, wait, leans, wrote: self.wrote }
    }
}

/// A value would be made that not every node knows.
pub(crate) const NOT_AGREED: CommandError =
    CommandError::Other("not every node has said that it knows this type: bring all nodes to a newer version first");
/// Scripts or libraries would be kept, and not every node can.
const NOT_KEPT: CommandError =
    CommandError::Other("not every node has said that it keeps scripts: bring all nodes to a newer version first");

/// Where a command is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Here,
    Primary,
    /// There is no primary, or it is not to be reached now.
    Nowhere,
}

/// Appends bytes in quotes, as Redis shows them.
fn quote(bytes: &[u8], out: &mut alloc::vec::Vec<u8>) {
    out.push(b'"');
    for byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(*byte),
            _ => out.extend_from_slice(alloc::format!("\\x{byte:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}
