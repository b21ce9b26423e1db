//! Who may do what. Users are part of the replicated state; passwords are known only as hashes.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use core::hash::Hasher;

use bincode::{Decode, Encode};
use siphasher::sip::SipHasher24;

use crate::commands::Access;
use crate::effect::Effect;
use crate::ids::DbNumber;
use crate::level::Level;

/// A user's rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Role {
    /// Everything.
    Admin = 0,
    /// Reads and writes data, and publishes.
    ReadWrite = 1,
    /// Reads data, and hears what is published.
    ReadOnly = 2,
}

impl Role {
    /// Reads a role as users type it, in any case.
    pub fn parse(text: &[u8]) -> Option<Self> {
        [Role::Admin, Role::ReadWrite, Role::ReadOnly]
            .into_iter()
            .find(|role| role.name().as_bytes().eq_ignore_ascii_case(text))
    }

    pub fn name(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::ReadWrite => "readwrite",
            Role::ReadOnly => "readonly",
        }
    }

    pub fn allows(self, access: Access) -> bool {
        match access {
            Access::Anyone | Access::Connection | Access::Read | Access::Subscribe | Access::Script => true,
            Access::Write | Access::Publish => self != Role::ReadOnly,
            Access::Admin => self == Role::Admin,
        }
    }
}

/// A user as the log knows it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct User {
    /// Argon2id, as a PHC string.
    pub password_hash: String,
    pub role: Role,
    /// Whether every database may be used, also those that are still to come.
    pub everywhere: bool,
    /// Those that may be used if not all may.
    pub granted: BTreeSet<DbNumber>,
    /// What commands have that ask for no level.
    pub level: Option<Level>,
}

impl User {
    /// Whether the user may use this database. Admins could grant it to themselves, so they may use all.
    pub fn may_use(&self, db: DbNumber) -> bool {
        self.may_use_all() || self.granted.contains(&db)
    }

    pub fn may_use_all(&self) -> bool {
        self.everywhere || self.role == Role::Admin
    }

    /// Tells this user, with this password, from one of the same name before or after: who has authenticated as one is not
    /// the other. Hashes are salted, so no two are the same.
    pub fn stamp(&self) -> u64 {
        let mut hasher = SipHasher24::new();
        hasher.write(self.password_hash.as_bytes());
        hasher.finish()
    }
}

/// All users by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Users(BTreeMap<String, Arc<User>>);

impl Users {
    pub fn get(&self, name: &str) -> Option<&Arc<User>> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &User)> {
        self.0.iter().map(|(name, user)| (name.as_str(), &**user))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is no other admin: somebody must be able to make users.
    pub fn is_last_admin(&self, name: &str) -> bool {
        let is_admin = |user: &User| user.role == Role::Admin;
        self.get(name).is_some_and(|user| is_admin(user))
            && !self.iter().any(|(other, user)| other != name && is_admin(user))
    }

    /// Applies a change; those of data do not concern it.
    pub fn apply(&mut self, effect: &Effect<'_>) {
        match *effect {
            Effect::User { name, password_hash, role } => {
                let everywhere = User {
                    password_hash: String::new(),
                    role,
                    everywhere: true,
                    granted: BTreeSet::new(),
                    level: None,
                };
                let user = self.0.entry(name.into()).or_insert_with(|| Arc::new(everywhere));
                let user = Arc::make_mut(user);
                user.password_hash = password_hash.into();
                user.role = role;
            }
            Effect::Reach { user, everywhere } => self.change(user, |user| {
                user.everywhere = everywhere;
                user.granted.clear();
            }),
            Effect::Grant { user, db } => self.change(user, |user| {
                user.granted.insert(db);
            }),
            Effect::UserLevel { user, level } => self.change(user, |user| user.level = level),
            Effect::DropUser { name } => {
                self.0.remove(name);
            }
            Effect::DropDatabase { db } => {
                for user in self.0.values_mut().filter(|user| user.granted.contains(&db)) {
                    Arc::make_mut(user).granted.remove(&db);
                }
            }
            _ => {}
        }
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut User)) {
        if let Some(user) = self.0.get_mut(name) {
            change(Arc::make_mut(user));
        }
    }
}
