//! A learner becomes a voter only once it has the log: what its leader had a moment before is known to be in it (Ongaro's
//! thesis, 2014, section 4.2.1). One that lacks more would count for a majority, and could not help to make one up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use mneme_driver::keeper::KeeperStatus;

/// How many looks ago the moment was, at 3 ms each: two ticks of the leader, which compares with what it had one tick
/// before.
const LOOKS: usize = 67;

/// One that has not been heard for so long is not there.
const CUT_OFF: Duration = Duration::from_millis(200);

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
    /// that is new has made nobody one yet: what it knows of the others is not compared. While one is cut off from the
    /// majority, what it decided waits, and what it appends meanwhile is not what it decided by: that time does not count.
    pub fn sees(&mut self, leader: &KeeperStatus) -> Result<u64, String> {
        let voters = leader.members.iter().filter(|member| member.votes);
        let heard = voters.clone().filter(|voter| voter.heard.is_some_and(|ago| ago < CUT_OFF)).count();
        if 2 * heard <= voters.count() {
            return Ok(0);
        }
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
        let member = |id, name: &str, votes, matched| {
            let member = Member { name: name.into(), address: format!("{name}:7379") };
            MemberStatus { id, member, votes, matched, heard: Some(Duration::ZERO) }
        };
        let members = vec![member(1, "a", true, Some(last)), member(2, "b", votes, matched)];
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
    fn while_its_leader_is_cut_off_nothing_changes() {
        let mut voters = led_for(2 * LOOKS);
        let cut_off = |last, votes, matched| {
            let mut leader = leader(last, votes, matched);
            leader.members.push(leader.members[0].clone());
            leader.members.iter_mut().skip(1).for_each(|member| (member.votes, member.heard) = (true, None));
            leader
        };
        (0..LOOKS as u64).for_each(|look| assert_eq!(voters.sees(&cut_off(900 + look, true, Some(1))), Ok(0)));
        assert!(voters.sees(&leader(999, true, Some(1))).is_err(), "it lacks what was there before");
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
