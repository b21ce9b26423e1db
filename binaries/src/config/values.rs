//! Which text each setting has, and who gave it.

use std::fmt;

use clap::ArgMatches;

use super::file::ConfigFile;
use super::parse::Parsed;
use super::table::{self, Setting};
use super::{Environment, Machine, Program, secret};
use crate::suggest::did_you_mean;

/// The settings of one program as text, each with its origin.
#[derive(Debug)]
pub struct Values(Vec<Given>);

/// A setting's value, not yet understood.
#[derive(Debug)]
pub struct Given {
    pub setting: &'static Setting,
    /// `None`: nobody gave one, and it has no default of its own.
    pub text: Option<String>,
    pub origin: Origin,
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: String, line: usize },
    Environment,
    Flag,
}

impl Values {
    /// What holds when nobody says anything.
    pub fn defaults(machine: &Machine) -> Values {
        let given =
            |setting: &'static Setting| Given { setting, text: setting.default.text(machine), origin: Origin::Default };
        Values(table::all().map(given).collect())
    }

    /// What holds when everybody has been asked: file, environment, flags. What is none of the program's settings keeps
    /// its default.
    ///
    /// # Errors
    /// If the file cannot be read or has a key that is no setting, or a value is empty.
    pub fn gather(program: Program, machine: &Machine, env: &Environment, flags: &ArgMatches) -> Parsed<Values> {
        let file = file(env, flags).map(|path| ConfigFile::read(path, program)).transpose()?.unwrap_or_default();
        let mut values = Values::defaults(machine);
        for given in values.0.iter_mut().filter(|g| g.setting.is_of(program)) {
            let setting = given.setting;
            if let Some(text) = flags.get_one::<String>(setting.name) {
                given.replace(text, Origin::Flag);
            } else if let Some(text) = env.get(&setting.variable()) {
                given.replace(text, Origin::Environment);
            } else if let Some(entry) = file.get(setting) {
                let (path, line) = (file.path.clone(), entry.line);
                given.replace(&entry.text, Origin::File { path, line });
            }
            if given.text.as_deref() == Some("") {
                return Err(format!("{given}: empty; leave it out for the default"));
            }
        }
        Ok(values)
    }

    /// A setting by its name, which must stand in the table.
    pub fn get(&self, name: &str) -> &Given {
        let found = self.0.iter().find(|g| g.setting.name == name);
        found.unwrap_or_else(|| panic!("{name} is not in the table of settings"))
    }

    /// Each as it was written; one that nobody gave as its default is described.
    pub fn written(&self) -> Vec<mneme_kernel::core::Setting> {
        let written = |given: &Given| mneme_kernel::core::Setting {
            name: given.setting.name.into(),
            value: given.text.clone().unwrap_or_else(|| given.setting.default.described().into()),
            origin: given.source(),
        };
        self.0.iter().map(written).collect()
    }

    /// A value that must be there, understood.
    pub fn one<T>(&self, name: &str, parse: impl Fn(&str) -> Parsed<T>) -> Parsed<T> {
        let value = self.maybe(name, parse)?;
        Ok(value.unwrap_or_else(|| panic!("{name} has neither a value nor a default")))
    }

    /// A value that may be missing, understood. Errors begin with where it was written.
    pub fn maybe<T>(&self, name: &str, parse: impl Fn(&str) -> Parsed<T>) -> Parsed<Option<T>> {
        let given = self.get(name);
        let value = given.text.as_deref().map(parse).transpose();
        value.map_err(|problem| format!("{given}: {problem}"))
    }
}

/// The file that is named, if one is.
pub fn file<'a>(env: &'a Environment, flags: &'a ArgMatches) -> Option<&'a String> {
    flags.get_one::<String>("config").or(env.get("MNEME_CONFIG"))
}

impl Given {
    fn replace(&mut self, text: &str, origin: Origin) {
        self.text = Some(text.to_owned());
        self.origin = origin;
    }

    /// Where the value was written, as `--help` says it.
    pub fn source(&self) -> String {
        match &self.origin {
            Origin::Default => "default".to_owned(),
            Origin::File { path, line } => format!("{path}:{line}"),
            Origin::Environment => format!("${}", self.setting.variable()),
            Origin::Flag => "flag".to_owned(),
        }
    }
}

/// The setting under the name by which it was given, with its place: how errors begin.
impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File { path, line } => write!(f, "{path}:{line}: {}", self.setting.key()),
            Origin::Environment => write!(f, "${}", self.setting.variable()),
            Origin::Flag => write!(f, "--{}", self.setting.name),
            Origin::Default => write!(f, "--{} (default)", self.setting.name),
        }
    }
}

/// Says which of our variables are not settings. Not an error: another program of ours may know them.
pub fn strangers(env: &Environment) -> Vec<String> {
    let mut known: Vec<String> = table::all().map(Setting::variable).collect();
    known.extend(["MNEME_CONFIG", "MNEME_PASSWORD", "MNEME_SOURCE_PASSWORD", "MNEME_HISTORY"].map(str::to_owned));
    known.extend(secret::variables());
    let unknown = env.keys().filter(|name| !known.contains(name));
    unknown
        .map(|name| {
            let hint = did_you_mean(name, known.iter().map(String::as_str), "$");
            format!("${name} is not a setting{hint}")
        })
        .collect()
}
