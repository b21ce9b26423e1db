//! What clients ask for.

use madsim::rand::Rng;
use madsim::rand::seq::SliceRandom;
use mneme_runtime_sim::sleep::sleep;

use crate::client::{Client, Request};
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::history::Level;
use crate::model::{Command, Datum, DeadlineCondition, Key, Lifetime, Presence};
use crate::options::ClientOptions;

/// One client's commands, from first to last.
pub async fn run(cluster: Cluster, number: u64) {
    let options = &cluster.world().options;
    let mut workload = Workload { dice: Dice::new(options.seed, 1_000 + number), cluster: cluster.clone() };
    let mut client = Client::new(cluster.clone(), options.clients.patience);
    let mut left = options.clients.commands / options.clients.count as usize;
    while left > 0 && !cluster.world().is_over() {
        let count = workload.dice.gen_range(1..=options.clients.pipeline).min(left);
        let database = workload.dice.gen_range(0..options.clients.databases);
        let requests: Vec<Request> = (0..count).map(|_| workload.request()).collect();
        if client.send(database, &requests).await {
            left -= count;
        }
        // Now and then a client hurries.
        if workload.dice.chance(0.8) {
            sleep(options.clients.think.mul_f64(workload.dice.gen_range(0.0..2.5))).await;
        }
    }
}

/// Draws one client's commands.
struct Workload {
    dice: Dice,
    cluster: Cluster,
}

impl Workload {
    fn options(&self) -> &ClientOptions {
        &self.cluster.world().options.clients
    }

    fn request(&mut self) -> Request {
        let ClientOptions { eventual, named_level, text, .. } = *self.options();
        let level = if self.dice.chance(eventual) {
            Some(Level::Eventual)
        } else if self.dice.chance(named_level) {
            Some(if self.dice.chance(0.5) { Level::Quorum } else { Level::All })
        } else {
            None
        };
        // Most texts are short, whatever the longest is.
        let text = self.dice.log_uniform(1.0..=text as f64) as usize;
        Request { command: self.command(), level, text }
    }

    fn command(&mut self) -> Command {
        let mix = self.options().mix;
        let draw = self.dice.weighted::<fn(&mut Workload) -> Command>(&[
            (mix.set, Workload::set),
            (mix.get, |workload| Command::Get(workload.key())),
            (mix.delete, |workload| Command::Delete(workload.keys())),
            (mix.increment, Workload::increment),
            (mix.deadline, Workload::deadline),
            (mix.several, Workload::several),
            (mix.size, |_| Command::Size),
            (mix.flush, |_| Command::Flush),
        ]);
        draw(self)
    }

    fn set(&mut self) -> Command {
        let lifetime = if self.options().mix.deadline == 0 {
            Lifetime::Forever
        } else {
            match self.dice.weighted(&[(6, 0), (1, 1), (2, 2), (1, 3)]) {
                0 => Lifetime::Forever,
                1 => Lifetime::Keep,
                2 => Lifetime::In(self.millis()),
                _ => Lifetime::At(self.cluster.wall() + self.millis() as u64),
            }
        };
        let presence = self.dice.weighted(&[(8, Presence::Any), (1, Presence::Absent), (1, Presence::Present)]);
        Command::Set { key: self.key(), datum: self.datum(), lifetime, presence, get: self.dice.chance(0.15) }
    }

    fn increment(&mut self) -> Command {
        let by = self.dice.weighted(&[(12, 1), (4, 10), (3, -2), (1, i64::MAX - 3)]);
        Command::Increment { key: self.key(), by }
    }

    fn deadline(&mut self) -> Command {
        let key = self.key();
        match self.dice.weighted(&[(5, 0), (2, 1), (4, 2), (2, 3)]) {
            0 => {
                let millis = if self.dice.chance(0.05) { -1_500 } else { self.millis() };
                let condition = self.dice.weighted(&[
                    (6, DeadlineCondition::Always),
                    (1, DeadlineCondition::None),
                    (1, DeadlineCondition::Some),
                    (1, DeadlineCondition::Later),
                    (1, DeadlineCondition::Earlier),
                ]);
                Command::Expire { key, millis, condition }
            }
            1 => Command::Persist(key),
            2 => Command::TimeLeft { key, seconds: false },
            _ => Command::TimeLeft { key, seconds: true },
        }
    }

    fn several(&mut self) -> Command {
        let keys = self.keys();
        match self.dice.gen_range(0..3) {
            0 => Command::MultiGet(keys),
            1 => Command::Exists(keys),
            _ => Command::MultiSet(keys.into_iter().map(|key| (key, self.datum())).collect()),
        }
    }

    fn key(&mut self) -> Key {
        let ClientOptions { keys, skew, .. } = *self.options();
        if self.dice.chance(skew) { 0 } else { self.dice.gen_range(0..keys) }
    }

    /// A few keys, each once.
    fn keys(&mut self) -> Vec<Key> {
        let mut keys: Vec<Key> = (0..self.options().keys).collect();
        keys.shuffle(&mut self.dice);
        keys.truncate(self.dice.gen_range(1..=3));
        keys
    }

    fn datum(&mut self) -> Datum {
        let numbers = self.options().mix.increment > 0 && self.dice.chance(0.2);
        if numbers { Datum::Number(self.dice.gen_range(-5..100)) } else { Datum::Word(self.cluster.world().new_word()) }
    }

    /// How long a key shall live; sometimes in whole seconds, which the protocol says otherwise.
    fn millis(&mut self) -> i64 {
        let most = self.options().lifetime;
        let millis = self.dice.log_uniform(5.0..=most as f64) as i64;
        if self.dice.chance(0.2) { (millis / 1000 + 1) * 1000 } else { millis }
    }
}
