//! How libraries written in Rust are offered to scripts: functions that say what is wrong with a text, which the prelude
//! raises where the script called them.

use mlua::{Lua, MultiValue, Table, Value};

/// Arguments that a function may have, and results. Texts and tables of Lua's take a place each while Rust knows them, and
/// of those there are 8,000, for compiled scripts and libraries too.
pub(crate) const ARGUMENTS: usize = 1000;
pub(crate) const RESULTS: usize = 4000;

/// What is wrong: the script's mistake, or Lua's own trouble.
pub(crate) enum Wrong {
    Text(String),
    Lua(mlua::Error),
}

impl From<mlua::Error> for Wrong {
    fn from(error: mlua::Error) -> Self {
        Wrong::Lua(error)
    }
}

impl From<String> for Wrong {
    fn from(text: String) -> Self {
        Wrong::Text(text)
    }
}

impl From<&str> for Wrong {
    fn from(text: &str) -> Self {
        Wrong::Text(text.into())
    }
}

pub(crate) type Outcome = Result<MultiValue, Wrong>;

/// Adds a function to a table of `host`.
pub(crate) fn add(
    lua: &Lua,
    table: &Table,
    name: &str,
    f: impl Fn(&Lua, &Arguments) -> Outcome + 'static,
) -> mlua::Result<()> {
    let function = lua.create_function(move |lua, args: MultiValue| match f(lua, &Arguments(args)) {
        Ok(mut values) => {
            values.push_front(Value::Nil);
            Ok(values)
        }
        Err(Wrong::Text(text)) => Ok(MultiValue::from_vec(vec![Value::String(lua.create_string(text)?)])),
        Err(Wrong::Lua(error)) => Err(error),
    })?;
    table.raw_set(name, function)
}

/// One value.
pub(crate) fn one(value: Value) -> Outcome {
    Ok(MultiValue::from_vec(vec![value]))
}

/// A function's arguments.
pub(crate) struct Arguments(pub MultiValue);

impl Arguments {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, i: usize) -> &Value {
        self.0.get(i).unwrap_or(&Value::Nil)
    }

    fn bad(&self, i: usize, function: &str, wanted: &str) -> Wrong {
        let got = if i < self.len() { self.get(i).type_name() } else { "no value" };
        Wrong::Text(format!("bad argument #{} to '{function}' ({wanted} expected, got {got})", i + 1))
    }

    /// A number, or a text that is one.
    pub(crate) fn number(&self, i: usize, function: &str) -> Result<f64, Wrong> {
        number(self.get(i)).ok_or_else(|| self.bad(i, function, "number"))
    }

    /// A text, or a number as text.
    pub(crate) fn bytes(&self, i: usize, function: &str) -> Result<Vec<u8>, Wrong> {
        match self.get(i) {
            Value::String(text) => Ok(text.as_bytes().to_vec()),
            other => match number(other) {
                Some(number) => Ok(crate::format::general(number, 14).into_bytes()),
                None => Err(self.bad(i, function, "string")),
            },
        }
    }
}

pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(n) => Some(*n as f64),
        Value::Number(n) => Some(*n),
        Value::String(text) => std::str::from_utf8(&text.as_bytes()).ok()?.trim().parse().ok(),
        _ => None,
    }
}
