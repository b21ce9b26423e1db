//! Clients that read at `EVENTUAL`, each at one Core or Replica, whatever becomes of it.

use madsim::rand::Rng;
use mneme_runtime_sim::sleep::sleep;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::history::Level;
use crate::model::{Command, Key};
use crate::options::TYPED;
use crate::wire::Request;
use crate::workload::OWN_KEYS;
use crate::workload::typed::whole;

/// How often one reads at most, and how many keys at a time.
const TURNS: u32 = 40;
const KEYS: usize = 3;
const TYPED_READS: f64 = 0.2;

/// One such client's reads, at this machine.
pub async fn run(cluster: Cluster, machine: usize) {
    let options = &cluster.world().options;
    let mut dice = Dice::new(options.seed, 2_000 + machine as u64);
    let mut client = Client::new(cluster.clone(), 0, options.clients.patience).staying_at(machine);
    let pause = options.duration / TURNS;
    for _ in 0..TURNS {
        if cluster.world().is_over() {
            return;
        }
        let database = dice.gen_range(0..options.clients.databases);
        let requests: Vec<Request> =
            (0..dice.gen_range(1..=KEYS)).map(|_| read(&cluster, &mut dice, database)).collect();
        client.send(database, &requests).await;
        sleep(pause.mul_f64(dice.gen_range(0.0..2.0))).await;
    }
}

/// A read of a key that all clients write to, or one does alone; or of a whole collection.
fn read(cluster: &Cluster, dice: &mut Dice, database: u16) -> Request {
    let clients = &cluster.world().options.clients;
    let number = match dice.chance(0.5) {
        true => OWN_KEYS + dice.gen_range(0..clients.count) as u16,
        false => dice.gen_range(0..clients.keys),
    };
    let command = match dice.chance(TYPED_READS) {
        true if !clients.types.is_empty() => {
            let at = dice.gen_range(0..clients.types.len());
            whole(clients.types[at], Key { database, number: TYPED + at as u16 })
        }
        _ => Command::Get(Key { database, number }),
    };
    Request { level: Some(Level::Eventual), ..Request::new(command) }
}
