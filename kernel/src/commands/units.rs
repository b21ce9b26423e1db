//! What ACL rules tell apart: commands, and the subcommands of those that have some. Each has a number, a unit; a command's
//! own comes right before those of its subcommands.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::categories::{self, Categories};
use super::{Access, Command, Commands, Container};
use crate::resp::Args;

#[derive(Debug)]
struct Unit {
    /// As `config` or `config|get`.
    name: String,
    access: Access,
    categories: Categories,
    /// How many units follow that are its subcommands.
    beneath: usize,
}

#[derive(Debug, Default)]
pub(super) struct Units {
    all: Vec<Unit>,
    /// The unit of each command, by its place in the table.
    of_command: Vec<usize>,
}

impl Units {
    pub(super) fn of(all: &[&Command], groups: &[&str], containers: &[Option<Container>]) -> Self {
        let mut units = Self::default();
        for ((command, group), container) in all.iter().zip(groups).zip(containers) {
            units.of_command.push(units.all.len());
            let beneath = container.iter().flat_map(Container::subcommands).count();
            units.all.push(Unit {
                name: command.name.into(),
                access: command.access,
                categories: categories::of(command, group, container.is_some()),
                beneath,
            });
            for (name, _, access) in container.iter().flat_map(Container::subcommands) {
                let access = access.unwrap_or(command.access);
                units.all.push(Unit {
                    name: format!("{}|{name}", command.name),
                    access,
                    categories: categories::of_subcommand(command, name, access, group),
                    beneath: 0,
                });
            }
        }
        units
    }
}

impl Commands {
    /// The unit that a command is, given by its place in [`Commands::all`], with these arguments.
    pub(crate) fn unit(&self, number: usize, args: Args<'_>) -> usize {
        let subcommand = self.containers[number].as_ref().and_then(|container| container.position(args));
        self.units.of_command[number] + subcommand.map_or(0, |place| place + 1)
    }

    /// All units: number, name, and who may run them.
    pub(crate) fn units(&self) -> impl Iterator<Item = (usize, &str, Access)> {
        self.units.all.iter().enumerate().map(|(unit, known)| (unit, known.name.as_str(), known.access))
    }

    pub(crate) fn unit_named(&self, name: &str) -> Option<usize> {
        self.units.all.iter().position(|unit| unit.name == name)
    }

    pub(crate) fn unit_name(&self, unit: usize) -> &str {
        &self.units.all[unit].name
    }

    /// A command's name with that of its subcommand, as errors of rights show it.
    pub(crate) fn full_name(&self, number: usize, args: Args<'_>) -> &str {
        &self.units.all[self.unit(number, args)].name
    }

    /// Whether the unit is a command that has subcommands.
    pub(crate) fn is_container(&self, unit: usize) -> bool {
        self.units.all[unit].beneath > 0
    }

    /// A unit and its subcommands.
    pub(crate) fn beneath(&self, unit: usize) -> impl Iterator<Item = usize> + use<> {
        unit..=unit + self.units.all[unit].beneath
    }

    pub(crate) fn is_category(&self, name: &str) -> bool {
        categories::NAMES.contains(&name)
    }

    /// The units of a category.
    pub(crate) fn of_category(&self, name: &str) -> impl Iterator<Item = usize> {
        let units = self.units.all.iter().enumerate();
        units.filter(move |(_, unit)| unit.categories.contains(name)).map(|(unit, _)| unit)
    }

    /// The ACL categories of a command, given by its place in [`Commands::all`].
    pub fn categories(&self, number: usize) -> impl ExactSizeIterator<Item = &'static str> + use<> {
        self.units.all[self.units.of_command[number]].categories.names()
    }
}
