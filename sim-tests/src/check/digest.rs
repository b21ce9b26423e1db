//! What a live Core says and what a replay of the log says at the same index is the same, and so is what all Cores say
//! (DESIGN.md section 8, invariants 4 and 5).

use std::collections::BTreeMap;

use mneme_kernel::ids::Index;
use mneme_kernel::store::Digest;

/// What has been seen at each index, and what the next life of the only Core must find.
#[derive(Debug, Default)]
pub struct Digests {
    seen: BTreeMap<Index, (Digest, String)>,
    expected: Option<(Index, Digest)>,
}

impl Digests {
    /// A Core, of this name, has this data and nothing on its way. Whether there was another one to compare with.
    pub fn sees(&mut self, core: &str, index: Index, digest: Digest) -> Result<bool, String> {
        let (known, whose) = self.seen.entry(index).or_insert_with(|| (digest, core.to_owned()));
        if *known != digest {
            return Err(format!(
                "at index {index} the data of {core} has digest {digest}, and that of {whose} {known}"
            ));
        }
        Ok(whose != core)
    }

    /// A life has ended; `last` is the digest of its data if nothing executed was still on its way to the log. Without
    /// it the next life may find more than was acknowledged, and which of it only the clients' history can judge. Before
    /// there is a user there is nothing, and the next life makes one.
    pub fn died(&mut self, last: Option<(Index, Digest)>) {
        self.expected = last.filter(|(_, digest)| *digest != Digest::default());
    }

    /// A new life has recovered this. Whether there was something to compare with.
    pub fn recovered(&self, found: (Index, Digest)) -> Result<bool, String> {
        let Some((index, digest)) = self.expected else { return Ok(false) };
        if found.1 != digest || found.0 < index {
            return Err(format!(
                "the data had digest {digest} at index {index}; the log's replay has {} at index {}",
                found.1, found.0
            ));
        }
        Ok(true)
    }
}
