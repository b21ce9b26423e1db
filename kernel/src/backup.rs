//! What a backup holds beside keys: the databases and users of one index of the log, in a form that any cluster takes.
//!
//! Keys are held as the effects that make them. There, and here, a database is named by where it was kept; whoever
//! restores names it by its number, because another cluster keeps it elsewhere.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bincode::de::Decoder;
use bincode::de::read::Reader;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::codec;
use crate::databases::Databases;
use crate::effect::Effect;
use crate::ids::{DbId, DbNumber};
use crate::level::Level;
use crate::limits;
use crate::rules::Rules;
use crate::system::System;
use crate::users::{User, Users};

/// What stands last in a backup's file. A change of it is a newer format of the file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct End {
    /// The last entry of the log that it contains.
    pub index: u64,
    /// How many changes stand before it.
    pub changes: u64,
    /// Unix time in milliseconds, by the clock of whoever made it.
    pub made_at: u64,
    /// The program that made it.
    pub version: String,
    pub outline: Outline,
}

/// Databases and users. Stands last in whatever it is in: what came later to it is at its end, if there is any. A program that
/// does not know that refuses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    pub databases: Vec<DatabaseOutline>,
    pub users: Vec<UserOutline>,
}

impl Encode for Outline {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let Self { databases, users } = self;
        databases.encode(encoder)?;
        users.encode(encoder)?;
        let rules = |UserOutline { name, user }: &UserOutline| Some((name.clone(), Rules::clone(user.rules.as_ref()?)));
        let rules: BTreeMap<String, Rules> = users.iter().filter_map(rules).collect();
        if rules.is_empty() { Ok(()) } else { rules.encode(encoder) }
    }
}

impl<C> Decode<C> for Outline {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let (databases, mut users): (_, Vec<UserOutline>) = (Decode::decode(decoder)?, Decode::decode(decoder)?);
        if decoder.reader().peek_read(1).is_some() {
            let mut rules: BTreeMap<String, Rules> = Decode::decode(decoder)?;
            users.iter_mut().for_each(|UserOutline { name, user }| user.rules = rules.remove(name).map(Arc::new));
        }
        Ok(Self { databases, users })
    }
}
bincode::impl_borrow_decode!(Outline);

/// A database.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DatabaseOutline {
    pub number: DbNumber,
    /// Where it was kept.
    pub id: DbId,
    /// Of one that was made with a name.
    pub name: Option<String>,
    pub level: Option<Level>,
}

/// A user, whose rules are encoded with those of all users, behind them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct UserOutline {
    pub name: String,
    pub user: User,
}

/// Why a cluster does not take an outline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutlineError {
    #[error("the database {0} of the backup has a number or a name that another one has here")]
    Taken(String),
    #[error("there would be too many databases")]
    TooManyDatabases,
    #[error("there would be too many users")]
    TooManyUsers,
    #[error("there would be no admin who can authenticate and change users")]
    NoAdmin,
}

impl Outline {
    pub fn of(system: &System) -> Self {
        let databases = &system.databases;
        let database = |(number, id)| DatabaseOutline {
            number,
            id,
            name: databases.name(number).map(String::from),
            level: databases.level(number),
        };
        let user = |(name, user): (&str, &User)| UserOutline { name: name.into(), user: user.clone() };
        Self { databases: databases.iter().map(database).collect(), users: system.users.iter().map(user).collect() }
    }

    /// Tells the changes by which every database and user of the outline becomes as it says; others stay as they are. Somebody
    /// must be left who administers.
    ///
    /// # Errors
    /// If the cluster cannot take it: then none of the changes that were told must be made.
    pub(crate) fn impose(
        &self,
        system: &System,
        administers: impl Fn(&User) -> bool,
        mut change: impl FnMut(&Effect<'_>),
    ) -> Result<(), OutlineError> {
        let (mut databases, mut users) = (system.databases.clone(), system.users.clone());
        self.make_databases(&mut databases, &mut change)?;
        self.make_users(&mut users, &mut change);
        if users.len() > limits::MAX_USERS {
            return Err(OutlineError::TooManyUsers);
        }
        match users.iter().any(|(_, user)| administers(user)) {
            true => Ok(()),
            false => Err(OutlineError::NoAdmin),
        }
    }

    fn make_databases(
        &self,
        databases: &mut Databases,
        change: &mut impl FnMut(&Effect<'_>),
    ) -> Result<(), OutlineError> {
        let mut tell = |databases: &mut Databases, effect: &Effect<'_>| {
            databases.apply(effect);
            change(effect);
        };
        for database in &self.databases {
            let DatabaseOutline { number, name, level, .. } = database;
            if let Some(name) = name
                && let Some(id) = id_for(databases, *number, name)?
            {
                tell(databases, &Effect::CreateDatabase { name, db: *number, id });
            }
            if databases.find(*number).is_some() && databases.level(*number) != *level {
                tell(databases, &Effect::DatabaseLevel { db: *number, level: *level });
            }
        }
        Ok(())
    }

    fn make_users(&self, users: &mut Users, change: &mut impl FnMut(&Effect<'_>)) {
        let mut tell = |users: &mut Users, effect: &Effect<'_>| {
            users.apply(effect);
            change(effect);
        };
        for UserOutline { name, user } in &self.users {
            let known = users.get(name);
            if known.is_some_and(|known| **known == *user) {
                continue;
            }
            let User { password_hash, role, everywhere, granted, level, rules } = user;
            let has_had_rules = known.is_some_and(|known| known.rules.is_some());
            tell(users, &Effect::User { name, password_hash, role: *role });
            if has_had_rules || rules.is_some() {
                let mut encoded = Vec::new();
                rules.iter().for_each(|rules| codec::encode(&**rules, &mut encoded));
                tell(users, &Effect::Rules { user: name, rules: &encoded });
            }
            tell(users, &Effect::Reach { user: name, everywhere: *everywhere });
            for db in granted {
                tell(users, &Effect::Grant { user: name, db: *db });
            }
            tell(users, &Effect::UserLevel { user: name, level: *level });
        }
    }
}

/// Where a database that is to be made is to be kept; `None` if it is there.
fn id_for(databases: &Databases, number: DbNumber, name: &str) -> Result<Option<DbId>, OutlineError> {
    match (databases.by_name(name.as_bytes()), databases.find(number)) {
        (Some(found), _) if found == number => Ok(None),
        (None, None) if number.0 >= limits::DATABASES => {
            let vacant = databases.vacant();
            vacant.map(|(_, id)| Some(id)).ok_or(OutlineError::TooManyDatabases)
        }
        _ => Err(OutlineError::Taken(name.into())),
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::users::Role;

    fn system(effects: &[Effect<'_>]) -> System {
        let mut system = System::default();
        effects.iter().for_each(|effect| system.apply(effect));
        system
    }

    fn imposed(outline: &Outline, system: &mut System) -> Result<usize, OutlineError> {
        let mut bytes = Vec::new();
        let mut count = 0;
        let administers = |user: &User| user.role == Role::Admin && user.can_authenticate();
        outline.impose(system, administers, |effect| {
            count += 1;
            crate::effect::record(effect, &mut bytes);
        })?;
        for effect in crate::effect::Effects::new(&bytes) {
            system.apply(&effect.expect("it was recorded just now"));
        }
        Ok(count)
    }

    const ADMIN: Effect<'_> = Effect::User { name: "admin", password_hash: "a", role: Role::Admin };

    fn source() -> System {
        system(&[
            ADMIN,
            Effect::User { name: "bob", password_hash: "b", role: Role::ReadOnly },
            Effect::Reach { user: "bob", everywhere: false },
            Effect::CreateDatabase { name: "shop", db: DbNumber(17), id: DbId(20) },
            Effect::Grant { user: "bob", db: DbNumber(17) },
            Effect::UserLevel { user: "bob", level: Some(Level::All) },
            Effect::DatabaseLevel { db: DbNumber(3), level: Some(Level::Eventual) },
            Effect::SwapDatabases { a: DbId(1), b: DbId(2) },
        ])
    }

    #[test]
    fn a_cluster_becomes_as_the_outline_says_and_then_nothing_changes_any_more() {
        let outline = Outline::of(&source());
        let mut target = system(&[
            Effect::User { name: "admin", password_hash: "other", role: Role::Admin },
            Effect::DatabaseLevel { db: DbNumber(5), level: Some(Level::All) },
        ]);
        assert!(imposed(&outline, &mut target).expect("it is taken") > 0);
        let now = Outline::of(&target);
        assert_eq!(now.users, outline.users);
        let without_place = |outline: &Outline| -> Vec<(DbNumber, Option<String>, Option<Level>)> {
            outline.databases.iter().map(|db| (db.number, db.name.clone(), db.level)).collect()
        };
        assert_eq!(without_place(&now), without_place(&outline));
        assert_eq!(imposed(&outline, &mut target), Ok(0));
    }

    #[test]
    fn rules_are_restored_and_so_is_having_none() {
        let mut rules = Vec::new();
        codec::encode(&Rules::of_new_user(), &mut rules);
        let bob = Effect::User { name: "bob", password_hash: "b", role: Role::ReadOnly };
        let ruled = system(&[ADMIN, bob, Effect::Rules { user: "bob", rules: &rules }]);
        let free = system(&[ADMIN, bob]);
        for (from, mut to) in [(&ruled, free.clone()), (&free, ruled.clone())] {
            let outline = Outline::of(from);
            let mut bytes = Vec::new();
            codec::encode(&outline, &mut bytes);
            assert_eq!(codec::decode_owned(&bytes), Ok(outline.clone()));
            assert!(imposed(&outline, &mut to).expect("it is taken") > 0);
            assert_eq!(to.users, from.users);
            assert_eq!(imposed(&outline, &mut to), Ok(0));
        }
        // Without rules, it is what earlier versions read.
        let (mut with, mut without) = (Vec::new(), Vec::new());
        codec::encode(&Outline::of(&ruled), &mut with);
        codec::encode(&Outline::of(&free), &mut without);
        assert!(with.starts_with(&without) && with.len() > without.len());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let outline = Outline::of(&source());
        let mut taken = system(&[ADMIN, Effect::CreateDatabase { name: "shop", db: DbNumber(16), id: DbId(16) }]);
        assert_eq!(imposed(&outline, &mut taken), Err(OutlineError::Taken("shop".into())));
        let mut taken = system(&[ADMIN, Effect::CreateDatabase { name: "other", db: DbNumber(17), id: DbId(16) }]);
        assert_eq!(imposed(&outline, &mut taken), Err(OutlineError::Taken("shop".into())));
        let admin = &outline.users[0].user;
        let demoted = User { role: Role::ReadOnly, ..admin.clone() };
        let locked_out = User { password_hash: String::new(), ..admin.clone() };
        for user in [demoted, locked_out] {
            let users = vec![UserOutline { name: "admin".into(), user }];
            let outline = Outline { databases: Vec::new(), users };
            assert_eq!(imposed(&outline, &mut system(&[ADMIN])), Err(OutlineError::NoAdmin));
        }
    }
}
