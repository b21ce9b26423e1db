//! A Keeper never votes twice in a term, and terms and epochs only grow, over all crashes (DESIGN.md section 8,
//! invariants 3 and 6).
//!
//! Each life of the only voter elects itself. If it did so in a term in which an earlier life has led, it has voted
//! twice in it.

/// The newest that any life has led in.
#[derive(Debug, Default)]
pub struct Terms {
    term: u64,
    epoch: u64,
}

impl Terms {
    /// A new life leads in this term and this epoch.
    pub fn leads(&mut self, term: u64, epoch: u64) -> Result<(), String> {
        let before = std::mem::replace(self, Terms { term, epoch });
        if term <= before.term {
            return Err(format!(
                "a restarted Keeper leads in term {term}; an earlier life of it led in {}",
                before.term
            ));
        }
        if epoch <= before.epoch {
            return Err(format!("a restarted Core has epoch {epoch}; an earlier life of it had {}", before.epoch));
        }
        Ok(())
    }
}
