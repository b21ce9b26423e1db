//! Clients that keep copies of what they have read, each at one Core or Replica, until they are told that it has changed
//! (`CLIENT TRACKING`). When nothing is wrong any more, no copy is out of date at any node.

use std::collections::BTreeMap;
use std::time::Duration;

use madsim::rand::Rng;
use madsim::time::Instant;
use mneme_kernel::resp::Value;
use mneme_runtime_sim::sleep::sleep;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::simulation::RECOVERY;
use crate::topology::Role;

/// The database of the keys; nobody else writes there.
const DATABASE: u16 = 11;
const KEYS: u32 = 4;
/// How often the one that writes does so at most.
const TURNS: u32 = 40;
/// How long one listens before it reads again.
const LISTEN: Duration = Duration::from_millis(200);

/// Counts the keys up, at any Core.
pub async fn write(cluster: Cluster) {
    let options = &cluster.world().options;
    let mut dice = Dice::new(options.seed, 8_000);
    let mut client = Client::new(cluster.clone(), 0, options.clients.patience);
    for _ in 0..TURNS {
        if cluster.world().is_over() {
            return;
        }
        sleep((options.duration / TURNS).mul_f64(dice.gen_range(0.0..2.0))).await;
        let key = name(dice.gen_range(0..KEYS));
        let level = ["eventual", "quorum"][usize::from(dice.chance(0.5))];
        let command = match dice.gen_range(0..10) {
            0 => vec!["DEL", &key],
            1 => vec!["SET", &key, "0", "PX", "50"],
            2 => vec!["FLUSHDB"],
            _ => vec!["INCR", &key],
        };
        // Whether it is done does not matter.
        let _ = client.ask_in(DATABASE, &[vec!["CONSISTENCY", level], command].concat()).await;
    }
}

fn name(key: u32) -> String {
    format!("copied:{key}")
}

/// A connection, and copies of what it has read.
struct Keeper {
    machine: usize,
    client: Client,
    /// `None`: it was not there.
    copies: BTreeMap<u32, Option<Vec<u8>>>,
    reads: Vec<&'static str>,
}

impl Keeper {
    async fn new(cluster: &Cluster, machine: usize, dice: &mut Dice) -> Option<Keeper> {
        let patience = cluster.world().options.clients.patience;
        let mut client = Client::new(cluster.clone(), 0, patience).staying_at(machine);
        let mode: &[&str] = if dice.chance(0.3) { &["BCAST", "PREFIX", "copied:"] } else { &[] };
        let tracks = client.ask_in(DATABASE, &[&["CLIENT", "TRACKING", "ON"], mode].concat()).await;
        if !matches!(tracks, Ok(Value::Simple(_))) {
            return None;
        }
        let weak = cluster.machine(machine).role() == Role::Replica || dice.chance(0.5);
        let reads = if weak { vec!["CONSISTENCY", "EVENTUAL", "GET"] } else { vec!["GET"] };
        Some(Keeper { machine, client, copies: BTreeMap::new(), reads })
    }

    /// Reads a key and keeps what it holds; `None` if the connection has ended.
    async fn read(&mut self, key: u32, patience: Duration) -> Option<()> {
        let name = name(key);
        self.client.tell(&[&*self.reads, &[&*name]].concat()).await.ok()?;
        match self.reply(patience).await? {
            Value::Bulk(value) => self.copies.insert(key, Some(value)),
            Value::Null => self.copies.insert(key, None),
            _ => None,
        };
        Some(())
    }

    /// What it is answered; what it is told before that has happened before.
    async fn reply(&mut self, patience: Duration) -> Option<Value> {
        loop {
            match self.client.hear(patience).await.ok()?? {
                Value::Push(told) => self.take(&told),
                reply => return Some(reply),
            }
        }
    }

    fn take(&mut self, told: &[Value]) {
        match told {
            [Value::Bulk(kind), Value::Array(keys)] if kind == b"invalidate" => {
                let named = |key: &u32| keys.contains(&Value::Bulk(name(*key).into_bytes()));
                self.copies.retain(|key, _| !named(key));
            }
            // Everything, or what it does not know.
            _ => self.copies.clear(),
        }
    }

    /// A copy that is out of date, once it has heard all there is; `None` if the connection has ended.
    async fn stale(&mut self, cluster: &Cluster) -> Option<Result<usize, String>> {
        let patience = cluster.world().options.clients.patience;
        self.client.tell(&["PING"]).await.ok()?;
        self.reply(patience).await?;
        // The same node in the same way: what another clock takes for expired is not for this one yet.
        let mut reader = Client::new(cluster.clone(), 0, patience).staying_at(self.machine);
        for (key, copy) in &self.copies {
            let there = match reader.ask_in(DATABASE, &[&*self.reads, &[&*name(*key)]].concat()).await {
                Ok(Value::Bulk(value)) => Some(value),
                Ok(Value::Null) => None,
                // Nobody is to be blamed for what cannot be read.
                _ => return Some(Err(format!("{} cannot be read", name(*key)))),
            };
            if there != *copy {
                return Some(Err(format!("the copy of {} is {copy:?}, and it holds {there:?}", name(*key))));
            }
        }
        Some(Ok(self.copies.len()))
    }
}

/// Keeps copies at this machine.
pub async fn keep(cluster: Cluster, machine: usize) {
    let world = cluster.world();
    let patience = world.options.clients.patience;
    let mut dice = Dice::new(world.options.seed, 8_100 + machine as u64);
    let mut keeper = None;
    while !world.is_over() {
        let Some(there) = &mut keeper else {
            keeper = Keeper::new(&cluster, machine, &mut dice).await;
            if keeper.is_none() {
                sleep(LISTEN).await;
            }
            continue;
        };
        let key = dice.gen_range(0..KEYS);
        let goes_on = match there.copies.contains_key(&key) {
            true => Some(()),
            false => there.read(key, patience).await,
        };
        let heard = match goes_on {
            Some(()) => there.client.hear(LISTEN.mul_f64(dice.gen_range(0.0..1.0))).await,
            None => Err(std::io::ErrorKind::NotConnected.into()),
        };
        match heard {
            Ok(Some(Value::Push(told))) => {
                world.count("copies told of", 1);
                there.take(&told);
            }
            Ok(Some(other)) => world.check("copies", Err(format!("a client that asked nothing is told {other:?}"))),
            Ok(None) => {}
            Err(_) => keeper = None,
        }
    }
    if let Some(keeper) = keeper {
        look(&cluster, machine, keeper).await;
    }
}

/// Soon after all faults no copy is out of date, and none will be.
async fn look(cluster: &Cluster, machine: usize, mut keeper: Keeper) {
    let end = Instant::now() + RECOVERY;
    loop {
        if cluster.machine(machine).is_leaving() {
            // It may be no member, and not know yet.
            return;
        }
        match keeper.stale(cluster).await {
            // Its copies are gone with it.
            None => return,
            Some(Ok(copies)) => return cluster.world().count("copies that hold", copies as u64),
            Some(Err(what)) if Instant::now() > end => {
                return cluster
                    .world()
                    .check("copies", Err(format!("{RECOVERY:?} after all faults, at {machine}: {what}")));
            }
            Some(Err(_)) => sleep(LISTEN).await,
        }
    }
}
