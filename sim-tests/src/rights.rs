//! Users come, change and go, through any Core. What was acknowledged holds from then on, also for connections that were
//! open before: who may not do a thing any more is never told that it was done.
//!
//! Only commands at `QUORUM` are looked at. What a Core refuses that has not read of a change yet proves nothing, nor does
//! a fate that is unknown: a Core that was deposed may execute what nobody will ever see.

use std::collections::BTreeSet;

use madsim::rand::Rng;
use madsim::time::Instant;
use mneme_kernel::resp::Value;
use mneme_runtime_sim::sleep::sleep;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::simulation::RECOVERY;

/// Numbered databases that no other client uses.
const DATABASES: [u16; 2] = [13, 14];
/// The key that is written and read there.
const KEY: &str = "right";

/// Changes users and tries what they may do, until the run is over; then everything must work.
pub async fn run(cluster: Cluster) {
    let dice = Dice::new(cluster.world().options.seed, 2_000);
    let mut rights = Rights { dice, cluster: cluster.clone(), made: 0 };
    while !cluster.world().is_over() {
        rights.life().await;
    }
    let found = rights.last_user().await;
    cluster.world().check("liveness", found);
}

struct Rights {
    dice: Dice,
    cluster: Cluster,
    /// Users and databases that were made, or may have been.
    made: u32,
}

/// What is known of a user.
#[derive(Debug)]
struct User {
    name: String,
    password: String,
    exists: bool,
    writes: bool,
    granted: BTreeSet<u16>,
    /// A database that was made for it, while there is one.
    own: Option<u16>,
}

/// A connection of the user, and whether it was opened by the one that exists now.
struct Subject {
    client: Client,
    is_former: bool,
    /// The database that is selected, as far as is known.
    selected: Option<u16>,
}

impl Subject {
    /// Whether the database is selected now.
    async fn select(&mut self, database: u16) -> bool {
        match self.client.ask(&["SELECT", &database.to_string()]).await {
            Ok(Value::Simple(_)) => {
                self.selected = Some(database);
                true
            }
            Ok(_) => false,
            // The next connection begins elsewhere.
            Err(_) => {
                self.selected = None;
                false
            }
        }
    }
}

impl Rights {
    /// One user, until the fate of a change of it is not known: it may then come to pass much later.
    async fn life(&mut self) {
        let mut admin = self.client("admin", crate::cluster::PASSWORD);
        let Some(mut user) = self.new_user(&mut admin).await else {
            return self.pause().await;
        };
        let mut subjects: Vec<Subject> = (0..2).map(|_| self.subject(&user)).collect();
        for _ in 0..self.dice.gen_range(3..10) {
            if self.cluster.world().is_over() {
                return;
            }
            // It is connected, and has done something, before what is changed.
            for subject in &mut subjects {
                let database = self.database(&user);
                subject.select(database).await;
                let _ = subject.client.ask(&["GET", KEY]).await;
            }
            if self.change(&mut admin, &mut user, &mut subjects).await.is_none() {
                return;
            }
            self.cluster.world().count("rights changed", 1);
            for subject in &mut subjects {
                self.try_all(&user, subject).await;
            }
            self.pause().await;
        }
        let drop = ["USER".into(), "DROP".into(), user.name.clone()];
        self.is_done(&mut admin, &drop).await;
        if let Some(own) = user.own {
            self.is_done(&mut admin, &["DATABASE".into(), "DROP".into(), own.to_string()]).await;
        }
    }

    async fn pause(&mut self) {
        sleep(self.dice.millis(5.0..=300.0)).await;
    }

    fn client(&mut self, user: &str, password: &str) -> Client {
        let core = self.dice.gen_range(0..8);
        let patience = self.cluster.world().options.clients.patience;
        Client::new(self.cluster.clone(), core, patience).of_user(user, password)
    }

    fn subject(&mut self, user: &User) -> Subject {
        Subject { client: self.client(&user.name, &user.password), is_former: false, selected: None }
    }

    fn new_name(&mut self) -> String {
        self.made += 1;
        format!("n{}", self.made)
    }

    async fn new_user(&mut self, admin: &mut Client) -> Option<User> {
        let mut user = User {
            name: self.new_name(),
            password: self.new_name(),
            exists: false,
            writes: false,
            granted: BTreeSet::new(),
            own: None,
        };
        self.create(admin, &mut user).await.filter(|done| *done).map(|_| user)
    }

    /// One of those that are used.
    fn database(&mut self, user: &User) -> u16 {
        let all: Vec<u16> = DATABASES.into_iter().chain(user.own).collect();
        all[self.dice.gen_range(0..all.len())]
    }

    fn grants(&mut self, user: &User) -> BTreeSet<u16> {
        let mut granted: BTreeSet<u16> = BTreeSet::from([self.database(user)]);
        if self.dice.chance(0.4) {
            granted.insert(self.database(user));
        }
        granted
    }

    /// Sends a change; whether it is made. `None`: that is not known.
    async fn is_done(&mut self, admin: &mut Client, words: &[String]) -> Option<bool> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let answer = admin.ask(&words).await;
        self.cluster.event(format_args!("{words:?} is answered {answer:?}"));
        match answer {
            Ok(Value::Simple(_) | Value::Int(_)) => Some(true),
            Ok(Value::Error(error)) if !error.starts_with("UNCERTAIN") => Some(false),
            _ => None,
        }
    }

    async fn create(&mut self, admin: &mut Client, user: &mut User) -> Option<bool> {
        let (writes, granted) = (self.dice.chance(0.6), self.grants(user));
        let mut words: Vec<String> =
            ["USER", "CREATE", &user.name, "PASSWORD", &user.password, "ROLE", role(writes), "DATABASES"]
                .map(String::from)
                .to_vec();
        words.extend(granted.iter().map(u16::to_string));
        let done = self.is_done(admin, &words).await?;
        if done {
            (user.exists, user.writes, user.granted) = (true, writes, granted);
        }
        Some(done)
    }

    /// Changes something about the user. `None`: whether it did is not known.
    async fn change(&mut self, admin: &mut Client, user: &mut User, subjects: &mut [Subject]) -> Option<()> {
        let words = |words: &[&str]| words.iter().map(|word| String::from(*word)).collect::<Vec<String>>();
        if !user.exists {
            // As somebody else, whom former connections are not.
            user.password = self.new_name();
            self.create(admin, user).await?;
            return Some(());
        }
        match self.dice.weighted(&[(5, 0), (4, 1), (2, 2), (2, 3), (3, 4)]) {
            0 => {
                let writes = !user.writes;
                if self.is_done(admin, &words(&["USER", "SET", &user.name, "ROLE", role(writes)])).await? {
                    user.writes = writes;
                }
            }
            1 => {
                let granted = self.grants(user);
                let mut set = words(&["USER", "SET", &user.name, "DATABASES"]);
                set.extend(granted.iter().map(u16::to_string));
                if self.is_done(admin, &set).await? {
                    user.granted = granted;
                }
            }
            2 => {
                let password = self.new_name();
                if self.is_done(admin, &words(&["USER", "SET", &user.name, "PASSWORD", &password])).await? {
                    user.password = password;
                    subjects.iter_mut().for_each(|subject| subject.is_former = true);
                }
            }
            3 => {
                if self.is_done(admin, &words(&["USER", "DROP", &user.name])).await? {
                    user.exists = false;
                    subjects.iter_mut().for_each(|subject| subject.is_former = true);
                }
            }
            _ => match user.own {
                None => user.own = self.new_database(admin).await?,
                Some(own) => {
                    if self.is_done(admin, &words(&["DATABASE", "DROP", &own.to_string()])).await? {
                        user.own = None;
                        user.granted.remove(&own);
                    }
                }
            },
        }
        Some(())
    }

    /// Makes a database; its number, if it was made. `None`: that is not known.
    async fn new_database(&mut self, admin: &mut Client) -> Option<Option<u16>> {
        let name = self.new_name();
        match admin.ask(&["DATABASE", "CREATE", &name]).await {
            Ok(Value::Int(number)) => {
                self.cluster.world().count("databases made", 1);
                Some(u16::try_from(number).ok())
            }
            Ok(Value::Error(error)) if !error.starts_with("UNCERTAIN") => Some(None),
            _ => None,
        }
    }

    /// Tries everything that a user may be refused, on each database.
    async fn try_all(&mut self, user: &User, subject: &mut Subject) {
        let databases: Vec<u16> = DATABASES.into_iter().chain(user.own).collect();
        // It may have been selected before that was forbidden, or before it was dropped.
        if let Some(selected) = subject.selected {
            let here = user.granted.contains(&selected);
            self.try_one(user, subject, here, &["GET", KEY]).await;
            self.try_one(user, subject, here && user.writes, &["SET", KEY, "x"]).await;
        }
        for selected in &databases {
            // A Core that does not know of the newest change may select it; what counts is what is done there.
            if !subject.select(*selected).await {
                continue;
            }
            let here = user.granted.contains(selected);
            self.try_one(user, subject, here, &["GET", KEY]).await;
            self.try_one(user, subject, here && user.writes, &["SET", KEY, "x"]).await;
            for other in databases.iter().filter(|other| *other != selected) {
                let both = here && user.granted.contains(other) && user.writes;
                let other = other.to_string();
                self.try_one(user, subject, both, &["COPY", KEY, KEY, "DB", &other, "REPLACE"]).await;
                self.try_one(user, subject, both, &["MOVE", KEY, &other]).await;
            }
            self.try_one(user, subject, false, &["USER", "LIST"]).await;
        }
        if subject.is_former && self.dice.chance(0.7) {
            *subject = self.subject(user);
        }
    }

    async fn try_one(&mut self, user: &User, subject: &mut Subject, may: bool, words: &[&str]) {
        let Ok(answer) = subject.client.ask_where_it_was(words).await else {
            subject.selected = None;
            return;
        };
        let world = self.cluster.world();
        let may = may && user.exists && !subject.is_former;
        let done = !matches!(answer, Value::Error(_));
        world.count(if done { "rights used" } else { "rights refused" }, 1);
        if done && !may {
            let found = format!("{words:?} is answered {answer:?} after what {user:?} may do was acknowledged");
            world.check("rights", Err(found));
        }
    }

    /// When nothing is wrong any more, a new user can do what it may within a bounded time.
    async fn last_user(&mut self) -> Result<(), String> {
        let end = Instant::now() + RECOVERY;
        let mut user = None;
        let mut answer = Ok(Value::Null);
        while Instant::now() < end {
            let mut admin = self.client("admin", crate::cluster::PASSWORD);
            if user.is_none() {
                user = self.new_user(&mut admin).await;
            }
            if let Some(user) = &user {
                let mut subject = self.subject(user);
                let database = user.granted.first().copied().unwrap_or_default().to_string();
                let _ = subject.client.ask(&["SELECT", &database]).await;
                answer = subject.client.ask(&["GET", KEY]).await;
                if answer.as_ref().is_ok_and(|answer| !matches!(answer, Value::Error(_))) {
                    return Ok(());
                }
            }
            self.pause().await;
        }
        Err(format!("a new user cannot read within {RECOVERY:?}: {user:?} is answered {answer:?}"))
    }
}

fn role(writes: bool) -> &'static str {
    if writes { "readwrite" } else { "readonly" }
}
