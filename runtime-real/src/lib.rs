//! The world as it is: tokio, rustls, files, HTTP. Thin: every decision is made further in.

pub mod admin;
mod attempts;
pub mod certificate;
mod certificates;
mod disk;
mod env;
mod listen;
mod metrics;
mod passwords;
mod process;
pub mod server;
pub mod trust;
mod vigil;
