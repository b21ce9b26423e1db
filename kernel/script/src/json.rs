//! `cjson`: JSON as the library of this name reads and writes it.

use std::cell::Cell;
use std::rc::Rc;

use mlua::{Lua, Table, Value};

use crate::format::general;
use crate::library::{Arguments, Outcome, Wrong, add, number, one};

/// What scripts may set, and find set by those before them, as in Redis.
#[derive(Debug)]
struct Settings {
    encode_depth: Cell<usize>,
    decode_depth: Cell<usize>,
    precision: Cell<usize>,
    keeps_buffer: Cell<bool>,
    sparse_convert: Cell<bool>,
    sparse_ratio: Cell<usize>,
    sparse_safe: Cell<usize>,
    encode_invalid: Cell<Invalid>,
    decode_invalid: Cell<bool>,
}

/// What becomes of numbers that JSON has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Invalid {
    Refused,
    Written,
    Null,
}

const DEPTH: usize = 1000;
/// As deep as anybody may set it: each level takes the machine's stack, and a few of the places that there are for Lua's
/// values.
const DEEPEST: usize = 1000;

impl Default for Settings {
    fn default() -> Self {
        Self {
            encode_depth: Cell::new(DEPTH),
            decode_depth: Cell::new(DEPTH),
            precision: Cell::new(14),
            keeps_buffer: Cell::new(true),
            sparse_convert: Cell::new(false),
            sparse_ratio: Cell::new(2),
            sparse_safe: Cell::new(10),
            encode_invalid: Cell::new(Invalid::Refused),
            decode_invalid: Cell::new(true),
        }
    }
}

pub(crate) fn table(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let settings = Rc::new(Settings::default());
    let own = |f: fn(&Lua, &Settings, &Arguments) -> Outcome| {
        let settings = settings.clone();
        move |lua: &Lua, args: &Arguments| f(lua, &settings, args)
    };
    add(lua, &table, "encode", own(encode))?;
    add(lua, &table, "decode", own(decode))?;
    add(
        lua,
        &table,
        "encode_max_depth",
        own(|_, settings, args| count(args, 0, "encode_max_depth", &settings.encode_depth, 1, DEEPEST)),
    )?;
    add(
        lua,
        &table,
        "decode_max_depth",
        own(|_, settings, args| count(args, 0, "decode_max_depth", &settings.decode_depth, 1, DEEPEST)),
    )?;
    add(
        lua,
        &table,
        "encode_number_precision",
        own(|_, settings, args| count(args, 0, "encode_number_precision", &settings.precision, 1, 17)),
    )?;
    add(lua, &table, "encode_keep_buffer", own(|_, settings, args| truth(args, 0, &settings.keeps_buffer)))?;
    add(lua, &table, "decode_invalid_numbers", own(|_, settings, args| truth(args, 0, &settings.decode_invalid)))?;
    add(
        lua,
        &table,
        "encode_invalid_numbers",
        own(|lua, settings, args| {
            match args.get(0) {
                Value::Nil => {}
                Value::Boolean(true) => settings.encode_invalid.set(Invalid::Written),
                Value::Boolean(false) => settings.encode_invalid.set(Invalid::Refused),
                Value::String(text) if &*text.as_bytes() == b"null" => settings.encode_invalid.set(Invalid::Null),
                _ => return Err(Wrong::Text("bad argument #1 to 'encode_invalid_numbers' (invalid option)".into())),
            }
            one(match settings.encode_invalid.get() {
                Invalid::Refused => Value::Boolean(false),
                Invalid::Written => Value::Boolean(true),
                Invalid::Null => Value::String(lua.create_string("null")?),
            })
        }),
    )?;
    add(
        lua,
        &table,
        "encode_sparse_array",
        own(|_, settings, args| {
            const NAME: &str = "encode_sparse_array";
            truth(args, 0, &settings.sparse_convert)?;
            count(args, 1, NAME, &settings.sparse_ratio, 0, i32::MAX as usize)?;
            count(args, 2, NAME, &settings.sparse_safe, 0, i32::MAX as usize)?;
            Ok(mlua::MultiValue::from_vec(vec![
                Value::Boolean(settings.sparse_convert.get()),
                Value::Number(settings.sparse_ratio.get() as f64),
                Value::Number(settings.sparse_safe.get() as f64),
            ]))
        }),
    )?;
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    Ok(table)
}

/// Sets a number, if one is given, and says what it is now.
fn count(args: &Arguments, i: usize, name: &str, setting: &Cell<usize>, least: usize, most: usize) -> Outcome {
    if *args.get(i) != Value::Nil {
        let wanted = args.number(i, name)?;
        if !(least as f64..=most as f64).contains(&wanted) {
            let range = format!("expected integer between {least} and {most}");
            return Err(Wrong::Text(format!("bad argument #{} to '{name}' ({range})", i + 1)));
        }
        setting.set(wanted as usize);
    }
    one(Value::Number(setting.get() as f64))
}

fn truth(args: &Arguments, i: usize, setting: &Cell<bool>) -> Outcome {
    if let Value::Boolean(wanted) = args.get(i) {
        setting.set(*wanted);
    }
    one(Value::Boolean(setting.get()))
}

fn encode(lua: &Lua, settings: &Settings, args: &Arguments) -> Outcome {
    if args.len() != 1 {
        return Err("bad argument #1 to 'encode' (expected 1 argument)".into());
    }
    let mut out = Vec::new();
    write(settings, args.get(0), 0, &mut out)?;
    one(Value::String(lua.create_string(out)?))
}

fn write(settings: &Settings, value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), Wrong> {
    // A table that contains a value several times over may be far larger written than in memory.
    if out.len() > mneme_kernel::limits::SCRIPT_MEMORY {
        return Err("Cannot serialise: the text is too long".into());
    }
    match value {
        Value::Nil => out.extend_from_slice(b"null"),
        Value::LightUserData(pointer) if pointer.0.is_null() => out.extend_from_slice(b"null"),
        Value::Boolean(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        Value::Integer(n) => write_number(settings, *n as f64, out)?,
        Value::Number(n) => write_number(settings, *n, out)?,
        Value::String(text) => write_string(&text.as_bytes(), out),
        Value::Table(table) => write_table(settings, table, depth + 1, out)?,
        other => return Err(Wrong::Text(format!("Cannot serialise {}: type not supported", other.type_name()))),
    }
    Ok(())
}

fn write_number(settings: &Settings, number: f64, out: &mut Vec<u8>) -> Result<(), Wrong> {
    if !number.is_finite() {
        match settings.encode_invalid.get() {
            Invalid::Refused => return Err("Cannot serialise number: must not be NaN or Inf".into()),
            Invalid::Null => out.extend_from_slice(b"null"),
            Invalid::Written => out.extend_from_slice(general(number, 14).as_bytes()),
        }
        return Ok(());
    }
    out.extend_from_slice(general(number, settings.precision.get()).as_bytes());
    Ok(())
}

fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' | b'/' => out.extend_from_slice(&[b'\\', *byte]),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..32 | 127 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// How many elements there are if the table is an array; `None` if it is a map.
fn array_len(settings: &Settings, table: &Table) -> Result<Option<usize>, Wrong> {
    let (mut max, mut items) = (0usize, 0usize);
    for pair in table.pairs::<Value, Value>() {
        let (key, _) = pair?;
        let place = match key {
            Value::Integer(n) => Some(n as f64),
            Value::Number(n) => Some(n),
            _ => None,
        };
        match place {
            Some(place) if place >= 1.0 && place.fract() == 0.0 && place <= f64::from(i32::MAX) => {
                max = max.max(place as usize);
                items += 1;
            }
            _ => return Ok(None),
        }
    }
    let ratio = settings.sparse_ratio.get();
    if ratio > 0 && max > items.saturating_mul(ratio) && max > settings.sparse_safe.get() {
        if !settings.sparse_convert.get() {
            return Err("Cannot serialise table: excessively sparse array".into());
        }
        return Ok(None);
    }
    Ok((items > 0).then_some(max))
}

fn write_table(settings: &Settings, table: &Table, depth: usize, out: &mut Vec<u8>) -> Result<(), Wrong> {
    if depth > settings.encode_depth.get() {
        return Err(Wrong::Text(format!("Cannot serialise, excessive nesting ({depth})")));
    }
    if let Some(len) = array_len(settings, table)? {
        out.push(b'[');
        for i in 1..=len {
            if i > 1 {
                out.push(b',');
            }
            write(settings, &table.raw_get::<Value>(i)?, depth, out)?;
        }
        out.push(b']');
        return Ok(());
    }
    out.push(b'{');
    let mut is_first = true;
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        match &key {
            Value::String(text) => write_string(&text.as_bytes(), out),
            Value::Integer(_) | Value::Number(_) => {
                out.push(b'"');
                write_number(settings, number(&key).unwrap_or_default(), out)?;
                out.push(b'"');
            }
            _ => return Err("Cannot serialise table: table key must be a number or string".into()),
        }
        out.push(b':');
        write(settings, &value, depth, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn decode(lua: &Lua, settings: &Settings, args: &Arguments) -> Outcome {
    if args.len() != 1 {
        return Err("bad argument #1 to 'decode' (expected 1 argument)".into());
    }
    let text = args.bytes(0, "decode")?;
    // UTF-16 and UTF-32 have such zeros near their beginning.
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err("JSON parser does not support UTF-16 or UTF-32".into());
    }
    let mut reader = Reader { lua, settings, text: &text, at: 0 };
    let value = reader.value(0)?;
    reader.skip_space();
    if reader.at < text.len() {
        return Err(reader.expected("the end"));
    }
    one(value)
}

struct Reader<'a> {
    lua: &'a Lua,
    settings: &'a Settings,
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &str) -> Wrong {
        let found = match self.peek() {
            None => "T_END",
            Some(b'{') => "T_OBJ_BEGIN",
            Some(b'}') => "T_OBJ_END",
            Some(b'[') => "T_ARR_BEGIN",
            Some(b']') => "T_ARR_END",
            Some(b':') => "T_COLON",
            Some(b',') => "T_COMMA",
            Some(b'"') => "T_STRING",
            Some(b'-' | b'0'..=b'9') => "T_NUMBER",
            Some(b't' | b'f') if self.is_word(b"true") || self.is_word(b"false") => "T_BOOLEAN",
            Some(b'n') if self.is_word(b"null") => "T_NULL",
            _ => "invalid token",
        };
        Wrong::Text(format!("Expected {what} but found {found} at character {}", self.at + 1))
    }

    fn is_word(&self, word: &[u8]) -> bool {
        self.text[self.at..].starts_with(word)
    }

    fn value(&mut self, depth: usize) -> Result<Value, Wrong> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b't') if self.is_word(b"true") => self.word(4, Value::Boolean(true)),
            Some(b'f') if self.is_word(b"false") => self.word(5, Value::Boolean(false)),
            Some(b'n') if self.is_word(b"null") => self.word(4, Value::NULL),
            _ => self.number(),
        }
    }

    fn word(&mut self, len: usize, value: Value) -> Result<Value, Wrong> {
        self.at += len;
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, Wrong> {
        let rest = &self.text[self.at..];
        let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let word = &rest[..rest.iter().take_while(is_part).count()];
        let text = std::str::from_utf8(word).unwrap_or_default();
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_plain = digits.starts_with(|c: char| c.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
        let is_odd = digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
        let number = if is_plain && (!is_odd || self.settings.decode_invalid.get()) {
            text.parse().ok()
        } else if self.settings.decode_invalid.get() {
            odd_number(text)
        } else {
            None
        };
        let Some(number) = number else {
            return Err(match text.is_empty() || !is_plain {
                true => self.expected("value"),
                false => Wrong::Text(format!("Expected value but found invalid number at character {}", self.at + 1)),
            });
        };
        self.at += word.len();
        Ok(Value::Number(number))
    }

    fn enter(&self, depth: usize) -> Result<(), Wrong> {
        if depth > self.settings.decode_depth.get() {
            let at = self.at + 1;
            return Err(Wrong::Text(format!("Found too many nested data structures ({depth}) at character {at}")));
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<Value, Wrong> {
        self.enter(depth)?;
        self.at += 1;
        let table = self.lua.create_table()?;
        self.skip_space();
        if self.peek() == Some(b'}') {
            return self.word(1, Value::Table(table));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.expected("object key string"));
            }
            let key = self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.expected("colon"));
            }
            self.at += 1;
            let value = self.value(depth)?;
            table.raw_set(key, value)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => return self.word(1, Value::Table(table)),
                _ => return Err(self.expected("comma or object end")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Wrong> {
        self.enter(depth)?;
        self.at += 1;
        let table = self.lua.create_table()?;
        self.skip_space();
        if self.peek() == Some(b']') {
            return self.word(1, Value::Table(table));
        }
        for i in 1.. {
            let value = self.value(depth)?;
            table.raw_set(i, value)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.expected("comma or array end")),
            }
        }
        self.word(1, Value::Table(table))
    }

    fn string(&mut self) -> Result<mlua::String, Wrong> {
        let mut out = Vec::new();
        self.at += 1;
        loop {
            match self.peek() {
                None => {
                    return Err(Wrong::Text(format!(
                        "Expected value but found unexpected end of string at character {}",
                        self.at + 1
                    )));
                }
                Some(b'"') => break,
                Some(b'\\') => self.escape(&mut out)?,
                Some(byte) => {
                    out.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Ok(self.lua.create_string(out)?)
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Wrong> {
        let wrong =
            || Wrong::Text(format!("Expected value but found invalid escape code at character {}", self.at + 1));
        let byte = *self.text.get(self.at + 1).ok_or_else(wrong)?;
        out.push(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let invalid = || {
                    let at = self.at + 1;
                    Wrong::Text(format!("Expected value but found invalid unicode escape code at character {at}"))
                };
                let first = self.unit(self.at).ok_or_else(invalid)?;
                let second = self.unit(self.at + 6).filter(|_| (0xd800..0xdc00).contains(&first));
                let units = match second {
                    Some(second) => vec![first, second],
                    None => vec![first],
                };
                let decoded = String::from_utf16(&units).map_err(|_| invalid())?;
                out.extend_from_slice(decoded.as_bytes());
                self.at += 6 * units.len();
                return Ok(());
            }
            _ => return Err(wrong()),
        });
        self.at += 2;
        Ok(())
    }

    /// The four hexadecimal digits of an escape that begins there.
    fn unit(&self, at: usize) -> Option<u16> {
        let digits = self.text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        let text = std::str::from_utf8(digits).ok()?;
        if text.starts_with('+') { None } else { u16::from_str_radix(text, 16).ok() }
    }
}

/// Numbers that JSON has not, but the library takes.
fn odd_number(text: &str) -> Option<f64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1.0, text), |digits| (-1.0, digits));
    let lower = digits.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "infinity" => Some(sign * f64::INFINITY),
        "nan" => Some(f64::NAN),
        _ => lower.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok()).map(|n| sign * n as f64),
    }
}
