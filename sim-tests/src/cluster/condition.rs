//! What each machine is like at a moment, for the timeline.

use super::Cluster;
use super::machine::Machine;
use crate::timeline::{Lane, State};
use crate::world::lock;

impl Cluster {
    /// Notes what each machine is like now. Looking changes nothing.
    pub(super) fn show_conditions(&self) {
        let world = self.world();
        if !world.keeps_timeline() {
            return;
        }
        for machine in self.machines() {
            let shows = |state, so| world.shows(Lane::Machine(machine.number(), state), so);
            let core = machine.running_core();
            let epoch = core.and_then(|core| core.with_core(|core| core.is_primary().then(|| core.epoch())));
            shows(State::Primary, epoch.map(|epoch| format!("primary in epoch {epoch}")));
            let keeper = machine.running_keeper().filter(|keeper| keeper.leads());
            shows(State::Leads, keeper.map(|keeper| format!("leads in term {}", keeper.term())));
            shows(State::Down, machine.impediment().map(str::to_owned));
            shows(State::Deaf, self.unheard(machine));
        }
        let clients = lock(&self.0.clients);
        let cut = clients.iter().enumerate().flat_map(|(client, node)| {
            let machines = self.machines().iter().filter(|machine| self.0.network.is_cut(*node, machine.node()));
            machines.map(move |machine| format!("client {client} from {}", machine.name()))
        });
        let cut: Vec<String> = cut.collect();
        world.shows(Lane::Clients, (!cut.is_empty()).then(|| cut.join(", ")));
    }

    /// Whom it does not hear.
    fn unheard(&self, machine: &Machine) -> Option<String> {
        let others = self.machines().iter().filter(|other| self.0.network.is_cut(other.node(), machine.node()));
        let names: Vec<String> = others.map(|other| other.name()).collect();
        (!names.is_empty()).then(|| format!("does not hear {}", names.join(", ")))
    }
}

impl Machine {
    /// Why it does not do what it is there for.
    fn impediment(&self) -> Option<&'static str> {
        if self.is_paused() {
            return Some("suspended");
        }
        if self.is_dead() {
            return Some("dead");
        }
        let is_impaired = self.is_impaired();
        match (self.is_up(), self.is_leaving()) {
            (_, true) => Some("is to be removed"),
            (false, _) if is_impaired => Some("starts without what it had"),
            (false, _) => Some("starts"),
            (true, _) => None,
        }
    }
}
