//! The file in which an idle log says how far it is on stable storage, apart from the segments of which it says so.

use std::io;

use mneme_kernel::wal::Attested;

use crate::env::{Disk, Env, File};
use crate::wal::{FOLDER, checksum};

const NAME: &str = "attested";

/// What an earlier life said last, if it did and nothing has become of it.
pub(crate) async fn read<E: Env>(env: &E) -> io::Result<Option<Attested>> {
    let file = match env.disk().open(&path()).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let len = file.size().await?.min(Attested::LEN);
    Ok(Attested::decode(checksum, &file.read_at(0, len as usize).await?))
}

fn path() -> String {
    format!("{FOLDER}/{NAME}")
}

/// Writes it.
#[derive(Debug)]
pub(crate) struct Witness<E: Env> {
    file: <E::Disk as Disk>::File,
    said: Option<Attested>,
}

impl<E: Env> Witness<E> {
    /// Opens the file or makes it; its name is durable after the folder's next sync.
    pub(crate) async fn open(env: &E) -> io::Result<Self> {
        let file = match env.disk().create(&path()).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => env.disk().open(&path()).await?,
            created => created?,
        };
        Ok(Self { file, said: None })
    }

    /// Says it, in place: after a crash of the process alone it is there, and the machine writes it back in its own
    /// time. Without it the log is as good as before, and only less safe from damage to its end.
    pub(crate) async fn say(&mut self, attested: Attested) {
        if self.said == Some(attested) {
            return;
        }
        match self.file.write_at(0, &attested.encode(checksum)).await {
            Ok(()) => self.said = Some(attested),
            Err(error) => tracing::warn!("cannot write {}: {error}", path()),
        }
    }

    /// Brings what was said onto stable storage.
    pub(crate) async fn sync(&self) {
        if let Err(error) = self.file.sync().await {
            tracing::warn!("cannot sync {}: {error}", path());
        }
    }
}
