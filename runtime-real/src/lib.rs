//! The world as it is: tokio, rustls, files, HTTP. Thin: every decision is made further in.

pub mod admin;
mod attempts;
mod authority;
pub mod certificate;
mod certificates;
mod cluster;
mod console;
mod disk;
mod env;
mod founding;
mod join;
mod links;
mod listen;
mod metrics;
mod notify;
mod passwords;
pub mod process;
mod renewal;
mod sealed;
mod seats;
mod secret;
pub mod server;
pub mod trust;
mod vigil;
