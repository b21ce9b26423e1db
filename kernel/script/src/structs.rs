//! `struct`: values packed as C does it, by the formats of Roberto Ierusalimschy's library for Lua 5.1.

use mlua::{Lua, MultiValue, Table, Value};

use crate::library::{Arguments, Outcome, RESULTS, Wrong, add, one};

pub(crate) fn table(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    add(lua, &table, "pack", pack)?;
    add(lua, &table, "unpack", unpack)?;
    add(lua, &table, "size", |_, args| {
        let format = args.bytes(0, "size")?;
        let mut size = 0;
        for item in Items::new(&format) {
            let Item { kind, align, .. } = item?;
            match kind {
                Kind::Text | Kind::Bytes(0) => return Err("variable-size format for option".into()),
                Kind::Bytes(len) => size += len,
                _ => size += padding(size, &kind, align) + kind.size(),
            }
            if size > LARGEST {
                return Err(TOO_LARGE.into());
            }
        }
        one(Value::Number(size as f64))
    })?;
    Ok(table)
}

/// Bytes that a format may describe.
const LARGEST: usize = 64 << 20;
const TOO_LARGE: &str = "format result too large";
/// Bytes of an integer at most.
const LARGEST_INTEGER: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Of so many bytes.
    Integer {
        size: usize,
        is_signed: bool,
    },
    Float,
    Double,
    /// Up to a zero.
    Text,
    /// So many; 0: as many as the number before says, or as there are.
    Bytes(usize),
    Pad,
}

impl Kind {
    fn size(self) -> usize {
        match self {
            Kind::Integer { size, .. } => size,
            Kind::Float => 4,
            Kind::Double => 8,
            Kind::Pad => 1,
            Kind::Text => 0,
            Kind::Bytes(len) => len,
        }
    }
}

struct Item {
    kind: Kind,
    big_end: bool,
    align: usize,
}

/// Zeros before a value so that it lies where the format wants it.
fn padding(at: usize, kind: &Kind, align: usize) -> usize {
    let align = match kind {
        Kind::Integer { size, .. } => (*size).min(align),
        Kind::Float => align.min(4),
        Kind::Double => align.min(8),
        _ => 1,
    };
    if align > 1 { (align - (at & (align - 1))) & (align - 1) } else { 0 }
}

struct Items<'a> {
    rest: &'a [u8],
    big_end: bool,
    align: usize,
}

impl<'a> Items<'a> {
    fn new(format: &'a [u8]) -> Self {
        Self { rest: format, big_end: false, align: 1 }
    }

    /// The number that stands next, or another one.
    fn count(&mut self, otherwise: usize) -> Result<usize, Wrong> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        if digits == 0 {
            return Ok(otherwise);
        }
        let number = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
        number.filter(|number| *number <= LARGEST).ok_or_else(|| "integral size overflow".into())
    }

    fn integer(&mut self, otherwise: usize, is_signed: bool) -> Result<Kind, Wrong> {
        let size = self.count(otherwise)?;
        if size == 0 || size > LARGEST_INTEGER {
            return Err(Wrong::Text(format!("integral size {size} is larger than limit of {LARGEST_INTEGER}")));
        }
        Ok(Kind::Integer { size, is_signed })
    }

    fn read(&mut self) -> Result<Option<Item>, Wrong> {
        loop {
            let Some((option, rest)) = self.rest.split_first() else { return Ok(None) };
            self.rest = rest;
            let fixed = |size| Kind::Integer { size, is_signed: option.is_ascii_lowercase() };
            let kind = match option {
                b' ' => continue,
                b'>' => {
                    self.big_end = true;
                    continue;
                }
                b'<' => {
                    self.big_end = false;
                    continue;
                }
                b'!' => {
                    self.align = self.count(8)?;
                    if !self.align.is_power_of_two() {
                        return Err("alignment is not a power of 2".into());
                    }
                    continue;
                }
                b'b' | b'B' => fixed(1),
                b'h' | b'H' => fixed(2),
                b'l' | b'L' => fixed(8),
                b'T' => fixed(8),
                b'i' => self.integer(4, true)?,
                b'I' => self.integer(4, false)?,
                b'f' => Kind::Float,
                b'd' => Kind::Double,
                b's' => Kind::Text,
                b'c' => Kind::Bytes(self.count(1)?),
                b'x' => Kind::Pad,
                _ => return Err(Wrong::Text(format!("invalid format option '{}'", char::from(*option)))),
            };
            return Ok(Some(Item { kind, big_end: self.big_end, align: self.align }));
        }
    }
}

impl Iterator for Items<'_> {
    type Item = Result<Item, Wrong>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn pack(lua: &Lua, args: &Arguments) -> Outcome {
    let format = args.bytes(0, "pack")?;
    let mut out = Vec::new();
    let mut at = 1;
    for item in Items::new(&format) {
        let Item { kind, big_end, align } = item?;
        out.resize(out.len() + padding(out.len(), &kind, align), 0);
        match kind {
            Kind::Pad => out.push(0),
            Kind::Integer { size, .. } => {
                let number = args.number(at, "pack")?;
                let bytes = (number as i128 as i64).to_le_bytes();
                let sign = if number < 0.0 { 0xff } else { 0 };
                let start = out.len();
                out.extend((0..size).map(|i| bytes.get(i).copied().unwrap_or(sign)));
                if big_end {
                    out[start..].reverse();
                }
                at += 1;
            }
            Kind::Float => {
                let number = args.number(at, "pack")? as f32;
                out.extend_from_slice(&if big_end { number.to_be_bytes() } else { number.to_le_bytes() });
                at += 1;
            }
            Kind::Double => {
                let number = args.number(at, "pack")?;
                out.extend_from_slice(&if big_end { number.to_be_bytes() } else { number.to_le_bytes() });
                at += 1;
            }
            Kind::Text | Kind::Bytes(_) => {
                let text = args.bytes(at, "pack")?;
                let len = match kind {
                    Kind::Bytes(len) if len > 0 => len,
                    _ => text.len(),
                };
                let text = text
                    .get(..len)
                    .ok_or_else(|| Wrong::Text(format!("bad argument #{} to 'pack' (string too short)", at + 1)))?;
                out.extend_from_slice(text);
                if kind == Kind::Text {
                    out.push(0);
                }
                at += 1;
            }
        }
        if out.len() > LARGEST {
            return Err(TOO_LARGE.into());
        }
    }
    one(Value::String(lua.create_string(out)?))
}

fn unpack(lua: &Lua, args: &Arguments) -> Outcome {
    const SHORT: &str = "data string too short";
    let format = args.bytes(0, "unpack")?;
    let data = args.bytes(1, "unpack")?;
    let start = if *args.get(2) == Value::Nil { 1.0 } else { args.number(2, "unpack")? };
    if start < 1.0 {
        return Err("offset must be 1 or greater".into());
    }
    let mut at = start as usize - 1;
    let mut values: Vec<Value> = Vec::new();
    for item in Items::new(&format) {
        let Item { kind, big_end, align } = item?;
        at = at.checked_add(padding(at, &kind, align)).ok_or(SHORT)?;
        let rest = data.get(at..).ok_or(SHORT)?;
        let mut taken = rest.get(..kind.size()).ok_or(SHORT)?.to_vec();
        at += taken.len();
        if big_end {
            taken.reverse();
        }
        match kind {
            Kind::Pad => {}
            Kind::Integer { size, is_signed } => {
                let mut bytes = [0; 8];
                let low = size.min(8);
                bytes[..low].copy_from_slice(&taken[..low]);
                let unsigned = u64::from_le_bytes(bytes);
                let number = match is_signed {
                    true => (unsigned << (64 - 8 * low)) as i64 >> (64 - 8 * low),
                    false => unsigned as i64,
                };
                values.push(Value::Number(if is_signed { number as f64 } else { unsigned as f64 }));
            }
            Kind::Float => values.push(Value::Number(f32::from_le_bytes(taken.try_into().unwrap_or_default()).into())),
            Kind::Double => values.push(Value::Number(f64::from_le_bytes(taken.try_into().unwrap_or_default()))),
            Kind::Text => {
                let len = rest.iter().position(|byte| *byte == 0).ok_or("unfinished string in data")?;
                at += len + 1;
                values.push(Value::String(lua.create_string(&rest[..len])?));
            }
            Kind::Bytes(0) => {
                let len = values.pop().and_then(|len| crate::library::number(&len));
                let len = len.filter(|len| *len >= 0.0).ok_or("format 'c0' needs a previous size")?;
                let text = rest.get(..len as usize).ok_or(SHORT)?;
                at += text.len();
                values.push(Value::String(lua.create_string(text)?));
            }
            Kind::Bytes(_) => {
                let text = &rest[..kind.size()];
                values.push(Value::String(lua.create_string(text)?));
            }
        }
        if values.len() > RESULTS {
            return Err("too many results to unpack".into());
        }
    }
    values.push(Value::Number(at as f64 + 1.0));
    Ok(MultiValue::from_vec(values))
}
