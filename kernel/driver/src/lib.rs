//! Node loops and the openraft adapters: the only async code that production and simulation share.
//!
//! - [`server::Server`] is a process: a Core, a Keeper, or both, and its links with other nodes.
//! - [`node::Node`] is a running Core; [`connection::serve`] is one client of it.
//! - [`keeper`] runs the Raft group over the log of [`log`], which [`wal`] writes.
//! - [`env`] is all that is asked of the world.

mod addresses;
mod admission;
mod agreement;
pub mod ask;
mod attested;
mod backup;
mod campaign;
mod channel;
mod compaction;
pub mod connection;
mod core_loop;
mod courier;
pub mod departure;
pub mod directory;
mod doors;
pub mod env;
mod everywhere;
mod exchange;
mod feed;
mod forward;
mod guests;
pub mod keeper;
pub mod keepers;
pub mod link;
pub mod log;
pub mod measures;
pub mod node;
pub mod observer;
mod outage;
pub mod outlook;
mod peers;
mod raft_service;
mod raft_wire;
mod recovery;
mod remove;
mod renewals;
mod rotation;
pub mod server;
mod set_aside;
mod signal;
pub mod snapshot;
mod state_machine;
mod subscription;
pub mod sync;
mod transfer;
pub mod types;
pub mod wal;
pub mod watermark;
mod whereabouts;
