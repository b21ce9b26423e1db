//! Who may do what. Users are part of the replicated state; passwords are known only as hashes.

use alloc::collections::BTreeMap;
use alloc::string::String;

use bincode::{Decode, Encode};

use crate::commands::Access;
use crate::effect::Effect;

/// A user's rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Role {
    /// Everything.
    Admin = 0,
    /// Reads and writes data.
    ReadWrite = 1,
    /// Reads data.
    ReadOnly = 2,
}

impl Role {
    pub fn allows(self, access: Access) -> bool {
        match access {
            Access::Anyone | Access::Connection | Access::Read => true,
            Access::Write => self != Role::ReadOnly,
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
}

/// All users by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Users(BTreeMap<String, User>);

impl Users {
    pub fn get(&self, name: &str) -> Option<&User> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &User)> {
        self.0.iter().map(|(name, user)| (name.as_str(), user))
    }

    /// Applies a change; those of data do not concern it.
    pub fn apply(&mut self, effect: &Effect<'_>) {
        if let Effect::User { name, password_hash, role } = *effect {
            self.0.insert(name.into(), User { password_hash: password_hash.into(), role });
        }
    }
}
