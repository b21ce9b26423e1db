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
}

#[derive(Debug, Default)]
struct Leader {
    /// Its last entry at the newest looks, the oldest first.
    lasts: VecDeque<Option<u64>>,
    learners: BTreeSet<u64>,
}

impl Voters {
    /// A look at a Keeper that runs and leads; how many learners have been made voters since the look before. A leader
    /// that is new has made nobody one yet: what it knows of the others is not compared.
    pub fn sees(&mut self, leader: &KeeperStatus) -> Result<u64, String> {
        let known = self.leaders.entry((leader.id, leader.term)).or_default();
        known.lasts.push_back(leader.last);
        if known.lasts.len() > LOOKS {
            known.lasts.pop_front();
        }
        let wanted = known.lasts.front().copied().filter(|_| known.lasts.len() == LOOKS);
        let mut promoted = 0;
        for member in &leader.members {
            if !member.votes {
                known.learners.insert(member.id);
            } else if known.learners.remove(&member.id)
                && let Some(wanted) = wanted
            {
                promoted += 1;
                if member.matched < wanted {
                    return Err(format!(
                        "Keeper {} made {} a voter, whose log is known to reach to {:?}, and had {wanted:?} itself a moment before",
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
        let member = Member { name: "b".into(), address: "b:7379".into() };
        let members = vec![MemberStatus { id: 2, member, votes, matched, heard: None }];
        KeeperStatus { id: 1, leader: Some(1), term: 5, members, last: Some(last), committed: None }
    }

    fn led_for(looks: usize) -> Voters {
        let mut voters = Voters::default();
        for look in 0..looks {
            assert_eq!(voters.sees(&leader(look as u64, false, None)), Ok(0));
        }
        voters
    }

    #[test]
    fn a_voter_has_what_its_leader_had_a_moment_ago() {
        let last = 2 * LOOKS as u64;
        let before = last - LOOKS as u64 + 1;
        assert_eq!(led_for(2 * LOOKS).sees(&leader(last, true, Some(before))), Ok(1));
        assert!(led_for(2 * LOOKS).sees(&leader(last, true, Some(before - 1))).is_err());
        assert!(led_for(2 * LOOKS).sees(&leader(last, true, None)).is_err());
    }

    #[test]
    fn nothing_is_said_of_who_was_a_voter_before_nor_by_a_leader_that_is_new() {
        assert_eq!(led_for(0).sees(&leader(9, true, None)), Ok(0));
        assert_eq!(led_for(LOOKS - 2).sees(&leader(9, true, None)), Ok(0));
        let mut voters = led_for(2 * LOOKS);
        assert_eq!(voters.sees(&leader(200, true, Some(199))), Ok(1));
        assert_eq!(voters.sees(&leader(900, true, Some(199))), Ok(0), "it was made a voter before");
    }
}
