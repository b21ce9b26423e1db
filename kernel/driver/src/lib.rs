//! Node loops and the openraft adapters: the only async code that production and simulation share.

pub mod env;
