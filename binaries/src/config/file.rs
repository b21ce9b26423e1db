//! The configuration file: flat TOML, its keys checked, every value with its line.

use std::fs;

use toml::de::{DeTable, DeValue};

use super::Program;
use super::table::{self, Setting};
use crate::suggest::did_you_mean;

/// What a file says. The default is a file that says nothing.
#[derive(Debug, Default)]
pub struct ConfigFile {
    pub path: String,
    entries: Vec<Entry>,
}

#[derive(Debug)]
pub struct Entry {
    setting: &'static Setting,
    /// The value as a flag would have it.
    pub text: String,
    /// Counted from 1.
    pub line: usize,
}

impl ConfigFile {
    /// Reads a file whose keys must be settings of the program.
    ///
    /// # Errors
    /// If it cannot be read, is not TOML, or has another key; the message names file, line and key.
    pub fn read(path: &str, program: Program) -> Result<ConfigFile, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
        ConfigFile::parse(path, &text, program)
    }

    /// As [`ConfigFile::read`], from text.
    pub fn parse(path: &str, text: &str, program: Program) -> Result<ConfigFile, String> {
        let line_at = |offset: usize| 1 + text[..offset].matches('\n').count();
        let table = DeTable::parse(text).map_err(|e| {
            let line = line_at(e.span().map_or(0, |s| s.start));
            format!("{path}:{line}: {}", e.message())
        })?;
        let mut items: Vec<_> = table.get_ref().iter().collect();
        items.sort_by_key(|(key, _)| key.span().start);
        let mut entries = Vec::new();
        for (key, value) in items {
            let (key, line) = (key.get_ref().to_string(), line_at(key.span().start));
            let place = |problem: String| format!("{path}:{line}: {problem}");
            let setting = setting(&key, program).map_err(place)?;
            let text = as_flag(setting, value.get_ref())
                .ok_or_else(|| place(format!("{key}: neither text nor a decimal number")))?;
            entries.push(Entry { setting, text, line });
        }
        let path = path.to_owned();
        Ok(ConfigFile { path, entries })
    }

    pub fn get(&self, setting: &Setting) -> Option<&Entry> {
        self.entries.iter().find(|e| e.setting == setting)
    }
}

/// The program's setting that a key means.
fn setting(key: &str, program: Program) -> Result<&'static Setting, String> {
    match table::all().find(|s| s.key() == key) {
        Some(setting) if setting.is_of(program) => Ok(setting),
        Some(_) => Err(format!("\"{key}\" is a setting of mneme-core, not of {}", program.name())),
        None => {
            let known: Vec<String> = table::of(program).map(|s| s.key()).collect();
            let hint = did_you_mean(key, known.iter().map(String::as_str), "");
            Err(format!("unknown key \"{key}\"{hint}"))
        }
    }
}

/// A value as it would be written behind a flag. A list becomes `a,b`.
fn as_flag(setting: &Setting, value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => match number.radix() {
            10 => Some(number.as_str().to_owned()),
            8 if setting.value == "MODE" => Some(number.as_str().to_owned()),
            _ => None,
        },
        DeValue::Array(items) => {
            let texts: Option<Vec<_>> = items.iter().map(|i| i.get_ref().as_str()).collect();
            Some(texts?.join(","))
        }
        _ => None,
    }
}
