//! At most one Core is primary in an epoch, and epochs only grow (DESIGN.md section 8, invariant 3).

use std::collections::BTreeMap;

use crate::history::LifeId;

/// Who has been primary, and what each life has seen.
#[derive(Debug, Default)]
pub struct Reigns {
    primaries: BTreeMap<u64, LifeId>,
    epochs: BTreeMap<LifeId, u64>,
}

impl Reigns {
    /// A Core is in this epoch; whether it has not been seen as its primary before.
    pub fn sees(&mut self, life: LifeId, epoch: u64, is_primary: bool) -> Result<bool, String> {
        if !is_primary {
            // It may have thrown its memory away; what it knows of epochs then begins anew.
            return Ok(false);
        }
        let before = self.epochs.insert(life, epoch).unwrap_or_default();
        if epoch < before {
            return Err(format!("{life:?} is primary in epoch {epoch}, and was in {before}"));
        }
        match self.primaries.insert(epoch, life) {
            Some(other) if other != life => Err(format!("{life:?} and {other:?} are both primary in epoch {epoch}")),
            before => Ok(before.is_none()),
        }
    }

    /// The newest epoch in which a Core has been seen as primary.
    pub fn newest(&self) -> u64 {
        self.primaries.last_key_value().map_or(0, |(epoch, _)| *epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_has_one_primary() {
        let [a, b] = [0, 1].map(|machine| LifeId { machine, number: 0 });
        let mut reigns = Reigns::default();
        assert_eq!(reigns.sees(a, 5, true), Ok(true));
        assert_eq!(reigns.sees(a, 5, true), Ok(false));
        assert_eq!(reigns.sees(b, 5, false), Ok(false));
        assert_eq!(reigns.sees(b, 9, true), Ok(true));
        assert_eq!(reigns.sees(a, 5, true), Ok(false), "it has not heard yet");
        assert_eq!(reigns.newest(), 9);
        assert!(reigns.sees(a, 9, true).is_err());
        let next = LifeId { machine: 1, number: 1 };
        assert!(reigns.sees(next, 9, true).is_err(), "an earlier life's claim is not its own");
        assert!(reigns.sees(b, 8, true).is_err());
    }
}
