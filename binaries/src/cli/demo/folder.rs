//! The folder where the nodes keep their data and logs.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::{env, io, process};

use crate::cli::stop::Stop;

/// It is removed when this is dropped, unless it is to be kept.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    is_kept: bool,
}

impl Folder {
    /// Makes a folder that only this user can look into.
    ///
    /// # Errors
    /// If it cannot be made, or `kept` names one that is not empty.
    pub fn create(kept: Option<&Path>) -> Result<Folder, Stop> {
        let path = match kept {
            // Nodes are told of it, and may be somewhere else.
            Some(path) => std::path::absolute(path)?,
            None => env::temp_dir().join(format!("mneme-demo-{}", process::id())),
        };
        let bad = |error: &dyn std::fmt::Display| Stop::Usage(format!("{}: {error}", path.display()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && kept.is_some() => {
                if fs::read_dir(&path).map_err(|error| bad(&error))?.next().is_some() {
                    return Err(bad(&"is not empty; --data takes an empty folder or a new one"));
                }
            }
            Err(error) => return Err(bad(&error)),
        }
        Ok(Folder { path, is_kept: kept.is_some() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_kept(&self) -> bool {
        self.is_kept
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_somebody_is_not_touched() {
        let mine = Folder::create(None).expect("made");
        fs::write(mine.path().join("precious"), "x").expect("written");
        assert!(matches!(Folder::create(Some(mine.path())), Err(Stop::Usage(m)) if m.contains("not empty")));
        let kept = mine.path().join("kept");
        drop(Folder::create(Some(&kept)).expect("made"));
        assert!(kept.exists());
        drop(Folder::create(Some(&kept)).expect("empty"));
        let path = mine.path().to_owned();
        drop(mine);
        assert!(!path.exists());
    }
}
