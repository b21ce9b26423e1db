//! No two Cores may answer reads at the same time without asking the log: a standby's claim is accepted only when the
//! lease before it has ended, by whatever clock (PROTOCOL rule 2).

/// Looks at all Cores that run, each with its epoch and whether its lease lasts by its own clock, at one moment.
pub fn check(cores: &[(String, u64, bool)]) -> Result<(), String> {
    let holders: Vec<String> = cores
        .iter()
        .filter(|(_, _, lasts)| *lasts)
        .map(|(name, epoch, _)| format!("{name} in epoch {epoch}"))
        .collect();
    match holders.len() {
        0 | 1 => Ok(()),
        _ => Err(format!("at the same time hold a lease: {}", holders.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_has_one_holder() {
        let [old, new] = [(3, "a"), (9, "b")].map(|(epoch, name)| move |lasts| (name.to_owned(), epoch, lasts));
        assert_eq!(check(&[old(true), new(false)]), Ok(()));
        assert_eq!(check(&[old(false), new(true)]), Ok(()));
        assert!(check(&[old(true), new(true)]).is_err_and(|why| why.contains("a in epoch 3, b in epoch 9")));
    }
}
