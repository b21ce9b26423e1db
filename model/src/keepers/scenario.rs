//! Bounded worlds. Each is explored to the end: all states that its machines and budgets allow.

use std::collections::BTreeMap;

use crate::keepers::config::{Config, Id, Ids};
use crate::keepers::marks::{self, Mark};
use crate::keepers::state::{Budget, Content, Entry, Keeper, Role, State};
use crate::numbers::Node;

#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub machines: u8,
    /// The first so many are voters when it begins, and A leads; the others ask to be admitted.
    pub founders: u8,
    /// Of the founders, the last so many are down and stay so.
    pub down: u8,
    /// What is written may be in memory alone for a while, and a crash may lose it.
    pub has_tails: bool,
    /// Nobody but this one crashes.
    pub crash: Option<Node>,
    /// Whom an operator has removed, and the node that is asked.
    pub removal: Option<(Node, Node)>,
    pub budget: Budget,
    /// What must be reached.
    pub marks: &'static [Mark],
}

const A: Node = Node(0);
const B: Node = Node(1);
const C: Node = Node(2);
const E: Node = Node(4);

impl Scenario {
    pub fn all() -> Vec<Scenario> {
        let none = Budget::default();
        let base = Scenario {
            name: "",
            machines: 3,
            founders: 3,
            down: 0,
            has_tails: false,
            crash: None,
            removal: None,
            budget: none,
            marks: &[],
        };
        vec![
            Scenario {
                name: "keepers-votes",
                budget: Budget { campaigns: 2, data: 1, crashes: 1, ..none },
                marks: &[marks::DEPOSED],
                ..base.clone()
            },
            Scenario {
                name: "keepers-lost-disk",
                budget: Budget { campaigns: 2, losses: 2, data: 1, ..none },
                marks: &[marks::REPLACED, marks::CHANGE_INHERITED, marks::READY_AGAIN],
                ..base.clone()
            },
            Scenario {
                name: "keepers-power-cut",
                has_tails: true,
                budget: Budget { campaigns: 2, losses: 1, crashes: 1, ..none },
                marks: &[marks::REPLACED, marks::OVERWRITTEN],
                ..base.clone()
            },
            Scenario {
                name: "keepers-damage",
                budget: Budget { campaigns: 2, damages: 1, data: 2, ..none },
                marks: &[marks::REPLACED, marks::READY_AGAIN],
                ..base.clone()
            },
            Scenario {
                name: "keepers-grow",
                founders: 1,
                has_tails: true,
                crash: Some(A),
                budget: Budget { campaigns: 1, crashes: 1, ..none },
                marks: &[marks::GROWN],
                ..base.clone()
            },
            Scenario {
                name: "keepers-removal",
                removal: Some((C, B)),
                budget: Budget { campaigns: 2, crashes: 1, ..none },
                marks: &[marks::REMOVED, marks::FOUND_OUT, marks::CHANGE_INHERITED],
                ..base.clone()
            },
            Scenario {
                name: "keepers-removal-leader",
                removal: Some((A, B)),
                budget: Budget { campaigns: 2, crashes: 1, ..none },
                marks: &[marks::REMOVED],
                ..base.clone()
            },
            Scenario {
                name: "keepers-removal-lost",
                removal: Some((C, B)),
                budget: Budget { campaigns: 1, losses: 1, ..none },
                marks: &[marks::REMOVED, marks::REPLACED],
                ..base.clone()
            },
            Scenario {
                name: "keepers-removal-dead",
                removal: Some((B, A)),
                budget: Budget { campaigns: 1, losses: 1, ..none },
                marks: &[marks::REMOVED, marks::REFUSED],
                ..base.clone()
            },
            Scenario {
                name: "keepers-five",
                machines: 6,
                founders: 5,
                down: 2,
                crash: Some(A),
                removal: Some((E, B)),
                budget: Budget { campaigns: 1, crashes: 1, ..none },
                marks: &[marks::CHANGE_INHERITED, marks::FOURTH_LEARNS],
                ..base
            },
        ]
    }

    /// Disks that may be lost at a time.
    pub fn spare(&self) -> usize {
        usize::from(self.machines - 1) / 2
    }

    pub fn stays_down(&self, machine: Node) -> bool {
        (self.founders - self.down..self.founders).contains(&machine.0)
    }

    /// The group runs: its first configuration is committed, and everybody knows.
    pub fn start(&self) -> State {
        let first = |machine| Id::first(Node(machine));
        let founders: Ids = (0..self.founders).map(first).collect();
        let config = Config { before: Ids::default(), voters: founders, members: founders };
        let log = vec![Entry { term: 1, content: Content::Members(config) }];
        let leader = first(0);
        let keeper = |machine| match machine < self.founders {
            true => Keeper {
                is_up: !self.stays_down(Node(machine)),
                term: 1,
                vote: Some(leader),
                log: log.clone(),
                synced: 1,
                committed: 1,
                joined: 1,
                is_impaired: false,
                role: match machine {
                    0 => Role::Leads(founders.iter().map(|id| (id, 1)).collect::<BTreeMap<_, _>>()),
                    _ => Role::Follows,
                },
                ..Keeper::empty(first(machine))
            },
            false => Keeper::empty(first(machine)),
        };
        State {
            keepers: (0..self.machines).map(keeper).collect(),
            log: log.clone(),
            is_changed: false,
            leaders: vec![(1, leader)],
            leaving: None,
            asked: Ids::default(),
            may_remove: self.removal.is_some(),
            is_told_wrong: false,
            left: self.budget,
        }
    }
}
