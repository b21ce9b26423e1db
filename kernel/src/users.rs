//! Who may do what. Users are part of the replicated state; passwords are known only as hashes.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use core::hash::Hasher;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};
use siphasher::sip::SipHasher24;

use crate::codec;
use crate::commands::Access;
use crate::effect::Effect;
use crate::ids::DbNumber;
use crate::level::Level;
use crate::password;
use crate::rules::Rules;

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
            Access::Admin | Access::Operator => self == Role::Admin,
        }
    }
}

/// A user as the log knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Argon2id, as a PHC string; of several passwords one behind the other, with a line's end between them. See
    /// [`crate::password`].
    pub password_hash: String,
    pub role: Role,
    /// Whether every database may be used, also those that are still to come.
    pub everywhere: bool,
    /// Those that may be used if not all may.
    pub granted: BTreeSet<DbNumber>,
    /// What commands have that ask for no level.
    pub level: Option<Level>,
    /// What ACL rules allow of what the role allows; without any, that is all. Not encoded with the rest: see
    /// [`System::append_newer`](crate::system::System::append_newer).
    pub rules: Option<Arc<Rules>>,
}

impl Encode for User {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let Self { password_hash, role, everywhere, granted, level, rules: _ } = self;
        password_hash.encode(encoder)?;
        role.encode(encoder)?;
        everywhere.encode(encoder)?;
        granted.encode(encoder)?;
        level.encode(encoder)
    }
}

impl<C> Decode<C> for User {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(Self {
            password_hash: Decode::decode(decoder)?,
            role: Decode::decode(decoder)?,
            everywhere: Decode::decode(decoder)?,
            granted: Decode::decode(decoder)?,
            level: Decode::decode(decoder)?,
            rules: None,
        })
    }
}
bincode::impl_borrow_decode!(User);

impl User {
    /// One that nobody can authenticate as, before anything is known of it but that it may use every database.
    pub(crate) fn nobody() -> Self {
        Self {
            password_hash: String::new(),
            role: Role::ReadOnly,
            everywhere: true,
            granted: BTreeSet::new(),
            level: None,
            rules: None,
        }
    }

    /// Whether the user may use this database. Admins could grant it to themselves, so they may use all.
    pub fn may_use(&self, db: DbNumber) -> bool {
        self.may_use_all() || self.granted.contains(&db)
    }

    pub fn may_use_all(&self) -> bool {
        self.everywhere || self.role == Role::Admin
    }

    /// The hashes of the user's passwords; none if there are none.
    pub fn hashes(&self) -> impl Iterator<Item = &str> {
        password::split_hashes(&self.password_hash)
    }

    /// Whether who has authenticated by the password with this stamp is this user: not one of the same name before or after,
    /// and the password is still one of the user's.
    pub fn knows(&self, stamp: u64) -> bool {
        self.needs_no_password() || self.hashes().any(|hash| self::stamp(hash) == stamp)
    }

    /// Whether every password is right.
    pub fn needs_no_password(&self) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.needs_no_password)
    }

    /// Whether anybody may authenticate as the user.
    pub fn is_on(&self) -> bool {
        self.rules.as_ref().is_none_or(|rules| rules.is_on)
    }

    /// Whether there is a password by which somebody may.
    pub(crate) fn can_authenticate(&self) -> bool {
        self.is_on() && (self.needs_no_password() || self.hashes().next().is_some())
    }
}

/// Tells a password by its hash. Hashes are salted, so no two are the same.
pub fn stamp(hash: &str) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(hash.as_bytes());
    hasher.finish()
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

    /// Applies a change; those of data do not concern it.
    pub fn apply(&mut self, effect: &Effect<'_>) {
        match *effect {
            Effect::User { name, password_hash, role } => {
                let user = self.0.entry(name.into()).or_insert_with(|| Arc::new(User::nobody()));
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
            Effect::Rules { user, rules } => {
                let read = || codec::decode_owned(rules).unwrap_or_else(|_| Rules::unreadable());
                self.set_rules(user, (!rules.is_empty()).then(read));
            }
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

    /// Has a user's rules be these, or none.
    pub(crate) fn set_rules(&mut self, name: &str, rules: Option<Rules>) {
        self.change(name, |user| user.rules = rules.map(Arc::new));
    }

    /// The rules of those who have some.
    pub(crate) fn rules(&self) -> impl Iterator<Item = (&str, &Rules)> {
        self.iter().filter_map(|(name, user)| Some((name, &**user.rules.as_ref()?)))
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut User)) {
        if let Some(user) = self.0.get_mut(name) {
            change(Arc::make_mut(user));
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// What is compared with no hash takes as long as a stranger's.
    #[test]
    fn who_has_no_password_has_no_hash() {
        let ann = User::nobody();
        assert_eq!(ann.hashes().count(), 0);
        assert!(!ann.knows(stamp("")) && !ann.can_authenticate());
        let ann = User { password_hash: "a\nb".into(), ..ann };
        assert_eq!(ann.hashes().collect::<Vec<_>>(), ["a", "b"]);
        assert!(ann.knows(stamp("b")) && ann.can_authenticate());
    }
}
