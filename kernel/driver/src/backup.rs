//! Reading the log, from a snapshot on, for a client that makes a backup: in the same way as a Core, but into no memory.
//! It is read as fast as the client asks for it, and holds back nobody.

use std::io;
use std::time::Duration;

use mneme_kernel::backup::Outline;
use mneme_kernel::codec::{self, CodecError};
use mneme_kernel::effect::{self, Effect, Effects};
use mneme_kernel::entry::Entry;
use mneme_kernel::ids::Index;
use mneme_kernel::system::System;
use mneme_kernel::verdict::Verdict;

use crate::env::Env;
use crate::keepers::{Fed, FedContent, FedEntry, Keepers, LoadError};
use crate::link;
use crate::node::Node;
use crate::recovery::Parts;
use crate::state_machine::CatchingUp;

/// How long a client waits when nothing is written; then it gets nothing, and asks again.
const PATIENCE: Duration = Duration::from_millis(500);

/// How far a client has read.
#[derive(Debug)]
pub(crate) struct Backup<E: Env> {
    env: E,
    keepers: Keepers<E>,
    /// How many entries of the log it has read, counted from the beginning, or a snapshot has in their place.
    known: u64,
    system: System,
    /// What has not been read of the snapshot.
    parts: Option<Parts<E>>,
    /// The Keeper beside, if there is one, puts the next snapshot off for a while: it would take from under the reader
    /// what follows on the one that it reads.
    _catching_up: Option<CatchingUp>,
}

/// It cannot go on: the client has to begin anew.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupFailed {
    #[error("a newer snapshot has replaced what was to be read next: begin again")]
    Overtaken,
    #[error("{0}")]
    Snapshot(#[from] LoadError),
    #[error("the log cannot be read: {0}")]
    Log(#[from] io::Error),
    #[error("the log's entry {0} cannot be read: {1}")]
    Entry(u64, CodecError),
    #[error("nothing has been read: ask for NEXT first")]
    Nothing,
}

impl<E: Env> Backup<E> {
    pub(crate) fn new(node: &Node<E>) -> Self {
        let keepers = node.keepers().again();
        let catching_up = node.keeper().map(|keeper| CatchingUp::begin(keeper.progress()));
        let (env, system) = (node.env().clone(), System::default());
        Self { env, keepers, known: 0, system, parts: None, _catching_up: catching_up }
    }

    /// The next changes of keys, perhaps none, and the last entry that they are of. While a snapshot is read, that is its
    /// last one, and not all of it is there.
    ///
    /// # Errors
    /// If it cannot go on.
    pub(crate) async fn next(&mut self) -> Result<(Index, Vec<u8>), BackupFailed> {
        if let Some(parts) = &mut self.parts {
            if let Some(effects) = parts.next(&self.env).await? {
                return Ok((self.index(), effects));
            }
            self.parts = None;
        }
        let fed = match link::timeout(&self.env, PATIENCE, self.keepers.next(self.known, None)).await {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok((self.index(), Vec::new())),
            fed => fed?,
        };
        match fed {
            Fed::Snapshot(snapshot) if self.known == 0 => {
                self.known = snapshot.known();
                let (system, parts) = snapshot.open(&self.env).await?;
                (self.system, self.parts) = (system, Some(parts));
                Ok((self.index(), Vec::new()))
            }
            Fed::Snapshot(_) => Err(BackupFailed::Overtaken),
            Fed::Entries(entries) => {
                let mut changes = Vec::new();
                for entry in &entries {
                    self.read(entry, &mut changes).map_err(|error| BackupFailed::Entry(entry.index, error))?;
                    self.known = entry.index + 1;
                }
                Ok((self.index(), changes))
            }
        }
    }

    /// Databases and users behind what has been read.
    ///
    /// # Errors
    /// If that is nothing.
    pub(crate) fn outline(&self) -> Result<(Index, Vec<u8>), BackupFailed> {
        if self.known == 0 {
            return Err(BackupFailed::Nothing);
        }
        let mut bytes = Vec::new();
        codec::encode(&Outline::of(&self.system), &mut bytes);
        Ok((self.index(), bytes))
    }

    fn index(&self) -> Index {
        Index(self.known.saturating_sub(1))
    }

    fn read(&mut self, entry: &FedEntry, changes: &mut Vec<u8>) -> Result<(), CodecError> {
        let FedContent::Core(proposal) = &entry.content else { return Ok(()) };
        let core_entry = Entry::decode(&proposal.0)?;
        let verdict = self.system.judge(Index(entry.index), &core_entry);
        let Entry::Batch { effects, .. } = core_entry else { return Ok(()) };
        if verdict != Verdict::Accepted {
            return Ok(());
        }
        for change in Effects::new(effects) {
            let change = change?;
            self.system.apply(&change);
            if change.key().is_some() || matches!(change, Effect::Flush { .. }) {
                effect::record(&change, changes);
            }
        }
        Ok(())
    }
}
