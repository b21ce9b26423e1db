//! Replies as CSV, RFC 4180: a list is a row, a list of lists is a row each, a map is a row a pair.

use mneme_kernel::resp::Value;

/// Appends a reply. Null is an empty field, an empty string a quoted one; an empty aggregate is no row.
pub fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            if items.iter().any(|item| super::text(item).is_none()) {
                items.iter().for_each(|item| row([item], out));
            } else if !items.is_empty() {
                row(items, out);
            }
        }
        Value::Map(pairs) => pairs.iter().for_each(|(key, value)| row([key, value], out)),
        scalar => row([scalar], out),
    }
}

fn row<'a>(values: impl IntoIterator<Item = &'a Value>, out: &mut Vec<u8>) {
    let mut first = true;
    values.into_iter().for_each(|value| fields(value, &mut first, out));
    out.push(b'\n');
}

/// A value's fields; what is nested is laid out flat.
fn fields(value: &Value, first: &mut bool, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            items.iter().for_each(|item| fields(item, first, out));
        }
        Value::Map(pairs) => {
            for (key, value) in pairs {
                fields(key, first, out);
                fields(value, first, out);
            }
        }
        scalar => {
            if !std::mem::take(first) {
                out.push(b',');
            }
            field(scalar, out);
        }
    }
}

fn field(value: &Value, out: &mut Vec<u8>) {
    let text = super::text(value).unwrap_or_default();
    match value {
        Value::Null | Value::Int(_) | Value::Double(_) | Value::Bool(_) => out.extend(text.iter()),
        _ => {
            out.push(b'"');
            for &byte in text.iter() {
                if byte == b'"' {
                    out.push(b'"');
                }
                out.push(byte);
            }
            out.push(b'"');
        }
    }
}
