//! One invariant a file (DESIGN.md section 8).
//!
//! [`log`], [`term`] and [`digest`] look into the node at each restart; [`durable`], [`linearizable`] and [`walk`] know only what
//! clients have seen. Beside them, `fatal` (no life ends itself but for a failed sync), `liveness` (what has healed
//! serves within a bounded time) and `panic` stand where they are found out, in [`crate::cluster`] and
//! [`crate::simulation`].

pub mod digest;
pub mod durable;
pub mod linearizable;
pub mod log;
pub mod term;
pub mod walk;
