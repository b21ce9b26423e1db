//! Redis's ACL rules of a user, as they were given: what they say, not yet what they allow (see [`crate::permits`]).
//!
//! They restrict beneath the user's role. Rules of commands stay in their order, because a later one counts more; one that
//! a later one makes meaningless is dropped, as in Redis 7.2.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use bincode::de::Decoder;
use bincode::error::DecodeError;
use bincode::{Decode, Encode};

use crate::commands::is_word;

/// A user's rules.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct Rules {
    /// Whether anybody may authenticate as the user. Who has stays so, as in Redis.
    pub is_on: bool,
    /// Every password is right.
    pub needs_no_password: bool,
    /// Redis's flag of the same meaning; values that `RESTORE` gets are always looked at here.
    pub skips_sanitizing: bool,
    /// The user was made by its rules, so its role is the least one that allows what they allow. If not, it was given a role,
    /// which the rules do not change.
    pub makes_role: bool,
    /// What is allowed: whatever any of them allows. The first one has the rules without brackets, the others are Redis's
    /// selectors.
    pub selectors: Vec<Selector>,
}

/// Commands, keys and channels that are allowed together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Selector {
    /// Whether the rules of commands begin with all or with none.
    pub every_command: bool,
    /// As `+get`, `-@write` or `+config|get`, in lower case.
    pub commands: Vec<String>,
    pub every_key: bool,
    pub keys: Vec<KeyPattern>,
    pub every_channel: bool,
    pub channels: Vec<Vec<u8>>,
}

/// Keys by a pattern, and what may be done with them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeyPattern {
    pub pattern: Vec<u8>,
    pub read: bool,
    pub write: bool,
}

/// What is wrong with a rule, in Redis's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("Syntax error")]
    Syntax,
    #[error("Unknown command or category name in ACL")]
    Unknown,
    #[error("Allowing first-arg of a subcommand is not supported")]
    FirstArgument,
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
    )]
    NeedlessKeys,
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels"
    )]
    NeedlessChannels,
    #[error("The password you are trying to remove from the user does not exist")]
    NoSuchPassword,
    #[error("The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters")]
    NoHash,
}

/// Looks at the name behind `+` or `-`: of a command, a subcommand, a command with its first argument, or a category with its
/// `@`. Whether it is there, and may be allowed, or taken away.
pub(crate) type Check<'a> = &'a dyn Fn(&str, bool) -> Result<(), RuleError>;

impl<C> Decode<C> for Rules {
    /// What comes from a disk or another node is looked at: everything else relies on it.
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let rules = Self {
            is_on: Decode::decode(decoder)?,
            needs_no_password: Decode::decode(decoder)?,
            skips_sanitizing: Decode::decode(decoder)?,
            makes_role: Decode::decode(decoder)?,
            selectors: Decode::decode(decoder)?,
        };
        if rules.is_sound() { Ok(rules) } else { Err(DecodeError::Other("these are no rules of a user")) }
    }
}
bincode::impl_borrow_decode!(Rules);

impl Rules {
    /// Whether they are such as rules make.
    fn is_sound(&self) -> bool {
        let has_sign = |rule: &String| rule.starts_with(['+', '-']);
        !self.selectors.is_empty() && self.selectors.iter().all(|selector| selector.commands.iter().all(has_sign))
    }

    /// Of a user that was just made by a rule: nothing is allowed.
    pub(crate) fn of_new_user() -> Self {
        Self {
            is_on: false,
            needs_no_password: false,
            skips_sanitizing: false,
            makes_role: true,
            selectors: vec![Selector::default()],
        }
    }

    /// Of a user who had none: whatever the role allows.
    pub(crate) fn unrestricted() -> Self {
        let every = Selector { every_command: true, every_key: true, every_channel: true, ..Selector::default() };
        Self { is_on: true, makes_role: false, selectors: vec![every], ..Self::of_new_user() }
    }

    /// What a later version may have written that this one does not know: nothing is allowed.
    pub(crate) fn unreadable() -> Self {
        Self { makes_role: false, ..Self::of_new_user() }
    }

    /// Applies a rule, but those about passwords.
    pub(crate) fn apply(&mut self, rule: &[u8], check: Check<'_>) -> Result<(), RuleError> {
        match rule {
            rule if is_word(rule, "on") => self.is_on = true,
            rule if is_word(rule, "off") => self.is_on = false,
            rule if is_word(rule, "nopass") => self.needs_no_password = true,
            rule if is_word(rule, "resetpass") => self.needs_no_password = false,
            rule if is_word(rule, "skip-sanitize-payload") => self.skips_sanitizing = true,
            rule if is_word(rule, "sanitize-payload") => self.skips_sanitizing = false,
            rule if is_word(rule, "clearselectors") => self.selectors.truncate(1),
            rule if is_word(rule, "reset") => *self = Self { makes_role: self.makes_role, ..Self::of_new_user() },
            [b'(', inside @ .., b')'] => {
                let mut selector = Selector::default();
                for rule in words(inside) {
                    selector.apply(rule, check)?;
                }
                self.selectors.push(selector);
            }
            rule => self.selectors[0].apply(rule, check)?,
        }
        Ok(())
    }

    /// All of them in their canonical form, as `ACL LIST` shows them behind the user's name.
    pub(crate) fn shown(&self, hashes: &[&str]) -> Vec<u8> {
        let mut text: Vec<u8> = self.flags().collect::<Vec<_>>().join(" ").into_bytes();
        for hash in hashes {
            text.extend_from_slice(b" #");
            text.extend_from_slice(hash.as_bytes());
        }
        for (place, selector) in self.selectors.iter().enumerate() {
            text.extend_from_slice(if place == 0 { b" " } else { b" (" });
            text.extend(selector.shown());
            text.extend_from_slice(if place == 0 { b"" } else { b")" });
        }
        text
    }

    /// Redis's flags, by the words that set them.
    pub(crate) fn flags(&self) -> impl Iterator<Item = &'static str> {
        let on = if self.is_on { "on" } else { "off" };
        let sanitizing = if self.skips_sanitizing { "skip-sanitize-payload" } else { "sanitize-payload" };
        [Some(on), self.needs_no_password.then_some("nopass"), Some(sanitizing)].into_iter().flatten()
    }
}

/// Words between spaces.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

impl Selector {
    fn apply(&mut self, rule: &[u8], check: Check<'_>) -> Result<(), RuleError> {
        match rule {
            rule if is_word(rule, "allcommands") || is_word(rule, "+@all") => self.begin_commands(true),
            rule if is_word(rule, "nocommands") || is_word(rule, "-@all") => self.begin_commands(false),
            rule if is_word(rule, "allkeys") || rule == b"~*" => {
                self.every_key = true;
                self.keys.clear();
            }
            rule if is_word(rule, "resetkeys") => {
                self.every_key = false;
                self.keys.clear();
            }
            rule if is_word(rule, "allchannels") || rule == b"&*" => {
                self.every_channel = true;
                self.channels.clear();
            }
            rule if is_word(rule, "resetchannels") => {
                self.every_channel = false;
                self.channels.clear();
            }
            [b'~', pattern @ ..] => self.add_keys(pattern, true, true)?,
            [b'%', rest @ ..] => {
                let end = rest.iter().position(|byte| *byte == b'~').ok_or(RuleError::Syntax)?;
                let (flags, pattern) = (rest[..end].to_ascii_lowercase(), &rest[end + 1..]);
                if flags.is_empty() || flags.iter().any(|flag| !b"rw".contains(flag)) {
                    return Err(RuleError::Syntax);
                }
                self.add_keys(pattern, flags.contains(&b'r'), flags.contains(&b'w'))?;
            }
            [b'&', pattern @ ..] => {
                if self.every_channel {
                    return Err(RuleError::NeedlessChannels);
                }
                check_pattern(pattern)?;
                if !self.channels.iter().any(|known| known == pattern) {
                    self.channels.push(pattern.into());
                }
            }
            [sign @ (b'+' | b'-'), name @ ..] => {
                let name = core::str::from_utf8(name).map_err(|_| RuleError::Unknown)?.to_ascii_lowercase();
                check(&name, *sign == b'+')?;
                self.add_command(*sign == b'+', &name);
            }
            _ => return Err(RuleError::Syntax),
        }
        Ok(())
    }

    fn begin_commands(&mut self, with_all: bool) {
        self.every_command = with_all;
        self.commands.clear();
    }

    /// Those that it overrules are dropped: the same name, and what is beneath it.
    fn add_command(&mut self, is_allowed: bool, name: &str) {
        self.commands.retain(|known| {
            let beneath = known[1..].strip_prefix(name);
            beneath.is_none_or(|rest| !rest.is_empty() && !rest.starts_with('|'))
        });
        let sign = if is_allowed { '+' } else { '-' };
        self.commands.push(alloc::format!("{sign}{name}"));
    }

    fn add_keys(&mut self, pattern: &[u8], read: bool, write: bool) -> Result<(), RuleError> {
        if self.every_key {
            return Err(RuleError::NeedlessKeys);
        }
        check_pattern(pattern)?;
        match self.keys.iter_mut().find(|known| known.pattern == pattern) {
            Some(known) => {
                known.read |= read;
                known.write |= write;
            }
            None => self.keys.push(KeyPattern { pattern: pattern.into(), read, write }),
        }
        Ok(())
    }

    fn shown(&self) -> Vec<u8> {
        let mut parts = vec![self.shown_keys(), self.shown_channels_in_full(), self.shown_commands().into_bytes()];
        parts.retain(|part| !part.is_empty());
        parts.join(&b' ')
    }

    pub(crate) fn shown_keys(&self) -> Vec<u8> {
        if self.every_key {
            return b"~*".into();
        }
        let shown = |key: &KeyPattern| {
            let prefix: &[u8] = match (key.read, key.write) {
                (true, true) => b"~",
                (true, false) => b"%R~",
                (false, _) => b"%W~",
            };
            [prefix, &key.pattern].concat()
        };
        self.keys.iter().map(shown).collect::<Vec<_>>().join(&b' ')
    }

    pub(crate) fn shown_channels(&self) -> Vec<u8> {
        if self.every_channel {
            return b"&*".into();
        }
        self.channels.iter().map(|channel| [b"&", &channel[..]].concat()).collect::<Vec<_>>().join(&b' ')
    }

    /// So that they mean the same for a user who has channels already.
    fn shown_channels_in_full(&self) -> Vec<u8> {
        let shown = self.shown_channels();
        match (self.every_channel, shown.is_empty()) {
            (true, _) => shown,
            (false, true) => b"resetchannels".into(),
            (false, false) => [b"resetchannels ", &shown[..]].concat(),
        }
    }

    pub(crate) fn shown_commands(&self) -> String {
        let mut shown = String::from(if self.every_command { "+@all" } else { "-@all" });
        for rule in &self.commands {
            shown.push(' ');
            shown.push_str(rule);
        }
        shown
    }
}

/// As in Redis, a pattern has no spaces: rules are shown between spaces.
fn check_pattern(pattern: &[u8]) -> Result<(), RuleError> {
    let is_sound = |byte: &u8| !byte.is_ascii_whitespace() && *byte != 0;
    if pattern.iter().all(is_sound) { Ok(()) } else { Err(RuleError::Syntax) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use crate::effect::Effect;
    use crate::system::System;
    use crate::users::Role;

    /// Rules that no rule makes, and how they are encoded.
    fn unsound() -> impl Iterator<Item = Vec<u8>> {
        let with = |rule: &str| Selector { commands: vec![rule.into()], ..Selector::default() };
        let selectors = [vec![], vec![with("")], vec![with("get")], vec![with("\u{e9}")], vec![with("+get"), with("")]];
        selectors.into_iter().map(|selectors| {
            let mut encoded = Vec::new();
            codec::encode(&Rules { selectors, ..Rules::of_new_user() }, &mut encoded);
            encoded
        })
    }

    #[test]
    fn rules_that_no_rule_makes_are_not_read() {
        for encoded in unsound() {
            assert!(codec::decode_owned::<Rules>(&encoded).is_err(), "{encoded:?}");
        }
        let mut encoded = Vec::new();
        let selectors = vec![Selector { commands: vec!["-@all".into()], ..Selector::default() }];
        codec::encode(&Rules { selectors, ..Rules::of_new_user() }, &mut encoded);
        assert!(codec::decode_owned::<Rules>(&encoded).is_ok());
    }

    /// In the log they take all rights away, as everything does that is not known; a snapshot with them is refused.
    #[test]
    fn whoever_has_rules_that_cannot_be_read_may_nothing() {
        for encoded in unsound() {
            let mut system = System::default();
            system.apply(&Effect::User { name: "ann", password_hash: "a", role: Role::Admin });
            system.apply(&Effect::Rules { user: "ann", rules: &encoded });
            let ann = system.users.get("ann").expect("it was made");
            assert_eq!(ann.rules.as_deref(), Some(&Rules::unreadable()));

            let mut newer = Vec::new();
            codec::encode(&system.agreed, &mut newer);
            newer.push(1);
            codec::encode(&String::from("ann"), &mut newer);
            newer.extend(encoded);
            assert!(system.take_newer(&newer).is_err());
        }
    }
}
