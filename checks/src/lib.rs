//! What is known of a store from outside, and the rules by which it is judged: histories of clients' commands, the reference
//! that says what each may do, the checks, and the form in which others read a history.
//!
//! Simulated clusters (`sim-tests/`) and real ones (`jepsen/`) are judged by it alike. Of the product it knows only what a
//! reply on the wire is and that a Core's lives have numbers.

pub mod appends;
pub mod check;
pub mod export;
pub mod history;
pub mod model;
pub mod page;
pub mod queue;
pub mod reduce;
pub mod wire;
