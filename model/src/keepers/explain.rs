//! A counterexample as a story.

use std::fmt::{self, Write};

use crate::check::Violation;
use crate::keepers::state::{Content, Entry, Keeper, Role, State};
use crate::keepers::{Entries, Group};

/// The steps, what each came to, and all logs at the end.
pub fn explain(violation: &Violation<Group>) -> String {
    let mut text = format!("violated: {}\n\n", violation.property);
    let mut before = &violation.start;
    for ((action, after), number) in violation.steps.iter().zip(1..) {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{number:3}  {action}{}", consequence(before, after));
        before = after;
    }
    text.push_str("\nthe logs, with the term of each entry; behind | nothing is known to be committed, behind : nothing is synced:\n");
    for keeper in &before.keepers {
        let _ = writeln!(text, "{:3}  {}", keeper.id.to_string(), Shown(keeper));
    }
    let committed: Vec<_> = before.log.iter().map(Entry::to_string).collect();
    let _ = writeln!(text, "committed: {}", committed.join(", "));
    text
}

/// What is another than before.
fn consequence(before: &State, after: &State) -> String {
    let mut text = String::new();
    for (was, is) in before.keepers.iter().zip(&after.keepers) {
        let id = is.id;
        let mut say = |what: fmt::Arguments<'_>| {
            let _ = write!(text, "; {id} {what}");
        };
        if was.id != id {
            say(format_args!("is empty"));
        }
        if !was.leads() && is.leads() {
            say(format_args!("leads in term {}", is.term));
        }
        if is.leads() && was.log != is.log {
            let last = is.log.last().map_or_else(String::new, Entry::to_string);
            say(format_args!("appends {}: {last}", is.log.len()));
        }
        if was.leads() && is.committed > was.committed {
            say(format_args!("commits {}", Entries(is.committed)));
        }
        if was.log.len() > is.log.len() && was.id == id {
            say(format_args!("has {}", Entries(is.log.len() as u8)));
        }
        if was.is_impaired && !is.is_impaired {
            say(format_args!("is ready"));
        }
        if is.was_removed && !was.was_removed {
            say(format_args!("ends for good"));
        }
    }
    match (before.leaving, after.leaving) {
        (Some(_), None) if after.asked == before.asked => text.push_str("; the removal is answered"),
        (Some(_), None) => text.push_str("; the removal is refused"),
        _ => {}
    }
    text
}

struct Shown<'a>(&'a Keeper);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown(keeper) = self;
        for (entry, at) in keeper.log.iter().zip(0..) {
            let committed = if at == keeper.committed { "| " } else { "" };
            let synced = if at == keeper.synced { ": " } else { "" };
            write!(f, "{committed}{synced}{entry}, ")?;
        }
        let role = match keeper.role {
            _ if keeper.was_removed => "removed",
            _ if keeper.is_damaged => "damaged",
            _ if !keeper.is_up => "down",
            Role::Leads(_) => "leads",
            Role::Asks(_) => "asks for votes",
            Role::Follows => "follows",
        };
        write!(f, "{role} in term {}", keeper.term)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.term)?;
        match self.content {
            Content::Blank => write!(f, " blank"),
            Content::Data => write!(f, " data"),
            Content::Members(config) => write!(f, " ({config})"),
        }
    }
}
