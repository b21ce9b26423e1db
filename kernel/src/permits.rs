//! What a user's rules allow, made once from them when they have changed: a set of bits for commands, so that looking costs
//! a command next to nothing.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::channels::Kind;
use crate::commands::{Access, Command, Commands, Use};
use crate::glob;
use crate::resp::Args;
use crate::rules::{KeyPattern, Rules, Selector};
use crate::users::{Role, User, Users};

/// What rules allow.
#[derive(Debug)]
pub struct Permits(Vec<Permit>);

/// What the rules of users allow, made when it is asked for first after a user has changed.
#[derive(Debug, Default)]
pub(crate) struct OfUsers(BTreeMap<String, (Arc<Rules>, Option<Arc<Permits>>)>);

impl OfUsers {
    /// `None` if the user, one of these, may do all that its role allows.
    pub(crate) fn of(&mut self, name: &str, user: &User, users: &Users, commands: &Commands) -> Option<Arc<Permits>> {
        let rules = user.rules.as_ref()?;
        if let Some((of, permits)) = self.0.get(name)
            && Arc::ptr_eq(of, rules)
        {
            return permits.clone();
        }
        if self.0.len() >= users.len() {
            self.0.retain(|name, _| users.get(name).is_some());
        }
        let permits = Permits::of(rules, commands).map(Arc::new);
        self.0.insert(name.into(), (rules.clone(), permits.clone()));
        permits
    }
}

/// What one selector allows.
#[derive(Debug)]
struct Permit {
    commands: Bits,
    /// Commands that are allowed with one of these words as their first argument, by their unit.
    first_arguments: Vec<(usize, Vec<u8>)>,
    selector: Selector,
}

/// A command that is looked at, by its place in the table and as a unit, and its arguments.
struct Looked<'a> {
    commands: &'a Commands,
    number: usize,
    unit: usize,
    args: Args<'a>,
}

/// A set of units: see [`Commands::unit`].
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bits(Vec<u64>);

impl Bits {
    fn set(&mut self, unit: usize, is_in: bool) {
        let bit = 1 << (unit % 64);
        match is_in {
            true => self.0[unit / 64] |= bit,
            false => self.0[unit / 64] &= !bit,
        }
    }

    fn contains(&self, unit: usize) -> bool {
        self.0[unit / 64] & 1 << (unit % 64) != 0
    }
}

/// Why rules forbid a command. Ordered by how near it came to be allowed: of several selectors the nearest is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Denied {
    Command,
    /// The key is the argument in this place.
    Key(usize),
    /// So is the channel.
    Channel(usize),
}

impl Permits {
    /// `None` if the rules allow everything.
    pub(crate) fn of(rules: &Rules, commands: &Commands) -> Option<Self> {
        let is_unrestricted = |selector: &Selector| {
            selector.every_command && selector.commands.is_empty() && selector.every_key && selector.every_channel
        };
        if rules.selectors.iter().any(is_unrestricted) {
            return None;
        }
        Some(Self(rules.selectors.iter().map(|selector| Permit::of(selector, commands)).collect()))
    }

    /// Whether a command, given by its place in the table, may be run with these arguments.
    pub(crate) fn check(&self, commands: &Commands, number: usize, args: Args<'_>) -> Result<(), Denied> {
        let command = Looked { commands, number, unit: commands.unit(number, args), args };
        let mut nearest = Denied::Command;
        for permit in &self.0 {
            match permit.check(&command) {
                Ok(()) => return Ok(()),
                Err(denied) => nearest = nearest.max(denied),
            }
        }
        Err(nearest)
    }

    /// Whether the command may be run with every key, as far as reading is concerned.
    pub(crate) fn reads_everything(&self, commands: &Commands, number: usize, args: Args<'_>) -> bool {
        let unit = commands.unit(number, args);
        self.0.iter().any(|permit| {
            let reads_all = permit.selector.keys.iter().any(|key| key.read && key.pattern == b"*");
            permit.allows(unit, args) && (permit.selector.every_key || reads_all)
        })
    }

    /// Whether every key may be read.
    pub(crate) fn reads_every_key(&self) -> bool {
        let reads = |key: &KeyPattern| key.read && key.pattern == b"*";
        self.0.iter().any(|permit| permit.selector.every_key || permit.selector.keys.iter().any(reads))
    }

    /// Whether somebody may hear what is published there.
    pub(crate) fn may_hear(&self, kind: Kind, name: &[u8]) -> bool {
        self.0.iter().any(|permit| permit.may_hear(kind == Kind::Pattern, name))
    }

    /// Whether a unit is allowed with some arguments.
    pub(crate) fn may_run(&self, unit: usize) -> bool {
        let is_begun = |permit: &Permit| permit.first_arguments.iter().any(|(begun, _)| *begun == unit);
        self.0.iter().any(|permit| permit.commands.contains(unit) || is_begun(permit))
    }
}

/// The least role that allows what rules allow; those that allow everything need an admin.
pub(crate) fn least_role(permits: Option<&Permits>, commands: &Commands) -> Role {
    let Some(permits) = permits else { return Role::Admin };
    let roles = [Role::ReadOnly, Role::ReadWrite, Role::Admin];
    // A text that tells how a command is used is no reason to be an admin, nor is a command that does nothing by itself.
    let needs = |(unit, name, access): (usize, &str, Access)| {
        let is_idle = name.ends_with("|help") || commands.is_container(unit);
        roles.iter().position(|role| role.allows(access)).filter(|_| !is_idle && permits.may_run(unit))
    };
    let least = commands.units().filter_map(needs).max();
    roles[least.unwrap_or(0)]
}

impl Permit {
    fn of(selector: &Selector, commands: &Commands) -> Self {
        let words = commands.units().count().div_ceil(64);
        let mut permit = Self {
            commands: Bits(vec![if selector.every_command { u64::MAX } else { 0 }; words]),
            first_arguments: Vec::new(),
            selector: selector.clone(),
        };
        for rule in &selector.commands {
            let (is_allowed, name) = (rule.starts_with('+'), &rule[1..]);
            if let Some(category) = name.strip_prefix('@') {
                if !is_allowed && !commands.is_category(category) {
                    // A later version may know what it forbids.
                    permit.commands.0.fill(0);
                }
                for unit in commands.of_category(category) {
                    permit.set(commands, unit, is_allowed);
                }
            } else if let Some(unit) = commands.unit_named(name) {
                permit.set(commands, unit, is_allowed);
            } else if let Some((name, word)) = name.split_once('|')
                && let Some(unit) = commands.unit_named(name)
            {
                match is_allowed {
                    true => permit.first_arguments.push((unit, word.into())),
                    // A later version may know the subcommand that it forbids.
                    false => permit.set(commands, unit, false),
                }
            }
        }
        permit
    }

    /// A command's rule holds for its subcommands, too.
    fn set(&mut self, commands: &Commands, unit: usize, is_allowed: bool) {
        for unit in commands.beneath(unit) {
            self.commands.set(unit, is_allowed);
            self.first_arguments.retain(|(begun, _)| *begun != unit);
        }
    }

    fn allows(&self, unit: usize, args: Args<'_>) -> bool {
        let is_begun = |(begun, word): &(usize, Vec<u8>)| {
            *begun == unit && args.get(1).is_some_and(|argument| argument.eq_ignore_ascii_case(word))
        };
        self.commands.contains(unit) || self.first_arguments.iter().any(is_begun)
    }

    fn check(&self, Looked { commands, number, unit, args }: &Looked<'_>) -> Result<(), Denied> {
        if !self.allows(*unit, *args) {
            return Err(Denied::Command);
        }
        if !self.selector.every_key {
            let forbidden = commands.find_key(*number, *args, |key, needed| !self.may_use(key, needed));
            forbidden.map_or(Ok(()), |place| Err(Denied::Key(place)))?;
        }
        if !self.selector.every_channel {
            let command = commands.all()[*number];
            let is_pattern = command.name == "psubscribe";
            let forbidden = channels(command, *args).find(|place| !self.may_hear(is_pattern, args.at(*place)));
            forbidden.map_or(Ok(()), |place| Err(Denied::Channel(place)))?;
        }
        Ok(())
    }

    fn may_use(&self, key: &[u8], needed: Use) -> bool {
        let gives = |read: bool, write: bool| (read || !needed.reads()) && (write || !needed.writes());
        self.selector.keys.iter().any(|known| gives(known.read, known.write) && glob::matches(&known.pattern, key))
    }

    /// A pattern is allowed by the same pattern alone, as in Redis.
    fn may_hear(&self, is_pattern: bool, name: &[u8]) -> bool {
        let allows = |known: &Vec<u8>| if is_pattern { known == name } else { glob::matches(known, name) };
        self.selector.every_channel || self.selector.channels.iter().any(allows)
    }
}

/// Which arguments name channels that one must be allowed.
fn channels(command: &Command, args: Args<'_>) -> core::ops::Range<usize> {
    match command.name {
        "subscribe" | "psubscribe" | "ssubscribe" => 1..args.len(),
        "publish" | "spublish" => 1..2.min(args.len()),
        _ => 0..0,
    }
}

/// What `+name` or `-name` may say.
pub(crate) fn check_name(commands: &Commands, name: &str, is_allowed: bool) -> Result<(), crate::rules::RuleError> {
    use crate::rules::RuleError;
    if let Some(category) = name.strip_prefix('@') {
        return if commands.is_category(category) { Ok(()) } else { Err(RuleError::Unknown) };
    }
    if commands.unit_named(name).is_some() {
        return Ok(());
    }
    let Some((begun, word)) = name.rsplit_once('|').filter(|_| is_allowed) else { return Err(RuleError::Unknown) };
    match commands.unit_named(begun) {
        None => Err(RuleError::Unknown),
        Some(_) if begun.contains('|') => Err(RuleError::FirstArgument),
        Some(_) if word.is_empty() => Err(RuleError::Syntax),
        Some(unit) if commands.is_container(unit) => Err(RuleError::Unknown),
        Some(_) => Ok(()),
    }
}

/// The words of `ACL SETUSER` with those of a selector joined that brackets hold together; or the word at which one begins that
/// does not end.
pub(crate) fn join_selectors<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, String> {
    let mut joined: Vec<Vec<u8>> = Vec::new();
    let mut open: Option<Vec<u8>> = None;
    let mut first: &[u8] = &[];
    for word in words {
        match &mut open {
            Some(selector) => {
                selector.push(b' ');
                selector.extend_from_slice(word);
            }
            None if word.starts_with(b"(") => {
                first = word;
                open = Some(word.into());
            }
            None => joined.push(word.into()),
        }
        joined.extend(open.take_if(|selector| selector.ends_with(b")")));
    }
    match open {
        None => Ok(joined),
        Some(_) => Err(String::from_utf8_lossy(first).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Effect;

    #[test]
    fn what_rules_allow_is_made_once_and_anew_when_they_have_changed() {
        let commands = Commands::default();
        let mut users = Users::default();
        users.apply(&Effect::User { name: "ann", password_hash: "a", role: Role::ReadOnly });
        users.set_rules("ann", Some(Rules::of_new_user()));
        let mut made = OfUsers::default();
        let mut permits = |users: &Users| {
            let ann = users.get("ann").expect("it was made");
            made.of("ann", ann, users, &commands).expect("it may not do all")
        };
        let (first, second) = (permits(&users), permits(&users));
        assert!(Arc::ptr_eq(&first, &second));
        users.set_rules("ann", Some(Rules::of_new_user()));
        assert!(!Arc::ptr_eq(&first, &permits(&users)));
    }
}
