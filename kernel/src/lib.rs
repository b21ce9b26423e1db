//! Mneme's decisions: everything that is decided without a clock, without I/O and without threads.
//!
//! - [`core::Core`] executes commands and knows what the log accepted; [`connection::Connection`] is one client of it.
//! - [`wal`] is the write-ahead log's format and what recovery makes of it.
//! - [`commands`] is the command table; [`resp`] the Redis protocol; [`store`] the data.
#![no_std]
extern crate alloc;

mod acllog;
pub mod agreed;
pub mod backup;
pub mod call;
pub mod changed;
pub mod channels;
pub mod clients;
pub mod codec;
pub mod commands;
pub mod connection;
pub mod core;
pub mod cores;
pub mod databases;
mod diagnostics;
pub mod digits;
pub mod effect;
pub mod entry;
pub mod events;
pub mod everywhere;
pub mod eviction;
pub mod exchange;
pub mod extended;
pub mod facade;
pub mod forward;
pub mod gate;
mod geo;
pub mod glob;
pub mod histogram;
pub mod hyperloglog;
pub mod ids;
mod info;
pub mod json;
pub mod lease;
pub mod level;
pub mod limits;
mod lookahead;
pub mod members;
pub mod mutant;
pub mod password;
mod permits;
pub mod probe;
pub mod programs;
mod proxy;
mod random;
mod rates;
pub mod rdb;
mod reign;
pub mod removal;
pub mod requests;
pub mod resp;
mod rights;
pub mod rules;
pub mod script;
mod scripting;
mod served;
pub mod session;
pub mod slowlog;
pub mod snapshot;
mod spikes;
pub mod stats;
pub mod stopwatch;
pub mod store;
pub mod system;
pub mod time;
mod tracking;
mod transaction;
pub mod tunables;
pub mod users;
pub mod verdict;
mod waiters;
pub mod wal;
mod watch;

/// The version of Redis whose behaviour is copied; clients choose features by it.
pub const REDIS_VERSION: &str = "7.2.0";
/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
