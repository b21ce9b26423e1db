//! A model of Mneme's protocol (`docs/PROTOCOL.md`), in two parts: the Cores' (primary, epochs, leases, gate, forwarding)
//! over a log that is right, and that of the [`keepers`] that make the log. Both are explored exhaustively, within the bounds
//! of each scenario, and share no code with the kernel.

pub mod action;
pub mod check;
pub mod core;
pub mod entry;
pub mod explain;
mod follow;
pub mod history;
pub mod keepers;
mod lead;
pub mod lease;
pub mod marks;
pub mod mutant;
pub mod numbers;
pub mod op;
pub mod properties;
pub mod protocol;
pub mod scenario;
mod serve;
pub mod state;
pub mod table;
pub mod trace;
pub mod verdict;
mod world;
