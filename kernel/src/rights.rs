//! What a client may do: looked at before each command, against the users as they are now and every database that the
//! command touches (DESIGN.md section 7). The role is looked at first, then the user's ACL rules, which only restrict, then
//! the databases.

use alloc::string::String;
use alloc::sync::Arc;

use crate::acllog::{Reason, Refusal};
use crate::call::Call;
use crate::commands::{Access, Command, CommandError, Commands, Touches, client, keyspace};
use crate::core::Core;
use crate::ids::DbNumber;
use crate::level::Level;
use crate::mutant::Mutant;
use crate::permits::{Denied, Permits};
use crate::resp::Args;
use crate::rules::Rules;
use crate::session::{Port, Session};
use crate::time::Monotonic;
use crate::users::{Role, User};

impl Call<'_> {
    /// Whether the client may run the command, given by its place in the table, with the call's arguments. What is refused
    /// for want of rights is noted in the ACL log.
    pub(crate) fn check_rights(&mut self, number: usize, command: &Command) -> Result<(), CommandError> {
        let access = self.core.commands.access(number, self.args);
        if access == Access::Anyone {
            return Ok(());
        }
        refresh(self.core, self.session)?;
        if let Some((name, user)) = known_user(self.session) {
            let rights = Rights { user, permits: self.session.permits.as_deref() };
            if let Err(refused) = rights.check(self.core, selected(self.session), number, self.args) {
                let error = refused.error(name, &self.core.commands, number, self.args);
                self.note_refusal(&refused, number);
                return Err(error);
            }
        }
        let changes = matches!(access, Access::Write | Access::Script) || access == Access::Admin && command.is_write();
        if self.session.port == Port::Read && changes {
            return Err(CommandError::ReadOnly);
        }
        if self.core.is_stopping() {
            return Err(CommandError::Loading);
        }
        Ok(())
    }

    /// Whether the client may run this command, which is not the call's own: nothing is noted.
    pub(crate) fn may_run(&self, number: usize, args: Args<'_>) -> bool {
        known_user(self.session).is_none_or(|(_, user)| {
            let rights = Rights { user, permits: self.session.permits.as_deref() };
            rights.check(self.core, self.session.db, number, args).is_ok()
        })
    }

    /// Whether the client may run this command with any key, as far as it reads: for one that finds keys in what it reads.
    pub(crate) fn may_read_every_key(&self) -> bool {
        let Some(permits) = &self.session.permits else { return true };
        let commands = &self.core.commands;
        commands.find(self.args.at(0)).is_some_and(|(number, _)| permits.reads_everything(commands, number, self.args))
    }

    #[cold]
    fn note_refusal(&mut self, refused: &Refused, number: usize) {
        let (reason, object) = match refused {
            Refused::Database(_) | Refused::Dropped => return,
            Refused::Rules(Denied::Key(place)) => (Reason::Key, self.args.at(*place)),
            Refused::Rules(Denied::Channel(place)) => (Reason::Channel, self.args.at(*place)),
            Refused::Role | Refused::Rules(Denied::Command) => {
                (Reason::Command, self.core.commands.full_name(number, self.args).as_bytes())
            }
        };
        let object = object.into();
        let context = match self.session {
            Session { in_script: true, .. } => "lua",
            Session { in_transaction: true, .. } | Session { transaction: Some(_), .. } => "multi",
            _ => "toplevel",
        };
        let user = self.session.user.clone().unwrap_or_default();
        self.core.note_refusal(self.session, self.monotonic, Refusal { reason, context, object, user });
    }

    /// The level of commands on data that ask for none: the user's, the selected database's, or the server's.
    pub(crate) fn default_level(&self) -> Level {
        let user = self.session.rights.as_ref().and_then(|user| user.level);
        let level = user.or_else(|| self.core.system.databases.level(self.session.db));
        level.unwrap_or(self.core.config.default_level)
    }
}

impl Core {
    /// Notes in the ACL log what a client was refused.
    pub(crate) fn note_refusal(&mut self, session: &Session, now: Monotonic, refusal: Refusal) {
        self.stats.refused[refusal.reason as usize] += 1;
        let client = client::describe(session, &self.tracking, now);
        let bound = self.tunables().acllog_max_len;
        self.acl_log.add(refusal, client, self.newest_wall(), bound);
    }

    /// What a user's rules allow.
    pub(crate) fn permits(&mut self, name: &str, user: &User) -> Option<Arc<Permits>> {
        self.permits.of(name, user, &self.system.users, &self.commands)
    }

    /// Whether a user, who may be about to become as is said here, can authenticate and change users.
    pub(crate) fn administers(&self, user: &User) -> bool {
        let may = |rules: &Arc<Rules>| {
            let may_run = |permits: &Permits| {
                let units = ["user|set", "acl|setuser"].into_iter().filter_map(|name| self.commands.unit_named(name));
                units.into_iter().any(|unit| permits.may_run(unit))
            };
            Permits::of(rules, &self.commands).as_ref().is_none_or(may_run)
        };
        user.role == Role::Admin && user.can_authenticate() && user.rules.as_ref().is_none_or(may)
    }

    /// Whether somebody else could change users, if this one could not.
    pub(crate) fn has_other_admin(&self, name: &str) -> bool {
        self.system.users.iter().any(|(other, user)| other != name && self.administers(user))
    }
}

/// The database that commands are on which arrive now: between MULTI and EXEC a SELECT is still to come.
fn selected(session: &Session) -> DbNumber {
    session.transaction.as_ref().and_then(|transaction| transaction.selects).unwrap_or(session.db)
}

/// Has the session know its user's rights of this moment. While the log is being read, whose rights are whose is not known,
/// and nothing runs that touches data.
///
/// Who authenticated as a user that is gone, or with a password that is not the user's any more, is a stranger again.
fn refresh(core: &mut Core, session: &mut Session) -> Result<(), CommandError> {
    let name = session.user.as_deref().ok_or(CommandError::NoAuth)?;
    if !core.is_hot() {
        session.rights = None;
        return Ok(());
    }
    let is_old = session.rights_of != core.rights_changes && !Mutant::KeepRights.is_chosen();
    if is_old || session.rights.is_none() {
        let is_same = |user: &User| user.knows(session.stamp) || Mutant::BelieveName.is_chosen();
        let user = core.system.users.get(name).filter(|user| is_same(user)).cloned();
        session.permits = user.as_ref().and_then(|user| core.permits(name, user));
        session.rights = user;
        session.rights_of = core.rights_changes;
    }
    if session.rights.is_none() {
        session.user = None;
        return Err(CommandError::NoAuth);
    }
    Ok(())
}

/// The session's user, after [`refresh`].
fn known_user(session: &Session) -> Option<(&str, &User)> {
    session.user.as_deref().zip(session.rights.as_deref())
}

/// A user, and what its rules allow.
pub(crate) struct Rights<'a> {
    pub user: &'a User,
    pub permits: Option<&'a Permits>,
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Role,
    Rules(Denied),
    /// The user was not granted this one.
    Database(String),
    /// The selected database is gone.
    Dropped,
}

impl Refused {
    /// Which argument must not be used, and what it is.
    pub(crate) fn place(&self) -> Option<(&'static str, usize)> {
        match self {
            Refused::Rules(Denied::Key(place)) => Some(("key", *place)),
            Refused::Rules(Denied::Channel(place)) => Some(("channel", *place)),
            _ => None,
        }
    }

    pub(crate) fn error(&self, user: &str, commands: &Commands, number: usize, args: Args<'_>) -> CommandError {
        let user = user.into();
        match self {
            Refused::Role | Refused::Rules(Denied::Command) => {
                CommandError::NoPerm { user, command: commands.full_name(number, args).into() }
            }
            Refused::Rules(Denied::Key(_)) => CommandError::NoKey,
            Refused::Rules(Denied::Channel(_)) => CommandError::NoChannel,
            Refused::Database(database) => CommandError::NoDatabase { user, database: database.clone() },
            Refused::Dropped => CommandError::DroppedDatabase,
        }
    }
}

impl Rights<'_> {
    /// Whether a command, given by its place in the table, may be run with these arguments while this database is selected.
    /// The rules allow nothing that the role forbids.
    pub(crate) fn check(&self, core: &Core, selected: DbNumber, number: usize, args: Args<'_>) -> Result<(), Refused> {
        let Self { user, permits } = self;
        let access = core.commands.access(number, args);
        if access == Access::Anyone {
            return Ok(());
        }
        if !user.role.allows(access) {
            return Err(Refused::Role);
        }
        if let Some(permits) = permits
            && !core.commands.all()[number].is_prefix()
        {
            permits.check(&core.commands, number, args).map_err(Refused::Rules)?;
        }
        let touches = core.commands.touches(number, args);
        if touches == Touches::Nothing {
            return Ok(());
        }
        let databases = &core.system.databases;
        if touches.selected() {
            if databases.find(selected).is_none() {
                return Err(Refused::Dropped);
            }
            if !user.may_use(selected) {
                return Err(Refused::Database(databases.shown(selected)));
            }
        }
        if user.may_use_all() {
            return Ok(());
        }
        if touches == Touches::All {
            return Err(Refused::Database("*".into()));
        }
        for text in touches.named(args) {
            // What names none is refused by the command itself, in its own words.
            let Some(db) = keyspace::named(databases, text) else { continue };
            let is_overlooked = Mutant::CheckSelected.is_chosen() && touches.selected();
            let looked_at = if is_overlooked { selected } else { db };
            if !user.may_use(looked_at) {
                return Err(Refused::Database(databases.shown(db)));
            }
        }
        Ok(())
    }
}
