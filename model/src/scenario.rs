//! The scenarios: what clients ask, what may go wrong and how often. Each is explored without a limit of depth; the bounds
//! are the scripts, the length of the log and the budget.

use std::collections::BTreeSet;

use crate::core::{Core, Reign};
use crate::entry::Entry;
use crate::history::History;
use crate::lease::{Clocks, Lease, Leases};
use crate::marks::{self, Mark};
use crate::mutant::Mutant;
use crate::numbers::{Epoch, Incarnation, Index, Node};
use crate::op::Key::{X, Y};
use crate::op::Op;
use crate::state::{Budget, Client, State};
use crate::verdict::{self, Replay};

#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub cores: u8,
    /// Node A is primary and everybody knows; otherwise the log is empty and nobody has begun.
    pub is_running: bool,
    pub leases: Leases,
    /// Where each client is connected to, and what it asks, one request after the other.
    pub clients: Vec<(Node, Vec<Op>)>,
    /// How many requests a client sends before it has the first answer.
    pub window: usize,
    /// Reads may go rule 4's way without a lease.
    pub reads_without_lease: bool,
    /// What is proposed when the log is this long is lost.
    pub longest_log: usize,
    pub budget: Budget,
    /// What must be reached.
    pub marks: &'static [Mark],
}

const A: Node = Node(0);
const B: Node = Node(1);
const C: Node = Node(2);

/// A lease of 2 units; clocks count 1 or 2 in a tick. So the wait must be 4.
const CLOCKS: Leases = Leases::Clocks(Clocks { lease: 2, wait: 4, slowest: 1, fastest: 2 });

/// Where rates make no difference.
const EXACT_CLOCKS: Leases = Leases::Clocks(Clocks { lease: 1, wait: 1, slowest: 1, fastest: 1 });

impl Scenario {
    pub fn all() -> Vec<Scenario> {
        let base = Scenario {
            name: "",
            cores: 2,
            is_running: true,
            leases: Leases::Untimed,
            clients: vec![],
            window: 1,
            reads_without_lease: false,
            longest_log: 3,
            budget: Budget::default(),
            marks: &[],
        };
        let none = Budget::default();
        vec![
            Scenario {
                name: "start",
                is_running: false,
                clients: vec![(A, vec![Op::Incr(X)]), (B, vec![Op::Incr(X), Op::Get(X)])],
                longest_log: 7,
                budget: Budget { claims: 3, ..none },
                marks: &[marks::FAILOVER],
                ..base.clone()
            },
            Scenario {
                name: "clocks",
                leases: CLOCKS,
                clients: vec![(A, vec![Op::Get(X)]), (B, vec![Op::Incr(X)])],
                longest_log: 7,
                budget: Budget { claims: 2, renews: 1, ..none },
                marks: &[marks::FAILOVER, marks::CLAIM_FENCED, marks::LEASE_ENDS_BEFORE_REPLY],
                ..base.clone()
            },
            Scenario {
                name: "clocks-resend",
                leases: CLOCKS,
                clients: vec![(A, vec![Op::Get(X)]), (B, vec![Op::Incr(X)])],
                longest_log: 7,
                budget: Budget { claims: 1, renews: 1, resends: 1, ..none },
                marks: &[marks::FAILOVER],
                ..base.clone()
            },
            Scenario {
                name: "clocks-restart",
                leases: CLOCKS,
                clients: vec![(A, vec![Op::Get(X)]), (B, vec![Op::Incr(X)])],
                longest_log: 7,
                budget: Budget { claims: 1, crashes: 1, snapshots: 1, ..none },
                marks: &[marks::FAILOVER, marks::RESTARTED],
                ..base.clone()
            },
            Scenario {
                name: "clocks-release",
                leases: EXACT_CLOCKS,
                clients: vec![(A, vec![Op::Incr(X)]), (B, vec![Op::Get(X)])],
                longest_log: 7,
                budget: Budget { claims: 3, releases: 1, ..none },
                marks: &[marks::RELEASED, marks::FAILOVER],
                ..base.clone()
            },
            Scenario {
                name: "failover",
                clients: vec![(A, vec![Op::Incr(X), Op::Get(X), Op::Incr(X)]), (B, vec![Op::Incr(X), Op::Get(X)])],
                longest_log: 8,
                budget: Budget { claims: 3, resends: 1, ..none },
                marks: &[
                    marks::FAILOVER,
                    marks::CLAIM_FENCED,
                    marks::BATCH_FENCED,
                    marks::DUPLICATE,
                    marks::VOID,
                    marks::LATE_ACKNOWLEDGEMENT,
                    marks::LEASE_ENDS_BEFORE_REPLY,
                ],
                ..base.clone()
            },
            Scenario {
                name: "eventual",
                clients: vec![(A, vec![Op::EventualIncr(X), Op::Get(X)]), (B, vec![Op::Incr(X), Op::Get(X)])],
                longest_log: 8,
                budget: Budget { claims: 2, resends: 1, ..none },
                marks: &[marks::FAILOVER, marks::READ_WAITS],
                ..base.clone()
            },
            Scenario {
                name: "two-keys",
                clients: vec![
                    (A, vec![Op::EventualIncr(X), Op::Incr(Y)]),
                    (A, vec![Op::GetBoth]),
                    (B, vec![Op::GetBoth]),
                ],
                longest_log: 7,
                budget: Budget { claims: 2, resends: 1, ..none },
                marks: &[marks::FAILOVER, marks::READ_WAITS],
                ..base.clone()
            },
            Scenario {
                name: "pipeline",
                clients: vec![(A, vec![Op::Incr(X)]), (A, vec![Op::Incr(Y)]), (B, vec![Op::GetBoth])],
                longest_log: 7,
                budget: Budget { claims: 1, resends: 2, ..none },
                marks: &[marks::FAILOVER, marks::GAP_RESENT, marks::DUPLICATE],
                ..base.clone()
            },
            Scenario {
                name: "no-effects",
                clients: vec![(A, vec![Op::EventualIncr(X), Op::SetNx(X)]), (B, vec![Op::SetNx(X), Op::Get(X)])],
                longest_log: 7,
                budget: Budget { claims: 2, resends: 1, ..none },
                marks: &[marks::FAILOVER, marks::NO_EFFECTS_WAIT],
                ..base.clone()
            },
            Scenario {
                name: "without-lease",
                clients: vec![(A, vec![Op::Incr(X), Op::Get(X)]), (B, vec![Op::Incr(X), Op::Get(X)])],
                reads_without_lease: true,
                longest_log: 7,
                budget: Budget { claims: 1, renews: 1, releases: 1, ..none },
                marks: &[marks::FAILOVER, marks::READ_PROVED],
                ..base.clone()
            },
            Scenario {
                name: "release",
                clients: vec![(A, vec![Op::Incr(X), Op::Get(X)]), (B, vec![Op::Incr(X), Op::Get(X)])],
                longest_log: 8,
                budget: Budget { claims: 2, releases: 2, ..none },
                marks: &[marks::RELEASED, marks::FAILOVER],
                ..base.clone()
            },
            Scenario {
                name: "restart",
                clients: vec![(A, vec![Op::Incr(X), Op::Incr(X)]), (B, vec![Op::Incr(X), Op::Get(X)])],
                longest_log: 8,
                budget: Budget { claims: 2, crashes: 1, ..none },
                marks: &[marks::FAILOVER, marks::RESTARTED, marks::CLAIM_OF_FORMER_LIFE],
                ..base.clone()
            },
            Scenario {
                name: "resend",
                clients: vec![(A, vec![Op::Incr(X), Op::Incr(X)]), (B, vec![Op::Get(X)])],
                longest_log: 7,
                budget: Budget { claims: 1, resends: 2, ..none },
                marks: &[marks::FAILOVER, marks::DUPLICATE],
                ..base.clone()
            },
            Scenario {
                name: "snapshot",
                clients: vec![(A, vec![Op::Incr(X)]), (A, vec![Op::Incr(X), Op::Get(X)]), (B, vec![Op::Get(X)])],
                longest_log: 7,
                budget: Budget { claims: 2, snapshots: 1, ..none },
                marks: &[marks::FAILOVER, marks::STEPPED_DOWN],
                ..base.clone()
            },
            Scenario {
                name: "forward",
                clients: vec![(B, vec![Op::Incr(X), Op::Get(X)]), (A, vec![Op::Incr(X)])],
                longest_log: 7,
                budget: Budget { claims: 2, forwards: 2, ..none },
                marks: &[marks::FAILOVER, marks::FORWARDED, marks::FORWARDED_VOID],
                ..base.clone()
            },
            Scenario {
                name: "forward-again",
                clients: vec![(B, vec![Op::Incr(X), Op::Incr(X)])],
                longest_log: 7,
                budget: Budget { claims: 2, forwards: 3, timeouts: 1, ..none },
                marks: &[marks::FAILOVER, marks::TABLE_ANSWERS, marks::CLEARED, marks::DENIED],
                ..base.clone()
            },
            Scenario {
                name: "forward-pipeline",
                clients: vec![(B, vec![Op::Get(X), Op::Incr(X), Op::Incr(X)])],
                window: 3,
                longest_log: 6,
                budget: Budget { claims: 1, forwards: 3, ..none },
                marks: &[marks::FAILOVER, marks::TABLE_ANSWERS, marks::KEPT_REPLY],
                ..base.clone()
            },
            Scenario {
                name: "forward-restart",
                clients: vec![(B, vec![Op::Incr(X), Op::Get(X)])],
                longest_log: 7,
                budget: Budget { claims: 1, forwards: 3, crashes: 1, ..none },
                marks: &[marks::FAILOVER, marks::FORWARDED, marks::RESTARTED],
                ..base.clone()
            },
            Scenario {
                name: "forward-three",
                cores: 3,
                clients: vec![(B, vec![Op::Get(X), Op::Incr(X)])],
                window: 2,
                longest_log: 7,
                budget: Budget { claims: 1, forwards: 4, ..none },
                marks: &[marks::FAILOVER, marks::FORWARDED_AGAIN, marks::TABLE_ANSWERS, marks::KEPT_REPLY],
                ..base.clone()
            },
            Scenario {
                name: "everything",
                clients: vec![(A, vec![Op::Incr(X)]), (B, vec![Op::Get(X)])],
                longest_log: 6,
                budget: Budget { claims: 1, resends: 1, releases: 1, forwards: 1, crashes: 1, ..none },
                marks: &[marks::FAILOVER],
                ..base.clone()
            },
            Scenario {
                name: "three-cores",
                cores: 3,
                clients: vec![(A, vec![Op::Incr(X)]), (B, vec![Op::Get(X)]), (C, vec![Op::Incr(X)])],
                longest_log: 9,
                budget: Budget { claims: 3, ..none },
                marks: &[marks::FAILOVER, marks::CLAIM_FENCED],
                ..base
            },
        ]
    }

    /// The state that it begins with.
    pub fn start(&self, mutant: Option<Mutant>) -> State {
        let log = if self.is_running { self.running_log() } else { vec![] };
        let known = verdict::replay(&log, mutant);
        let core = |node| match self.is_running {
            true => self.running(node, Index(log.len() as u16), known.clone()),
            false => Core::start(1, Index(0), Replay::default()),
        };
        State {
            cores: (0..self.cores).map(core).collect(),
            clients: vec![Client { sent: 0, open: vec![] }; self.clients.len()],
            snapshot: Index(if self.is_running { self.cores.into() } else { 0 }),
            log,
            proposals: BTreeSet::new(),
            forwards: BTreeSet::new(),
            ended: Index(0),
            history: History::default(),
            lost: None,
            denied: vec![],
            left: self.budget,
        }
    }

    /// Everybody has said hello, and A has claimed.
    fn running_log(&self) -> Vec<Entry> {
        let hello = |node| Entry::Hello { node: Node(node), nonce: 1 };
        let claim =
            Entry::Claim { node: A, incarnation: Incarnation(1), previous_epoch: Epoch(0), last_renewal: Index(0) };
        (0..self.cores).map(hello).chain([claim]).collect()
    }

    /// A has just become primary; the others have just received its claim, and wait.
    fn running(&self, node: u8, applied: Index, known: Replay) -> Core {
        let lease = Lease { basis: applied, age: 0 };
        let reign = (node == A.0).then(|| Reign::new(known.verdicts.epoch, lease, self.clients.len()));
        let incarnation = Some(Incarnation(u16::from(node) + 1));
        Core { incarnation, reign, ..Core::start(1, applied, known) }
    }
}
