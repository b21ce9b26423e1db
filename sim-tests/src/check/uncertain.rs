//! A command's fate is said to be unknown only if it has waited for its level or for a primary: not because a primary or a
//! link was lost meanwhile (PROTOCOL rule 11). That is so where another Core executes it. A primary whose log was purged
//! under it knows no more of what it executed itself (rule 20).

use std::time::Duration;

use crate::model::Command;
use crate::options::{Options, WORST_RATE};

pub fn check(options: &Options, command: &Command, waited: Duration) -> Result<(), String> {
    let patience = options.level_timeout.min(options.park_timeout);
    // The server's clock may be fast.
    if waited >= patience.mul_f64(1.0 - 2.0 * f64::from(WORST_RATE) / 1e6) {
        return Ok(());
    }
    Err(format!("{command:?} is uncertain after {waited:?}, and may wait for {patience:?}"))
}
