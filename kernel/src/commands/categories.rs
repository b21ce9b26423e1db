//! Redis's ACL categories of commands. They follow from a command's access class, its flags and its group; what does not is
//! listed.

use super::{Access, Command};

/// All, in the order of Redis's `ACL CAT`.
pub(crate) const NAMES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// A set of categories: bits in the order of [`NAMES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Categories(u32);

impl Categories {
    pub(super) fn contains(self, name: &str) -> bool {
        NAMES.iter().position(|known| *known == name).is_some_and(|bit| self.0 & 1 << bit != 0)
    }

    pub(crate) fn names(self) -> impl ExactSizeIterator<Item = &'static str> {
        let names: alloc::vec::Vec<_> = NAMES.into_iter().filter(|name| self.contains(name)).collect();
        names.into_iter()
    }

    fn add(&mut self, name: &str) {
        let bit = NAMES.iter().position(|known| *known == name);
        self.0 |= bit.map_or(0, |bit| 1 << bit);
    }

    fn add_access(&mut self, access: Access, group: &str) {
        match access {
            // As in Redis: what a script reads is looked at when it does.
            Access::Read if group == "scripting" => {}
            Access::Read => self.add("read"),
            Access::Write => self.add("write"),
            Access::Admin | Access::Operator => {
                self.add("admin");
                self.add("dangerous");
            }
            Access::Subscribe | Access::Publish => self.add("pubsub"),
            // Those that run scripts are in their group's.
            Access::Anyone | Access::Connection | Access::Script => {}
        }
    }

    fn add_group(&mut self, group: &str) {
        match group {
            "sorted-set" => self.add("sortedset"),
            "transactions" => self.add("transaction"),
            "generic" => self.add("keyspace"),
            // Of those, there are some that are no category: "server".
            group => self.add(group),
        }
    }
}

/// What neither access nor group tells: a command, and its categories beside the rest.
const FURTHER: &[(&str, &[&str])] = &[
    ("command", &["connection"]),
    ("flushall", &["keyspace", "dangerous"]),
    ("flushdb", &["keyspace", "dangerous"]),
    ("info", &["dangerous"]),
    ("keys", &["dangerous"]),
    ("lolwut", &["read"]),
    ("pfdebug", &["admin", "dangerous"]),
    ("restore", &["dangerous"]),
    ("role", &["admin", "dangerous"]),
    ("sort", &["set", "sortedset", "list", "dangerous"]),
    ("sort_ro", &["set", "sortedset", "list", "dangerous"]),
    ("swapdb", &["keyspace", "dangerous"]),
    ("wait", &["blocking", "connection"]),
    ("waitaof", &["blocking", "connection"]),
];

/// Commands that are in no category of their group in Redis.
const APART: &[&str] = &["memory", "sort", "sort_ro", "time", "wait", "waitaof"];

/// Of a command without subcommands, or of one by itself that has some.
pub(super) fn of(command: &Command, group: &str, is_container: bool) -> Categories {
    let mut categories = Categories::default();
    categories.add(if command.flags.contains(&"fast") { "fast" } else { "slow" });
    if is_container && command.name != "command" {
        return categories;
    }
    categories.add_access(command.access, group);
    if !APART.contains(&command.name) {
        categories.add_group(group);
    }
    if command.flags.contains(&"blocking") {
        categories.add("blocking");
    }
    let further = FURTHER.iter().filter(|(name, _)| *name == command.name);
    further.flat_map(|(_, further)| *further).for_each(|category| categories.add(category));
    categories
}

/// Of a subcommand with this access.
pub(super) fn of_subcommand(command: &Command, name: &str, access: Access, group: &str) -> Categories {
    let mut categories = Categories::default();
    categories.add("slow");
    if name != "help" {
        categories.add_access(access, group);
    }
    if command.name == "command" {
        categories.add("connection");
    }
    if !(APART.contains(&command.name) || group == "pubsub" && name == "help") {
        categories.add_group(group);
    }
    categories
}
