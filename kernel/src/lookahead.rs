//! Looks ahead in a pipeline: what its commands will search for is fetched together, before the first of them runs.
//!
//! Most of a search is waiting for memory, several times one after the other. The searches of different commands do not
//! depend on each other, so a processor can wait for all of them at once, if it meets them close enough together. This is
//! a hint and nothing more: nothing is decided here, and a wrong guess costs a little time.

use crate::limits;
use crate::resp::Args;
use crate::store::Database;

/// Fetches what the first of these requests will search for. Returns of how many.
pub(crate) fn fetch<'a>(database: &Database, requests: impl Iterator<Item = Args<'a>>) -> usize {
    let mut hashes = [0; limits::KEYS_AHEAD];
    let (mut len, mut seen) = (0, 0);
    for request in requests.take(hashes.len()) {
        // A key stands there in most commands.
        if let Some(key) = request.get(1) {
            hashes[len] = database.hash(key);
            len += 1;
        }
        seen += 1;
    }
    if len > 1 {
        database.fetch(&hashes[..len]);
    }
    seen
}
