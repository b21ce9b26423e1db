//! What Cores of tests are told.

use std::time::Duration;

use mneme_kernel::core::Config;
use mneme_kernel::eviction::Policy;
use mneme_kernel::facade::Facade;
use mneme_kernel::level::Level;
use mneme_kernel::limits;
use mneme_kernel::time::Monotonic;

pub fn config() -> Config {
    Config {
        node: "node-1".into(),
        address: "node-1:7380".into(),
        default_user: "admin".into(),
        default_level: Level::Quorum,
        level_timeout: Duration::from_secs(5),
        park_timeout: Duration::from_secs(10),
        reads: mneme_kernel::agreed::NEWEST,
        replica: false,
        lease: limits::LEASE,
        founds: true,
        quorum_check: false,
        seed: 1,
        secret: [1; 4],
        started: Monotonic::default(),
        process_id: 1,
        port: 6379,
        max_clients: 10_000,
        max_memory: 0,
        memory_policy: Policy::NoEviction,
        facade: Facade::default(),
        script_times: Default::default(),
        parameters: vec![("node".into(), "node-1".into())],
        settings: Vec::new(),
    }
}
