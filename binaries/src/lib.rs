//! What the programs share: the servers' settings, the command line client, and the load generator.

pub mod address;
pub mod bench;
pub mod cli;
pub mod config;
pub mod health;
pub mod server;
mod suggest;
mod table;
