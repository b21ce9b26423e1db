//! What is done before the clock starts: commands that were asked for, and making what the load reads.

use mneme_kernel::resp::{Value, encode_command};

use super::keys::{Distribution, Draw};
use super::presets::Loading;
use crate::cli::Words;
use crate::cli::connection::Connection;
use crate::cli::stop::Stop;

/// Commands that are sent before any of them is answered.
const AT_ONCE: u64 = 16;

/// Has each of these commands answered, one after the other.
///
/// # Errors
/// If the connection is lost, or an answer is an error.
pub fn prepare(connection: &mut Connection, commands: &[Words]) -> Result<(), Stop> {
    for words in commands {
        let mut bytes = Vec::new();
        encode_command(words, &mut bytes);
        connection.send(&bytes)?;
        connection.value(words)?;
    }
    Ok(())
}

/// Makes the keys, each once; tells how many commands are answered.
///
/// # Errors
/// As [`prepare`].
pub fn load(
    connection: &mut Connection,
    loading: &[Loading],
    keys: u64,
    mut tell: impl FnMut(u64),
) -> Result<(), Stop> {
    let mut draw = Draw::new(Distribution::Sequential, keys, 0, 0, 1);
    for Loading { request, times } in loading {
        let mut left = *times;
        while left > 0 {
            let now = left.min(AT_ONCE);
            let mut bytes = Vec::new();
            (0..now).for_each(|_| request.write(&mut draw, &mut bytes));
            connection.send(&bytes)?;
            for _ in 0..now {
                if let Value::Error(message) = connection.message()? {
                    return Err(Stop::Server(format!("--load: {message}")));
                }
            }
            left -= now;
            tell(now);
        }
    }
    Ok(())
}
