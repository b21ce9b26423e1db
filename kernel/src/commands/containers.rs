//! Commands that contain others. As in Redis, a subcommand that does not exist or gets a wrong number of arguments is
//! refused before anything runs, so it is not queued either, and the transaction that it was meant for is broken.

use alloc::vec::Vec;

use super::{
    Access, CommandError, acl, client, cluster, database, functions, is_word, memory, pubsub, scripts, sentinel, slots,
    stream_groups, stream_info, user,
};
use crate::call::Call;
use crate::resp::Args;

/// A subcommand: its name, how many arguments it takes with both names (negative: at least so many), its rights, its code.
pub(super) type Subcommand = (&'static str, i32, Access, fn(&mut Call<'_>) -> Result<(), CommandError>);

#[derive(Debug)]
pub(super) struct Container {
    pub(super) name: &'static str,
    /// As errors show it.
    shown: &'static str,
    subcommands: Vec<Known>,
}

/// What is known of a subcommand before it runs.
#[derive(Debug)]
struct Known {
    name: &'static str,
    arity: i32,
    /// `None`: that of the command.
    access: Option<Access>,
}

/// DEBUG is none: in Redis too it looks at its arguments itself.
pub(super) fn all() -> [Container; 17] {
    let container = |name, shown, subcommands: &[(&'static str, i32)]| {
        let known = |(name, arity): &(&'static str, i32)| Known { name, arity: *arity, access: None };
        Container { name, shown, subcommands: subcommands.iter().map(known).collect() }
    };
    let tables = |name, shown, tables: &[&[Subcommand]]| {
        let known = |(name, arity, access, _): &Subcommand| Known { name, arity: *arity, access: Some(*access) };
        Container { name, shown, subcommands: tables.iter().copied().flatten().map(known).collect() }
    };
    let table = |name, shown, subcommands| tables(name, shown, &[subcommands]);
    [
        table("acl", "ACL", acl::SUBCOMMANDS),
        table("client", "CLIENT", client::SUBCOMMANDS),
        tables("cluster", "CLUSTER", &[cluster::SUBCOMMANDS, slots::SUBCOMMANDS]),
        table("database", "DATABASE", database::SUBCOMMANDS),
        table("function", "FUNCTION", functions::SUBCOMMANDS),
        table("script", "SCRIPT", scripts::SUBCOMMANDS),
        table("memory", "MEMORY", memory::SUBCOMMANDS),
        table("pubsub", "PUBSUB", pubsub::SUBCOMMANDS),
        table("sentinel", "SENTINEL", sentinel::SUBCOMMANDS),
        table("user", "USER", user::SUBCOMMANDS),
        table("xgroup", "XGROUP", stream_groups::SUBCOMMANDS),
        table("xinfo", "XINFO", stream_info::SUBCOMMANDS),
        container(
            "command",
            "COMMAND",
            &[("count", 2), ("docs", -2), ("getkeys", -3), ("info", -2), ("list", -2), ("help", 2)],
        ),
        container(
            "config",
            "CONFIG",
            &[("get", -3), ("set", -4), ("origin", -2), ("resetstat", 2), ("rewrite", 2), ("help", 2)],
        ),
        container(
            "latency",
            "LATENCY",
            &[("doctor", 2), ("histogram", -2), ("history", 3), ("latest", 2), ("reset", -2), ("help", 2)],
        ),
        container("object", "OBJECT", &[("encoding", 3), ("freq", 3), ("idletime", 3), ("refcount", 3), ("help", 2)]),
        container("slowlog", "SLOWLOG", &[("get", -2), ("len", 2), ("reset", 2), ("help", 2)]),
    ]
}

impl Container {
    fn find(&self, args: Args<'_>) -> Option<&Known> {
        Some(&self.subcommands[self.position(args)?])
    }

    /// Which of the subcommands is named.
    pub(super) fn position(&self, args: Args<'_>) -> Option<usize> {
        let word = args.get(1)?;
        self.subcommands.iter().position(|known| is_word(word, known.name))
    }

    /// Whether the subcommand that is named takes so many arguments.
    pub(super) fn check(&self, args: Args<'_>) -> Result<(), CommandError> {
        if args.len() < 2 {
            return Ok(());
        }
        let Known { name, arity, .. } =
            self.find(args).ok_or_else(|| CommandError::unknown_subcommand(args, self.shown))?;
        let len = args.len() as i64;
        let wanted = i64::from(*arity);
        if len == wanted || wanted < 0 && len >= -wanted {
            return Ok(());
        }
        Err(CommandError::SubcommandArity(self.name, name))
    }

    /// Who may run the subcommand that is named, if it has rights of its own.
    pub(super) fn access(&self, args: Args<'_>) -> Option<Access> {
        self.find(args)?.access
    }

    /// The subcommands with their arity, and who may run them if they have rights of their own.
    pub(super) fn subcommands(&self) -> impl Iterator<Item = (&'static str, i32, Option<Access>)> {
        self.subcommands.iter().map(|known| (known.name, known.arity, known.access))
    }
}

/// Runs the subcommand that the call names.
pub(super) fn run(
    call: &mut Call<'_>,
    subcommands: &[Subcommand],
    container: &'static str,
) -> Result<(), CommandError> {
    let found = subcommands.iter().find(|(name, ..)| is_word(call.args.at(1), name));
    let (.., run) = found.ok_or_else(|| CommandError::unknown_subcommand(call.args, container))?;
    run(call)
}
