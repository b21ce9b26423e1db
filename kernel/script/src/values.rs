//! Replies as Lua's values, and Lua's values as replies: Redis's tables of conversions, for both versions of the protocol.
#![allow(unsafe_code, reason = "Lua is written in C")]

use std::ffi::{c_char, c_int};

use mlua::ffi::{self, lua_State};
use mneme_kernel::limits;
use mneme_kernel::resp::Reply;

/// Values within values; Redis refuses what Lua's stack does not hold.
const DEPTH: usize = 1000;

pub(crate) unsafe fn push(state: *mut lua_State, bytes: &[u8]) {
    // SAFETY: the caller has made room; Lua copies the bytes.
    unsafe { ffi::lua_pushlstring(state, bytes.as_ptr() as *const c_char, bytes.len()) };
}

/// The text that is there, as long as it stays on the stack.
pub(crate) unsafe fn bytes_at<'a>(state: *mut lua_State, at: c_int) -> &'a [u8] {
    let mut len = 0;
    // SAFETY: the caller has seen that it is a text.
    unsafe {
        let bytes = ffi::lua_tolstring(state, at, &mut len);
        if bytes.is_null() { &[] } else { std::slice::from_raw_parts(bytes as *const u8, len) }
    }
}

/// Pushes a field of the table on top, without asking its metatable.
pub(crate) unsafe fn field(state: *mut lua_State, name: &[u8]) {
    // SAFETY: the caller says that there is a table.
    unsafe {
        push(state, name);
        ffi::lua_rawget(state, -2);
    }
}

/// Takes the first line off a reply.
fn line<'a>(reply: &mut &'a [u8]) -> &'a [u8] {
    let end = reply.windows(2).position(|pair| pair == b"\r\n").unwrap_or(reply.len());
    let line = &reply[..end];
    *reply = &reply[(end + 2).min(reply.len())..];
    line
}

fn integer(text: &[u8]) -> i64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Takes a string of so many bytes off a reply.
fn bulk<'a>(len: i64, reply: &mut &'a [u8]) -> &'a [u8] {
    let len = (len as usize).min(reply.len());
    let text = &reply[..len];
    *reply = &reply[(len + 2).min(reply.len())..];
    text
}

/// Pushes the value at a reply's front, and takes it off.
pub(crate) unsafe fn push_reply(state: *mut lua_State, reply: &mut &[u8]) {
    let Some((kind, rest)) = reply.split_first() else {
        // SAFETY: there is room for a value.
        return unsafe { ffi::lua_pushnil(state) };
    };
    *reply = rest;
    let head = line(reply);
    // SAFETY: room is made for what each value takes at once.
    unsafe {
        ffi::luaL_checkstack(state, 8, c"too deep".as_ptr());
        match kind {
            b':' => ffi::lua_pushnumber(state, integer(head) as f64),
            b'$' => match integer(head) {
                -1 => ffi::lua_pushboolean(state, 0),
                len => push(state, bulk(len, reply)),
            },
            b'+' => push_single(state, b"ok", head),
            b'-' => push_single(state, b"err", head),
            b'*' | b'>' => match integer(head) {
                -1 => ffi::lua_pushboolean(state, 0),
                len => push_array(state, len, reply),
            },
            b'_' => ffi::lua_pushnil(state),
            b'#' => ffi::lua_pushboolean(state, (head == b"t").into()),
            b',' => {
                let text = std::str::from_utf8(head).unwrap_or_default();
                ffi::lua_createtable(state, 0, 1);
                push(state, b"double");
                ffi::lua_pushnumber(state, text.parse().unwrap_or_default());
                ffi::lua_rawset(state, -3);
            }
            b'(' => push_single(state, b"big_number", head),
            b'=' => {
                let text = bulk(integer(head), reply);
                let (format, text) = text.split_at_checked(4).unwrap_or((b"txt:", text));
                ffi::lua_createtable(state, 0, 1);
                push(state, b"verbatim_string");
                ffi::lua_createtable(state, 0, 2);
                push(state, b"string");
                push(state, text);
                ffi::lua_rawset(state, -3);
                push(state, b"format");
                push(state, &format[..3]);
                ffi::lua_rawset(state, -3);
                ffi::lua_rawset(state, -3);
            }
            b'%' => {
                let len = integer(head);
                push_entries(state, b"map", len, reply, |state, reply| push_reply(state, reply));
            }
            b'~' => {
                let len = integer(head);
                push_entries(state, b"set", len, reply, |state, _| ffi::lua_pushboolean(state, 1));
            }
            _ => ffi::lua_pushnil(state),
        }
    }
}

/// A table with one text.
unsafe fn push_single(state: *mut lua_State, name: &[u8], text: &[u8]) {
    // SAFETY: the caller has made room.
    unsafe {
        ffi::lua_createtable(state, 0, 1);
        push(state, name);
        push(state, text);
        ffi::lua_rawset(state, -3);
    }
}

unsafe fn push_array(state: *mut lua_State, len: i64, reply: &mut &[u8]) {
    // SAFETY: the caller has made room for the table and a value.
    unsafe {
        ffi::lua_createtable(state, len.min(1 << 20) as c_int, 0);
        for i in 1..=len {
            push_reply(state, reply);
            ffi::lua_rawseti(state, -2, i as ffi::lua_Integer);
        }
    }
}

/// A table in a table of this name, with a value behind each key.
unsafe fn push_entries(
    state: *mut lua_State,
    name: &[u8],
    len: i64,
    reply: &mut &[u8],
    value: impl Fn(*mut lua_State, &mut &[u8]),
) {
    // SAFETY: the caller has made room.
    unsafe {
        ffi::lua_createtable(state, 0, 1);
        push(state, name);
        ffi::lua_createtable(state, 0, len.min(1 << 20) as c_int);
        for _ in 0..len {
            push_reply(state, reply);
            if ffi::lua_type(state, -1) == ffi::LUA_TNIL {
                // Nothing is known under nil.
                ffi::lua_pop(state, 1);
                ffi::lua_pushboolean(state, 0);
            }
            value(state, reply);
            ffi::lua_rawset(state, -3);
        }
        ffi::lua_rawset(state, -3);
    }
}

/// Why a value is no reply.
pub(crate) enum NotWritten {
    /// It is an error.
    Error,
    TooMuch(&'static str),
}

/// Writes the value on top of the stack, and takes it off; an error that stands alone stays.
pub(crate) unsafe fn write(
    state: *mut lua_State,
    reply: &mut Reply,
    resp3: bool,
    depth: usize,
) -> Result<(), NotWritten> {
    // SAFETY: room is made for what is looked at, and each arm takes off what it has pushed.
    unsafe {
        if depth > DEPTH || ffi::lua_checkstack(state, 8) == 0 {
            reply.error("ERR reached lua stack limit");
            ffi::lua_pop(state, 1);
            return Ok(());
        }
        // A table that contains one several times over may be far larger written than in memory.
        if reply.len() > limits::MAX_DRAWN {
            return Err(NotWritten::TooMuch("the script's reply is too large"));
        }
        match ffi::lua_type(state, -1) {
            ffi::LUA_TSTRING => reply.bulk(bytes_at(state, -1)),
            ffi::LUA_TBOOLEAN => {
                let truth = ffi::lua_toboolean(state, -1) != 0;
                match (resp3, truth) {
                    (true, truth) => reply.boolean(truth),
                    (false, true) => reply.integer(1),
                    (false, false) => reply.null(),
                }
            }
            ffi::LUA_TNUMBER => reply.integer(whole(ffi::lua_tonumber(state, -1))),
            ffi::LUA_TTABLE => write_table(state, reply, resp3, depth)?,
            _ => reply.null(),
        }
        ffi::lua_pop(state, 1);
    }
    Ok(())
}

/// A number as an integer, as C's conversion does it on x86-64.
fn whole(number: f64) -> i64 {
    const RANGE: std::ops::Range<f64> = -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;
    if RANGE.contains(&number) { number as i64 } else { i64::MIN }
}

unsafe fn write_table(state: *mut lua_State, reply: &mut Reply, resp3: bool, depth: usize) -> Result<(), NotWritten> {
    // SAFETY: `write` has made room; each field is taken off before the next.
    unsafe {
        field(state, b"err");
        if ffi::lua_type(state, -1) == ffi::LUA_TSTRING {
            if depth == 0 {
                ffi::lua_pop(state, 1);
                return Err(NotWritten::Error);
            }
            let text = bytes_at(state, -1);
            reply.error_bytes(text.strip_prefix(b"-").unwrap_or(text));
            ffi::lua_pop(state, 1);
            return Ok(());
        }
        ffi::lua_pop(state, 1);
        field(state, b"ok");
        if ffi::lua_type(state, -1) == ffi::LUA_TSTRING {
            reply.status_bytes(bytes_at(state, -1));
            ffi::lua_pop(state, 1);
            return Ok(());
        }
        ffi::lua_pop(state, 1);
        field(state, b"double");
        if ffi::lua_type(state, -1) == ffi::LUA_TNUMBER {
            reply.double(ffi::lua_tonumber(state, -1));
            ffi::lua_pop(state, 1);
            return Ok(());
        }
        ffi::lua_pop(state, 1);
        field(state, b"map");
        if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
            let len = count(state);
            reply.map(len);
            ffi::lua_pushnil(state);
            while ffi::lua_next(state, -2) != 0 {
                // The key is needed to find the next one.
                ffi::lua_pushvalue(state, -2);
                write(state, reply, resp3, depth + 1)?;
                write(state, reply, resp3, depth + 1)?;
            }
            ffi::lua_pop(state, 1);
            return Ok(());
        }
        ffi::lua_pop(state, 1);
        field(state, b"set");
        if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
            let len = count(state);
            reply.set(len);
            ffi::lua_pushnil(state);
            while ffi::lua_next(state, -2) != 0 {
                ffi::lua_pop(state, 1);
                ffi::lua_pushvalue(state, -1);
                write(state, reply, resp3, depth + 1)?;
            }
            ffi::lua_pop(state, 1);
            return Ok(());
        }
        ffi::lua_pop(state, 1);
        field(state, b"big_number");
        if ffi::lua_type(state, -1) == ffi::LUA_TSTRING {
            reply.big_number(bytes_at(state, -1));
            ffi::lua_pop(state, 1);
            return Ok(());
        }
        ffi::lua_pop(state, 1);
        field(state, b"verbatim_string");
        if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
            field(state, b"format");
            push(state, b"string");
            ffi::lua_rawget(state, -3);
            let is_whole = ffi::lua_type(state, -1) == ffi::LUA_TSTRING && ffi::lua_type(state, -2) == ffi::LUA_TSTRING;
            if is_whole {
                reply.verbatim_bytes(bytes_at(state, -2), bytes_at(state, -1));
            }
            ffi::lua_pop(state, 2);
            if is_whole {
                ffi::lua_pop(state, 1);
                return Ok(());
            }
        }
        ffi::lua_pop(state, 1);
        let mut len = 0;
        loop {
            ffi::lua_rawgeti(state, -1, len + 1);
            let is_end = ffi::lua_type(state, -1) == ffi::LUA_TNIL;
            ffi::lua_pop(state, 1);
            if is_end {
                break;
            }
            len += 1;
        }
        reply.array(len as usize);
        for i in 1..=len {
            ffi::lua_rawgeti(state, -1, i);
            write(state, reply, resp3, depth + 1)?;
        }
    }
    Ok(())
}

/// Entries of the table on top.
unsafe fn count(state: *mut lua_State) -> usize {
    let mut len = 0;
    // SAFETY: the caller says that there is a table, and has made room.
    unsafe {
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, -2) != 0 {
            ffi::lua_pop(state, 1);
            len += 1;
        }
    }
    len
}
