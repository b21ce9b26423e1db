//! Clients that publish and subscribe, each at one Core or Replica, whatever becomes of it. What is heard is looked at:
//! nothing that nobody has published, nothing twice, what one connection has published in its order; and when nothing is
//! wrong any more, all of it at all nodes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use madsim::rand::Rng;
use madsim::time::Instant;
use mneme_kernel::resp::Value;
use mneme_runtime_sim::sleep::sleep;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::simulation::RECOVERY;
use crate::world::lock;

const CHANNEL: &str = "news";
/// How often one publishes at most, and how many messages at a time.
const TURNS: u32 = 40;
const MESSAGES: u32 = 4;
/// How long a subscriber listens before it looks whether the run is over, and how often in vain until it looks for another
/// connection.
const LISTEN: Duration = Duration::from_millis(300);
const IN_VAIN: u32 = 8;
/// How many messages each node publishes in the end, and how long they may take.
const LAST_MESSAGES: u32 = 5;
const ARRIVAL: Duration = Duration::from_secs(1);

/// By connection that publishes, how many messages it has begun to send: they are numbered.
#[derive(Clone, Debug, Default)]
pub struct Published(Arc<Mutex<BTreeMap<u32, u32>>>);

/// A connection that publishes.
struct Publisher {
    client: Client,
    /// New for each connection: what an old one has sent may come late.
    id: u32,
    sent: u32,
}

impl Publisher {
    fn new(cluster: &Cluster, machine: usize, patience: Duration) -> Self {
        let client = Client::new(cluster.clone(), 0, patience).staying_at(machine);
        Publisher { client, id: cluster.world().new_process(), sent: 0 }
    }

    /// Publishes one message; whether that is answered.
    async fn publish(&mut self, published: &Published) -> bool {
        self.sent += 1;
        lock(&published.0).insert(self.id, self.sent);
        let text = format!("{}.{}", self.id, self.sent);
        matches!(self.client.ask(&["PUBLISH", CHANNEL, &text]).await, Ok(Value::Int(_)))
    }
}

/// Publishes at this machine.
pub async fn publish(cluster: Cluster, machine: usize, published: Published) {
    let options = &cluster.world().options;
    let mut dice = Dice::new(options.seed, 7_000 + machine as u64);
    let mut publisher = Publisher::new(&cluster, machine, options.clients.patience);
    for _ in 0..TURNS {
        if cluster.world().is_over() {
            return;
        }
        sleep((options.duration / TURNS).mul_f64(dice.gen_range(0.0..2.0))).await;
        for _ in 0..dice.gen_range(1..=MESSAGES) {
            if publisher.publish(&published).await {
                cluster.world().count("messages published", 1);
            } else {
                publisher = Publisher::new(&cluster, machine, options.clients.patience);
            }
        }
    }
}

/// A connection that has subscribed.
struct Subscriber {
    client: Client,
    /// The newest number that it has heard from each publisher.
    heard: BTreeMap<u32, u32>,
}

impl Subscriber {
    async fn new(cluster: &Cluster, machine: usize, patience: Duration) -> Option<Self> {
        let mut client = Client::new(cluster.clone(), 0, patience).staying_at(machine);
        let confirmed = client.ask(&["SUBSCRIBE", CHANNEL]).await.ok()?;
        matches!(confirmed, Value::Push(_)).then(|| Subscriber { client, heard: BTreeMap::new() })
    }

    /// Takes what comes next; whether anything did in time. `None`: the connection has ended.
    async fn hear(&mut self, published: &Published, within: Duration) -> Option<Result<bool, String>> {
        let Some(value) = self.client.hear(within).await.ok()? else { return Some(Ok(false)) };
        Some(self.take(published, &value).map(|()| true))
    }

    fn take(&mut self, published: &Published, value: &Value) -> Result<(), String> {
        let (id, number) = message(value).ok_or_else(|| format!("a subscriber is told {value:?}"))?;
        let sent = lock(&published.0).get(&id).copied().unwrap_or_default();
        let last = self.heard.insert(id, number).unwrap_or_default();
        if number > sent {
            return Err(format!("message {number} of p{id} is heard, which has published {sent}"));
        }
        if number <= last {
            return Err(format!("message {number} of p{id} is heard behind its message {last}"));
        }
        Ok(())
    }
}

/// Who has sent a message, and its number.
fn message(value: &Value) -> Option<(u32, u32)> {
    let Value::Push(parts) = value else { return None };
    let [Value::Bulk(kind), Value::Bulk(channel), Value::Bulk(text)] = parts.as_slice() else { return None };
    let (id, number) = std::str::from_utf8(text).ok()?.split_once('.')?;
    let is_message = kind == b"message" && channel == CHANNEL.as_bytes();
    if is_message { Some((id.parse().ok()?, number.parse().ok()?)) } else { None }
}

/// Listens at this machine.
pub async fn listen(cluster: Cluster, machine: usize, published: Published) {
    let world = cluster.world();
    let mut subscriber = None;
    let mut in_vain = 0;
    while !world.is_over() {
        let Some(there) = &mut subscriber else {
            subscriber = Subscriber::new(&cluster, machine, world.options.clients.patience).await;
            in_vain = 0;
            if subscriber.is_none() {
                sleep(LISTEN).await;
            }
            continue;
        };
        match there.hear(&published, LISTEN).await {
            Some(Ok(true)) => {
                in_vain = 0;
                world.count("messages heard", 1);
            }
            Some(Ok(false)) if in_vain < IN_VAIN => in_vain += 1,
            Some(Ok(false)) | None => subscriber = None,
            Some(Err(wrong)) => world.check("heard", Err(wrong)),
        }
    }
}

/// When nothing is wrong any more, what is published at every node is heard at every node.
pub async fn last_look(cluster: Cluster, published: Published) -> Result<(), String> {
    let end = Instant::now() + RECOVERY;
    let mut missing = "nobody could subscribe".to_owned();
    while Instant::now() < end {
        match exchange(&cluster, &published).await {
            Ok(()) => return Ok(()),
            // Another Core may just have become primary.
            Err(what) => missing = what,
        }
        sleep(LISTEN).await;
    }
    Err(format!("{RECOVERY:?} after all faults messages do not arrive: {missing}"))
}

async fn exchange(cluster: &Cluster, published: &Published) -> Result<(), String> {
    let patience = cluster.world().options.clients.patience;
    let machines: Vec<usize> = cluster
        .with_data()
        .filter(|machine| !machine.is_leaving() && machine.running_core().is_some())
        .map(|machine| machine.number())
        .collect();
    let (mut subscribers, mut publishers) = (Vec::new(), Vec::new());
    for machine in machines {
        let subscriber = Subscriber::new(cluster, machine, patience).await;
        subscribers.push((machine, subscriber.ok_or_else(|| format!("no subscription at {machine}"))?));
        publishers.push((machine, Publisher::new(cluster, machine, patience)));
    }
    for _ in 0..LAST_MESSAGES {
        for (machine, publisher) in &mut publishers {
            if !publisher.publish(published).await {
                return Err(format!("PUBLISH is not answered at {machine}"));
            }
        }
    }
    for (at, subscriber) in &mut subscribers {
        while let Some(Ok(true)) = subscriber.hear(published, ARRIVAL).await {
            let last =
                |(_, publisher): &(usize, Publisher)| subscriber.heard.get(&publisher.id) == Some(&LAST_MESSAGES);
            if publishers.iter().all(last) {
                break;
            }
        }
        for (from, publisher) in &publishers {
            if subscriber.heard.get(&publisher.id) != Some(&LAST_MESSAGES) {
                return Err(format!("from {from} at {at}"));
            }
        }
    }
    cluster.world().count("messages heard by all", u64::from(LAST_MESSAGES));
    Ok(())
}
