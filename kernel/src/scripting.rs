//! A script in execution: what it may call, and when it has to end.
//!
//! The store's lock is held from a script's first step to its last, so it is atomic for the same reason as any command,
//! and what can happen beside it is what can happen beside any slow one: leases are renewed without the lock, and
//! everything that is committed meanwhile is read when the script has ended, a claim of another Core too; then what the
//! script did is void, or accepted, with the batch that it is in.
//!
//! What differs is how long one may take. So every so many steps it looks at the clock ([`Host::tick`]): to say that the
//! store is not stuck, to answer those who would wait for it for too long ([`Guests`]), and to end.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use hashbrown::HashMap;

use crate::call::{Call, NOT_AGREED, Then};
use crate::commands::{Access, Command, CommandError, is_word};
use crate::core::Core;
use crate::effect::Effect;
use crate::limits;
use crate::resp::{Args, OwnedArgs, Protocol, Reply};
use crate::script::{Engine, Failure, Flags, Guests, Host, Program, Sha, Stop, Times};
use crate::stopwatch::Pace;
use crate::time::Monotonic;

/// What a Core knows of scripts beside what is replicated.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    /// Not here while one runs, nor where nobody has handed one in.
    engine: Option<Box<dyn Engine>>,
    /// Compiled ones.
    compiled: HashMap<Sha, Compiled, foldhash::fast::FixedState>,
    /// The same, in the order in which they came.
    order: VecDeque<Sha>,
    /// Bytes of their code.
    bytes: usize,
    pub running: Option<Running>,
    guests: Option<Box<dyn Guests>>,
    /// Lines for the server's log.
    lines: Vec<(u8, String)>,
    /// Of the engine, when it ran last.
    memory: usize,
    /// A script that had changed something had to be ended: what it changed must not stay, and is nowhere but here.
    pub is_spoilt: bool,
}

/// What is known of a script that is compiled.
#[derive(Debug)]
struct Compiled {
    /// What it says of itself, if it does.
    flags: Option<Flags>,
    /// Bytes of its code.
    bytes: usize,
}

/// A script that runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// Of a function.
    pub function: Option<String>,
    pub command: OwnedArgs,
    since: Monotonic,
    seen: Monotonic,
    /// How often the clock was looked at and had not moved.
    looks: u32,
    pub wrote: bool,
    /// It has told somebody something: to run it again would tell it again.
    told: bool,
    /// Somebody wants it to end.
    pub is_killed: bool,
    /// Others are told that it runs.
    pub is_long: bool,
}

impl Running {
    fn new(function: Option<String>, now: Monotonic) -> Self {
        Self {
            function,
            // Noted only once it takes long.
            command: OwnedArgs::new(),
            since: now,
            seen: now,
            looks: 0,
            wrote: false,
            told: false,
            is_killed: false,
            is_long: false,
        }
    }

    pub(crate) fn lasts(&self) -> Duration {
        self.seen - self.since
    }
}

/// How a script is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// What it says of itself, if it does.
    pub flags: Option<Flags>,
    /// It was called by a command that only reads.
    pub reads: bool,
}

impl Scripts {
    /// What a script that is known and compiled says of itself.
    pub(crate) fn flags(&self, sha: Sha) -> Option<Option<Flags>> {
        self.compiled.get(&sha).map(|compiled| compiled.flags)
    }

    /// Has the oldest scripts make room for one more.
    fn make_room(&mut self, bytes: usize) {
        while (self.order.len() >= limits::SCRIPTS_COMPILED || self.bytes + bytes > limits::SCRIPT_BYTES_COMPILED)
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.compiled.remove(&oldest).map_or(0, |oldest| oldest.bytes);
            self.engine.iter_mut().for_each(|engine| engine.forget(oldest));
        }
    }

    pub(crate) fn forget_all(&mut self) {
        self.compiled.clear();
        self.bytes = 0;
        while let Some(sha) = self.order.pop_front() {
            self.engine.iter_mut().for_each(|engine| engine.forget(sha));
        }
    }

    /// What is replicated has changed, and with it what may be run.
    pub(crate) fn see(&mut self, effect: &Effect<'_>) {
        match *effect {
            Effect::FlushScripts => self.forget_all(),
            Effect::LoadLibrary { name, .. } | Effect::DropLibrary { name } => self.forget_libraries(Some(name)),
            _ => {}
        }
    }

    fn forget_libraries(&mut self, name: Option<&str>) {
        self.engine.iter_mut().for_each(|engine| engine.forget_libraries(name));
    }

    /// Compiled scripts.
    pub(crate) fn len(&self) -> usize {
        self.compiled.len()
    }

    pub(crate) fn memory(&self) -> usize {
        self.engine.as_ref().map_or(self.memory, |engine| engine.memory())
    }

    pub(crate) fn compile(&mut self, sha: Sha, code: &[u8], flags: Option<Flags>) -> Result<(), CommandError> {
        self.make_room(code.len());
        let engine = self.engine.as_mut().ok_or(NO_ENGINE)?;
        engine.compile(sha, code).map_err(|text| {
            CommandError::Text(format!("Error compiling script (new function): {}", String::from_utf8_lossy(&text)))
        })?;
        if self.compiled.insert(sha, Compiled { flags, bytes: code.len() }).is_none() {
            self.bytes += code.len();
            self.order.push_back(sha);
        }
        Ok(())
    }
}

/// Nobody waits for a library that does not come to its end.
const LOADING: Times = Times { timeout: Duration::MAX, kill_after: Duration::from_millis(500) };
const NO_ENGINE: CommandError = CommandError::Other("this node runs no scripts");
const UNDONE: CommandError =
    CommandError::Other("the script ran for longer than script-kill-after; nothing of what it did is kept");
const NOT_ALLOWED: CommandError = CommandError::Other("This Redis command is not allowed from script");

impl Core {
    /// Hands in what runs scripts.
    pub fn set_engine(&mut self, engine: Box<dyn Engine>) {
        self.scripts.engine = Some(engine);
    }

    /// Hands in whom a script that takes long lets pass.
    pub fn set_guests(&mut self, guests: Box<dyn Guests>) {
        self.scripts.guests = Some(guests);
    }

    /// Whether a script runs that takes long: then only what Redis marks with `allow_busy` is done.
    pub fn is_busy(&self) -> bool {
        self.scripts.running.is_some()
    }

    /// A script that had changed something had to be ended: this memory is void, and to be read anew ([`crate::core::Input::Forget`]).
    pub fn is_spoilt(&self) -> bool {
        self.scripts.is_spoilt
    }

    /// What scripts had to say to the server's log: levels and lines.
    pub fn take_script_lines(&mut self) -> Vec<(u8, String)> {
        core::mem::take(&mut self.scripts.lines)
    }

    /// Replicated scripts and libraries are others than they were.
    pub(crate) fn forget_programs(&mut self) {
        self.scripts.forget_all();
        self.scripts.forget_libraries(None);
    }

    /// No script runs any more. Whether this one had changed something and had to be ended: what it did must not stay.
    fn script_ended(&mut self) -> bool {
        let ended = self.scripts.running.take();
        if ended.is_some_and(|running| running.is_long)
            && let Some(guests) = &mut self.scripts.guests
        {
            guests.leave();
        }
        self.scripts.is_spoilt
    }

    /// Whether a command must not run now, because a script does.
    pub(crate) fn check_busy(&self, command: &Command, args: Args<'_>) -> Result<(), CommandError> {
        let Some(running) = &self.scripts.running else { return Ok(()) };
        let is_sub = |word: &str| args.get(1).is_some_and(|arg| is_word(arg, word));
        let is_allowed = match command.name {
            "script" => is_sub("kill"),
            "function" => is_sub("kill") || is_sub("stats"),
            // Waits until the script has ended, as before it.
            "shutdown" => is_sub("nosave"),
            _ => command.flags.contains(&"allow_busy") && !command.is_write(),
        };
        match (is_allowed, running.function.is_some()) {
            (true, _) => Ok(()),
            (false, true) => Err(CommandError::BusyFunction),
            (false, false) => Err(CommandError::Busy),
        }
    }

    /// Has the script that runs end, if it is one that this command is for.
    pub(crate) fn kill_script(&mut self, function: bool) -> Result<(), CommandError> {
        const ADVICE: &str = "You can either wait the script termination or kill the server in a hard way using the \
                              SHUTDOWN NOSAVE command.";
        let Some(running) = &mut self.scripts.running else { return Err(CommandError::NotBusy) };
        match (running.function.is_some(), function) {
            (true, false) => return Err(CommandError::BusyFunction),
            (false, true) => return Err(CommandError::Busy),
            _ => {}
        }
        if running.wrote {
            return Err(CommandError::Unkillable(ADVICE));
        }
        running.is_killed = true;
        Ok(())
    }
}

/// Runs a script of the call's client, with these keys and arguments.
pub(crate) fn run(
    call: &mut Call<'_>,
    program: Program<'_>,
    how: How,
    keys: Args<'_>,
    args: Args<'_>,
) -> Result<(), CommandError> {
    check(call, how)?;
    let mut engine = call.core.scripts.engine.take().ok_or(NO_ENGINE)?;
    // The clock was looked at just before, or when what has come together began to run.
    let now = call.core.looked_at().max(call.monotonic);
    let function = match program {
        Program::Function { function, .. } => Some(function.into()),
        Program::Script(_) => None,
    };
    let mark = call.core.mark();
    let (wrote, depends) = (call.wrote, call.depends);
    let may_move = !call.session.may_take_long && !call.session.is_proxy && !call.session.in_transaction && !wrote;
    // What else stands in its transaction is not its doing.
    call.wrote = false;
    call.core.scripts.running = Some(Running::new(function, now));
    let (db, in_transaction) = (call.session.db, call.session.in_transaction);
    call.session.in_transaction = true;
    call.session.in_script = true;
    // What runs inside shares its time, as in a transaction.
    let pace = core::mem::replace(&mut call.session.pace, Pace::Group);
    let start = call.reply.bytes.len();
    let mut written = Reply { bytes: core::mem::take(&mut call.reply.bytes), protocol: call.reply.protocol };
    let flags = how.flags.unwrap_or_default();
    let out_of_memory = call.core.is_out_of_memory();
    let mut host = Calls {
        reply: Reply::default(),
        reads: how.reads || flags.has(Flags::NO_WRITES),
        may_grow: flags.has(Flags::ALLOW_OOM) || !out_of_memory,
        times: call.core.config.script_times,
        may_move,
        moves: false,
        call,
    };
    let outcome = engine.run(program, keys, args, &mut written, &mut host);
    let moves = host.moves;
    call.reply.bytes = written.bytes;
    call.session.db = db;
    call.session.in_transaction = in_transaction;
    call.session.in_script = false;
    call.session.pace = pace;
    call.core.scripts.memory = engine.memory();
    call.core.scripts.engine = Some(engine);
    if call.core.script_ended() {
        // What it did is taken back, and this is all that anybody hears of it: there is nothing to wait for.
        call.core.cut(mark);
        (call.wrote, call.depends) = (wrote, depends);
        return Err(UNDONE);
    }
    call.wrote |= wrote;
    if moves {
        // It may have come to its end all the same, where only a coroutine was stopped.
        call.reply.bytes.truncate(start);
        call.then = Then::Elsewhere;
        return Ok(());
    }
    outcome.map_err(|Failure { text, is_counted }| {
        let text = String::from_utf8_lossy(&text).into_owned();
        if is_counted { CommandError::Counted(text) } else { CommandError::Script(text) }
    })
}

/// Loads a library to see what it registers.
pub(crate) fn inspect(
    call: &mut Call<'_>,
    library: crate::script::Source<'_>,
) -> Result<Vec<crate::script::Function>, CommandError> {
    let mut engine = call.core.scripts.engine.take().ok_or(NO_ENGINE)?;
    let now = call.core.clock().unwrap_or(call.monotonic);
    call.core.scripts.running = Some(Running::new(Some(library.name.into()), now));
    let mut host = Calls {
        reply: Reply::default(),
        reads: true,
        may_grow: false,
        times: LOADING,
        may_move: false,
        moves: false,
        call,
    };
    let found = engine.inspect(library, &mut host);
    call.core.scripts.engine = Some(engine);
    call.core.script_ended();
    found.map_err(|text| CommandError::Text(String::from_utf8_lossy(&text).into_owned()))
}

/// Whether the script may run at all: what it says of itself is believed before it runs.
fn check(call: &mut Call<'_>, how: How) -> Result<(), CommandError> {
    let Some(flags) = how.flags else { return Ok(()) };
    let writes = !flags.has(Flags::NO_WRITES);
    if writes && how.reads {
        return Err(CommandError::Other("Can not execute a script with write flag using *_ro command."));
    }
    if writes && !flags.has(Flags::ALLOW_OOM) && call.core.is_primary() && call.core.is_out_of_memory() {
        return Err(CommandError::ScriptOutOfMemory);
    }
    Ok(())
}

/// What a script that runs may call.
struct Calls<'a, 'b> {
    call: &'a mut Call<'b>,
    /// To the command that it called last.
    reply: Reply,
    /// It may change nothing.
    reads: bool,
    may_grow: bool,
    times: Times,
    /// It may begin anew where it holds up nobody.
    may_move: bool,
    moves: bool,
}

impl Calls<'_, '_> {
    fn try_call(&mut self, args: Args<'_>) -> Result<(), CommandError> {
        let Self { call, reply, reads, may_grow, .. } = self;
        let commands = &call.core.commands;
        let (number, command) =
            commands.find(args.at(0)).ok_or(CommandError::Other("Unknown Redis command called from script"))?;
        if !command.accepts(args.len()) || commands.resolve(args).is_err() {
            call.core.stats.count_rejected(Some(number));
            return Err(match commands_error(call, args) {
                CommandError::Arity(_) | CommandError::SubcommandArity(..) => {
                    CommandError::Other("Wrong number of args calling Redis command from script")
                }
                error => error,
            });
        }
        // If it is refused, a key too many is known.
        let read = call.inner(args, reply).tracked_reads(number, command);
        if !read.is_empty() {
            call.track(read);
            // As in Redis, all that the script names: it reads.
            let script = call.core.commands.find(call.args.at(0));
            let named = script.map_or_else(Vec::new, |(number, command)| call.tracked_reads(number, command));
            call.track(named);
        }
        let mut inner = call.inner(args, reply);
        let checked = inner.check_inner(number, command, *reads, *may_grow);
        if let Err(error) = checked {
            inner.core.stats.count_rejected(Some(number));
            return Err(error);
        }
        inner.show_to_monitors_as(command, "lua");
        inner.run(number, command);
        let is_answered = matches!(inner.then, Then::Reply);
        debug_assert!(is_answered, "{} is to be barred from scripts", command.name);
        inner.session.counting = None;
        let (depends, wrote) = (inner.depends, inner.wrote);
        call.depends = depends;
        call.wrote = wrote;
        if let Some(running) = &mut call.core.scripts.running {
            running.told |= command.access == Access::Publish;
        }
        if wrote && let Some(running) = &mut call.core.scripts.running {
            running.wrote = true;
            // Once something has changed, the rest is not held up for want of memory.
            *may_grow = true;
        }
        if is_answered { Ok(()) } else { Err(NOT_ALLOWED) }
    }
}

fn commands_error(call: &Call<'_>, args: Args<'_>) -> CommandError {
    call.core.commands.resolve(args).err().unwrap_or(CommandError::Syntax)
}

impl Host for Calls<'_, '_> {
    fn call(&mut self, args: Args<'_>) -> &[u8] {
        self.reply.bytes.clear();
        if let Err(error) = self.try_call(args) {
            self.reply.bytes.clear();
            self.reply.error(error);
            self.call.core.stats.count_error(&self.reply.bytes);
        }
        &self.reply.bytes
    }

    fn speak(&mut self, protocol: Protocol) {
        self.reply.protocol = protocol;
    }

    fn may_run(&mut self, args: Args<'_>) -> Option<bool> {
        let (number, _) = self.call.core.commands.resolve(args).ok()?;
        Some(self.call.may_run(number, args))
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        let lines = &mut self.call.core.scripts.lines;
        if lines.len() < limits::SCRIPT_LINES {
            let text = &text[..text.len().min(limits::SCRIPT_LINE)];
            lines.push((level, String::from_utf8_lossy(text).into_owned()));
        }
    }

    fn seconds(&mut self) -> f64 {
        let core = &*self.call.core;
        let now = core.clock().unwrap_or(self.call.monotonic);
        (now - core.config.started).as_secs_f64()
    }

    fn random(&mut self) -> u64 {
        self.call.core.random()
    }

    fn tick(&mut self) -> Result<(), Stop> {
        let args = self.call.args;
        let core = &mut *self.call.core;
        let now = core.clock();
        let Times { timeout, kill_after } = self.times;
        let Some(running) = &mut core.scripts.running else { return Err(Stop::Asked) };
        let now = now.unwrap_or(running.seen);
        running.looks = if now > running.seen { 0 } else { running.looks + 1 };
        running.seen = now;
        let lasts = running.lasts();
        if self.may_move && lasts >= limits::SCRIPT_SHARES && !running.wrote && !running.told {
            self.moves = true;
            return Err(Stop::Moved);
        }
        let is_long = lasts >= timeout;
        if is_long && !running.is_long {
            running.is_long = true;
            running.command = args.into();
        }
        if is_long && let Some(mut guests) = core.scripts.guests.take() {
            let watch = core.set_times_aside();
            guests.serve(core);
            core.take_times_up(watch);
            core.scripts.guests = Some(guests);
        }
        let Some(running) = &mut core.scripts.running else { return Err(Stop::Asked) };
        let is_late = running.looks >= limits::SCRIPT_LOOKS || lasts >= kill_after;
        // Somebody may have asked for it to end before it changed something.
        if !is_late && (!running.is_killed || running.wrote) {
            // What takes its time as it may is not stuck.
            core.lease.alive(now);
            return Ok(());
        }
        core.scripts.is_spoilt |= running.wrote;
        Err(if is_late { Stop::Late } else { Stop::Asked })
    }
}

const READS_ONLY: CommandError = CommandError::Other("Write commands are not allowed from read-only scripts.");

impl Call<'_> {
    /// Whether a script of this client may run the command, given by its place in the table.
    fn check_inner(
        &mut self,
        number: usize,
        command: &'static Command,
        reads: bool,
        may_grow: bool,
    ) -> Result<(), CommandError> {
        let access = self.core.commands.access(number, self.args);
        let is_barred = command.flags.contains(&"noscript")
            || matches!(access, Access::Admin | Access::Operator | Access::Subscribe | Access::Script | Access::Anyone)
            // What these change stays with the connection.
            || ["consistency", "readonly", "readwrite"].contains(&command.name);
        if is_barred {
            return Err(NOT_ALLOWED);
        }
        if let Err(error) = self.check_rights(number, command) {
            return Err(match error {
                CommandError::NoPerm { user, command } => CommandError::Text(format!(
                    "ACL failure in script: User {user} has no permissions to run the '{command}' command"
                )),
                CommandError::NoKey => CommandError::Other("ACL failure in script: No permissions to access a key"),
                CommandError::NoChannel => {
                    CommandError::Other("ACL failure in script: No permissions to access a channel")
                }
                CommandError::ReadOnly if reads => READS_ONLY,
                error => error,
            });
        }
        if command.is_write() && reads {
            return Err(READS_ONLY);
        }
        if command.is_denied_without_memory(self.args) && !may_grow {
            return Err(CommandError::OutOfMemory);
        }
        if command.is_write() && !self.core.writes(self.core.commands.format(number)) {
            return Err(NOT_AGREED);
        }
        self.core.check_batch(command)
    }
}
