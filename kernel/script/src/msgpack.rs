//! `cmsgpack`: MessagePack as the library of this name reads and writes it.

use mlua::{Lua, MultiValue, Table, Value};

use crate::library::{Arguments, Outcome, RESULTS, Wrong, add};

/// Tables within tables; what is deeper is written as nil.
const DEPTH: usize = 16;
/// Of what is read: each level takes the machine's stack.
const READ_DEPTH: usize = 1000;

pub(crate) fn table(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    add(lua, &table, "pack", |lua, args| {
        if args.len() == 0 {
            return Err("bad argument #0 to 'pack' (MessagePack pack needs input.)".into());
        }
        let mut out = Vec::new();
        args.0.iter().try_for_each(|value| write(value, 0, &mut out))?;
        crate::library::one(Value::String(lua.create_string(out)?))
    })?;
    add(lua, &table, "unpack", |lua, args| unpack(lua, args, "unpack", None, 0))?;
    add(lua, &table, "unpack_one", |lua, args| {
        let offset = offset(args, 1, "unpack_one")?;
        unpack(lua, args, "unpack_one", Some(1), offset)
    })?;
    add(lua, &table, "unpack_limit", |lua, args| {
        let limit = args.number(1, "unpack_limit")?;
        let offset = offset(args, 2, "unpack_limit")?;
        if limit < 0.0 {
            return Err("Invalid request to unpack with negative limit".into());
        }
        unpack(lua, args, "unpack_limit", Some(limit as usize), offset)
    })?;
    table.raw_set("_NAME", "cmsgpack")?;
    table.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.raw_set("_COPYRIGHT", "")?;
    table.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(table)
}

fn offset(args: &Arguments, i: usize, name: &str) -> Result<usize, Wrong> {
    if *args.get(i) == Value::Nil {
        return Ok(0);
    }
    let offset = args.number(i, name)?;
    if offset < 0.0 {
        return Err(Wrong::Text(format!("Invalid request to unpack with offset of {offset} and limit of 1.")));
    }
    Ok(offset as usize)
}

fn write(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), Wrong> {
    if out.len() > mneme_kernel::limits::SCRIPT_MEMORY {
        return Err("the message is too long".into());
    }
    match value {
        Value::Boolean(truth) => out.push(if *truth { 0xc3 } else { 0xc2 }),
        Value::Integer(n) => write_integer(*n, out),
        Value::Number(n) => write_number(*n, out),
        Value::String(text) => {
            let text = text.as_bytes();
            match text.len() {
                len @ 0..32 => out.push(0xa0 | len as u8),
                len @ 32..0x100 => out.extend_from_slice(&[0xd9, len as u8]),
                len => write_len(len, 0xda, 0xdb, out),
            }
            out.extend_from_slice(&text);
        }
        Value::Table(_) if depth == DEPTH => out.push(0xc0),
        Value::Table(table) => write_table(table, depth + 1, out)?,
        _ => out.push(0xc0),
    }
    Ok(())
}

/// A length in sixteen bits behind one code, or in 32 behind another.
fn write_len(len: usize, short: u8, long: u8, out: &mut Vec<u8>) {
    match u16::try_from(len) {
        Ok(len) => {
            out.push(short);
            out.extend_from_slice(&len.to_be_bytes());
        }
        Err(_) => {
            out.push(long);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
}

fn write_number(number: f64, out: &mut Vec<u8>) {
    const INTEGERS: std::ops::Range<f64> = -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;
    if number.fract() == 0.0 && INTEGERS.contains(&number) {
        write_integer(number as i64, out);
    } else if f64::from(number as f32) == number {
        out.push(0xca);
        out.extend_from_slice(&(number as f32).to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn write_integer(n: i64, out: &mut Vec<u8>) {
    match n {
        -32..0x80 => out.push(n as u8),
        0x80..0x100 => out.extend_from_slice(&[0xcc, n as u8]),
        0x100..0x1_0000 => {
            out.push(0xcd);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            out.push(0xce);
            out.extend_from_slice(&(n as u32).to_be_bytes());
        }
        0x1_0000_0000.. => {
            out.push(0xcf);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
        -128..-32 => out.extend_from_slice(&[0xd0, n as u8]),
        -0x8000..-128 => {
            out.push(0xd1);
            out.extend_from_slice(&(n as i16).to_be_bytes());
        }
        -0x8000_0000..-0x8000 => {
            out.push(0xd2);
            out.extend_from_slice(&(n as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend_from_slice(&n.to_be_bytes());
        }
    }
}

fn write_table(table: &Table, depth: usize, out: &mut Vec<u8>) -> Result<(), Wrong> {
    let (mut max, mut len, mut is_array) = (0.0f64, 0usize, true);
    for pair in table.pairs::<Value, Value>() {
        let (key, _) = pair?;
        let place = match key {
            Value::Integer(n) => n as f64,
            Value::Number(n) => n,
            _ => 0.0,
        };
        is_array &= place >= 1.0 && place.fract() == 0.0;
        max = max.max(place);
        len += 1;
    }
    if is_array && max == len as f64 {
        match len {
            0..16 => out.push(0x90 | len as u8),
            _ => write_len(len, 0xdc, 0xdd, out),
        }
        return (1..=len).try_for_each(|i| write(&table.raw_get(i)?, depth, out));
    }
    match len {
        0..16 => out.push(0x80 | len as u8),
        _ => write_len(len, 0xde, 0xdf, out),
    }
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        write(&key, depth, out)?;
        write(&value, depth, out)?;
    }
    Ok(())
}

/// Reads so many values at most; with a limit, where it ended comes first, or -1 at the end.
fn unpack(lua: &Lua, args: &Arguments, name: &str, limit: Option<usize>, offset: usize) -> Outcome {
    let message = args.bytes(0, name)?;
    if offset > message.len() {
        return Err(Wrong::Text(format!("Start offset {offset} greater than input length {}.", message.len())));
    }
    let mut reader = Reader { lua, rest: &message[offset..] };
    let mut values = Vec::new();
    while !reader.rest.is_empty() && limit.is_none_or(|limit| limit == 0 || values.len() < limit) {
        values.push(reader.value(0)?);
        if values.len() > RESULTS {
            return Err("too many values to unpack".into());
        }
    }
    if limit.is_some() {
        let at = message.len() - reader.rest.len();
        values.insert(0, Value::Number(if reader.rest.is_empty() { -1.0 } else { at as f64 }));
    }
    Ok(MultiValue::from_vec(values))
}

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take(&mut self, len: usize) -> Result<&[u8], Wrong> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or("Missing bytes in input.")?;
        self.rest = rest;
        Ok(taken)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        Ok(self.take(N)?.try_into().unwrap_or([0; N]))
    }

    fn value(&mut self, depth: usize) -> Result<Value, Wrong> {
        let [first] = self.bytes()?;
        let number = |n: f64| Ok(Value::Number(n));
        match first {
            0..0x80 => number(first.into()),
            0xe0.. => number(f64::from(first as i8)),
            0x80..0x90 => self.map((first & 15).into(), depth),
            0x90..0xa0 => self.array((first & 15).into(), depth),
            0xa0..0xc0 => self.string((first & 31).into()),
            0xc0 => Ok(Value::Nil),
            0xc2 => Ok(Value::Boolean(false)),
            0xc3 => Ok(Value::Boolean(true)),
            0xc4 | 0xd9 => {
                let [len] = self.bytes()?;
                self.string(len.into())
            }
            0xc5 | 0xda => {
                let len = u16::from_be_bytes(self.bytes()?);
                self.string(len.into())
            }
            0xc6 | 0xdb => {
                let len = u32::from_be_bytes(self.bytes()?);
                self.string(len as usize)
            }
            0xca => number(f32::from_be_bytes(self.bytes()?).into()),
            0xcb => number(f64::from_be_bytes(self.bytes()?)),
            0xcc => number(u8::from_be_bytes(self.bytes()?).into()),
            0xcd => number(u16::from_be_bytes(self.bytes()?).into()),
            0xce => number(u32::from_be_bytes(self.bytes()?).into()),
            0xcf => number(u64::from_be_bytes(self.bytes()?) as f64),
            0xd0 => number(i8::from_be_bytes(self.bytes()?).into()),
            0xd1 => number(i16::from_be_bytes(self.bytes()?).into()),
            0xd2 => number(i32::from_be_bytes(self.bytes()?).into()),
            0xd3 => number(i64::from_be_bytes(self.bytes()?) as f64),
            0xdc => {
                let len = u16::from_be_bytes(self.bytes()?);
                self.array(len.into(), depth)
            }
            0xdd => {
                let len = u32::from_be_bytes(self.bytes()?);
                self.array(len as usize, depth)
            }
            0xde => {
                let len = u16::from_be_bytes(self.bytes()?);
                self.map(len.into(), depth)
            }
            0xdf => {
                let len = u32::from_be_bytes(self.bytes()?);
                self.map(len as usize, depth)
            }
            _ => Err("Bad data format in input.".into()),
        }
    }

    fn string(&mut self, len: usize) -> Result<Value, Wrong> {
        let lua = self.lua;
        Ok(Value::String(lua.create_string(self.take(len)?)?))
    }

    fn array(&mut self, len: usize, depth: usize) -> Result<Value, Wrong> {
        check_depth(depth)?;
        let table = self.lua.create_table()?;
        for i in 1..=len {
            table.raw_set(i, self.value(depth + 1)?)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, len: usize, depth: usize) -> Result<Value, Wrong> {
        check_depth(depth)?;
        let table = self.lua.create_table()?;
        for _ in 0..len {
            let key = self.value(depth + 1)?;
            let value = self.value(depth + 1)?;
            let is_key = !matches!(&key, Value::Nil) && !matches!(&key, Value::Number(n) if n.is_nan());
            if !is_key {
                return Err("Bad data format in input.".into());
            }
            table.raw_set(key, value)?;
        }
        Ok(Value::Table(table))
    }
}

fn check_depth(depth: usize) -> Result<(), Wrong> {
    if depth >= READ_DEPTH { Err("Bad data format in input.".into()) } else { Ok(()) }
}
