//! Replies as JSON.

use std::io::Write;

use mneme_kernel::resp::Value;

/// Appends a reply, on one line.
///
/// JSON has no bytes: what is not UTF-8 becomes U+FFFD. Numbers that it cannot say (infinities, not-a-number, integers
/// beyond 64 bits, which most readers would round) are strings. An error inside a reply is `{"error": ".."}`. A key that
/// is not text is its text in the raw form.
pub fn write(value: &Value, out: &mut Vec<u8>) {
    write_value(value, out);
    out.push(b'\n');
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Int(_) | Value::Bool(_) => plain(value, out),
        Value::Double(d) if d.is_finite() => plain(value, out),
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            separated(b"[]", items, out, write_value);
        }
        Value::Map(pairs) => separated(b"{}", pairs, out, |(key, value), out| {
            write_key(key, out);
            write_value(value, out);
        }),
        Value::Error(message) => {
            out.extend(b"{\"error\":");
            string(message.as_bytes(), out);
            out.push(b'}');
        }
        text => string(&super::text(text).unwrap_or_default(), out),
    }
}

fn write_key(key: &Value, out: &mut Vec<u8>) {
    let mut text = Vec::new();
    super::raw::write(key, &mut text);
    string(text.strip_suffix(b"\n").unwrap_or(&text), out);
    out.push(b':');
}

fn plain(value: &Value, out: &mut Vec<u8>) {
    out.extend(super::text(value).unwrap_or_default().iter());
}

fn separated<T>(brackets: &[u8; 2], items: &[T], out: &mut Vec<u8>, write_item: impl Fn(&T, &mut Vec<u8>)) {
    out.push(brackets[0]);
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_item(item, out);
    }
    out.push(brackets[1]);
}

fn string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '"' => out.extend(b"\\\""),
            '\\' => out.extend(b"\\\\"),
            '\n' => out.extend(b"\\n"),
            '\r' => out.extend(b"\\r"),
            '\t' => out.extend(b"\\t"),
            // DEL and its kin are allowed, but a terminal might act upon them. Writing to a Vec cannot fail.
            c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => drop(write!(out, "{c}")),
        }
    }
    out.push(b'"');
}
