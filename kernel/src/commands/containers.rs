//! Commands that contain others. As in Redis, a subcommand that does not exist or gets a wrong number of arguments is
//! refused before anything runs, so it is not queued either, and the transaction that it was meant for is broken.

use alloc::vec::Vec;

use super::{CommandError, client, is_word};
use crate::resp::Args;

/// A subcommand, and how many arguments it takes with both names; negative: at least so many.
pub(super) type Arity = (&'static str, i32);

#[derive(Debug)]
pub(super) struct Container {
    pub(super) name: &'static str,
    /// As errors show it.
    shown: &'static str,
    subcommands: Vec<Arity>,
}

/// DEBUG is none: in Redis too it looks at its arguments itself.
pub(super) fn all() -> [Container; 7] {
    let client = client::SUBCOMMANDS.iter().map(|(name, arity, ..)| (*name, *arity)).collect();
    let container = |name, shown, subcommands: &[Arity]| Container { name, shown, subcommands: subcommands.to_vec() };
    [
        Container { name: "client", shown: "CLIENT", subcommands: client },
        container(
            "command",
            "COMMAND",
            &[("count", 2), ("docs", -2), ("getkeys", -3), ("info", -2), ("list", -2), ("help", 2)],
        ),
        container("config", "CONFIG", &[("get", -3), ("set", -4), ("resetstat", 2), ("rewrite", 2), ("help", 2)]),
        container(
            "latency",
            "LATENCY",
            &[("doctor", 2), ("histogram", -2), ("history", 3), ("latest", 2), ("reset", -2), ("help", 2)],
        ),
        container("memory", "MEMORY", &[("usage", -3), ("help", 2)]),
        container("object", "OBJECT", &[("encoding", 3), ("freq", 3), ("idletime", 3), ("refcount", 3), ("help", 2)]),
        container("slowlog", "SLOWLOG", &[("get", -2), ("len", 2), ("reset", 2), ("help", 2)]),
    ]
}

impl Container {
    /// Whether the subcommand that is named takes so many arguments.
    pub(super) fn check(&self, args: Args<'_>) -> Result<(), CommandError> {
        let Some(word) = args.get(1) else { return Ok(()) };
        let found = self.subcommands.iter().find(|(name, _)| is_word(word, name));
        let (name, arity) = found.ok_or_else(|| CommandError::unknown_subcommand(args, self.shown))?;
        let len = args.len() as i64;
        let wanted = i64::from(*arity);
        if len == wanted || wanted < 0 && len >= -wanted {
            return Ok(());
        }
        Err(CommandError::SubcommandArity(self.name, name))
    }
}
