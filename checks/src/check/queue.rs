//! Every number that was pushed is delivered once: nothing that was acknowledged is lost, nothing comes twice, whoever came
//! first goes first, and nobody waits beside what is there.
//!
//! Not a search for a linearization: what must hold between any two or three events of queues that nothing but these
//! commands knows. It judges histories of any length.

use std::collections::{BTreeMap, BTreeSet};

use super::Found;
use crate::export::Completion;
use crate::history::{NEVER, Stamp};
use crate::queue::{Action, Event};

/// What is known of one number.
#[derive(Clone, Copy)]
struct Life<'a> {
    push: &'a Event,
    list: u16,
    popped: Option<&'a Event>,
    /// The read that found it when all else had ended.
    left: Option<&'a Event>,
}

impl<'a> Life<'a> {
    /// What found it: a pop, or else the last read.
    fn gone_or_left(&self) -> Option<&'a Event> {
        self.popped.or(self.left)
    }
}

/// `events` are in the order of their calls, and each list is read when all else has ended.
pub fn check(events: &[Event]) -> Result<(), Found> {
    let mut lives: BTreeMap<u32, Life<'_>> = BTreeMap::new();
    for push in events {
        if let Action::Push { list, number } = push.action {
            lives.insert(number, Life { push, list, popped: None, left: None });
        }
    }
    for pop in events {
        if let Action::Pop { got: Some((list, number)), .. } = pop.action {
            let Some(life) = known(&mut lives, list, number, pop)? else { continue };
            if let Some(other) = life.popped.replace(pop) {
                return Err(found(pop, &format!("{number} was delivered before: {other:?}")));
            }
        }
    }
    let read = note_left(events, &mut lives)?;
    in_order(&lives)?;
    nobody_waits_in_vain(events, &lives)?;
    nothing_is_lost(events, &lives, read)
}

/// What is known of a number that was found in a list.
fn known<'m, 'a>(
    lives: &'m mut BTreeMap<u32, Life<'a>>,
    list: u16,
    number: u32,
    by: &Event,
) -> Result<Option<&'m mut Life<'a>>, Found> {
    match lives.get_mut(&number) {
        Some(life) if life.list == list && life.push.called < by.ended => match life.push.completion {
            Completion::Fail => Err(found(by, &format!("{number} was certainly not pushed"))),
            _ => Ok(Some(life)),
        },
        _ => Err(found(by, &format!("nobody had pushed {number} to list {list} by then"))),
    }
}

/// Of two numbers of a list, the one whose push had ended before that of the other began is not delivered after it, nor
/// left when the other is gone.
fn in_order(lives: &BTreeMap<u32, Life<'_>>) -> Result<(), Found> {
    let mut by_list: BTreeMap<u16, Vec<&Life<'_>>> = BTreeMap::new();
    for life in lives.values() {
        by_list.entry(life.list).or_default().push(life);
    }
    for lives in by_list.values_mut() {
        lives.sort_by_key(|life| life.push.called);
        // The latest begin of a delivery among all pushes that have ended.
        let mut ended: Vec<&Life<'_>> = lives.iter().copied().filter(|life| life.push.ended != NEVER).collect();
        ended.sort_by_key(|life| life.push.ended);
        let (mut over, mut latest) = (ended.into_iter().peekable(), None::<(Stamp, &Life<'_>)>);
        for life in lives.iter() {
            while let Some(before) = over.next_if(|before| before.push.ended < life.push.called) {
                if let Some(found) = before.gone_or_left()
                    && latest.is_none_or(|(stamp, _)| found.called > stamp)
                {
                    latest = Some((found.called, before));
                }
            }
            if let (Some(popped), Some((called, before))) = (life.popped, latest)
                && popped.ended < called
            {
                return Err(found(popped, &format!("what was pushed earlier came later: {:?}", before.gone_or_left())));
            }
        }
    }
    Ok(())
}

/// Who found nothing did not overlook what was there all the time.
fn nobody_waits_in_vain(events: &[Event], lives: &BTreeMap<u32, Life<'_>>) -> Result<(), Found> {
    for event in events {
        let Action::Pop { lists, got: None } = &event.action else { continue };
        if event.completion != Completion::Ok {
            continue;
        }
        let overlooked = lives.values().find(|life| {
            lists.contains(&life.list)
                && life.push.completion == Completion::Ok
                && life.push.ended < event.called
                && life.gone_or_left().is_some_and(|found| found.called > event.ended)
        });
        if let Some(life) = overlooked {
            return Err(found(event, &format!("it found nothing, and this was there: {:?}", life.push)));
        }
    }
    Ok(())
}

/// Notes what was left when all else had ended; the lists that were read then.
fn note_left<'a>(events: &'a [Event], lives: &mut BTreeMap<u32, Life<'a>>) -> Result<BTreeSet<u16>, Found> {
    let mut read = BTreeSet::new();
    for event in events.iter().filter(|event| event.completion == Completion::Ok) {
        let Action::Read { list, found: numbers } = &event.action else { continue };
        read.insert(*list);
        let mut seen = BTreeSet::new();
        for number in numbers {
            let Some(life) = known(lives, *list, *number, event)? else { continue };
            if let Some(popped) = life.popped
                && popped.ended < event.called
            {
                return Err(found(event, &format!("{number} is there, and was delivered: {popped:?}")));
            }
            life.left = Some(event);
            if !seen.insert(*number) {
                return Err(found(event, &format!("{number} is there twice")));
            }
        }
    }
    Ok(read)
}

/// Of what was acknowledged no more is missing than pops may have taken of which nothing was heard.
fn nothing_is_lost(
    events: &[Event],
    lives: &BTreeMap<u32, Life<'_>>,
    read: impl IntoIterator<Item = u16>,
) -> Result<(), Found> {
    for list in read {
        let missing = |(_, life): &(&u32, &Life<'_>)| {
            life.list == list && life.push.completion == Completion::Ok && life.gone_or_left().is_none()
        };
        let missing: Vec<(&u32, &Life<'_>)> = lives.iter().filter(missing).collect();
        let takers = events.iter().filter(|event| may_have_popped(event) && takes_from(event, list)).count();
        if let Some((number, life)) = missing.last()
            && missing.len() > takers
        {
            let what = format!("{number} and {} others are lost; {takers} pops may have taken one", missing.len() - 1);
            return Err(found(life.push, &what));
        }
    }
    Ok(())
}

fn may_have_popped(event: &Event) -> bool {
    matches!(event.action, Action::Pop { got: None, .. }) && event.completion == Completion::Info
}

fn takes_from(event: &Event, list: u16) -> bool {
    matches!(&event.action, Action::Pop { lists, .. } if lists.contains(&list))
}

fn found(event: &Event, why: &str) -> Found {
    Found { what: format!("{event:?}: {why}"), at: event.ended }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(called: u64, ended: u64, completion: Completion, action: Action) -> Event {
        Event { client: called as u32, called: Stamp(called), ended: Stamp(ended), completion, action }
    }

    fn push(called: u64, ended: u64, number: u32) -> Event {
        event(called, ended, Completion::Ok, Action::Push { list: 0, number })
    }

    fn pop(called: u64, ended: u64, number: u32) -> Event {
        event(called, ended, Completion::Ok, Action::Pop { lists: vec![0, 1], got: Some((0, number)) })
    }

    fn nothing(called: u64, ended: u64) -> Event {
        event(called, ended, Completion::Ok, Action::Pop { lists: vec![0], got: None })
    }

    fn lost_pop(called: u64) -> Event {
        event(called, NEVER.0, Completion::Info, Action::Pop { lists: vec![0], got: None })
    }

    fn read(called: u64, found: &[u32]) -> Event {
        event(called, called + 1, Completion::Ok, Action::Read { list: 0, found: found.to_vec() })
    }

    #[test]
    fn what_goes_through_once_is_fine() {
        let history =
            [pop(1, 4, 7), push(2, 3, 7), push(5, 6, 8), lost_pop(7), nothing(9, 10), push(11, 12, 9), read(20, &[9])];
        assert_eq!(check(&history), Ok(()));
        // Those that overlap may come in either order.
        assert_eq!(check(&[push(1, 4, 7), push(2, 3, 8), pop(5, 6, 8), pop(7, 8, 7), read(20, &[])]), Ok(()));
    }

    #[test]
    fn each_way_to_break_a_queue_is_told() {
        let refused = event(1, 2, Completion::Fail, Action::Push { list: 0, number: 7 });
        for (why, history) in [
            ("delivered before", vec![push(1, 2, 7), pop(3, 4, 7), pop(5, 6, 7)]),
            ("nobody had pushed", vec![pop(3, 4, 7)]),
            ("nobody had pushed", vec![pop(1, 2, 7), push(3, 4, 7)]),
            ("certainly not pushed", vec![refused, pop(3, 4, 7)]),
            ("came later", vec![push(1, 2, 7), push(3, 4, 8), pop(5, 6, 8), pop(7, 8, 7)]),
            ("came later", vec![push(1, 2, 7), push(3, 4, 8), pop(5, 6, 8), read(20, &[7])]),
            ("found nothing", vec![push(1, 2, 7), nothing(3, 4), pop(5, 6, 7)]),
            ("found nothing", vec![push(1, 2, 7), nothing(3, 4), read(20, &[7])]),
            ("lost", vec![push(1, 2, 7), read(20, &[])]),
            ("lost", vec![push(1, 2, 7), push(3, 4, 8), lost_pop(5), read(20, &[])]),
            ("was delivered", vec![push(1, 2, 7), pop(3, 4, 7), read(20, &[7])]),
            ("twice", vec![push(1, 2, 7), read(20, &[7, 7])]),
        ] {
            assert!(check(&history).is_err_and(|found| found.what.contains(why)), "{why}: {:?}", check(&history));
        }
    }
}
