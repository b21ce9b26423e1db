//! Runs scripts for the kernel: Lua 5.1, shut in.
//!
//! It does nothing by itself: every look outside goes through [`Host`], and what scripts see is in `prelude.lua`. There is
//! one state for a node, in which everything that was compiled stays.
//!
//! What runs for every call speaks to Lua's own interface ([`raw`]), the rest to `mlua`.

mod bits;
mod format;
mod json;
mod library;
mod msgpack;
mod pattern;
mod random;
mod raw;
mod structs;
mod values;

use std::cell::{Cell, UnsafeCell};
use std::collections::HashMap;
use std::fmt;
use std::ptr::NonNull;

use mlua::{Function as LuaFunction, Lua, LuaOptions, MultiValue, StdLib, Table, Value};
use mneme_kernel::limits;
use mneme_kernel::resp::{Args, OwnedArgs, Protocol, Reply};
use mneme_kernel::script::{Engine, Failure, Flags, Function, Host, Program, Sha, Source, Stop};

use crate::library::{add, one};
use crate::random::Random;

/// The engine.
pub struct Scripts {
    lua: Lua,
    context: Box<Context>,
    compile: LuaFunction,
    load: LuaFunction,
    eval: LuaFunction,
    fcall: LuaFunction,
    scripts: HashMap<Sha, LuaFunction>,
    libraries: HashMap<String, Library>,
}

/// A library that was loaded.
struct Library {
    sha: Sha,
    /// Of its code.
    bytes: usize,
    /// By name. One table of Lua's: there is room for some thousands of Lua's values in Rust.
    callbacks: Table,
}

// SAFETY: everything that belongs to the state is in this struct and never leaves it, so it goes from thread to thread as a
// whole; and whoever uses it has it for himself, by `&mut`.
#[allow(unsafe_code, reason = "see above")]
unsafe impl Send for Scripts {}

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripts").field("scripts", &self.scripts.len()).finish_non_exhaustive()
    }
}

/// What functions that Lua calls find while a script runs.
pub(crate) struct Context {
    /// Only while [`Engine::run`] or [`Engine::inspect`] has it borrowed.
    host: Cell<Option<NonNull<dyn Host>>>,
    /// Where the arguments of a command are gathered.
    args: UnsafeCell<OwnedArgs>,
    /// The script speaks version 3.
    resp3: Cell<bool>,
    /// Why the script is to end.
    stopped: Cell<Option<Stop>>,
    /// Steps of what Lua does not count, since the clock was looked at for them.
    steps: Cell<usize>,
    /// A library is being loaded.
    loading: Cell<bool>,
    random: Random,
    is_seeded: Cell<bool>,
}

impl Context {
    fn new() -> Self {
        Self {
            host: Cell::new(None),
            args: UnsafeCell::new(OwnedArgs::new()),
            resp3: Cell::new(false),
            stopped: Cell::new(None),
            steps: Cell::new(0),
            loading: Cell::new(false),
            random: Random::new(0),
            is_seeded: Cell::new(false),
        }
    }

    /// Uses the host; `None` if no script runs.
    #[allow(unsafe_code, reason = "the host is lent to functions that Lua calls, which know nothing of lifetimes")]
    pub(crate) fn with_host<T>(&self, f: impl FnOnce(&mut dyn Host) -> T) -> Option<T> {
        let mut host = self.host.take()?;
        // SAFETY: it is set only while the one who lent it waits in `lend`; and taken here, so that nobody else has it.
        let result = f(unsafe { host.as_mut() });
        self.host.set(Some(host));
        Some(result)
    }

    /// Has the host look at the clock. What is to end once ends everywhere: nobody is asked again.
    pub(crate) fn look(&self) -> Result<(), Stop> {
        let stopped = self.stopped.get().or_else(|| self.with_host(|host| host.tick())?.err());
        self.stopped.set(stopped);
        stopped.map_or(Ok(()), Err)
    }

    /// Counts steps that Lua does not, and looks at the clock as often as for others.
    pub(crate) fn take_steps(&self, count: usize) -> Result<(), Stop> {
        let steps = self.steps.get().saturating_add(count);
        let is_due = steps >= limits::SCRIPT_STEPS as usize;
        self.steps.set(if is_due { 0 } else { steps });
        if is_due { self.look() } else { Ok(()) }
    }

    /// Lends the host to what Lua calls meanwhile.
    #[allow(unsafe_code, reason = "see `with_host`")]
    fn lend<T>(&self, host: &mut dyn Host, f: impl FnOnce() -> T) -> T {
        // SAFETY: only the lifetime changes; nobody has it any more when this returns.
        let lent: NonNull<dyn Host> = unsafe { std::mem::transmute(NonNull::from(host)) };
        self.host.set(Some(lent));
        let result = f();
        self.host.set(None);
        result
    }
}

/// Bytes of a state after which it is swept at once when a script has ended.
const SWEEP: usize = limits::SCRIPT_MEMORY / 4;

impl Default for Scripts {
    fn default() -> Self {
        match Self::new() {
            Ok(scripts) => scripts,
            Err(error) => panic!("Lua does not start: {error}"),
        }
    }
}

impl Scripts {
    #[allow(unsafe_code, reason = "the prelude needs `debug` to say where errors come from; scripts do not see it")]
    fn new() -> mlua::Result<Self> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::DEBUG;
        // SAFETY: none of these reaches outside, and `debug` stays in the prelude.
        let lua = unsafe { Lua::unsafe_new_with(libraries, LuaOptions::new().catch_rust_panics(false)) };
        let context = Box::new(Context::new());
        let host = lua.create_table()?;
        raw::install(&lua, &host, &context)?;
        offer(&lua, &host, &context)?;
        host.raw_set("bit", bits::table(&lua)?)?;
        host.raw_set("cjson", json::table(&lua)?)?;
        host.raw_set("cmsgpack", msgpack::table(&lua)?)?;
        host.raw_set("struct", structs::table(&lua)?)?;
        let flags = lua.create_table()?;
        Flags::ALL.names().try_for_each(|name| flags.raw_set(name, true))?;
        host.raw_set("flags", flags)?;
        host.raw_set("most_arguments", library::ARGUMENTS)?;
        host.raw_set("version", mneme_kernel::REDIS_VERSION)?;
        host.raw_set("version_number", version_number())?;
        let entry: Table = lua.load(include_str!("prelude.lua")).set_name("=mneme").call(host)?;
        lua.set_memory_limit(limits::SCRIPT_MEMORY)?;
        Ok(Self {
            compile: entry.raw_get("compile")?,
            load: entry.raw_get("load")?,
            eval: entry.raw_get("eval")?,
            fcall: entry.raw_get("fcall")?,
            lua,
            context,
            scripts: HashMap::new(),
            libraries: HashMap::new(),
        })
    }

    /// Begins a script.
    fn begin(&mut self, host: &mut dyn Host) {
        let context = &self.context;
        context.resp3.set(false);
        if context.stopped.take().is_some() {
            raw::set_hook(&self.lua);
        }
        if !context.is_seeded.replace(true) {
            context.random.seed(host.random() as i32);
        }
    }

    /// What scripts have left is swept up by and by, as Lua does, or at once if it is much.
    fn sweep(&mut self) {
        if self.lua.used_memory() > SWEEP {
            // Twice: what has a finalizer goes at the second time.
            let _ = self.lua.gc_collect();
            let _ = self.lua.gc_collect();
        }
    }

    fn load(&mut self, library: Source<'_>, host: &mut dyn Host) -> Result<(Vec<Function>, Library), Vec<u8>> {
        let code = self.lua.create_string(library.code).map_err(text_of)?;
        self.context.loading.set(true);
        let loaded =
            self.context.lend(host, || self.load.call::<(Option<mlua::String>, Option<Table>, Option<Table>)>(code));
        self.context.loading.set(false);
        match loaded.map_err(text_of)? {
            (None, Some(registered), Some(callbacks)) => {
                let functions = registered_functions(&registered).map_err(text_of)?;
                Ok((functions, Library { sha: library.sha, bytes: library.code.len(), callbacks }))
            }
            (wrong, ..) => Err(wrong.map(|wrong| wrong.as_bytes().to_vec()).unwrap_or_default()),
        }
    }

    /// A function's code; its library is loaded if it is not.
    fn callback(&mut self, library: Source<'_>, function: &str, host: &mut dyn Host) -> Result<LuaFunction, Failure> {
        let is_loaded = self.libraries.get(library.name).is_some_and(|loaded| loaded.sha == library.sha);
        if !is_loaded {
            let bytes = self.libraries.values().map(|loaded| loaded.bytes).sum::<usize>() + library.code.len();
            if self.libraries.len() >= limits::LIBRARIES_COMPILED || bytes > limits::SCRIPT_BYTES_COMPILED {
                self.libraries.clear();
                self.sweep();
            }
            let (_, loaded) = self.load(library, host).map_err(|text| failure(&text))?;
            self.libraries.insert(library.name.into(), loaded);
        }
        let callback = self.libraries.get(library.name).map(|loaded| loaded.callbacks.raw_get::<Option<_>>(function));
        callback
            .transpose()
            .map_err(|error| failure(&text_of(error)))?
            .flatten()
            .ok_or_else(|| failure(b"Function not found"))
    }
}

fn failure(text: &[u8]) -> Failure {
    Failure { text: [b"ERR ", text].concat(), is_counted: false }
}

fn text_of(error: mlua::Error) -> Vec<u8> {
    match error {
        mlua::Error::MemoryError(_) => b"not enough memory".into(),
        other => other.to_string().into_bytes(),
    }
}

fn version_number() -> u32 {
    let parts = mneme_kernel::REDIS_VERSION.split('.');
    parts.fold(0, |number, part| number << 8 | part.parse().unwrap_or(0))
}

fn registered_functions(all: &Table) -> mlua::Result<Vec<Function>> {
    let mut functions = Vec::new();
    for entry in all.sequence_values::<Table>() {
        let entry = entry?;
        let name: mlua::String = entry.raw_get("name")?;
        let description: Option<mlua::String> = entry.raw_get("description")?;
        let flags: Table = entry.raw_get("flags")?;
        let mut known = Flags::NONE;
        for flag in flags.sequence_values::<mlua::String>() {
            known = known.with(Flags::parse(&flag?.as_bytes()).unwrap_or_default());
        }
        functions.push(Function {
            name: name.to_string_lossy(),
            description: description.map(|text| text.to_string_lossy()),
            flags: known,
        });
    }
    Ok(functions)
}

/// Adds what scripts ask for seldom.
fn offer(lua: &Lua, host: &Table, context: &Context) -> mlua::Result<()> {
    // The state is gone before the context is.
    let context = raw::Shared::of(context);
    host.raw_set(
        "sha1hex",
        lua.create_function(|lua, text: mlua::String| lua.create_string(Sha::of(&text.as_bytes()).hex()))?,
    )?;
    host.raw_set(
        "log",
        lua.create_function(move |_, (level, text): (f64, mlua::String)| {
            context.get().with_host(|host| host.log(level as u8, &text.as_bytes()));
            Ok(())
        })?,
    )?;
    host.raw_set(
        "setresp",
        lua.create_function(move |_, version: f64| {
            let protocol = if version >= 3.0 { Protocol::Resp3 } else { Protocol::Resp2 };
            context.get().resp3.set(protocol == Protocol::Resp3);
            context.get().with_host(|host| host.speak(protocol));
            Ok(())
        })?,
    )?;
    host.raw_set(
        "clock",
        lua.create_function(move |_, ()| Ok(context.get().with_host(|host| host.seconds()).unwrap_or_default()))?,
    )?;
    add(lua, host, "acl_check_cmd", move |_, args| {
        let bytes = |value: &Value| value.as_string().map_or(0, |text| text.as_bytes().len());
        if args.0.iter().map(bytes).sum::<usize>() > limits::MAX_REQUEST {
            return Err(raw::TOO_LARGE.into());
        }
        let mut words = OwnedArgs::new();
        for i in 0..args.len() {
            let word = args.bytes(i, "acl_check_cmd");
            words.push(&word.map_err(|_| "Lua redis lib command arguments must be strings or integers")?);
        }
        let may = context.get().with_host(|host| host.may_run(words.args())).flatten();
        one(Value::Boolean(may.ok_or("Invalid command passed to redis.acl_check_cmd()")?))
    })?;
    add(lua, host, "random", move |_, args| {
        let number = context.get().random.next();
        let (low, high) = match args.len() {
            0 => return one(Value::Number(number)),
            1 => (1.0, args.number(0, "random")?.trunc()),
            2 => (args.number(0, "random")?.trunc(), args.number(1, "random")?.trunc()),
            _ => return Err("wrong number of arguments".into()),
        };
        if low > high {
            return Err(format!("bad argument #{} to 'random' (interval is empty)", args.len()).into());
        }
        one(Value::Number((number * (high - low + 1.0)).floor() + low))
    })?;
    add(lua, host, "randomseed", move |_, args| {
        context.get().random.seed(args.number(0, "randomseed")? as i64 as i32);
        Ok(MultiValue::new())
    })
}

impl Engine for Scripts {
    fn compile(&mut self, sha: Sha, code: &[u8]) -> Result<(), Vec<u8>> {
        self.sweep();
        let code = self.lua.create_string(code).map_err(text_of)?;
        let compiled = self.compile.call::<(Option<mlua::String>, Option<LuaFunction>)>(code).map_err(text_of)?;
        match compiled {
            (None, Some(script)) => {
                self.scripts.insert(sha, script);
                Ok(())
            }
            (wrong, _) => Err(wrong.map(|wrong| wrong.as_bytes().to_vec()).unwrap_or_default()),
        }
    }

    fn forget(&mut self, sha: Sha) {
        self.scripts.remove(&sha);
    }

    fn inspect(&mut self, library: Source<'_>, host: &mut dyn Host) -> Result<Vec<Function>, Vec<u8>> {
        self.begin(host);
        let loaded = self.load(library, host);
        self.sweep();
        loaded.map(|(functions, _)| functions)
    }

    fn forget_libraries(&mut self, name: Option<&str>) {
        match name {
            Some(name) => drop(self.libraries.remove(name)),
            None => self.libraries.clear(),
        }
    }

    fn run(
        &mut self,
        program: Program<'_>,
        keys: Args<'_>,
        args: Args<'_>,
        reply: &mut Reply,
        host: &mut dyn Host,
    ) -> Result<(), Failure> {
        self.begin(host);
        let (entry, code, name) = match program {
            Program::Script(sha) => {
                let script = self.scripts.get(&sha).ok_or_else(|| failure(b"the script is not compiled"))?;
                (&self.eval, script.clone(), raw::Name::Script(sha))
            }
            Program::Function { library, function } => {
                let callback = self.callback(library, function, host)?;
                (&self.fcall, callback, raw::Name::Function(function))
            }
        };
        let context = &self.context;
        let outcome = context.lend(host, || raw::run(&self.lua, entry, &code, context, name, keys, args, reply));
        self.sweep();
        outcome
    }

    fn memory(&self) -> usize {
        self.lua.used_memory()
    }
}
