//! The forms in which a reply is shown.

mod csv;
mod json;
mod raw;
mod terminal;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use mneme_kernel::resp::Value;

/// A form of output. Each ends with a newline, unless there is nothing to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people, as redis-cli does it: types are told, bytes are escaped.
    Terminal,
    /// Values as they are, one a line.
    Raw,
    /// One JSON value a reply.
    Json,
    /// Rows of fields, as RFC 4180 has them.
    Csv,
}

impl Form {
    /// Appends a reply in this form.
    pub fn write(self, value: &Value, out: &mut Vec<u8>) {
        match self {
            Form::Terminal => terminal::write(value, out),
            Form::Raw => raw::write(value, out),
            Form::Json => json::write(value, out),
            Form::Csv => csv::write(value, out),
        }
    }
}

/// The plain text of a value without parts; `None` of an aggregate. Null is empty.
fn text(value: &Value) -> Option<Cow<'_, [u8]>> {
    Some(match value {
        Value::Simple(s) | Value::Error(s) | Value::BigNumber(s) => s.as_bytes().into(),
        Value::Bulk(bytes) | Value::Verbatim { text: bytes, .. } => bytes.into(),
        Value::Int(n) => n.to_string().into_bytes().into(),
        Value::Double(d) => double(*d).into_bytes().into(),
        Value::Bool(b) => b.to_string().into_bytes().into(),
        Value::Null => Cow::Borrowed(b""),
        Value::Array(_) | Value::Set(_) | Value::Push(_) | Value::Map(_) => return None,
    })
}

/// A double as Redis writes it: `1`, not `1.0`, and exponents where digits would be many.
fn double(d: f64) -> String {
    match d {
        d if d.is_nan() => "nan".to_owned(),
        d if d.abs() < 1e17 && d.fract() == 0.0 => format!("{d}"),
        d => format!("{d:?}"),
    }
}
