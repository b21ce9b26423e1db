//! One rule a file, about what clients have seen.

use crate::history::Stamp;

pub mod append;
pub mod counter;
pub mod durable;
pub mod eventual;
pub mod linearizable;
pub mod queue;
pub mod walk;

/// What a check finds in a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub what: String,
    /// When the operation ended that shows it.
    pub at: Stamp,
}
