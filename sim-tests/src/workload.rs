//! What clients ask for.

use madsim::rand::Rng;
use madsim::rand::seq::SliceRandom;
use mneme_runtime_sim::sleep::sleep;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::history::Level;
use crate::model::{Command, Datum, DeadlineCondition, Key, Lifetime, Presence};
use crate::options::{ClientOptions, TEXTS};
use crate::wire::Request;

pub mod typed;

/// The number of the first key that one client writes to alone.
pub const OWN_KEYS: u16 = 1_000;

/// How often a command on any type, or on strings, meets a key that is meant for collections.
const STRAY: f64 = 0.1;

/// One client's commands, from first to last.
pub async fn run(cluster: Cluster, number: u64) {
    let options = &cluster.world().options;
    let dice = Dice::new(options.seed, 1_000 + number);
    let mut workload = Workload { dice, cluster: cluster.clone(), number, database: 0 };
    let mut client = Client::new(cluster.clone(), number as usize, options.clients.patience);
    let mut left = options.clients.commands / options.clients.count as usize;
    while left > 0 && !cluster.world().is_over() {
        workload.database = workload.dice.gen_range(0..options.clients.databases);
        left = left.saturating_sub(workload.turn(&mut client, left).await);
        // Now and then a client hurries.
        if workload.dice.chance(0.8) {
            sleep(options.clients.think.mul_f64(workload.dice.gen_range(0.0..2.5))).await;
        }
    }
}

/// Often has a Core that stands by and has no Keeper beside it hear none for a while; which one.
pub fn lag(cluster: &Cluster, dice: &mut Dice) -> Option<usize> {
    let options = &cluster.world().options;
    let mut behind = options.topology.followers();
    behind.retain(|machine| cluster.machine(*machine).role().has_core() && cluster.primary() != Some(*machine));
    let machine = *behind.choose(dice)?;
    if cluster.world().is_over() || !dice.chance(0.4) {
        return None;
    }
    let lasts = options.level_timeout.mul_f64(dice.log_uniform(0.05..=1.5));
    let (cut, cluster) = (cluster.feeds_of(machine), cluster.clone());
    cluster.cut(&cut);
    cluster.world().count("made to lag", 1);
    madsim::task::spawn(async move {
        sleep(lasts).await;
        cluster.mend(&cut);
    });
    Some(machine)
}

/// Draws one client's commands.
struct Workload {
    dice: Dice,
    cluster: Cluster,
    /// The client's.
    number: u64,
    /// The selected one.
    database: u16,
}

impl Workload {
    /// Does one thing; how many commands it took.
    async fn turn(&mut self, client: &mut Client, left: usize) -> usize {
        let (database, mix) = (self.database, self.options().mix);
        let turn = self.dice.weighted(&[(1000, 0), (mix.block, 1), (mix.walk, 2), (mix.disturb, 3), (mix.look, 4)]);
        match turn {
            0 => {
                let count = self.dice.gen_range(1..=self.options().pipeline).min(left);
                let requests: Vec<Request> = (0..count).map(|_| self.request()).collect();
                if client.send(database, &requests).await { count } else { 0 }
            }
            1 => self.transaction(client).await,
            2 => usize::from(client.walk(database).await),
            4 => self.look_everywhere(client).await,
            _ => {
                self.disturb(client).await;
                1
            }
        }
    }

    async fn transaction(&mut self, client: &mut Client) -> usize {
        let watcher = self.dice.chance(0.6).then(|| u64::from(self.cluster.world().new_word()));
        if let Some(watcher) = watcher {
            let keys = self.keys();
            // What is absent can be watched, too.
            let mut commands = if self.dice.chance(0.3) { vec![Command::Delete(keys.clone())] } else { Vec::new() };
            commands.extend([Command::Watch(watcher, keys.clone()), Command::Get(self.key())]);
            if self.dice.chance(0.3) {
                commands.extend(self.meddle(keys[0]));
            }
            let requests: Vec<Request> = commands.into_iter().map(|command| self.plain(command)).collect();
            if !client.send(self.database, &requests).await {
                return 0;
            }
            if self.dice.chance(0.7) {
                sleep(self.options().think.mul_f64(self.dice.gen_range(0.0..2.0))).await;
            }
        }
        let commands: Vec<Command> = (0..self.dice.gen_range(1..=4)).map(|_| self.command()).collect();
        let count = commands.len();
        let given_up = self.dice.chance(0.1);
        let request = self.plain(if given_up { Command::Discard(commands) } else { Command::Block(watcher, commands) });
        if client.send(self.database, &[request]).await { count + 1 } else { 0 }
    }

    /// What a watcher does itself disturbs its transaction as well: with SWAPDB, the other database's key is watched.
    fn meddle(&mut self, key: Key) -> Vec<Command> {
        let &ClientOptions { mix, databases, .. } = self.options();
        let swap = (databases > 1 && mix.across > 0).then(|| Command::Swap(self.database, self.other_database()));
        let (datum, lifetime, presence) = (self.datum(), Lifetime::Forever, Presence::Any);
        swap.into_iter().chain([Command::Set { key, datum, lifetime, presence, get: false }]).collect()
    }

    fn plain(&mut self, command: Command) -> Request {
        let (other_name, scripted) = (self.dice.chance(0.5), self.scripted(&command));
        Request { text: 10, other_name, scripted, ..Request::new(command) }
    }

    /// Writes at `ALL` where nobody else does, then looks whether it is there at a Core, whichever that is.
    async fn look_everywhere(&mut self, client: &mut Client) -> usize {
        let key = Key { database: self.database, number: OWN_KEYS + self.number as u16 };
        let datum = Datum::Word(self.cluster.world().new_word());
        let (lifetime, presence) = (Lifetime::Forever, Presence::Any);
        let write = self.plain(Command::Set { key, datum, lifetime, presence, get: false });
        let lagging = lag(&self.cluster, &mut self.dice);
        if !client.send(self.database, &[Request { level: Some(Level::All), ..write }]).await {
            return 1;
        }
        let any = self.cluster.core(self.dice.gen_range(0..self.cluster.cores().count())).number();
        let asked = lagging.unwrap_or(any);
        if self.cluster.machines()[asked].is_leaving() {
            // It may be no member, and not know yet.
            return 1;
        }
        let mut reader = Client::new(self.cluster.clone(), 0, self.options().patience).staying_at(asked);
        let read = self.plain(Command::Get(key));
        1 + usize::from(reader.send(self.database, &[Request { level: Some(Level::Eventual), ..read }]).await)
    }

    /// Ends or holds back other clients.
    async fn disturb(&mut self, client: &mut Client) {
        let millis = self.dice.gen_range(1..200).to_string();
        let (what, command) = *self.dice.weighted(&[
            (2, &("clients killed", &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"][..])),
            (1, &("clients held back", &["CLIENT", "PAUSE", "", "WRITE"][..])),
            (1, &("clients held back", &["CLIENT", "PAUSE", "", "ALL"][..])),
        ]);
        let command: Vec<&str> = command.iter().map(|word| if word.is_empty() { &*millis } else { word }).collect();
        if client.ask(&command).await.is_ok() {
            self.cluster.world().count(what, 1);
        }
    }

    fn options(&self) -> &ClientOptions {
        &self.cluster.world().options.clients
    }

    fn request(&mut self) -> Request {
        let &ClientOptions { eventual, named_level, text, .. } = self.options();
        let level = if self.dice.chance(eventual) {
            Some(Level::Eventual)
        } else if self.dice.chance(named_level) {
            Some(if self.dice.chance(0.5) { Level::Quorum } else { Level::All })
        } else {
            None
        };
        // Most texts are short, whatever the longest is.
        let text = self.dice.log_uniform(1.0..=text as f64) as usize;
        let command = self.command();
        let (other_name, scripted) = (self.dice.chance(0.3), self.scripted(&command));
        Request { level, text, other_name, scripted, ..Request::new(command) }
    }

    /// Numbers are exact in Lua up to 2^53 alone, and counters here go as far as they can.
    fn scripted(&mut self, command: &Command) -> bool {
        let counts = match command {
            Command::Block(_, commands) => commands.iter().any(|command| matches!(command, Command::Increment { .. })),
            command => matches!(command, Command::Increment { .. }),
        };
        self.dice.chance(0.1) && !counts
    }

    fn command(&mut self) -> Command {
        let &ClientOptions { mix, databases, .. } = self.options();
        let draw = self.dice.weighted::<fn(&mut Workload) -> Command>(&[
            (mix.set, Workload::set),
            (mix.get, |workload| Command::Get(workload.key())),
            (mix.delete, |workload| Command::Delete(workload.keys())),
            (mix.increment, Workload::increment),
            (mix.deadline, Workload::deadline),
            (mix.several, Workload::several),
            (mix.size, |workload| Command::Size(workload.database)),
            (mix.flush, |workload| match workload.options().databases {
                1 => Command::FlushAll,
                _ => Command::Flush(workload.database),
            }),
            (mix.text, Workload::text),
            (mix.rename, Workload::rename),
            (if databases > 1 { mix.across } else { 0 }, Workload::across),
            (mix.list, |workload| match workload.dice.chance(0.5) {
                true => Command::Keys(workload.database),
                false => Command::RandomKey(workload.database),
            }),
            (mix.further, Workload::further),
            (mix.typed, Workload::typed),
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
                _ => Lifetime::At(self.cluster.walls().most + self.millis() as u64),
            }
        };
        let presence = self.dice.weighted(&[(8, Presence::Any), (1, Presence::Absent), (1, Presence::Present)]);
        Command::Set { key: self.key(), datum: self.datum(), lifetime, presence, get: self.dice.chance(0.15) }
    }

    fn increment(&mut self) -> Command {
        let by = self.dice.weighted(&[(12, 1), (4, 10), (3, -2), (2, -1), (1, i64::MAX - 3)]);
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

    /// Commands on keys whose values change in place.
    fn text(&mut self) -> Command {
        let number = TEXTS + self.dice.gen_range(0..self.options().texts);
        let key = Key { database: self.database, number };
        // An x could make a number of digits, a hexadecimal one.
        let letters = |dice: &mut Dice| (0..dice.gen_range(1..5)).map(|_| dice.gen_range(b'y'..=b'z')).collect();
        match self.dice.gen_range(0..14) {
            0 => Command::Set {
                key,
                datum: Datum::Number(self.dice.gen_range(0..50)),
                lifetime: Lifetime::Forever,
                presence: Presence::Any,
                get: self.dice.chance(0.3),
            },
            1 => Command::GetDelete(key),
            2 => Command::Append(key, letters(&mut self.dice)),
            3 | 4 => Command::SetRange(key, self.dice.gen_range(0..12), letters(&mut self.dice)),
            5 => Command::GetRange(key, self.dice.gen_range(-5..9), self.dice.gen_range(-5..20)),
            6 => Command::Length(key),
            // The first bit of a byte makes no letter another one.
            7 | 8 => Command::SetBit(key, self.dice.gen_range(0..10) * 8, self.dice.chance(0.7)),
            9 => Command::GetBit(key, self.dice.gen_range(0..80)),
            10 => Command::CountBits(key),
            11 => Command::Increment { key, by: self.dice.weighted(&[(1, 1), (1, -1)]) },
            12 => Command::IncrementHalves(key, self.dice.gen_range(-3..6)),
            _ => Command::Get(key),
        }
    }

    /// Texts stay among themselves.
    fn rename(&mut self) -> Command {
        let texts = self.options().texts;
        let [from, to] = if texts > 0 && self.dice.chance(0.3) {
            [(); 2].map(|()| Key { database: self.database, number: TEXTS + self.dice.gen_range(0..texts) })
        } else {
            [self.key(), self.key()]
        };
        match self.dice.gen_range(0..3) {
            1 if from != to => Command::Copy { from, to, replace: self.dice.chance(0.5) },
            2 => Command::Rename { from, to, only_absent: true },
            _ => Command::Rename { from, to, only_absent: false },
        }
    }

    fn across(&mut self) -> Command {
        let from = self.key();
        let other = self.other_database();
        match self.dice.gen_range(0..3) {
            0 => Command::Swap(self.database, other),
            1 => Command::Move(from, other),
            _ => {
                let to = Key { database: other, ..self.key() };
                Command::Copy { from, to, replace: self.dice.chance(0.5) }
            }
        }
    }

    fn other_database(&mut self) -> u16 {
        let databases = self.options().databases;
        (self.database + self.dice.gen_range(1..databases)) % databases
    }

    fn further(&mut self) -> Command {
        let key = self.key();
        let deadlines = self.options().mix.deadline > 0;
        match self.dice.gen_range(0..if deadlines { 7 } else { 4 }) {
            0 => Command::GetDelete(key),
            1 => Command::SetAbsent(key, self.datum()),
            2 => Command::MultiSetAbsent(self.keys().into_iter().map(|key| (key, self.datum())).collect()),
            3 => {
                let datum = self.datum();
                Command::Set { key, datum, lifetime: Lifetime::Forever, presence: Presence::Any, get: true }
            }
            4 => {
                let lifetime = match self.dice.gen_range(0..4) {
                    0 => Lifetime::Forever,
                    1 => Lifetime::Keep,
                    2 => Lifetime::In(self.millis()),
                    _ => Lifetime::At(self.cluster.walls().most + self.millis() as u64),
                };
                Command::GetExpire(key, lifetime)
            }
            5 => {
                let at = self.cluster.walls().most + self.millis() as u64;
                Command::ExpireAt(key, if self.dice.chance(0.3) { at / 1000 * 1000 } else { at })
            }
            _ => Command::ExpireTime { key, seconds: self.dice.chance(0.3) },
        }
    }

    fn key(&mut self) -> Key {
        let &ClientOptions { keys, skew, .. } = self.options();
        if self.options().mix.typed > 0 && self.dice.chance(STRAY) {
            return self.typed_key().0;
        }
        let number = if self.dice.chance(skew) { 0 } else { self.dice.gen_range(0..keys) };
        Key { database: self.database, number }
    }

    /// A few keys, each once.
    fn keys(&mut self) -> Vec<Key> {
        let database = self.database;
        let mut keys: Vec<Key> = (0..self.options().keys).map(|number| Key { database, number }).collect();
        keys.shuffle(&mut self.dice);
        if self.options().mix.typed > 0 && self.dice.chance(STRAY) {
            keys[0] = self.typed_key().0;
        }
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
