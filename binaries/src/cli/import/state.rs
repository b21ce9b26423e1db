//! How far an import has come, in a small file, so that it goes on there when it is started again.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::reader::Place;
use crate::cli::stop::Stop;

/// How often it is written.
const EVERY: Duration = Duration::from_secs(1);

/// What is noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Noted {
    /// What is imported, and where to: another import does not go on from here.
    source: String,
    target: String,
    /// Bytes of the file whose keys are acknowledged, and the database there; zero of a running source.
    position: u64,
    database: String,
}

/// The file.
#[derive(Debug)]
pub(super) struct State {
    path: PathBuf,
    noted: Noted,
    written: Option<Instant>,
    /// Whether it was there.
    pub(super) goes_on: bool,
}

impl State {
    /// Reads what an interrupted import of the same has noted.
    ///
    /// # Errors
    /// If it is of another import.
    pub(super) fn open(path: PathBuf, source: String, target: String) -> Result<State, Stop> {
        let bad = |why: &dyn std::fmt::Display| Stop::Usage(format!("{}: {why}", path.display()));
        let fresh = Noted { source, target, position: 0, database: "0".to_owned() };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(State { path, noted: fresh, written: None, goes_on: false });
            }
            Err(error) => return Err(bad(&error)),
        };
        let noted: Noted = toml::from_str(&text).map_err(|error| bad(&error.message()))?;
        if (&noted.source, &noted.target) != (&fresh.source, &fresh.target) {
            return Err(bad(&format!(
                "it notes how far the import of {} into {} has come, and this is that of {} into {}: remove it, or say \
                 --state FILE",
                noted.source, noted.target, fresh.source, fresh.target
            )));
        }
        Ok(State { path, noted, written: None, goes_on: true })
    }

    pub(super) fn place(&self) -> Place {
        Place { position: self.noted.position, database: self.noted.database.clone() }
    }

    /// Notes that all up to this place is acknowledged; not each time.
    pub(super) fn note(&mut self, place: &Place) -> Result<(), Stop> {
        (self.noted.position, self.noted.database) = (place.position, place.database.clone());
        if self.written.is_some_and(|written| written.elapsed() < EVERY) { Ok(()) } else { self.write() }
    }

    /// Writes it at once.
    pub(super) fn write(&mut self) -> Result<(), Stop> {
        let cannot = |error: &dyn std::fmt::Display| {
            Stop::Usage(format!(
                "{}: {error}: say --state FILE where it can be noted how far it has come",
                self.path.display()
            ))
        };
        let text = toml::to_string(&self.noted).map_err(|error| cannot(&error))?;
        replace(&self.path, &text).map_err(|error| cannot(&error))?;
        self.written = Some(Instant::now());
        Ok(())
    }

    /// It is done: there is nothing to go on with.
    pub(super) fn remove(self) {
        // What is left would be of this import only.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes a file so that it has either the old text or the new.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// The name of the file, if none was given.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".import-state");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_for_the_same_import_only() {
        let path = std::env::temp_dir().join(format!("mneme-state-{}", std::process::id()));
        let open = |source: &str| State::open(path.clone(), source.to_owned(), "h:1".to_owned());
        let mut state = open("a").expect("none");
        assert!(!state.goes_on);
        let place = Place { position: 77, database: "shop".to_owned() };
        state.note(&place).expect("written");
        let again = open("a").expect("the same");
        assert!(again.goes_on);
        assert_eq!(again.place(), place);
        assert!(matches!(open("b"), Err(Stop::Usage(why)) if why.contains("--state")));
        again.remove();
        assert!(!open("b").expect("none").goes_on);
    }
}
