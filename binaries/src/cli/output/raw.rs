//! Values as they are, for other programs: one a line, nothing escaped.

use mneme_kernel::resp::Value;

/// Appends a reply. Null is an empty line; an empty aggregate is no line; a map is a line a key and a line a value.
pub fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            items.iter().for_each(|item| write(item, out));
        }
        Value::Map(pairs) => {
            for (key, value) in pairs {
                write(key, out);
                write(value, out);
            }
        }
        scalar => {
            out.extend(super::text(scalar).unwrap_or_default().iter());
            out.push(b'\n');
        }
    }
}
