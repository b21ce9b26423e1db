//! Looks ahead, in a pipeline and in a command with many keys: what will be searched for is fetched together, before the
//! first search.
//!
//! Most of a search is waiting for memory, several times one after the other. The searches of different commands do not
//! depend on each other, so a processor can wait for all of them at once, if it meets them close enough together. This is
//! a hint and nothing more: nothing is decided here, and a wrong guess costs a little time.

use crate::commands::Keys;
use crate::limits;
use crate::resp::Args;
use crate::store::Database;

/// Fetches what the first of these requests will search for. Returns of how many.
pub(crate) fn fetch<'a>(database: &Database, requests: impl Iterator<Item = Args<'a>>) -> usize {
    let mut hashes = [0; limits::KEYS_AHEAD];
    let mut words: [[&[u8]; 2]; limits::KEYS_AHEAD] = [[&[]; 2]; limits::KEYS_AHEAD];
    let (mut len, mut seen) = (0, 0);
    for request in requests.take(hashes.len()) {
        // A key stands there in most commands, and then an element.
        if let Some(key) = request.get(1) {
            hashes[len] = database.hash(key);
            words[len] = [request.get(2).unwrap_or_default(), request.get(request.len() - 1).unwrap_or_default()];
            len += 1;
        }
        seen += 1;
    }
    if len > 1 {
        database.fetch(&hashes[..len], words.into_iter());
    }
    seen
}

/// Fetches the first keys of a command that has many.
pub(crate) fn fetch_keys(database: &Database, args: Args<'_>, keys: Keys) {
    let mut hashes = [0; limits::KEYS_AHEAD];
    let mut len = 0;
    for (hash, position) in hashes.iter_mut().zip(keys.positions(args.len())) {
        *hash = database.hash(args.at(position));
        len += 1;
    }
    database.fetch(&hashes[..len], core::iter::empty());
}
