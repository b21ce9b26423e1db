//! A Keeper never votes twice in a term, and terms and epochs only grow, over all crashes (DESIGN.md section 8,
//! invariants 3 and 6).
//!
//! With several Keepers: one leader a term, as the Raft paper's Election Safety says, and no Keeper's term goes back. If
//! there is one, each life of it elects itself. If it did so in a term in which an earlier life has led, it has voted
//! twice in it.

use std::collections::BTreeMap;

/// Who has led, and what each Keeper has come to. A Keeper is known by its id in the group: one that has lost its disk is
/// another one.
#[derive(Debug, Default)]
pub struct Terms {
    /// By term, the Keeper that leads in it.
    leaders: BTreeMap<u64, u64>,
    /// By Keeper.
    newest: BTreeMap<u64, u64>,
    /// Of the only Keeper and the only Core, in the life before.
    alone: (u64, u64),
}

impl Terms {
    /// A Keeper is in this term, and leads in that one if it leads; whether it has not been seen to lead in it before.
    pub fn sees(&mut self, keeper: u64, term: u64, leads: Option<u64>) -> Result<bool, String> {
        let before = self.newest.insert(keeper, term).unwrap_or_default();
        if term < before {
            return Err(format!("Keeper {keeper} is in term {term}, and was in {before}"));
        }
        let Some(term) = leads else { return Ok(false) };
        match self.leaders.insert(term, keeper) {
            Some(other) if other != keeper => Err(format!("Keepers {keeper} and {other} both lead in term {term}")),
            before => Ok(before.is_none()),
        }
    }

    /// The newest term in which a Keeper has been seen to lead.
    pub fn newest(&self) -> u64 {
        self.leaders.last_key_value().map_or(0, |(term, _)| *term)
    }

    /// A new life of the only Keeper, with the only Core, leads in this term and this epoch.
    pub fn leads_alone(&mut self, term: u64, epoch: u64) -> Result<(), String> {
        let (term_before, epoch_before) = std::mem::replace(&mut self.alone, (term, epoch));
        if term <= term_before {
            return Err(format!("a restarted Keeper leads in term {term}; an earlier life of it led in {term_before}"));
        }
        if epoch <= epoch_before {
            return Err(format!("a restarted Core has epoch {epoch}; an earlier life of it had {epoch_before}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_has_one_leader_and_no_term_goes_back() {
        let mut terms = Terms::default();
        assert_eq!(terms.sees(0, 3, Some(3)), Ok(true));
        assert_eq!(terms.sees(0, 3, Some(3)), Ok(false));
        assert!(terms.sees(1, 3, Some(3)).is_err());
        assert_eq!(terms.sees(2, 4, Some(4)), Ok(true));
        assert!(terms.sees(2, 3, None).is_err());
        assert_eq!(terms.newest(), 4);
    }
}
