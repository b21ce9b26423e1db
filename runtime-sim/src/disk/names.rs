//! The names on a disk: what programs see, what is on the platter, and the changes between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use madsim::rand::{Rng, thread_rng};

use super::DiskStats;
use super::image;
use super::inode::Inode;
use super::trap::Target;
use crate::lock;

#[derive(Debug, Default)]
pub struct Names {
    live: Entries,
    /// May hold names below a folder whose own name is not durable yet.
    durable: Entries,
    /// In the order in which they were made, each with its number.
    pending: Vec<(u64, Change)>,
    /// How many changes there ever were.
    changes: u64,
}

/// By path. The root, whose path is empty, is not among them.
type Entries = BTreeMap<String, Entry>;

#[derive(Clone, Debug)]
enum Entry {
    Folder,
    File(Arc<Mutex<Inode>>),
}

/// A change of names, atomic by itself.
#[derive(Debug)]
enum Change {
    Create { path: String, entry: Entry },
    Rename { from: String, to: String, file: Arc<Mutex<Inode>> },
    Remove { path: String, file: Arc<Mutex<Inode>> },
}

/// How many changes of names a disk had seen at some moment.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

impl Names {
    /// Names and files that are all durable.
    pub fn of(image: &image::Entries) -> Names {
        let entry = |inode: &Option<Inode>| match inode {
            None => Entry::Folder,
            Some(inode) => Entry::File(Arc::new(Mutex::new(inode.durable_copy()))),
        };
        let durable: Entries = image.iter().map(|(path, inode)| (path.clone(), entry(inode))).collect();
        Names { live: durable.clone(), durable, ..Names::default() }
    }

    /// The names and files of which only what is durable is left.
    pub fn durable_entries(&self) -> image::Entries {
        let mut durable = self.durable.clone();
        drop_orphans(&mut durable);
        let copy = |entry| match entry {
            Entry::Folder => None,
            Entry::File(file) => Some(lock(&file).durable_copy()),
        };
        durable.into_iter().map(|(path, entry)| (path, copy(entry))).collect()
    }

    /// The paths of the durable files, sorted.
    pub fn durable_files(&self) -> Vec<String> {
        let mut durable = self.durable.clone();
        drop_orphans(&mut durable);
        durable.retain(|_, entry| matches!(entry, Entry::File(_)));
        durable.into_keys().collect()
    }

    pub fn durable_file(&self, path: &str) -> io::Result<Arc<Mutex<Inode>>> {
        match self.durable.get(path) {
            Some(Entry::File(file)) if self.has_durable_folder(path) => Ok(file.clone()),
            Some(Entry::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The durable file of that name; if there is none, a new one.
    pub fn make_durable(&mut self, path: &str) -> io::Result<Arc<Mutex<Inode>>> {
        match self.durable_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.has_durable_folder(path) => {
                let file = Arc::<Mutex<Inode>>::default();
                self.durable.insert(path.to_owned(), Entry::File(file.clone()));
                // If programs see one of that name, it is another, which is not durable yet.
                self.live.entry(path.to_owned()).or_insert_with(|| Entry::File(file.clone()));
                Ok(file)
            }
            found => found,
        }
    }

    /// Takes a durable name away, also from programs that see the same file by it.
    pub fn remove_durable(&mut self, path: &str) -> io::Result<()> {
        let file = self.durable_file(path)?;
        self.durable.remove(path);
        remove_if(&mut self.live, path, &file);
        Ok(())
    }

    fn has_durable_folder(&self, path: &str) -> bool {
        let folder = parent(path);
        folder.is_empty() || matches!(self.durable.get(folder), Some(Entry::Folder)) && self.has_durable_folder(folder)
    }

    /// Bytes of the files that programs see.
    pub fn used_bytes(&self) -> u64 {
        let len = |entry: &Entry| match entry {
            Entry::Folder => 0,
            Entry::File(file) => lock(file).len(),
        };
        self.live.values().map(len).sum()
    }

    /// The path of what an operation is about, now; a folder's ends with `/`, that of a file without a name is empty.
    pub fn path_of(&self, target: Target<'_>) -> String {
        match target {
            Target::Path(path) => path.to_owned(),
            Target::Folder("") => String::new(),
            Target::Folder(path) => format!("{path}/"),
            Target::File(file) => {
                let is_it = |entry: &Entry| matches!(entry, Entry::File(found) if Arc::ptr_eq(found, file));
                self.live.iter().find(|(_, entry)| is_it(entry)).map_or(String::new(), |(path, _)| path.clone())
            }
        }
    }

    pub fn create_folder(&mut self, path: &str) -> io::Result<()> {
        match self.live.get(path) {
            Some(Entry::Folder) => return Ok(()),
            Some(Entry::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            None if path.is_empty() => return Ok(()),
            None => self.check_folder(parent(path))?,
        }
        self.change(Change::Create { path: path.to_owned(), entry: Entry::Folder });
        Ok(())
    }

    pub fn create_file(&mut self, path: &str) -> io::Result<Arc<Mutex<Inode>>> {
        self.check_folder(parent(path))?;
        if path.is_empty() || self.live.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Arc::<Mutex<Inode>>::default();
        self.change(Change::Create { path: path.to_owned(), entry: Entry::File(file.clone()) });
        Ok(file)
    }

    pub fn file(&self, path: &str) -> io::Result<Arc<Mutex<Inode>>> {
        match self.live.get(path) {
            Some(Entry::File(file)) => Ok(file.clone()),
            Some(Entry::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The names of a folder's files, sorted.
    pub fn list(&self, folder: &str) -> Vec<String> {
        self.live
            .iter()
            .filter(|(path, entry)| matches!(entry, Entry::File(_)) && parent(path) == folder)
            .map(|(path, _)| path.rsplit('/').next().unwrap_or(path).to_owned())
            .collect()
    }

    pub fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let file = self.file(from)?;
        self.check_folder(parent(to))?;
        if to.is_empty() || matches!(self.live.get(to), Some(Entry::Folder)) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.change(Change::Rename { from: from.to_owned(), to: to.to_owned(), file });
        Ok(())
    }

    pub fn remove(&mut self, path: &str) -> io::Result<()> {
        let file = self.file(path)?;
        self.change(Change::Remove { path: path.to_owned(), file });
        Ok(())
    }

    pub fn mark(&self) -> Mark {
        Mark(self.changes)
    }

    pub fn check_folder(&self, path: &str) -> io::Result<()> {
        match self.live.get(path) {
            None if path.is_empty() => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
            Some(Entry::Folder) => Ok(()),
            Some(Entry::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Makes the changes in a folder before `mark` durable.
    pub fn settle(&mut self, folder: &str, mark: Mark) {
        for (_, change) in self.pending.extract_if(.., |(number, change)| *number < mark.0 && change.folder() == folder)
        {
            change.apply(&mut self.durable);
        }
    }

    /// Decides by chance which of the changes in a folder before `mark` reach the platter, each by itself.
    pub fn lose(&mut self, folder: &str, mark: Mark, stats: &mut DiskStats) {
        for (_, change) in self.pending.extract_if(.., |(number, change)| *number < mark.0 && change.folder() == folder)
        {
            change.apply_by_chance(&mut self.durable, stats);
        }
    }

    /// Decides by chance what is left of all that is pending, names and contents, and starts anew with that.
    pub fn crash(&mut self, stats: &mut DiskStats) {
        for (_, change) in self.pending.drain(..) {
            change.apply_by_chance(&mut self.durable, stats);
        }
        drop_orphans(&mut self.durable);
        for entry in self.durable.values() {
            if let Entry::File(file) = entry {
                let mut file = lock(file);
                let everything = file.mark();
                file.lose(everything, stats);
            }
        }
        self.live = self.durable.clone();
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push((self.changes, change));
        self.changes += 1;
    }
}

impl Change {
    /// The folder whose sync makes the change durable.
    fn folder(&self) -> &str {
        match self {
            Change::Create { path, .. } | Change::Remove { path, .. } => parent(path),
            Change::Rename { to, .. } => parent(to),
        }
    }

    fn apply(&self, entries: &mut Entries) {
        match self {
            Change::Create { path, entry } => {
                entries.insert(path.clone(), entry.clone());
            }
            Change::Rename { from, to, file } => {
                remove_if(entries, from, file);
                entries.insert(to.clone(), Entry::File(file.clone()));
            }
            Change::Remove { path, file } => remove_if(entries, path, file),
        }
    }

    fn apply_by_chance(&self, entries: &mut Entries, stats: &mut DiskStats) {
        if thread_rng().gen_bool(0.5) {
            stats.entries_kept += 1;
            self.apply(entries);
        } else {
            stats.entries_lost += 1;
        }
    }
}

/// Removes a name if it is that of `file`. On the platter it need not be: an earlier change may have been lost.
fn remove_if(entries: &mut Entries, path: &str, file: &Arc<Mutex<Inode>>) {
    if matches!(entries.get(path), Some(Entry::File(found)) if Arc::ptr_eq(found, file)) {
        entries.remove(path);
    }
}

/// Drops what is below folders that are not there.
fn drop_orphans(entries: &mut Entries) {
    let mut folders = BTreeSet::from([String::new()]);
    // In the order of paths a folder comes before what it holds.
    entries.retain(|path, entry| {
        let reachable = folders.contains(parent(path));
        if reachable && matches!(entry, Entry::Folder) {
            folders.insert(path.clone());
        }
        reachable
    });
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
