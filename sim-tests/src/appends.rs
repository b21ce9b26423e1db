//! Clients that append to lists and read them, several at a time in one transaction ([`Transaction`]): the workload from which a
//! checker of isolation learns most.
//!
//! What they do is a history of its own ([`crate::world::World::appends`]), which [`crate::check::append`] judges.

use std::time::Duration;

use madsim::rand::Rng;
pub use mneme_checks::appends::Transaction;
use mneme_checks::appends::{append, read};
use mneme_runtime_sim::sleep::sleep;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::model::{Command, Key};
use crate::options::Options;
use crate::wire::Request;
use crate::world::World;

/// The database of the lists; nobody else writes there.
const DATABASE: u16 = 13;
const LISTS: u16 = 4;
pub const CLIENTS: u64 = 3;
/// How often one sends something at most.
const TURNS: u32 = 14;
/// Numbers that one client appends at most.
const NUMBERS: u32 = 1_000;

/// Whether nobody empties all databases.
pub fn are_safe(options: &Options) -> bool {
    options.clients.mix.flush == 0 || options.clients.databases > 1
}

/// One client's transactions.
pub async fn run(cluster: Cluster, number: u64) {
    let options = &cluster.world().options;
    let dice = Dice::new(options.seed, 4_000 + number);
    let mut draw = Draw { dice, next: number as u32 * NUMBERS };
    let mut client = client(&cluster, number as usize, options.clients.patience);
    for _ in 0..TURNS {
        if cluster.world().is_over() {
            return;
        }
        let requests: Vec<Request> = (0..draw.dice.weighted(&[(3, 1), (1, 2)])).map(|_| draw.request()).collect();
        client.send(DATABASE, &requests).await;
        if draw.dice.chance(0.8) {
            sleep((options.duration / TURNS).mul_f64(draw.dice.gen_range(0.0..1.8))).await;
        }
    }
}

/// Reads every list at a Core; whether it answers.
pub async fn read_all(cluster: &Cluster, core: usize, patience: Duration) -> bool {
    let reads = (0..LISTS).map(|number| read(Key { database: DATABASE, number })).collect();
    let request = Request::new(Command::Block(None, reads));
    client(cluster, core, patience).send(DATABASE, &[request]).await
}

fn client(cluster: &Cluster, core: usize, patience: Duration) -> Client {
    Client::new(cluster.clone(), core, patience).recording_in(World::appends)
}

/// Draws what one client asks for.
struct Draw {
    dice: Dice,
    /// What it appends next.
    next: u32,
}

impl Draw {
    fn request(&mut self) -> Request {
        let lists: Vec<u16> = (0..self.dice.gen_range(1..=3)).map(|_| self.dice.gen_range(0..LISTS)).collect();
        let commands: Vec<Command> = (0..self.dice.gen_range(1..=4))
            .map(|_| {
                let number = lists[self.dice.gen_range(0..lists.len())];
                self.command(Key { database: DATABASE, number })
            })
            .collect();
        let command = match commands.as_slice() {
            [alone] if self.dice.chance(0.7) => alone.clone(),
            _ => Command::Block(None, commands),
        };
        Request { scripted: self.dice.chance(0.2), ..Request::new(command) }
    }

    fn command(&mut self, key: Key) -> Command {
        if self.dice.chance(0.5) {
            return read(key);
        }
        self.next += 1;
        append(key, self.next)
    }
}
