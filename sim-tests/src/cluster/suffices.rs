//! Liveness of a core that suffices (as TigerBeetle's simulator asks for it): once faults have ended there, and the rest is
//! dead, a majority of Keepers and one Core serve. A cluster that needs everybody back is none.

use std::sync::Arc;
use std::time::Duration;

use madsim::rand::Rng;
use madsim::rand::seq::SliceRandom;
use madsim::time::{Instant, sleep};
use mneme_kernel::resp::Value;

use super::machine::{Hold, Machine};
use super::{Cluster, Ending, WATCH};
use crate::client::Client;
use crate::dice::Dice;

/// How long the core may take until it serves, and has come to the same.
const BOUND: Duration = Duration::from_secs(20);
/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The database of what is written here; no client uses it.
const DATABASE: &str = "15";

impl Cluster {
    /// Kills some machines that are not needed, ends the faults of the others, and requires service of them. Then the dead
    /// live again; faults of theirs go on.
    pub async fn serve_without_some(&self) -> Result<(), String> {
        let dead = self.kill_those_not_needed();
        self.heal();
        if dead.is_empty() {
            return Ok(());
        }
        self.world().count("served without some", 1);
        let names: Vec<String> = dead.iter().map(|hold| hold.machine().name()).collect();
        self.event(format_args!("the others must serve without {names:?}"));
        let served = self.until_core_serves(&dead).await;
        dead.iter().for_each(|hold| hold.machine().begin_life());
        served.map_err(|late| format!("without {names:?}, which are dead: {late}"))
    }

    /// As many Keepers as may be missing, and Cores, but not the last one. None while the members are not what they are
    /// meant to be: then it is not known here who is needed.
    fn kill_those_not_needed(&self) -> Vec<Hold> {
        let topology = &self.world().options.topology;
        let is_settled = |machine: &Arc<Machine>| {
            let votes = |keeper: &Arc<mneme_driver::keeper::Keeper<_>>| {
                keeper.status().members.iter().filter(|member| member.votes).count() == topology.keepers().len()
            };
            !machine.is_impaired()
                && !machine.is_leaving()
                && machine.running_keeper().is_none_or(|keeper| votes(&keeper))
        };
        if topology.spare_keepers() == 0 || !self.machines().iter().all(is_settled) {
            return Vec::new();
        }
        let mut dice = Dice::new(self.world().options.seed, 5_000);
        let mut spare_keepers = dice.gen_range(0..=topology.spare_keepers());
        let mut spare_cores = dice.gen_range(0..topology.cores().len());
        let mut all = self.machines().to_vec();
        all.shuffle(&mut dice);
        let mut dead = Vec::new();
        for machine in all {
            let role = machine.role();
            let (keeper, core) = (usize::from(role.has_keeper()), usize::from(role.has_core()));
            if keeper + core == 0 || keeper > spare_keepers || core > spare_cores {
                continue;
            }
            let Some(hold) = machine.take() else { continue };
            (spare_keepers, spare_cores) = (spare_keepers - keeper, spare_cores - core);
            machine.end_life(Ending::Kill);
            dead.push(hold);
        }
        dead
    }

    async fn until_core_serves(&self, dead: &[Hold]) -> Result<(), String> {
        let lives = |machine: &Machine| dead.iter().all(|hold| hold.machine().number() != machine.number());
        let end = Instant::now() + BOUND;
        let mut missing = String::from("not all are up");
        loop {
            if Instant::now() > end {
                return Err(format!("it does not serve within {BOUND:?} of virtual time: {missing}"));
            }
            let living = self.machines().iter().filter(|machine| lives(machine));
            let down: Vec<String> =
                living.filter(|machine| !machine.is_up()).map(|machine| machine.condition()).collect();
            if !down.is_empty() {
                missing = down.join(", ");
                sleep(WATCH).await;
                continue;
            }
            let cores: Vec<usize> = self.cores().filter(|core| lives(core)).map(|machine| machine.number()).collect();
            match self.write_at(cores[0]).await {
                Ok(()) => break,
                Err(why) => missing = why,
            }
        }
        while !self.have_converged_among(lives) {
            if Instant::now() > end {
                return Err(format!("they have not come to the same within {BOUND:?}"));
            }
            sleep(WATCH).await;
        }
        self.compare_data();
        Ok(())
    }

    /// A write at a Core, from a machine of its own.
    async fn write_at(&self, core: usize) -> Result<(), String> {
        let cluster = self.clone();
        let writing = self.add_client().spawn(async move {
            let mut client = Client::new(cluster.clone(), 0, PATIENCE).staying_at(core);
            for command in [&["SELECT", DATABASE][..], &["SET", "probe:core", "1"]] {
                match client.ask(command).await {
                    Ok(Value::Simple(_)) => {}
                    Ok(Value::Error(why)) if why.starts_with("OOM ") && cluster.world().options.max_memory > 0 => {}
                    other => {
                        sleep(WATCH).await;
                        return Err(format!("{command:?} is answered {other:?}"));
                    }
                }
            }
            Ok(())
        });
        writing.await.map_err(|error| error.to_string())?
    }
}
