//! What the tests of the Core have in common.

use std::time::Duration;

use mneme_kernel::core::{Config, Core};
use mneme_kernel::level::Level;
use mneme_kernel::time::Monotonic;

/// An empty Core.
pub fn core() -> Core {
    Core::new(config())
}

pub fn config() -> Config {
    Config {
        node: "node-1".into(),
        default_user: "admin".into(),
        default_level: Level::Quorum,
        level_timeout: Duration::from_secs(5),
        seed: 1,
        started: Monotonic::default(),
        process_id: 1,
        port: 6379,
        max_clients: 10_000,
        max_memory: 0,
        parameters: vec![("node".into(), "node-1".into())],
    }
}
