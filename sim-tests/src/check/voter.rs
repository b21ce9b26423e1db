//! A learner becomes a voter only once it has the log: what its leader had a moment before is known to be in it (Ongaro's
//! thesis, 2014, section 4.2.1). One that lacks more would count for a majority, and could not help to make one up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mneme_driver::keeper::KeeperStatus;

/// How many looks ago the moment was, at 3 ms each: two ticks of the leader, which compares with what it had one tick
/// before.
const LOOKS: usize = 67;

/// What has been seen of those who led.
#[derive(Debug, Default)]
pub struct Voters {
    /// By Keeper and term.
    leaders: BTreeMap<(u64, u64), Leader>,
    /// By Keeper, how often it has decided to make a voter, and what it had a moment before it did so the last time.
    decisions: BTreeMap<u64, (u64, Option<u64>)>,
}

#[derive(Debug, Default)]
struct Leader {
    /// Its last entry at the newest looks, the oldest first.
    lasts: VecDeque<Option<u64>>,
    learners: BTreeSet<u64>,
}

impl Voters {
    /// A look at a Keeper that runs and leads, and has decided so often to make a voter; how many learners have become voters
    /// since the look before. A leader that is new has made nobody one yet: what it knows of the others is not compared. What it
    /// decides may wait, for its disk or while it is cut off: what it appends meanwhile is not what it decided by.
    pub fn sees(&mut self, leader: &KeeperStatus, decided: u64) -> Result<u64, String> {
        let known = self.leaders.entry((leader.id, leader.term)).or_default();
        known.lasts.push_back(leader.last);
        if known.lasts.len() > LOOKS {
            known.lasts.pop_front();
        }
        let moment_before = known.lasts.front().copied().filter(|_| known.lasts.len() == LOOKS).flatten();
        let (decisions, wanted) = self.decisions.entry(leader.id).or_default();
        if std::mem::replace(decisions, decided) != decided {
            *wanted = moment_before;
        }
        let wanted = wanted.filter(|_| moment_before.is_some());
        let mut promoted = 0;
        for member in &leader.members {
            if !member.votes {
                known.learners.insert(member.id);
            } else if known.learners.remove(&member.id)
                && let Some(wanted) = wanted
            {
                promoted += 1;
                if member.matched < Some(wanted) {
                    return Err(format!(
                        "Keeper {} made {} a voter, whose log is known to reach to {:?}, and had {wanted} itself a moment before it decided so",
                        leader.id, member.id, member.matched
                    ));
                }
            }
        }
        Ok(promoted)
    }
}

#[cfg(test)]
mod tests {
    use mneme_driver::keeper::MemberStatus;
    use mneme_kernel::members::Member;

    use super::*;

    /// A leader whose log ends at `last`, and a member whose log reaches to `matched`.
    fn leader(last: u64, votes: bool, matched: Option<u64>) -> KeeperStatus {
        let member = |id, name: &str, votes, matched| {
            let member = Member { name: name.into(), address: format!("{name}:7379") };
            MemberStatus { id, member, votes, matched, heard: None }
        };
        let members = vec![member(1, "a", true, Some(last)), member(2, "b", votes, matched)];
        KeeperStatus { id: 1, leader: Some(1), term: 5, members, last: Some(last), committed: None }
    }

    fn led_for(looks: usize) -> Voters {
        let mut voters = Voters::default();
        for look in 0..looks {
            assert_eq!(voters.sees(&leader(look as u64, false, None), 0), Ok(0));
        }
        voters
    }

    #[test]
    fn a_voter_has_what_its_leader_had_a_moment_ago() {
        let last = 2 * LOOKS as u64;
        let before = last - LOOKS as u64 + 1;
        assert_eq!(led_for(2 * LOOKS).sees(&leader(last, true, Some(before)), 1), Ok(1));
        assert!(led_for(2 * LOOKS).sees(&leader(last, true, Some(before - 1)), 1).is_err());
        assert!(led_for(2 * LOOKS).sees(&leader(last, true, None), 1).is_err());
    }

    #[test]
    fn what_counts_is_what_it_had_when_it_decided() {
        let mut voters = led_for(2 * LOOKS);
        let before = LOOKS as u64;
        assert_eq!(voters.sees(&leader(2 * before, false, Some(before + 1)), 1), Ok(0));
        (0..LOOKS as u64)
            .for_each(|look| assert_eq!(voters.sees(&leader(900 + look, false, Some(before + 1)), 1), Ok(0)));
        assert_eq!(voters.sees(&leader(999, true, Some(before + 1)), 1), Ok(1));
        let mut voters = led_for(2 * LOOKS);
        assert_eq!(voters.sees(&leader(2 * before, false, Some(before)), 1), Ok(0));
        assert!(voters.sees(&leader(2 * before, true, Some(before)), 1).is_err());
    }

    #[test]
    fn nothing_is_said_of_who_was_a_voter_before_nor_by_a_leader_that_is_new() {
        assert_eq!(led_for(0).sees(&leader(9, true, None), 1), Ok(0));
        assert_eq!(led_for(LOOKS - 2).sees(&leader(9, true, None), 1), Ok(0));
        let mut voters = led_for(2 * LOOKS);
        assert_eq!(voters.sees(&leader(200, true, Some(199)), 1), Ok(1));
        assert_eq!(voters.sees(&leader(900, true, Some(199)), 1), Ok(0), "it was made a voter before");
    }
}
