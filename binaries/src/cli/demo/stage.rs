//! What goes on: the nodes, the load, what is done to them, and what is seen of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::access::Access;
use super::load::{Figures, Load, Reads};
use super::nodes::{Nodes, State};
use super::options::Options;
use super::script::{Action, Step};
use super::tally::Tally;
use super::watch::{Said, Watch};
use super::{COUNT, NAMES};
use crate::cli::stop::Stop;

const SECOND: Duration = Duration::from_secs(1);
/// A new primary that comes later has not come because of what was done.
const FAILOVER: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Stage {
    nodes: Nodes,
    access: Access,
    watch: Watch,
    load: Load,
    began: Instant,
    time: Option<Duration>,
    script: VecDeque<Step>,
    last_step: Instant,
    /// Of each second that is over.
    pub seconds: Vec<Figures>,
    /// What happened, and when.
    pub events: Vec<(Duration, String)>,
    /// Who was seen to be primary last, in which epoch.
    primary: Option<(usize, i64)>,
    /// When something was done to the primary.
    struck: Option<Instant>,
    /// What to wait for before the counters are compared.
    verifying: Option<Reads>,
}

/// What is seen of a node.
#[derive(Clone, Debug)]
pub struct Node {
    pub clients: String,
    pub console: String,
    pub state: State,
    /// What it says of itself, or what it does not know yet: `deposed`; `None` if it says nothing.
    pub role: Option<String>,
    pub applied: Option<i64>,
}

impl Stage {
    /// Begins to watch the nodes, and to load them.
    ///
    /// # Errors
    /// If that is not possible.
    pub fn new(nodes: Nodes, access: Access, options: &Options) -> Result<Stage, Stop> {
        let watch = Watch::start(&access)?;
        let load = Load::start(&access, &watch)?;
        let began = Instant::now();
        Ok(Stage {
            nodes,
            access,
            watch,
            load,
            began,
            time: options.time,
            script: options.script.clone().into(),
            last_step: began,
            seconds: Vec::new(),
            events: Vec::new(),
            primary: None,
            struck: None,
            verifying: None,
        })
    }

    /// Looks at everything, and does what is due; whether a second is over.
    ///
    /// # Errors
    /// If a node cannot be started again.
    pub fn turn(&mut self) -> Result<bool, Stop> {
        self.look_at_the_primary();
        self.look_at_the_nodes();
        self.look_at_the_counters();
        while let Some(step) = self.script.front().filter(|step| self.last_step.elapsed() >= step.wait) {
            let (action, whom) = (step.action, step.whom);
            self.script.pop_front();
            self.last_step = Instant::now();
            let primary = self.primary.map(|(node, _)| node);
            let nodes = whom.nodes(primary, |node| self.nodes.state(node) == State::Up);
            match action {
                Action::Verify => self.act(action, 0)?,
                _ => nodes.into_iter().try_for_each(|node| self.act(action, node))?,
            }
        }
        let is_second = self.age() >= SECOND * (self.seconds.len() as u32 + 1);
        if is_second {
            self.seconds.push(self.load.figures());
        }
        Ok(is_second)
    }

    /// Does something to a node.
    ///
    /// # Errors
    /// If it is to be healed and cannot be started.
    pub fn act(&mut self, action: Action, node: usize) -> Result<(), Stop> {
        match (action, self.nodes.state(node)) {
            (Action::Verify, _) => self.verifying = Some(self.load.reads()),
            (Action::Heal, State::Up) => {}
            (Action::Heal, state) => self.heal(node, state)?,
            (_, State::Up) => self.strike(action, node),
            (_, state) => self.tell(format!("{} is {} already: heal it first", NAMES[node], state.text())),
        }
        Ok(())
    }

    fn strike(&mut self, action: Action, node: usize) {
        if self.is_primary(node) {
            self.struck = Some(Instant::now());
        }
        match action {
            Action::Kill => self.nodes.kill(node),
            Action::Pause => self.nodes.pause(node),
            _ => self.nodes.cut_off(node),
        }
        self.tell(format!("{} {}", NAMES[node], self.nodes.state(node).text()));
    }

    fn heal(&mut self, node: usize, from: State) -> Result<(), Stop> {
        self.nodes.heal(node)?;
        if self.is_primary(node) {
            self.struck = None;
        }
        let what = match from {
            State::Killed | State::Ended => "is started again with its data",
            State::Paused => "goes on",
            State::CutOff | State::Up => "is joined to the others again",
        };
        self.tell(format!("{} {what}", NAMES[node]));
        Ok(())
    }

    fn is_primary(&self, node: usize) -> bool {
        self.primary.is_some_and(|(primary, _)| primary == node)
    }

    /// Heals whatever was done.
    ///
    /// # Errors
    /// If a node cannot be started again.
    pub fn heal_all(&mut self) -> Result<(), Stop> {
        (0..COUNT).try_for_each(|node| self.act(Action::Heal, node))
    }

    /// Ends the load; the nodes, and what became of what they had acknowledged.
    pub fn end(self) -> (Nodes, Result<Tally, Stop>) {
        (self.nodes, self.load.end())
    }

    /// How long it has been running.
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    pub fn is_over(&self) -> bool {
        self.time.is_some_and(|time| self.age() >= time)
    }

    pub fn node(&self, node: usize) -> Node {
        let said = self.watch.said(node);
        Node {
            clients: self.access.clients(node).to_string(),
            console: self.access.console(node),
            state: self.nodes.state(node),
            applied: said.as_ref().map(|said| said.applied),
            role: said.map(|said| self.role(said)),
        }
    }

    /// One that is cut off hears nothing of its successor, and still says that it is primary, though it reaches no majority.
    fn role(&self, said: Said) -> String {
        match said.role == "primary" && said.epoch < self.epoch() {
            true => "deposed".to_owned(),
            false => said.role,
        }
    }

    pub fn epoch(&self) -> i64 {
        self.primary.map_or(0, |(_, epoch)| epoch)
    }

    pub fn tally(&self) -> Tally {
        self.load.tally()
    }

    pub fn commands(&self) -> [String; 3] {
        self.access.commands()
    }

    fn tell(&mut self, what: String) {
        self.events.push((self.age(), what));
    }

    fn look_at_the_primary(&mut self) {
        let Some((node, epoch)) = self.watch.primary() else { return };
        let known = self.primary;
        // Of one that was cut off, and does not know yet that it is primary no more, there is nothing new to tell.
        if known.is_some_and(|(_, last)| epoch <= last) {
            return;
        }
        self.primary = Some((node, epoch));
        if known.is_some_and(|(last, _)| last == node) {
            return;
        }
        let after = self.struck.take().map(|at| at.elapsed()).filter(|after| *after < FAILOVER);
        let after = after.map_or(String::new(), |after| format!(" after {:.2} s", after.as_secs_f64()));
        self.tell(format!("{} is primary{after}", NAMES[node]));
    }

    fn look_at_the_nodes(&mut self) {
        while let Some((node, status)) = self.nodes.ended() {
            self.tell(format!("{} ended by itself: {status}", NAMES[node]));
        }
    }

    fn look_at_the_counters(&mut self) {
        if self.verifying.as_ref().is_some_and(|then| self.load.was_read_since(then)) {
            self.verifying = None;
            self.tell(format!("verified: {}", self.tally().text()));
        }
    }
}
