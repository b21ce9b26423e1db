//! `string.find`, `match`, `gmatch` and `gsub`, as Lua 5.1 has them (its `lstrlib.c`), but for two things: how deep a match
//! may recurse is bounded, and one that takes long ends when its script has to.
//!
//! As there, a pattern ends at its first zero.
#![allow(unsafe_code, reason = "Lua is written in C")]

use std::ffi::{CStr, c_char, c_int};
use std::mem::MaybeUninit;

use mlua::ffi::{self, lua_State};
use mneme_kernel::script::Stop;

use crate::Context;
use crate::raw;
use crate::values::{bytes_at, push};

/// What takes the place of Lua's own. Each has the context as its first upvalue.
pub(crate) const FUNCTIONS: [(&CStr, ffi::lua_CFunction); 4] =
    [(c"find", find), (c"match", match_first), (c"gmatch", gmatch), (c"gsub", gsub)];

/// Parts of a pattern that repeat or capture and wait for what follows them to match; as many as in later versions of Lua.
const DEPTH: u32 = 200;
/// As in Lua.
const CAPTURES: usize = 32;
const ESCAPE: u8 = b'%';
const SPECIAL: &[u8] = b"^$*+?.([%-";
/// Bytes that are searched or compared in the time of a step.
const BYTES_A_STEP: usize = 16;

/// Why there is neither a match nor none.
enum Wrong {
    Text(&'static CStr),
    Stopped(Stop),
}

type Found = Result<Option<usize>, Wrong>;

#[derive(Clone, Copy)]
enum Len {
    /// Its end is not reached.
    Open,
    /// It captures no text, but where it stands.
    Place,
    Bytes(usize),
}

#[derive(Clone, Copy)]
struct Capture {
    start: usize,
    len: Len,
}

/// A pattern on its way through a text. It owns nothing, for Lua's errors jump over it.
struct Matcher<'a> {
    context: &'a Context,
    text: &'a [u8],
    pattern: &'a [u8],
    captures: [Capture; CAPTURES],
    /// How many of them there are.
    level: usize,
    depth: u32,
}

impl<'a> Matcher<'a> {
    fn new(context: &'a Context, text: &'a [u8], pattern: &'a [u8]) -> Self {
        let captures = [Capture { start: 0, len: Len::Open }; CAPTURES];
        Self { context, text, pattern, captures, level: 0, depth: 0 }
    }

    /// The end of a match that begins there.
    fn match_from(&mut self, start: usize) -> Found {
        self.level = 0;
        self.depth = 0;
        self.go(start, 0)
    }

    /// The first match from there on that is not looked for anywhere else if the pattern is `anchored`.
    fn search(&mut self, from: usize, anchored: bool) -> Result<Option<(usize, usize)>, Wrong> {
        for start in from..=self.text.len() {
            if let Some(end) = self.match_from(start)? {
                return Ok(Some((start, end)));
            }
            if anchored {
                break;
            }
        }
        Ok(None)
    }

    fn steps(&self, count: usize) -> Result<(), Wrong> {
        self.context.take_steps(count).map_err(Wrong::Stopped)
    }

    /// The pattern's byte; zero behind its end.
    fn at(&self, p: usize) -> u8 {
        self.pattern.get(p).copied().unwrap_or(0)
    }

    /// The end of a match of what the pattern has from `p` on with the text from `s` on.
    fn go(&mut self, s: usize, p: usize) -> Found {
        if self.depth == DEPTH {
            return Err(Wrong::Text(c"pattern too complex"));
        }
        self.depth += 1;
        let found = self.go_on(s, p)?;
        self.depth -= 1;
        Ok(found)
    }

    fn go_on(&mut self, mut s: usize, mut p: usize) -> Found {
        loop {
            self.steps(1)?;
            match (self.at(p), self.at(p + 1)) {
                (b'(', b')') => return self.open(s, p + 2, Len::Place),
                (b'(', _) => return self.open(s, p + 1, Len::Open),
                (b')', _) => return self.close(s, p + 1),
                (0, _) => return Ok(Some(s)),
                (b'$', 0) => return Ok((s == self.text.len()).then_some(s)),
                (ESCAPE, b'b') => {
                    let Some(end) = self.balanced(s, p + 2)? else { return Ok(None) };
                    (s, p) = (end, p + 4);
                }
                (ESCAPE, b'f') => {
                    p += 2;
                    if self.at(p) != b'[' {
                        return Err(Wrong::Text(c"missing '[' after '%f' in pattern"));
                    }
                    let end = self.class_end(p)?;
                    let before = s.checked_sub(1).map_or(0, |at| self.text[at]);
                    let here = self.text.get(s).copied().unwrap_or(0);
                    if self.is_in_set(before, p, end - 1) || !self.is_in_set(here, p, end - 1) {
                        return Ok(None);
                    }
                    p = end;
                }
                (ESCAPE, digit) if digit.is_ascii_digit() => {
                    let Some(end) = self.again(s, digit)? else { return Ok(None) };
                    (s, p) = (end, p + 2);
                }
                _ => {
                    let end = self.class_end(p)?;
                    let is_one = self.is_one(s, p, end);
                    match self.at(end) {
                        b'?' => {
                            if is_one && let Some(found) = self.go(s + 1, end + 1)? {
                                return Ok(Some(found));
                            }
                            p = end + 1;
                        }
                        b'*' => return self.most(s, p, end),
                        b'+' if is_one => return self.most(s + 1, p, end),
                        b'-' => return self.least(s, p, end),
                        b'+' => return Ok(None),
                        _ if is_one => (s, p) = (s + 1, end),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    /// As many of the class from `p` to `end` as there are, and fewer as long as the rest does not match.
    fn most(&mut self, s: usize, p: usize, end: usize) -> Found {
        let mut count = 0;
        while self.is_one(s + count, p, end) {
            self.steps(end - p)?;
            count += 1;
        }
        loop {
            if let Some(found) = self.go(s + count, end + 1)? {
                return Ok(Some(found));
            }
            let Some(fewer) = count.checked_sub(1) else { return Ok(None) };
            count = fewer;
        }
    }

    /// As few of the class as there have to be.
    fn least(&mut self, mut s: usize, p: usize, end: usize) -> Found {
        loop {
            if let Some(found) = self.go(s, end + 1)? {
                return Ok(Some(found));
            }
            if !self.is_one(s, p, end) {
                return Ok(None);
            }
            self.steps(end - p)?;
            s += 1;
        }
    }

    fn open(&mut self, s: usize, p: usize, len: Len) -> Found {
        let place = self.captures.get_mut(self.level).ok_or(Wrong::Text(c"too many captures"))?;
        *place = Capture { start: s, len };
        self.level += 1;
        let found = self.go(s, p)?;
        if found.is_none() {
            self.level -= 1;
        }
        Ok(found)
    }

    fn close(&mut self, s: usize, p: usize) -> Found {
        let open = self.captures[..self.level].iter().rposition(|capture| matches!(capture.len, Len::Open));
        let open = open.ok_or(Wrong::Text(c"invalid pattern capture"))?;
        self.captures[open].len = Len::Bytes(s - self.captures[open].start);
        let found = self.go(s, p)?;
        if found.is_none() {
            self.captures[open].len = Len::Open;
        }
        Ok(found)
    }

    /// What a capture has, once more.
    fn again(&mut self, s: usize, digit: u8) -> Found {
        let capture =
            usize::from(digit).checked_sub(usize::from(b'1')).and_then(|i| self.captures[..self.level].get(i));
        let (start, len) = match capture {
            Some(Capture { start, len: Len::Bytes(len) }) => (*start, *len),
            Some(Capture { len: Len::Place, .. }) => return Ok(None),
            Some(Capture { len: Len::Open, .. }) | None => return Err(Wrong::Text(c"invalid capture index")),
        };
        self.steps(len / BYTES_A_STEP)?;
        Ok(self.text[s..].starts_with(&self.text[start..start + len]).then_some(s + len))
    }

    /// Behind a text that begins and ends with these two, and has as many of the one as of the other.
    fn balanced(&mut self, s: usize, p: usize) -> Found {
        let (opens, closes) = (self.at(p), self.at(p + 1));
        if opens == 0 || closes == 0 {
            return Err(Wrong::Text(c"unbalanced pattern"));
        }
        if self.text.get(s) != Some(&opens) {
            return Ok(None);
        }
        let mut depth = 1usize;
        for (at, byte) in self.text.iter().enumerate().skip(s + 1) {
            self.steps(1)?;
            if *byte == closes {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(at + 1));
                }
            } else if *byte == opens {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// Where the class ends that begins there.
    fn class_end(&self, p: usize) -> Result<usize, Wrong> {
        let start = p;
        let mut p = p + 1;
        match self.at(start) {
            ESCAPE if self.at(p) == 0 => Err(Wrong::Text(c"malformed pattern (ends with '%')")),
            ESCAPE => Ok(p + 1),
            b'[' => {
                p += usize::from(self.at(p) == b'^');
                loop {
                    let byte = self.at(p);
                    if byte == 0 {
                        return Err(Wrong::Text(c"malformed pattern (missing ']')"));
                    }
                    p += 1;
                    p += usize::from(byte == ESCAPE && self.at(p) != 0);
                    if self.at(p) == b']' {
                        break;
                    }
                }
                self.steps(p - start)?;
                Ok(p + 1)
            }
            _ => Ok(p),
        }
    }

    /// Whether the text's byte is of the class from `p` to `end`.
    fn is_one(&self, s: usize, p: usize, end: usize) -> bool {
        let Some(byte) = self.text.get(s).copied() else { return false };
        match self.at(p) {
            b'.' => true,
            ESCAPE => is_of(byte, self.at(p + 1)),
            b'[' => self.is_in_set(byte, p, end - 1),
            literal => literal == byte,
        }
    }

    /// Whether a byte is in the set between the brackets at `p` and `last`.
    fn is_in_set(&self, byte: u8, mut p: usize, last: usize) -> bool {
        let is_in = self.at(p + 1) != b'^';
        p += usize::from(!is_in);
        loop {
            p += 1;
            if p >= last {
                return !is_in;
            }
            let fits = if self.at(p) == ESCAPE {
                p += 1;
                is_of(byte, self.at(p))
            } else if self.at(p + 1) == b'-' && p + 2 < last {
                p += 2;
                (self.at(p - 2)..=self.at(p)).contains(&byte)
            } else {
                self.at(p) == byte
            };
            if fits {
                return is_in;
            }
        }
    }
}

/// Whether a byte is of the class that stands behind an escape.
fn is_of(byte: u8, class: u8) -> bool {
    let fits = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    fits == class.is_ascii_lowercase()
}

/// A pattern up to its first zero, without the anchor that it may begin with, and whether it does.
fn anchored(pattern: &[u8]) -> (&[u8], bool) {
    let pattern = until_zero(pattern);
    pattern.strip_prefix(b"^").map_or((pattern, false), |rest| (rest, true))
}

fn until_zero(pattern: &[u8]) -> &[u8] {
    pattern.split(|byte| *byte == 0).next().unwrap_or_default()
}

unsafe fn context<'a>(state: *mut lua_State) -> &'a Context {
    // SAFETY: it is the first upvalue of every function here, alive as long as the state.
    unsafe { &*(ffi::lua_touserdata(state, ffi::lua_upvalueindex(1)) as *const Context) }
}

/// An argument that is a text, or a number as text. Raises an error if it is neither.
unsafe fn text<'a>(state: *mut lua_State, at: c_int) -> &'a [u8] {
    // SAFETY: Lua has seen that it is a text, which lies there as long as the function runs.
    unsafe {
        ffi::luaL_checklstring(state, at, std::ptr::null_mut());
        bytes_at(state, at)
    }
}

/// Raises what is wrong.
#[cold]
unsafe fn raise(state: *mut lua_State, context: &Context, wrong: &Wrong) -> c_int {
    // SAFETY: nothing here owns anything.
    unsafe {
        match wrong {
            Wrong::Text(text) => ffi::luaL_error(state, c"%s".as_ptr(), text.as_ptr()),
            Wrong::Stopped(stop) => raw::stop(state, context, *stop),
        }
    }
}

/// Pushes a capture; the first one is the whole match if there are none.
unsafe fn push_capture(state: *mut lua_State, matcher: &Matcher<'_>, i: usize, (start, end): (usize, usize)) {
    // SAFETY: the caller has made room.
    unsafe {
        match matcher.captures[..matcher.level].get(i) {
            None if i == 0 => push(state, &matcher.text[start..end]),
            None => {
                ffi::luaL_error(state, c"invalid capture index".as_ptr());
            }
            Some(Capture { start, len: Len::Bytes(len) }) => push(state, &matcher.text[*start..start + len]),
            Some(Capture { start, len: Len::Place }) => ffi::lua_pushnumber(state, (start + 1) as f64),
            Some(Capture { len: Len::Open, .. }) => {
                ffi::luaL_error(state, c"unfinished capture".as_ptr());
            }
        }
    }
}

/// Pushes all captures, or so many as there must be; their number.
unsafe fn push_captures(state: *mut lua_State, matcher: &Matcher<'_>, least: usize, whole: (usize, usize)) -> c_int {
    let count = matcher.level.max(least);
    // SAFETY: room is made here.
    unsafe {
        ffi::luaL_checkstack(state, count as c_int, c"too many captures".as_ptr());
        (0..count).for_each(|i| push_capture(state, matcher, i, whole));
    }
    count as c_int
}

unsafe extern "C-unwind" fn find(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state.
    unsafe { search(state, true) }
}

unsafe extern "C-unwind" fn match_first(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state.
    unsafe { search(state, false) }
}

/// Looks for the first match, to tell where it is or what it has captured.
unsafe fn search(state: *mut lua_State, tells_where: bool) -> c_int {
    // SAFETY: the texts stay on the stack, and nothing here owns anything.
    unsafe {
        let context = context(state);
        let (subject, whole) = (text(state, 1), text(state, 2));
        let from = match ffi::luaL_optinteger(state, 3, 1) {
            place @ 1.. => (place as usize - 1).min(subject.len()),
            0 => 0,
            place => subject.len().saturating_sub(place.unsigned_abs() as usize),
        };
        if let Err(stop) = context.take_steps(whole.len() / BYTES_A_STEP) {
            return raw::stop(state, context, stop);
        }
        let is_plain =
            || ffi::lua_toboolean(state, 4) != 0 || !until_zero(whole).iter().any(|byte| SPECIAL.contains(byte));
        if tells_where && is_plain() {
            let found = memchr::memmem::find(&subject[from..], whole);
            let searched = found.unwrap_or(subject.len() - from) + whole.len();
            if let Err(stop) = context.take_steps(searched / BYTES_A_STEP) {
                return raw::stop(state, context, stop);
            }
            let Some(place) = found else {
                ffi::lua_pushnil(state);
                return 1;
            };
            ffi::lua_pushnumber(state, (from + place + 1) as f64);
            ffi::lua_pushnumber(state, (from + place + whole.len()) as f64);
            return 2;
        }
        let (pattern, is_anchored) = anchored(whole);
        let mut matcher = Matcher::new(context, subject, pattern);
        match matcher.search(from, is_anchored) {
            Err(wrong) => raise(state, context, &wrong),
            Ok(None) => {
                ffi::lua_pushnil(state);
                1
            }
            Ok(Some((start, end))) if tells_where => {
                ffi::lua_pushnumber(state, (start + 1) as f64);
                ffi::lua_pushnumber(state, end as f64);
                push_captures(state, &matcher, 0, (start, end)) + 2
            }
            Ok(Some(place)) => push_captures(state, &matcher, 1, place),
        }
    }
}

unsafe extern "C-unwind" fn gmatch(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state.
    unsafe {
        text(state, 1);
        text(state, 2);
        ffi::lua_settop(state, 2);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        ffi::lua_insert(state, 1);
        ffi::lua_pushnumber(state, 0.0);
        ffi::lua_pushcclosure(state, next, 4);
        1
    }
}

/// The next match. Its upvalues: the context, the text, the pattern, and where to go on.
unsafe extern "C-unwind" fn next(state: *mut lua_State) -> c_int {
    const FROM: c_int = ffi::lua_upvalueindex(4);
    // SAFETY: the texts are upvalues, and nothing here owns anything.
    unsafe {
        let context = context(state);
        let subject = bytes_at(state, ffi::lua_upvalueindex(2));
        let pattern = until_zero(bytes_at(state, ffi::lua_upvalueindex(3)));
        if let Err(stop) = context.take_steps(pattern.len() / BYTES_A_STEP) {
            return raw::stop(state, context, stop);
        }
        let from = ffi::lua_tonumber(state, FROM) as usize;
        let mut matcher = Matcher::new(context, subject, pattern);
        match matcher.search(from, false) {
            Err(wrong) => raise(state, context, &wrong),
            Ok(None) => 0,
            Ok(Some((start, end))) => {
                // An empty match does not come again.
                let further = if start == end { end + 1 } else { end };
                ffi::lua_pushnumber(state, further as f64);
                ffi::lua_replace(state, FROM);
                push_captures(state, &matcher, 1, (start, end))
            }
        }
    }
}

unsafe extern "C-unwind" fn gsub(state: *mut lua_State) -> c_int {
    // SAFETY: the texts stay on the stack below the buffer's parts, and nothing here owns anything: the buffer's bytes lie in
    // itself, or are Lua's.
    unsafe {
        let context = context(state);
        let (subject, pattern) = (text(state, 1), text(state, 2));
        if let Err(stop) = context.take_steps(pattern.len() / BYTES_A_STEP) {
            return raw::stop(state, context, stop);
        }
        let most = ffi::luaL_optinteger(state, 4, subject.len() as ffi::lua_Integer + 1);
        let kind = ffi::lua_type(state, 3);
        if !matches!(kind, ffi::LUA_TNUMBER | ffi::LUA_TSTRING | ffi::LUA_TFUNCTION | ffi::LUA_TTABLE) {
            return ffi::luaL_argerror(state, 3, c"string/function/table expected".as_ptr());
        }
        let (pattern, is_anchored) = anchored(pattern);
        let mut matcher = Matcher::new(context, subject, pattern);
        let mut buffer = MaybeUninit::<ffi::luaL_Buffer>::uninit();
        let buffer = buffer.as_mut_ptr();
        ffi::luaL_buffinit(state, buffer);
        // What lies before `kept` is in the buffer.
        let (mut kept, mut at, mut count) = (0, 0, 0);
        while count < most {
            let end = match matcher.match_from(at) {
                Err(wrong) => return raise(state, context, &wrong),
                Ok(end) => end,
            };
            if let Some(end) = end {
                count += 1;
                add(buffer, &subject[kept..at]);
                replace(state, buffer, &matcher, kind, (at, end));
                kept = end;
            }
            match end {
                Some(end) if end > at => at = end,
                _ if at < subject.len() => at += 1,
                _ => break,
            }
            if is_anchored {
                break;
            }
        }
        add(buffer, &subject[kept..]);
        ffi::luaL_pushresult(buffer);
        ffi::lua_pushnumber(state, count as f64);
        2
    }
}

unsafe fn add(buffer: *mut ffi::luaL_Buffer, bytes: &[u8]) {
    // SAFETY: the buffer is in use; Lua copies the bytes.
    unsafe { ffi::luaL_addlstring(buffer, bytes.as_ptr() as *const c_char, bytes.len()) }
}

/// Adds what takes the place of a match.
unsafe fn replace(
    state: *mut lua_State,
    buffer: *mut ffi::luaL_Buffer,
    matcher: &Matcher<'_>,
    kind: c_int,
    place: (usize, usize),
) {
    let whole = &matcher.text[place.0..place.1];
    // SAFETY: the replacement is at 3, and each value that is pushed is taken off by the buffer.
    unsafe {
        match kind {
            ffi::LUA_TFUNCTION => {
                ffi::lua_pushvalue(state, 3);
                let count = push_captures(state, matcher, 1, place);
                ffi::lua_call(state, count, 1);
            }
            ffi::LUA_TTABLE => {
                push_capture(state, matcher, 0, place);
                ffi::lua_gettable(state, 3);
            }
            _ => {
                // It may be long, and add nothing.
                if let Err(stop) = matcher.context.take_steps(bytes_at(state, 3).len()) {
                    raw::stop(state, matcher.context, stop);
                }
                return fill(state, buffer, matcher, place);
            }
        }
        if ffi::lua_toboolean(state, -1) == 0 {
            ffi::lua_pop(state, 1);
            push(state, whole);
        } else if ffi::lua_isstring(state, -1) == 0 {
            ffi::luaL_error(state, c"invalid replacement value (a %s)".as_ptr(), ffi::luaL_typename(state, -1));
        }
        ffi::luaL_addvalue(buffer);
    }
}

/// Adds a replacement that is a text, with captures in place of `%1` and the like.
unsafe fn fill(state: *mut lua_State, buffer: *mut ffi::luaL_Buffer, matcher: &Matcher<'_>, place: (usize, usize)) {
    // SAFETY: a number at 3 becomes a text there, which stays.
    unsafe {
        let mut rest = bytes_at(state, 3);
        while let Some(escape) = rest.iter().position(|byte| *byte == ESCAPE) {
            add(buffer, &rest[..escape]);
            // An escape at the end escapes the zero that ends Lua's texts.
            let escaped = rest.get(escape + 1).copied().unwrap_or(0);
            rest = rest.get(escape + 2..).unwrap_or_default();
            match escaped {
                b'0' => add(buffer, &matcher.text[place.0..place.1]),
                b'1'..=b'9' => {
                    push_capture(state, matcher, usize::from(escaped - b'1'), place);
                    ffi::luaL_addvalue(buffer);
                }
                other => add(buffer, &[other]),
            }
        }
        add(buffer, rest);
    }
}

#[cfg(test)]
mod tests {
    use mlua::{Function, Lua, Table};
    use proptest::prelude::*;

    use super::*;

    /// Calls a function in every way, and tells what came of it.
    const CALL: &str = r##"
        local call = ...
        local function show(...)
            local all = {}
            for i = 1, select("#", ...) do
                local value = select(i, ...)
                all[i] = type(value) .. " " .. tostring(value)
            end
            return table.concat(all, ", ")
        end
        local function tell(...) if select("#", ...) > 1 and (...) ~= "b" then return show(...) end end
        return function(name, text, pattern, by, at)
            local f = call[name]
            if name == "find" or name == "match" then return show(pcall(f, text, pattern, at)) end
            if name == "gsub" then
                if by == "table" then by = { a = "A", ab = 7, ["1"] = false } end
                if by == "function" then by = tell end
                return show(pcall(f, text, pattern, by, at ~= 0 and math.abs(at) or nil))
            end
            local all = {}
            local ok, wrong = pcall(function()
                for a, b, c in f(text, pattern) do all[#all + 1] = show(a, b, c) end
            end)
            return table.concat(all, "; ") .. tostring(ok or wrong)
        end
    "##;

    /// The functions here, and Lua's own.
    fn both() -> (Box<Context>, Lua, [Function; 2]) {
        let (lua, context) = (Lua::new(), Box::new(Context::new()));
        let own: Table = lua.globals().get("string").expect("there is one");
        let ours = lua.create_table().expect("memory");
        raw::install(&lua, &ours, &context).expect("memory");
        let call = [ours, own].map(|functions| lua.load(CALL).call(functions).expect("it is Lua"));
        (context, lua, call)
    }

    fn words(words: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(words), 0..most).prop_map(|words| words.concat())
    }

    #[test]
    fn they_do_what_luas_own_do() {
        let (_context, lua, [ours, own]) = both();
        let names = &["find", "match", "gmatch", "gsub"][..];
        let text = words(&["a", "b", "ab", "1", " ", "A", "]", "(", ")", "^", "-", "%", "\0", "\u{b}"], 9);
        let pattern = words(
            &[
                "a", "b", ".", "%a", "%w", "%S", "%d", "%z", "%b", "%bab", "%b()", "%f", "%f[%w]", "%f[^a]", "%1",
                "%2", "[", "]", "[ab]", "[^a]", "[a-b]", "[%a-]", "[]]", "^", "$", "*", "+", "-", "?", "(", ")",
                "(a*)", "()", "(", ")", "%", "%%", "\0",
            ],
            8,
        );
        let by = words(&["%0", "%1", "%2", "%", "x", "%%", "\0"], 4);
        let by = prop_oneof![Just("table".to_owned()), Just("function".to_owned()), by];
        let strategy = (prop::sample::select(names), text, pattern, by, -4i32..5);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(20_000)
        });
        let ran = runner.run(&strategy, |(name, text, pattern, by, at)| {
            let told = |call: &Function| {
                let args = (name, lua.create_string(&text), lua.create_string(&pattern), lua.create_string(&by), at);
                call.call::<mlua::String>((args.0, args.1.ok(), args.2.ok(), args.3.ok(), args.4))
                    .map(|told| told.to_string_lossy())
                    .expect("it tells")
            };
            prop_assert_eq!(told(&ours), told(&own));
            Ok(())
        });
        ran.unwrap_or_else(|error| panic!("{error}"));
    }

    #[test]
    fn how_deep_they_recurse_is_bounded() {
        let (_context, _lua, [ours, _]) = both();
        let find = |text: &str, pattern: &str| ours.call::<String>(("find", text, pattern, "", 1)).expect("it tells");
        assert_eq!(find(&"a".repeat(1_000_000), &"a?".repeat(1_000_000)), "boolean false, string pattern too complex");
        // What repeats one thing only is as long as it likes.
        assert_eq!(find(&"a".repeat(1_000_000), "a*$"), "boolean true, number 1, number 1000000");
        assert_eq!(find(&"ab".repeat(90), &"a?b?".repeat(90)), "boolean true, number 1, number 180");
    }
}
