//! `bit`: operations on 32 bits, as the BitOp library for Lua 5.1 offers them.

use mlua::{Lua, Table, Value};

use crate::library::{Arguments, Wrong, add, one};

/// The nearest integer, cut to its lowest 32 bits.
fn bits(args: &Arguments, i: usize, function: &str) -> Result<i32, Wrong> {
    let number = args.number(i, function)?;
    Ok(if number.is_finite() { (number.round_ties_even() % 4_294_967_296.0) as i64 as i32 } else { 0 })
}

pub(crate) fn table(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    add(lua, &table, "tobit", |_, args| one(Value::Number(bits(args, 0, "tobit")?.into())))?;
    add(lua, &table, "bnot", |_, args| one(Value::Number((!bits(args, 0, "bnot")?).into())))?;
    add(lua, &table, "bswap", |_, args| one(Value::Number(bits(args, 0, "bswap")?.swap_bytes().into())))?;
    for (name, operate) in
        [("band", (|a, b| a & b) as fn(i32, i32) -> i32), ("bor", |a, b| a | b), ("bxor", |a, b| a ^ b)]
    {
        add(lua, &table, name, move |_, args| {
            let mut result = bits(args, 0, name)?;
            for i in 1..args.len() {
                result = operate(result, bits(args, i, name)?);
            }
            one(Value::Number(result.into()))
        })?;
    }
    for (name, shift) in [
        ("lshift", (|n, by| n.wrapping_shl(by)) as fn(i32, u32) -> i32),
        ("rshift", |n, by| (n as u32).wrapping_shr(by) as i32),
        ("arshift", |n, by| n.wrapping_shr(by)),
        ("rol", |n, by| n.rotate_left(by & 31)),
        ("ror", |n, by| n.rotate_right(by & 31)),
    ] {
        add(lua, &table, name, move |_, args| {
            one(Value::Number(shift(bits(args, 0, name)?, bits(args, 1, name)? as u32).into()))
        })?;
    }
    add(lua, &table, "tohex", |lua, args| {
        let number = bits(args, 0, "tohex")? as u32;
        let digits = if args.len() > 1 { bits(args, 1, "tohex")? } else { 8 };
        let count = digits.unsigned_abs().min(8) as usize;
        let text = if digits < 0 { format!("{number:08X}") } else { format!("{number:08x}") };
        one(Value::String(lua.create_string(&text[8 - count..])?))
    })?;
    Ok(table)
}
