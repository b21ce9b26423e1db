//! As redis-cli shows replies to people.

use std::io::Write;

use mneme_kernel::resp::Value;

/// Appends a reply; the columns of nested lists are aligned.
pub fn write(value: &Value, out: &mut Vec<u8>) {
    write_at(value, 0, out);
}

/// `indent`: the columns that stand before a list's elements; the caller has filled those of the first line.
fn write_at(value: &Value, indent: usize, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => list(items, ')', "(empty array)", indent, out),
        Value::Set(items) => list(items, '~', "(empty set)", indent, out),
        Value::Push(items) => list(items, ')', "(empty push)", indent, out),
        Value::Map(pairs) => map(pairs, indent, out),
        scalar => {
            write_scalar(scalar, out);
            out.push(b'\n');
        }
    }
}

fn write_scalar(value: &Value, out: &mut Vec<u8>) {
    let kind = match value {
        Value::Bulk(bytes) => return quote(bytes, out),
        Value::Null => return out.extend(b"(nil)"),
        Value::Bool(b) => return out.extend(if *b { &b"(true)"[..] } else { b"(false)" }),
        Value::Int(_) => "(integer) ",
        Value::Double(_) => "(double) ",
        Value::BigNumber(_) => "(big number) ",
        Value::Error(_) => "(error) ",
        _ => "",
    };
    out.extend(kind.as_bytes());
    if let Some(text) = super::text(value) {
        // Verbatim text, such as INFO, ends its own last line.
        out.extend(text.strip_suffix(b"\n").unwrap_or(&text));
    }
}

fn list(items: &[Value], mark: char, empty: &str, indent: usize, out: &mut Vec<u8>) {
    if items.is_empty() {
        return out.extend(format!("{empty}\n").bytes());
    }
    let width = items.len().to_string().len();
    for (i, item) in items.iter().enumerate() {
        number(i, mark, width, indent, out);
        write_at(item, indent + width + 2, out);
    }
}

fn map(pairs: &[(Value, Value)], indent: usize, out: &mut Vec<u8>) {
    if pairs.is_empty() {
        return out.extend(b"(empty hash)\n");
    }
    let width = pairs.len().to_string().len();
    for (i, (key, value)) in pairs.iter().enumerate() {
        number(i, '#', width, indent, out);
        write_at(key, indent + width + 2, out);
        out.pop(); // The newline: a plain value follows on the same line.
        out.extend(b" =>");
        let indent = indent + width + 2;
        let gap = if is_list(value) { format!("\n{:indent$}", "") } else { " ".to_owned() };
        out.extend(gap.bytes());
        write_at(value, indent, out);
    }
}

/// Whether a value takes lines of its own; a single element stands behind its key.
fn is_list(value: &Value) -> bool {
    match value {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => items.len() > 1,
        Value::Map(pairs) => pairs.len() > 1,
        _ => false,
    }
}

/// `12) ` and the like, right-aligned.
fn number(i: usize, mark: char, width: usize, indent: usize, out: &mut Vec<u8>) {
    let indent = if i == 0 { 0 } else { indent };
    out.extend(format!("{:indent$}{:>width$}{mark} ", "", i + 1).bytes());
}

/// Bytes in double quotes; those that a terminal might act upon are escaped.
fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x07 => out.extend(b"\\a"),
            0x08 => out.extend(b"\\b"),
            b' '..=b'~' => out.push(byte),
            // Writing to a Vec cannot fail.
            _ => drop(write!(out, "\\x{byte:02x}")),
        }
    }
    out.push(b'"');
}
