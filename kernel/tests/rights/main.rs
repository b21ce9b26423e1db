//! Who may do what: users, their roles, the databases they are granted, and what becomes of open connections.

mod acl;
mod databases;
mod levels;
mod load;
mod naive;
mod notifications;
mod open;
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod users;
