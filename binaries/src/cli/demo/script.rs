//! What happens by itself: `2s kill primary; 3s heal`.

use std::collections::VecDeque;
use std::time::Duration;

use super::{COUNT, NAMES};

/// Something that is done, so long after what was done before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub wait: Duration,
    pub action: Action,
    pub whom: Whom,
}

/// What a key or a step of a script does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Kill,
    Pause,
    CutOff,
    Heal,
    /// Compare counters with what was acknowledged.
    Verify,
}

/// To which nodes, chosen when it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    Node(usize),
    Primary,
    /// The first that is up and not primary.
    Standby,
    All,
}

/// Reads steps with `;` between them.
///
/// # Errors
/// If a step is not `[WAIT] ACTION [WHOM]`; the message says which.
pub fn parse(text: &str) -> Result<Vec<Step>, String> {
    text.split(';').map(str::trim).filter(|step| !step.is_empty()).map(step).collect()
}

fn step(text: &str) -> Result<Step, String> {
    let mut words: VecDeque<&str> = text.split_whitespace().collect();
    let first = words.front().and_then(|word| word.strip_suffix('s')).map(seconds);
    let wait = match first {
        Some(Ok(wait)) => {
            words.pop_front();
            wait
        }
        _ => Duration::ZERO,
    };
    let action = match words.pop_front() {
        Some("kill") => Action::Kill,
        Some("pause") => Action::Pause,
        Some("cut") => Action::CutOff,
        Some("heal") => Action::Heal,
        Some("verify") => Action::Verify,
        _ => {
            return Err(format!(
                "\"{text}\": a step is [WAIT] kill|pause|cut|heal|verify [WHOM], such as 2s kill primary"
            ));
        }
    };
    let whom = match (words.pop_front(), action) {
        (None, Action::Heal | Action::Verify) | (Some("all"), _) => Whom::All,
        (None | Some("primary"), _) => Whom::Primary,
        (Some("standby"), _) => Whom::Standby,
        (Some(name), _) => match NAMES.iter().position(|known| *known == name) {
            Some(node) => Whom::Node(node),
            None => return Err(format!("\"{text}\": \"{name}\" is none of primary, standby, n1, n2, n3, all")),
        },
    };
    match words.pop_front() {
        Some(stray) => Err(format!("\"{text}\": what is \"{stray}\"? Between two steps stands a semicolon")),
        None => Ok(Step { wait, action, whom }),
    }
}

/// A time in seconds, such as `8` or `0.5`.
///
/// # Errors
/// If it is no number from 0 to what a clock can count.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let bad = || format!("\"{text}\" is no number of seconds");
    Duration::try_from_secs_f64(text.parse().map_err(|_| bad())?).map_err(|_| bad())
}

impl Whom {
    /// The nodes that are meant now.
    pub fn nodes(self, primary: Option<usize>, is_up: impl Fn(usize) -> bool) -> Vec<usize> {
        match self {
            Whom::Node(node) => vec![node],
            Whom::Primary => primary.into_iter().collect(),
            Whom::Standby => (0..COUNT).find(|node| Some(*node) != primary && is_up(*node)).into_iter().collect(),
            Whom::All => (0..COUNT).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_in_order() {
        let step = |ms, action, whom| Step { wait: Duration::from_millis(ms), action, whom };
        assert_eq!(
            parse("2s kill primary; 0.5s heal;pause n3 ; 1s cut standby; cut; verify;"),
            Ok(vec![
                step(2000, Action::Kill, Whom::Primary),
                step(500, Action::Heal, Whom::All),
                step(0, Action::Pause, Whom::Node(2)),
                step(1000, Action::CutOff, Whom::Standby),
                step(0, Action::CutOff, Whom::Primary),
                step(0, Action::Verify, Whom::All),
            ])
        );
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn a_step_that_is_none_is_named() {
        for (text, why) in [
            ("1s kill n4", "n4"),
            ("2s", "2s"),
            ("heal; hit n1", "hit n1"),
            ("kill primary 2s heal", "semicolon"),
            ("-1s kill", "-1s kill"),
        ] {
            let problem = parse(text).expect_err(text);
            assert!(problem.contains(why), "{text}: {problem}");
        }
    }

    #[test]
    fn whom_a_step_means_is_seen_when_it_is_done() {
        let all_up = |_| true;
        assert_eq!(Whom::Primary.nodes(Some(2), all_up), [2]);
        assert_eq!(Whom::Primary.nodes(None, all_up), [] as [usize; 0]);
        assert_eq!(Whom::Standby.nodes(Some(0), all_up), [1]);
        assert_eq!(Whom::Standby.nodes(Some(0), |node| node != 1), [2]);
        assert_eq!(Whom::All.nodes(None, all_up), [0, 1, 2]);
    }
}
