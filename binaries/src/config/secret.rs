//! Secrets: from a variable, or from the file that a variable names.

use std::fmt;
use std::fs;

use super::Environment;

/// The secrets that servers know, with what they are for.
pub const SECRETS: &[(&str, &str)] = &[
    ("MNEME_ADMIN_PASSWORD", "the admin user's first password; unset: one is made and printed once"),
    ("MNEME_CLUSTER_SECRET", "admits nodes to the cluster; unset on a founder: one is made"),
];

/// Text that must not be seen: it does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The secret of a variable, or of the file that `VARIABLE_FILE` names, less one newline at its end.
///
/// # Errors
/// If both are set, the file cannot be read, or the secret is empty: an empty password would be no password.
pub fn read(variable: &str, env: &Environment) -> Result<Option<Secret>, String> {
    let file_variable = format!("{variable}_FILE");
    let (text, place) = match (env.get(variable), env.get(&file_variable)) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(format!("${variable} and ${file_variable} are both set; keep one"));
        }
        (Some(text), None) => (text.clone(), format!("${variable}")),
        (None, Some(path)) => {
            let place = format!("${file_variable}: {path}");
            let text = fs::read_to_string(path).map_err(|e| format!("{place}: {e}"))?;
            let line = text.strip_suffix('\n').map(|t| t.strip_suffix('\r').unwrap_or(t));
            (line.unwrap_or(&text).to_owned(), place)
        }
    };
    match text.is_empty() {
        true => Err(format!("{place}: empty; leave it unset to have one made")),
        false => Ok(Some(Secret(text))),
    }
}

/// Every variable that gives a secret.
pub fn variables() -> impl Iterator<Item = String> {
    SECRETS.iter().flat_map(|(name, _)| [(*name).to_owned(), format!("{name}_FILE")])
}
