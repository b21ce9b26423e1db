//! What the tests of the Core have in common.

mod config;

use mneme_kernel::core::{Config, Core};

/// An empty Core whose word as primary nobody can question.
#[allow(dead_code, reason = "not every test takes it as it is")]
pub fn core() -> Core {
    of(config())
}

/// As [`core`], with other settings.
pub fn of(config: Config) -> Core {
    let mut core = Core::new(config);
    core.set_alone(true);
    core
}

pub fn config() -> Config {
    config::config()
}
