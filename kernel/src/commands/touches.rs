//! Which databases a command touches, as its arguments tell it: the user must be allowed to use each of them.

use super::{Access, Command, is_word};
use crate::resp::Args;

/// What a command touches of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touches {
    Nothing,
    /// The selected database.
    Selected,
    /// The selected database, and those that arguments name.
    SelectedAnd(Named),
    /// Those that arguments name.
    Only(Named),
    /// Every database.
    All,
    /// What the subcommand touches.
    Subcommands,
}

/// Where a command's arguments name databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// At these places, the first and the last.
    At(usize, usize),
    /// Behind each option `DB`, from this place on.
    Option(usize),
}

impl Touches {
    pub(super) fn of(command: &Command) -> Self {
        match (command.name, command.access) {
            ("flushall", _) => Touches::All,
            ("cluster" | "function", _) => Touches::Subcommands,
            ("swapdb", _) => Touches::Only(Named::At(1, 2)),
            ("select", _) => Touches::Only(Named::At(1, 1)),
            ("move", _) => Touches::SelectedAnd(Named::At(2, 2)),
            ("copy", _) => Touches::SelectedAnd(Named::Option(3)),
            ("watch", _) | (_, Access::Read | Access::Write | Access::Script) => Touches::Selected,
            _ => Touches::Nothing,
        }
    }

    pub(crate) fn selected(self) -> bool {
        matches!(self, Touches::Selected | Touches::SelectedAnd(_) | Touches::All)
    }

    /// The arguments that name databases.
    pub(crate) fn named<'a>(self, args: Args<'a>) -> impl Iterator<Item = &'a [u8]> {
        let named = match self {
            Touches::SelectedAnd(named) | Touches::Only(named) => Some(named),
            Touches::Nothing | Touches::Selected | Touches::All | Touches::Subcommands => None,
        };
        let is_name = move |place: &usize| match named {
            None => false,
            Some(Named::At(first, last)) => (first..=last).contains(place),
            // A key cannot stand there, so a word DB is the option.
            Some(Named::Option(first)) => *place > first && is_word(args.at(place - 1), "db"),
        };
        (0..args.len()).filter(is_name).map(move |place| args.at(place))
    }
}
