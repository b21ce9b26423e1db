//! What runs for every call of a script, on Lua's own interface.
//!
//! Lua raises errors by jumping over the functions in between, so nothing here may own memory while it calls what can raise
//! one: what is gathered lies in the [`Context`], replies in the host.
#![allow(unsafe_code, reason = "Lua is written in C")]

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua, Table};
use mneme_kernel::digits::Digits;
use mneme_kernel::limits;
use mneme_kernel::resp::{Args, OwnedArgs, Reply};
use mneme_kernel::script::{Failure, Sha, Stop};

use crate::Context;
use crate::format::general;
use crate::pattern;
use crate::values::{self, bytes_at, field, push};

/// The context, for functions that live as long as the state: it is dropped after that.
#[derive(Clone, Copy)]
pub(crate) struct Shared(*const Context);

impl Shared {
    pub(crate) fn of(context: &Context) -> Self {
        Self(context)
    }

    pub(crate) fn get(&self) -> &Context {
        // SAFETY: the context is in a box that is dropped after the state, and never changed but through cells.
        unsafe { &*self.0 }
    }
}

/// What Lua calls the prelude.
pub(crate) const PRELUDE: &CStr = c"=mneme";
/// Where the hook finds the context.
const CONTEXT: &CStr = c"mneme";

/// Adds what is written here and in [`pattern`] to the table, and has every script looked after.
pub(crate) fn install(lua: &Lua, host: &Table, context: &Context) -> mlua::Result<()> {
    let context = ptr::from_ref(context) as *mut c_void;
    // SAFETY: the table is at 1; each call leaves the stack as it was.
    unsafe {
        lua.exec_raw::<()>((host,), |state| {
            let own = [(c"call", call as ffi::lua_CFunction), (c"pcall", pcall), (c"costly", costly)];
            for (name, function) in own.into_iter().chain(pattern::FUNCTIONS) {
                ffi::lua_pushlightuserdata(state, context);
                ffi::lua_pushcclosure(state, function, 1);
                ffi::lua_setfield(state, 1, name.as_ptr());
            }
            ffi::lua_pushlightuserdata(state, context);
            ffi::lua_setfield(state, ffi::LUA_REGISTRYINDEX, CONTEXT.as_ptr());
            ffi::lua_settop(state, 0);
        })?;
    }
    set_hook(lua);
    Ok(())
}

/// Has the clock looked at from time to time. Coroutines inherit it.
pub(crate) fn set_hook(lua: &Lua) {
    // SAFETY: setting a hook allocates nothing and raises nothing.
    let set = unsafe {
        lua.exec_raw::<()>((), |state| {
            ffi::lua_sethook(state, Some(hook), ffi::LUA_MASKCOUNT, limits::SCRIPT_STEPS as c_int);
        })
    };
    debug_assert!(set.is_ok(), "a hook can be set");
}

unsafe extern "C-unwind" fn hook(state: *mut lua_State, at: *mut ffi::lua_Debug) {
    // SAFETY: Lua calls this with its state; the context was set before the hook.
    unsafe {
        ffi::lua_getfield(state, ffi::LUA_REGISTRYINDEX, CONTEXT.as_ptr());
        let context = &*(ffi::lua_touserdata(state, -1) as *const Context);
        ffi::lua_pop(state, 1);
        let Err(stop) = context.look() else { return };
        raise_always(state);
        if ffi::lua_getinfo(state, c"S".as_ptr(), at) != 0 && CStr::from_ptr((*at).source) == PRELUDE {
            return;
        }
        stop_here(state, context, stop);
    }
}

/// Has every line of a coroutine that is to end raise it again, so that no `pcall` goes on; but for the prelude's, which
/// tells of it.
unsafe fn raise_always(state: *mut lua_State) {
    // SAFETY: setting a hook allocates nothing and raises nothing.
    unsafe { ffi::lua_sethook(state, Some(hook), ffi::LUA_MASKCOUNT | ffi::LUA_MASKLINE, 1) };
}

/// Ends a script in one of its calls.
#[cold]
pub(crate) unsafe fn stop(state: *mut lua_State, context: &Context, stop: Stop) -> c_int {
    // SAFETY: the caller owns nothing.
    unsafe {
        raise_always(state);
        stop_here(state, context, stop)
    }
}

unsafe fn stop_here(state: *mut lua_State, context: &Context, stop: Stop) -> c_int {
    // SAFETY: the caller owns nothing.
    unsafe {
        let text = match stop {
            _ if context.loading.get() => c"FUNCTION LOAD timeout",
            Stop::Late => c"Script killed: it ran for longer than script-kill-after.",
            Stop::Asked | Stop::Moved => c"Script killed by user with SCRIPT KILL.",
        };
        ffi::luaL_error(state, c"%s".as_ptr(), text.as_ptr())
    }
}

/// Steps that count for what takes far longer than one of Lua's: to go on with a coroutine, which counts those between two
/// looks at the clock by itself, and to have memory swept. So a few are as good as a look.
const COST: usize = limits::SCRIPT_STEPS as usize / 10;

unsafe extern "C-unwind" fn costly(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state; the context is this function's upvalue.
    unsafe {
        let context = &*(ffi::lua_touserdata(state, ffi::lua_upvalueindex(1)) as *const Context);
        match context.take_steps(COST) {
            Ok(()) => 0,
            Err(stop) => self::stop(state, context, stop),
        }
    }
}

unsafe extern "C-unwind" fn call(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state.
    unsafe {
        if command(state) {
            ffi::lua_error(state)
        }
        1
    }
}

unsafe extern "C-unwind" fn pcall(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state.
    unsafe { command(state) };
    1
}

/// Runs a command and pushes its reply; whether that is an error.
unsafe fn command(state: *mut lua_State) -> bool {
    // SAFETY: the context is this function's upvalue, alive as long as the state; what points into its arguments or into the
    // host's reply is used before either changes.
    unsafe {
        let context = &*(ffi::lua_touserdata(state, ffi::lua_upvalueindex(1)) as *const Context);
        // Where a coroutine was stopped, those that wait for it do not know yet.
        if let Some(stop) = context.stopped.get() {
            self::stop(state, context, stop);
        }
        let (reply, len) = match gather(state, &mut *context.args.get()) {
            Err(text) => {
                push_error(state, text, false);
                return true;
            }
            Ok(()) => {
                // The reply needs the room that the arguments have.
                ffi::lua_settop(state, 0);
                ask(context)
            }
        };
        if reply.is_null() {
            push_error(state, "ERR redis.call/pcall can only be called inside a script invocation", false);
            return true;
        }
        let mut reply = std::slice::from_raw_parts(reply, len);
        if let Some(text) = reply.strip_prefix(b"-") {
            push_error_bytes(state, text.strip_suffix(b"\r\n").unwrap_or(text), true);
            return true;
        }
        values::push_reply(state, &mut reply);
        false
    }
}

/// The reply to the command that was gathered, until the next one runs.
#[inline(never)]
unsafe fn ask(context: &Context) -> (*const u8, usize) {
    // SAFETY: nobody else has the arguments while the host runs them: it runs no script.
    let args = unsafe { &*context.args.get() }.args();
    let reply = context.with_host(|host| {
        let reply = host.call(args);
        (reply.as_ptr(), reply.len())
    });
    reply.unwrap_or((ptr::null(), 0))
}

/// Gathers the function's arguments as those of a command. Raises nothing: it changes no number into a text within Lua.
unsafe fn gather(state: *mut lua_State, args: &mut OwnedArgs) -> Result<(), &'static str> {
    args.clear();
    // SAFETY: only places up to the top are looked at, and texts are copied at once.
    unsafe {
        let count = ffi::lua_gettop(state);
        if count == 0 {
            return Err("ERR Please specify at least one argument for this redis lib call");
        }
        // Texts that are there once in Lua may be arguments several times.
        let bytes = |i| if ffi::lua_type(state, i) == ffi::LUA_TSTRING { bytes_at(state, i).len() } else { 0 };
        if (1..=count).map(bytes).sum::<usize>() > limits::MAX_REQUEST {
            return Err(TOO_LARGE_A_REQUEST);
        }
        for i in 1..=count {
            match ffi::lua_type(state, i) {
                ffi::LUA_TSTRING => args.push(bytes_at(state, i)),
                ffi::LUA_TNUMBER => push_number(ffi::lua_tonumber(state, i), args),
                _ => return Err("ERR Lua redis lib command arguments must be strings or integers"),
            }
        }
    }
    Ok(())
}

/// What is wrong with a request of more bytes than a client may send.
pub(crate) const TOO_LARGE: &str = "the command's arguments are too large";
const TOO_LARGE_A_REQUEST: &str = "ERR the command's arguments are too large";

/// A number as Redis has it in arguments: as `%.17g` writes it.
fn push_number(number: f64, args: &mut OwnedArgs) {
    const PLAIN: f64 = 1e17;
    if number.fract() == 0.0 && number.abs() < PLAIN && (number != 0.0 || number.is_sign_positive()) {
        args.push(&Digits::of(number as i64));
    } else {
        args.push(general(number, 17).as_bytes());
    }
}

unsafe fn push_error(state: *mut lua_State, text: &str, is_counted: bool) {
    // SAFETY: as for `push_error_bytes`.
    unsafe { push_error_bytes(state, text.as_bytes(), is_counted) }
}

/// An error as scripts see it: a table.
unsafe fn push_error_bytes(state: *mut lua_State, text: &[u8], is_counted: bool) {
    // SAFETY: there is room for a few values in every C function's stack.
    unsafe {
        ffi::lua_createtable(state, 0, 4);
        push(state, b"err");
        push(state, text);
        ffi::lua_rawset(state, -3);
        if is_counted {
            push(state, COUNTED);
            ffi::lua_pushboolean(state, 1);
            ffi::lua_rawset(state, -3);
        }
    }
}

/// The field of an error whose command has been counted.
const COUNTED: &[u8] = b"ignore_error_stats_update";

/// What errors call that which ran.
#[derive(Clone, Copy)]
pub(crate) enum Name<'a> {
    Script(Sha),
    Function(&'a str),
}

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Name::Script(sha) => sha.fmt(f),
            Name::Function(name) => f.write_str(name),
        }
    }
}

/// Runs a compiled script by a function of the prelude.
#[allow(clippy::too_many_arguments, reason = "each is something else")]
pub(crate) fn run(
    lua: &Lua,
    entry: &Function,
    code: &Function,
    context: &Context,
    name: Name<'_>,
    keys: Args<'_>,
    args: Args<'_>,
    reply: &mut Reply,
) -> Result<(), Failure> {
    let mut failure = None;
    let failed = &mut failure;
    // SAFETY: the functions are at 1 and 2. What this closure holds are references, so an error that Lua raises may jump
    // over it; a failure is stored last, when nothing raises any more.
    let ran = unsafe {
        lua.exec_raw::<()>((entry, code), move |state| {
            push_words(state, keys);
            push_words(state, args);
            ffi::lua_call(state, 3, 2);
            if ffi::lua_toboolean(state, 1) == 0 {
                *failed = Some(failure_at(state, 2, name));
            } else if let Err(error) = values::write(state, reply, context.resp3.get(), 0) {
                *failed = Some(match error {
                    values::NotWritten::Error => failure_at(state, 2, name),
                    values::NotWritten::TooMuch(text) => {
                        Failure { text: format!("ERR {text}").into_bytes(), is_counted: false }
                    }
                });
            }
            ffi::lua_settop(state, 0);
        })
    };
    match (ran, failure) {
        (_, Some(failure)) => Err(failure),
        (Ok(()), None) => Ok(()),
        (Err(error), None) => Err(crate::failure(&crate::text_of(error))),
    }
}

/// A table of these words.
unsafe fn push_words(state: *mut lua_State, words: Args<'_>) {
    // SAFETY: the stack has room for a table and a word.
    unsafe {
        ffi::lua_createtable(state, words.len() as c_int, 0);
        for (i, word) in words.iter().enumerate() {
            push(state, word);
            ffi::lua_rawseti(state, -2, i as ffi::lua_Integer + 1);
        }
    }
}

/// What the client is told of an error: its text, and where it was raised.
unsafe fn failure_at(state: *mut lua_State, at: c_int, name: Name<'_>) -> Failure {
    // SAFETY: what is looked at is on the stack, and texts are copied before it is changed. What can raise an error, for want
    // of memory, comes before anything here is owned.
    unsafe {
        if ffi::lua_type(state, at) == ffi::LUA_TSTRING {
            let text = [b"ERR ", bytes_at(state, at)].concat();
            return Failure { text, is_counted: false };
        }
        if ffi::lua_type(state, at) != ffi::LUA_TTABLE {
            return crate::failure(b"unknown error");
        }
        ffi::lua_settop(state, at);
        field(state, b"err");
        field_of(state, at, b"source");
        field_of(state, at, b"line");
        field_of(state, at, COUNTED);
        let is_counted = ffi::lua_toboolean(state, at + 4) != 0;
        let mut text = Vec::new();
        if ffi::lua_type(state, at + 1) == ffi::LUA_TSTRING {
            text.extend_from_slice(bytes_at(state, at + 1));
        } else {
            text.extend_from_slice(b"ERR unknown error");
        }
        let text_start = text.strip_prefix(b"-").map_or(0, |_| 1);
        text.drain(..text_start);
        if ffi::lua_type(state, at + 2) == ffi::LUA_TSTRING && ffi::lua_type(state, at + 3) == ffi::LUA_TNUMBER {
            let line = ffi::lua_tonumber(state, at + 3);
            text.extend_from_slice(format!(" script: {name}, on ").as_bytes());
            text.extend_from_slice(bytes_at(state, at + 2));
            text.extend_from_slice(format!(":{line}.").as_bytes());
        }
        Failure { text, is_counted }
    }
}

unsafe fn field_of(state: *mut lua_State, table: c_int, name: &[u8]) {
    // SAFETY: the caller says that there is a table.
    unsafe {
        push(state, name);
        ffi::lua_rawget(state, table);
    }
}
