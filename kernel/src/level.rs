//! The consistency level of a request (DESIGN.md section 1).

use core::fmt;

use bincode::{Decode, Encode};

/// What must have happened before a reply leaves. Grows only at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Level {
    /// Executed in the primary's memory.
    Eventual,
    /// Synced at a majority of Keepers.
    #[default]
    Quorum,
    /// Synced at every Keeper and applied by every Core.
    All,
}

impl Level {
    /// Reads a level as users type it, in any case.
    pub fn parse(text: &[u8]) -> Option<Self> {
        [Level::Eventual, Level::Quorum, Level::All]
            .into_iter()
            .find(|level| level.name().as_bytes().eq_ignore_ascii_case(text))
    }

    pub fn name(self) -> &'static str {
        match self {
            Level::Eventual => "EVENTUAL",
            Level::Quorum => "QUORUM",
            Level::All => "ALL",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
