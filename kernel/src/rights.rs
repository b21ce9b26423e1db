//! What a client may do: looked at before each command, against the users as they are now and every database that the
//! command touches (DESIGN.md section 7).

use alloc::string::String;

use crate::call::Call;
use crate::commands::{Access, Command, CommandError, Touches, keyspace};
use crate::core::Core;
use crate::ids::DbNumber;
use crate::level::Level;
use crate::mutant::Mutant;
use crate::resp::Args;
use crate::session::{Port, Session};
use crate::users::User;

impl Call<'_> {
    /// Whether the client may run the command, given by its place in the table, with the call's arguments.
    pub(crate) fn check_rights(&mut self, number: usize, command: &Command) -> Result<(), CommandError> {
        let access = self.core.commands.access(number, self.args);
        if access == Access::Anyone {
            return Ok(());
        }
        refresh(self.core, self.session)?;
        if let Some((name, user)) = known_user(self.session) {
            check(self.core, name, user, selected(self.session), number, self.args)?;
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

    /// Whether the client's role allows this, for a subcommand that is told apart only when it runs.
    pub(crate) fn check_access(&mut self, access: Access, command: &'static str) -> Result<(), CommandError> {
        refresh(self.core, self.session)?;
        match known_user(self.session) {
            Some((name, user)) if !user.role.allows(access) => Err(CommandError::NoPerm { user: name.into(), command }),
            _ => Ok(()),
        }
    }

    /// The level of commands on data that ask for none: the user's, the selected database's, or the server's.
    pub(crate) fn default_level(&self) -> Level {
        let user = self.session.rights.as_ref().and_then(|user| user.level);
        let level = user.or_else(|| self.core.system.databases.level(self.session.db));
        level.unwrap_or(self.core.config.default_level)
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
fn refresh(core: &Core, session: &mut Session) -> Result<(), CommandError> {
    let name = session.user.as_deref().ok_or(CommandError::NoAuth)?;
    if !core.is_hot() {
        session.rights = None;
        return Ok(());
    }
    let is_old = session.rights_of != core.rights_changes && !Mutant::KeepRights.is_chosen();
    if is_old || session.rights.is_none() {
        let is_same = |user: &User| user.stamp() == session.stamp || Mutant::BelieveName.is_chosen();
        session.rights = core.system.users.get(name).filter(|user| is_same(user)).cloned();
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

/// Whether a user may run a command, given by its place in the table, with these arguments while this database is
/// selected.
pub(crate) fn check(
    core: &Core,
    name: &str,
    user: &User,
    selected: DbNumber,
    number: usize,
    args: Args<'_>,
) -> Result<(), CommandError> {
    let command = core.commands.all()[number];
    if !user.role.allows(core.commands.access(number, args)) {
        return Err(CommandError::NoPerm { user: name.into(), command: command.name });
    }
    let touches = core.commands.touches(number);
    if touches == Touches::Nothing {
        return Ok(());
    }
    let databases = &core.system.databases;
    let refuse = |database: String| CommandError::NoDatabase { user: name.into(), database };
    if touches.selected() {
        if databases.find(selected).is_none() {
            return Err(CommandError::DroppedDatabase);
        }
        if !user.may_use(selected) {
            return Err(refuse(databases.shown(selected)));
        }
    }
    if user.may_use_all() {
        return Ok(());
    }
    if touches == Touches::All {
        return Err(refuse("*".into()));
    }
    for text in touches.named(args) {
        // What names none is refused by the command itself, in its own words.
        let Some(db) = keyspace::named(databases, text) else { continue };
        let is_overlooked = Mutant::CheckSelected.is_chosen() && touches.selected();
        let looked_at = if is_overlooked { selected } else { db };
        if !user.may_use(looked_at) {
            return Err(refuse(databases.shown(db)));
        }
    }
    Ok(())
}
