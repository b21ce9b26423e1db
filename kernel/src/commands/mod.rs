//! The command table. A command's name, arity, flags, keys, access class and code stand together; dispatch, arity
//! errors, rights, `COMMAND` and the metrics' labels all come from it.

pub(crate) mod acl;
mod backup;
mod bitfield;
mod bits;
mod blocking;
mod categories;
pub(crate) mod client;
mod cluster;
mod command;
mod config;
pub(crate) mod connection;
mod containers;
mod counters;
mod database;
mod deadlines;
mod diagnostics;
mod draws;
mod dump;
mod functions;
mod geo;
mod hashes;
mod hyperloglog;
mod json;
mod json_values;
mod keys;
pub(crate) mod keyspace;
mod lcs;
mod lists;
pub(crate) mod memory;
mod movable;
mod pubsub;
mod ranges;
mod scripts;
mod sentinel;
mod server;
mod sets;
mod slots;
mod sort;
mod sorted;
mod sorted_algebra;
mod sorted_ranges;
mod stream_claims;
mod stream_groups;
mod stream_info;
mod stream_reads;
mod streams;
mod strings;
mod touches;
pub(crate) mod tracking;
pub(crate) mod transactions;
mod units;
pub(crate) mod user;
mod uses;
pub(crate) mod wait;

use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashMap;

use self::containers::Container;
pub use self::touches::{Named, Touches};
use self::units::Units;
pub(crate) use self::uses::Use;
use crate::agreed;
use crate::call::Call;
use crate::facade::Facade;
use crate::resp::Args;

/// Who may run a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nobody needs to have authenticated.
    Anyone,
    /// Every authenticated user; touches no data.
    Connection,
    Read,
    Write,
    Admin,
    /// Only an admin; concerns this node alone.
    Operator,
    /// Hears what is published: every authenticated user; touches no data.
    Subscribe,
    /// Publishes: whoever may write; touches no data.
    Publish,
    /// Runs commands of its own, each of which is looked at by itself: every authenticated user. It may change something, so
    /// in all but rights it is a `Write`.
    Script,
}

/// Which arguments are keys, in the convention of Redis's `COMMAND INFO`: positions from 1, a negative last one counts
/// from the end, a first of 0 means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    pub first: i32,
    pub last: i32,
    pub step: i32,
}

impl Keys {
    pub const NONE: Keys = Keys { first: 0, last: 0, step: 0 };
    pub const ONE: Keys = Keys { first: 1, last: 1, step: 1 };
    pub const TWO: Keys = Keys { first: 1, last: 2, step: 1 };
    pub const ALL: Keys = Keys { first: 1, last: -1, step: 1 };
    pub const PAIRS: Keys = Keys { first: 1, last: -1, step: 2 };

    /// Whether there may be any number of them.
    pub fn are_many(self) -> bool {
        self.last < 0
    }

    /// The positions of the keys among `len` arguments.
    pub fn positions(self, len: usize) -> impl Iterator<Item = usize> {
        let last = if self.last < 0 { len as i64 + i64::from(self.last) } else { i64::from(self.last) };
        let end = if self.first == 0 { 0 } else { (last + 1).min(len as i64) };
        (i64::from(self.first)..end).step_by(self.step.max(1) as usize).map(|i| i as usize)
    }
}

/// A command.
#[derive(Debug)]
pub struct Command {
    /// In lower case, as errors and `COMMAND` show it.
    pub name: &'static str,
    /// Arguments with the name; negative: at least so many.
    pub arity: i32,
    pub access: Access,
    pub keys: Keys,
    /// Redis's flags beside those that follow from the access class.
    pub flags: &'static [&'static str],
    pub summary: &'static str,
    pub(crate) run: fn(&mut Call<'_>) -> Result<(), CommandError>,
}

impl Command {
    pub fn accepts(&self, args: usize) -> bool {
        if self.arity < 0 { args as i64 >= -i64::from(self.arity) } else { args as i64 == i64::from(self.arity) }
    }

    /// Whether it may change something that is replicated: keys, users or databases.
    pub fn is_write(&self) -> bool {
        matches!(self.access, Access::Write | Access::Script) || self.access == Access::Admin && self.has_flag("write")
    }

    fn has_flag(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    /// It may need more memory, so it is refused when there is none. Of some commands that holds for these subcommands only.
    pub(crate) fn is_denied_without_memory(&self, args: Args<'_>) -> bool {
        let growing: &[&str] = match self.name {
            "function" => &["load", "restore"],
            "xgroup" => &["create", "createconsumer"],
            _ => return self.has_flag("denyoom"),
        };
        args.get(1).is_some_and(|word| growing.iter().any(|name| is_word(word, name)))
    }

    /// It is about the transaction itself, so it is not queued.
    pub(crate) fn is_transactional(&self) -> bool {
        ["multi", "exec", "discard", "watch", "quit", "reset"].contains(&self.name)
    }

    /// Its reply rests on what is replicated, which only the primary knows. `access` is that of its subcommand.
    pub(crate) fn touches_data(&self, access: Access) -> bool {
        let by_others = ["exec", "watch", "unwatch", "discard", "wait", "waitaof"];
        matches!(access, Access::Read | Access::Write | Access::Script)
            || access == Access::Admin && self.is_write()
            || by_others.contains(&self.name)
    }

    /// What a client may run in RESP2 while it has subscribed to something, as in Redis.
    pub(crate) fn is_for_subscribers(&self) -> bool {
        self.confirms() || ["ping", "quit", "reset"].contains(&self.name)
    }

    /// Its replies are told as messages are: also to who wants no replies.
    pub(crate) fn confirms(&self) -> bool {
        self.access == Access::Subscribe && self.name != "pubsub"
    }

    /// It is not run itself, but says how the command behind it is.
    pub(crate) fn is_prefix(&self) -> bool {
        self.name == "consistency"
    }

    /// It runs a script, which runs commands.
    pub(crate) fn runs_script(&self) -> bool {
        ["eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro"].contains(&self.name)
    }

    /// It runs what was queued.
    pub(crate) fn runs_transaction(&self) -> bool {
        self.name == "exec"
    }

    /// It tells how far others are, which the read port does not.
    pub(crate) fn counts_others(&self) -> bool {
        ["wait", "waitaof"].contains(&self.name)
    }

    /// It has no place between MULTI and EXEC.
    pub(crate) fn is_barred_from_transactions(&self) -> bool {
        self.has_flag("no_multi")
    }

    /// What it runs is in the slow log, not itself.
    pub(crate) fn skips_slowlog(&self) -> bool {
        self.has_flag("skip_slowlog")
    }

    /// Monitors do not see it.
    pub(crate) fn is_hidden(&self) -> bool {
        self.access == Access::Admin || self.has_flag("no_auth")
    }
}

/// The table by name.
#[derive(Debug)]
pub struct Commands {
    all: Vec<&'static Command>,
    groups: Vec<&'static str>,
    /// What is known of the subcommands of those that have some.
    containers: Vec<Option<Container>>,
    touches: Vec<Touches>,
    /// What ACL rules tell apart.
    units: Units,
    /// Whether CLUSTER is Redis's as well. If not, it has the same subcommands, so that rules mean the same on every node, but
    /// says itself that there are no such.
    has_cluster: bool,
    by_name: HashMap<&'static [u8], usize, foldhash::fast::FixedState>,
}

/// Every file's commands, with the group that `COMMAND DOCS` gives them.
const TABLES: &[(&str, &[Command])] = &[
    ("server", acl::COMMANDS),
    ("server", backup::COMMANDS),
    ("bitmap", bitfield::COMMANDS),
    ("bitmap", bits::COMMANDS),
    ("list", blocking::LISTS),
    ("sorted-set", blocking::SORTED_SETS),
    ("connection", client::COMMANDS),
    ("server", cluster::COMMANDS),
    ("server", command::COMMANDS),
    ("server", config::COMMANDS),
    ("connection", connection::COMMANDS),
    ("string", counters::COMMANDS),
    ("server", database::COMMANDS),
    ("generic", deadlines::COMMANDS),
    ("server", diagnostics::COMMANDS),
    ("generic", dump::COMMANDS),
    ("scripting", functions::COMMANDS),
    ("geo", geo::COMMANDS),
    ("hash", hashes::COMMANDS),
    ("hyperloglog", hyperloglog::COMMANDS),
    ("json", json::COMMANDS),
    ("json", json_values::COMMANDS),
    ("generic", keys::COMMANDS),
    ("generic", keyspace::COMMANDS),
    ("string", lcs::COMMANDS),
    ("list", lists::COMMANDS),
    ("generic", memory::COMMANDS),
    ("pubsub", pubsub::COMMANDS),
    ("string", ranges::COMMANDS),
    ("scripting", scripts::COMMANDS),
    ("server", server::COMMANDS),
    ("set", sets::COMMANDS),
    ("generic", sort::COMMANDS),
    ("sorted-set", sorted::COMMANDS),
    ("sorted-set", sorted_algebra::COMMANDS),
    ("sorted-set", sorted_ranges::COMMANDS),
    ("stream", stream_claims::COMMANDS),
    ("stream", stream_groups::COMMANDS),
    ("stream", stream_info::COMMANDS),
    ("stream", stream_reads::COMMANDS),
    ("stream", streams::COMMANDS),
    ("string", strings::COMMANDS),
    ("transactions", transactions::COMMANDS),
    ("server", user::COMMANDS),
    ("generic", wait::COMMANDS),
];

/// Bytes of the longest command name; longer words are no command.
const LONGEST_NAME: usize = 32;

impl Default for Commands {
    fn default() -> Self {
        Self::new(&Facade::default())
    }
}

impl Commands {
    /// The commands that there are with and without the facades.
    pub fn new(facade: &Facade) -> Self {
        let cluster = facade.cluster.then_some(("server", slots::COMMANDS));
        let sentinel = facade.sentinel.is_some().then_some(("server", sentinel::COMMANDS));
        let in_group =
            |(group, table): (&'static str, &'static [Command])| table.iter().map(move |command| (command, group));
        let mut grouped: Vec<(&'static Command, &'static str)> =
            TABLES.iter().copied().chain(cluster).chain(sentinel).flat_map(in_group).collect();
        grouped.sort_by_key(|(command, _)| command.name);
        let (all, groups): (Vec<_>, Vec<_>) = grouped.into_iter().unzip();
        let by_name = all.iter().enumerate().map(|(i, command)| (command.name.as_bytes(), i)).collect();
        let mut containers = containers::all().map(Some);
        let containers: Vec<Option<Container>> = all
            .iter()
            .map(|command| containers.iter_mut().find_map(|place| place.take_if(|found| found.name == command.name)))
            .collect();
        let touches = all.iter().map(|command| Touches::of(command)).collect();
        let units = Units::of(&all, &groups, &containers);
        Self { all, groups, containers, touches, units, has_cluster: facade.cluster, by_name }
    }

    /// All commands, sorted by name.
    pub fn all(&self) -> &[&'static Command] {
        &self.all
    }

    /// The group of a command by its place in [`Commands::all`].
    pub fn group(&self, number: usize) -> &'static str {
        self.groups[number]
    }

    /// The format that all nodes must have agreed on for what the command makes, if it writes; by its place in
    /// [`Commands::all`].
    pub(crate) fn format(&self, number: usize) -> u32 {
        match self.groups[number] {
            "json" => agreed::DOCUMENTS,
            "hash" | "list" | "set" | "sorted-set" | "stream" | "geo" => agreed::COLLECTIONS,
            _ if self.all[number].name == "restore" => agreed::COLLECTIONS,
            _ => agreed::OLDEST,
        }
    }

    /// The command with this name in any case, and its place in [`Commands::all`].
    pub fn find(&self, name: &[u8]) -> Option<(usize, &'static Command)> {
        let mut lower = [0u8; LONGEST_NAME];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        let i = *self.by_name.get(&*lower)?;
        Some((i, self.all[i]))
    }

    /// Who may run a command, given by its place in [`Commands::all`], with these arguments.
    #[inline]
    pub fn access(&self, number: usize, args: Args<'_>) -> Access {
        let own = self.containers[number].as_ref().and_then(|container| container.access(args));
        own.unwrap_or(self.all[number].access)
    }

    /// What a command touches of the data, by its place in [`Commands::all`], with these arguments.
    #[inline]
    pub fn touches(&self, number: usize, args: Args<'_>) -> Touches {
        match self.touches[number] {
            Touches::Subcommands => match self.access(number, args) {
                // One that has nothing to do with data may have subcommands that do.
                Access::Read => Touches::Selected,
                // Libraries are everybody's, whichever database is selected.
                Access::Write => Touches::All,
                _ => Touches::Nothing,
            },
            touches => touches,
        }
    }

    /// The subcommands of a command, by its place in [`Commands::all`], with their arity, and who may run them if they have
    /// rights of their own.
    pub fn subcommands(&self, number: usize) -> impl Iterator<Item = (&'static str, i32, Option<Access>)> {
        self.containers[number].iter().flat_map(Container::subcommands)
    }

    /// The command that `args` name, if there is one and it takes so many arguments.
    pub fn resolve(&self, args: Args<'_>) -> Result<(usize, &'static Command), CommandError> {
        let (i, command) = self.find(args.at(0)).ok_or_else(|| CommandError::unknown(args))?;
        if !command.accepts(args.len()) {
            return Err(CommandError::Arity(command.name));
        }
        let explains_itself = command.name == "cluster" && !self.has_cluster;
        if let Some(container) = self.containers[i].as_ref().filter(|_| !explains_itself) {
            container.check(args)?;
        }
        Ok((i, command))
    }
}

/// What a client gets instead of a result. Texts that clients match on are Redis's, to the letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("ERR unknown command '{name}', with args beginning with: {args}")]
    Unknown { name: String, args: String },
    #[error("ERR unknown subcommand '{0}'. Try {1} HELP.")]
    UnknownSubcommand(String, &'static str),
    #[error("ERR unknown subcommand or wrong number of arguments for '{0}'. Try {1} HELP.")]
    SubcommandSyntax(String, &'static str),
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(&'static str),
    #[error("ERR wrong number of arguments for '{0}|{1}' command")]
    SubcommandArity(&'static str, &'static str),
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    #[error("WRONGTYPE wrong type of path value - expected {expected} but found {found}")]
    WrongPathType { expected: &'static str, found: &'static str },
    #[error("ERR syntax error")]
    Syntax,
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    #[error("ERR invalid expire time in '{0}' command")]
    ExpireTime(&'static str),
    #[error("ERR DB index is out of range")]
    DbRange,
    #[error("NOAUTH Authentication required.")]
    NoAuth,
    #[error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
    )]
    HelloNoAuth,
    #[error("NOPROTO unsupported protocol version")]
    NoProto,
    #[error("WRONGPASS invalid username-password pair or user is disabled.")]
    WrongPass,
    #[error("NOPERM User {user} has no permissions to run the '{command}' command")]
    NoPerm { user: String, command: String },
    #[error("NOPERM No permissions to access a key")]
    NoKey,
    #[error("NOPERM No permissions to access a channel")]
    NoChannel,
    #[error("NOPERM User {user} has no permissions to access database {database}")]
    NoDatabase { user: String, database: String },
    #[error("ERR the selected database was dropped, SELECT another one")]
    DroppedDatabase,
    #[error("READONLY You can't write against a read only replica.")]
    ReadOnly,
    #[error("ERR the read port answers at EVENTUAL only; ask for another level on the main port")]
    ReadPortLevel,
    #[error("LOADING Mneme is loading the dataset in memory")]
    Loading,
    #[error("LOADING there is no primary to execute this command; it was not executed, send it again")]
    NoPrimary,
    #[error("OOM command not allowed when used memory > 'maxmemory'.")]
    OutOfMemory,
    #[error("EXECABORT Transaction discarded because of previous errors.")]
    ExecAbort,
    #[error("EXECABORT Transaction discarded because of: {0}")]
    ExecRefused(String),
    #[error("NOQUORUM not executed: the Keeper's disk is full; writes go on by themselves when there is space")]
    DiskFull,
    #[error("NOGROUP No such {0}")]
    NoGroup(String),
    #[error("BUSYGROUP Consumer Group name already exists")]
    BusyGroup,
    #[error("WRONGTYPE Key is not a valid HyperLogLog string value.")]
    NotASketch,
    #[error("BUSYKEY Target key name already exists.")]
    BusyKey,
    #[error("INVALIDOBJ Corrupted HLL object detected")]
    CorruptedSketch,
    #[error(
        "NOQUORUM {0} usable Sentinels. Not enough available Sentinels to reach the majority and authorize a failover"
    )]
    NoSentinels(usize),
    #[error("NOSCRIPT No matching script. Please use EVAL.")]
    NoScript,
    #[error("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")]
    Busy,
    #[error("BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.")]
    BusyFunction,
    #[error("NOTBUSY No scripts in execution right now.")]
    NotBusy,
    #[error("UNKILLABLE Sorry the script already executed write commands against the dataset. {0}")]
    Unkillable(&'static str),
    /// What a script failed with, with its code.
    #[error("{0}")]
    Script(String),
    /// The same, of a command that it called: it is counted as that one's already.
    #[error("{0}")]
    Counted(String),
    #[error("OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'")]
    ScriptOutOfMemory,
    #[error("ERR {0}")]
    Other(&'static str),
    #[error("ERR {0}")]
    Text(String),
}

impl CommandError {
    /// Redis shows what it got, cut to 128 bytes.
    fn unknown(args: Args<'_>) -> Self {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(128)]).into_owned();
        let mut beginning = String::new();
        for arg in args.skip(1).iter() {
            if beginning.len() >= 128 {
                break;
            }
            beginning.push_str(&alloc::format!("'{}' ", shown(&arg[..arg.len().min(128 - beginning.len())])));
        }
        CommandError::Unknown { name: shown(args.at(0)), args: beginning }
    }

    /// Redis's text where a subcommand looks at its arguments itself.
    pub(crate) fn subcommand_syntax(args: Args<'_>, container: &'static str) -> Self {
        CommandError::SubcommandSyntax(lossy(args.at(1)), container)
    }

    pub(crate) fn unknown_subcommand(args: Args<'_>, container: &'static str) -> Self {
        CommandError::UnknownSubcommand(lossy(args.at(1)), container)
    }
}

/// What a command stores or copies is in one batch, as a string of any length is, and the log's entries have a bound.
fn check_stored(len: usize) -> Result<(), CommandError> {
    match len <= crate::limits::MAX_BULK {
        true => Ok(()),
        false => Err(CommandError::Other("not executed: what is to be stored is too large for one command")),
    }
}

/// Bytes of a change in the log beside its key and what is in it, at most.
const CHANGE_HEAD: usize = 64;

/// Bytes that a command's changes take in the log. Each of them names its key, which may be as long as a value.
#[derive(Default)]
struct Logged(usize);

impl Logged {
    /// So many changes of this key, with so many bytes in each.
    fn add(&mut self, changes: usize, key: &[u8], bytes: usize) -> Result<(), CommandError> {
        let each = bytes.saturating_add(key.len()).saturating_add(CHANGE_HEAD);
        self.0 = self.0.saturating_add(each.saturating_mul(changes));
        check_stored(self.0)
    }
}

/// A value would be longer than [`crate::limits::MAX_BULK`].
const TOO_LONG: CommandError = CommandError::Other("string exceeds maximum allowed size (proto-max-bulk-len)");

/// Text of a client's bytes, for errors and views.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(128)]).into_owned()
}

/// An argument that must be an integer.
pub(crate) fn integer(text: &[u8]) -> Result<i64, CommandError> {
    crate::resp::parse_i64(text).ok_or(CommandError::NotAnInteger)
}

/// What flushes takes ASYNC or SYNC behind its name, or nothing; here both mean the same.
fn check_mode(modes: Args<'_>, error: CommandError) -> Result<(), CommandError> {
    let is_mode = |mode| is_word(mode, "async") || is_word(mode, "sync");
    if modes.len() <= 1 && modes.iter().all(is_mode) { Ok(()) } else { Err(error) }
}

/// Whether an argument is this word, in any case.
pub(crate) fn is_word(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}
