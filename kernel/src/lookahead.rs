//! Looks ahead in a pipeline: what its commands will search for is fetched together, before the first of them runs.
//!
//! Most of a search is waiting for memory, several times one after the other. The searches of different commands do not
//! depend on each other, so a processor can wait for all of them at once, if it meets them close enough together. This is
//! a hint and nothing more: nothing is decided here, and a wrong guess costs a little time.

use crate::limits;
use crate::resp::{Decoder, Trust};
use crate::store::Database;

/// Bytes of input that are looked at at once: of larger requests, searching is no large part.
const REACH: usize = 16 << 10;

/// Looks ahead, for one pipeline after the other.
#[derive(Debug, Default)]
pub(crate) struct Lookahead {
    decoder: Decoder,
}

impl Lookahead {
    /// Fetches what the first requests of `input` will search for, as far as they are whole and small. Returns how many
    /// bytes they take; 0: there is nothing to be gained here.
    pub(crate) fn fetch(&mut self, database: &Database, input: &[u8]) -> usize {
        let input = &input[..input.len().min(REACH)];
        let mut hashes = [0; limits::KEYS_AHEAD];
        let (mut len, mut at) = (0, 0);
        while len < hashes.len()
            && let Ok(Some(request)) = self.decoder.decode(&input[at..], Trust::Stranger)
        {
            // A key stands there in most commands.
            if let Some(key) = self.decoder.args(&input[at..]).get(1) {
                hashes[len] = database.hash(key);
                len += 1;
            }
            at += request;
        }
        self.decoder.restart();
        if len > 1 {
            database.fetch(&hashes[..len]);
        }
        at
    }
}
