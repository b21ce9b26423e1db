//! Clients that push numbers to queues, and others that wait for them: each number is delivered once, through whatever happens
//! ([`crate::check::queue`]).

use std::time::Duration;

use madsim::rand::Rng;
use mneme_checks::export::Completion;
use mneme_checks::queue::{self, Action, QUEUES, STREAM, failed, taken};
use mneme_kernel::resp::Value;
use mneme_runtime_sim::sleep::sleep;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::options::Options;

/// The database of the lists; nobody else writes there.
const DATABASE: &str = "12";
const PRODUCERS: u64 = 2;
const CONSUMERS: u64 = 3;
pub const CLIENTS: u64 = PRODUCERS + CONSUMERS;
/// How often one sends something at most.
const TURNS: u32 = 16;
/// Numbers that one client pushes at most.
const NUMBERS: u32 = 1_000;

/// Whether nobody empties all databases.
pub fn are_judged(options: &Options) -> bool {
    crate::appends::are_safe(options)
}

/// One client's turns: the first ones push, the others pop.
pub async fn run(cluster: Cluster, number: u64) {
    let options = &cluster.world().options;
    let mut turn = Turn {
        dice: Dice::new(options.seed, 5_000 + number),
        client: Client::new(cluster.clone(), number as usize, options.clients.patience),
        cluster: cluster.clone(),
        number: number as u32,
        next: number as u32 * NUMBERS,
    };
    for _ in 0..TURNS {
        if cluster.world().is_over() {
            return;
        }
        if number < PRODUCERS {
            turn.push().await
        } else {
            turn.pop(options).await
        }
        if turn.dice.chance(0.6) {
            sleep((options.duration / TURNS).mul_f64(turn.dice.gen_range(0.0..1.6))).await;
        }
    }
}

/// Reads every list at a Core; whether it answers.
pub async fn read_all(cluster: &Cluster, core: usize, patience: Duration) -> bool {
    let mut client = Client::new(cluster.clone(), core, patience);
    for list in 0..QUEUES {
        let reads = [Action::Read { list, found: Vec::new() }];
        let call = cluster.world().queues().call(u32::MAX, reads);
        let progress = match list {
            STREAM => match ask(&mut client, &queue::progress()).await {
                Some(Value::Error(text)) if text == "ERR no such key" => Some(Value::Array(Vec::new())),
                Some(progress) => Some(progress),
                None => return false,
            },
            _ => None,
        };
        let rest = ask(&mut client, &queue::rest(list, progress.as_ref())).await;
        let Some(found) = rest.as_ref().and_then(queue::left) else { return false };
        cluster.world().count("numbers left in queues", found.len() as u64);
        cluster.world().queues().end(call, Completion::Ok, Some(Action::Read { list, found }));
    }
    true
}

struct Turn {
    cluster: Cluster,
    dice: Dice,
    client: Client,
    number: u32,
    /// What it pushes next.
    next: u32,
}

impl Turn {
    async fn push(&mut self) {
        let list = self.dice.gen_range(0..QUEUES);
        let count = if list == STREAM { 1 } else { self.dice.gen_range(1..=3) };
        let numbers = self.next..self.next + count;
        self.next += count;
        let pushes = numbers.clone().map(|number| Action::Push { list, number });
        let call = self.cluster.world().queues().call(self.number, pushes);
        let answer = ask(&mut self.client, &queue::push(list, numbers.clone())).await;
        let completion = match &answer {
            Some(Value::Int(_) | Value::Bulk(_)) => Completion::Ok,
            answer => self.failed(answer.as_ref()),
        };
        self.cluster.world().event(format_args!("q{} pushes {numbers:?} to {list}: {answer:?}", self.number));
        self.cluster.world().queues().end(call, completion, None);
    }

    async fn pop(&mut self, options: &Options) {
        // Shorter than it is patient, or longer: then it gives up, and its place in the line with it.
        let wait = options.clients.patience.mul_f64(self.dice.gen_range(0.01..1.2));
        let pops = queue::pops(self.dice.chance(0.5), wait, self.number);
        let (lists, words) = &pops[self.dice.gen_range(0..pops.len())];
        let call = self.cluster.world().queues().call(self.number, [Action::Pop { lists: lists.clone(), got: None }]);
        let answer = ask(&mut self.client, words).await;
        let got = answer.as_ref().and_then(|answer| taken(answer, lists));
        let completion = match &answer {
            Some(Value::Null) => Completion::Ok,
            _ if got.is_some() => Completion::Ok,
            answer => self.failed(answer.as_ref()),
        };
        self.cluster.world().event(format_args!("q{} {words:?}: {answer:?}", self.number));
        self.cluster.world().count("numbers delivered by queues", u64::from(got.is_some()));
        let became = got.map(|got| Action::Pop { lists: lists.clone(), got: Some(got) });
        self.cluster.world().queues().end(call, completion, became);
        if answer.as_ref().is_some_and(queue::lacks_group) {
            // Somebody has to be the first.
            ask(&mut self.client, &queue::group()).await;
        }
    }
}

impl Turn {
    /// What an answer means that is none of a command that took place.
    fn failed(&self, answer: Option<&Value>) -> Completion {
        failed(answer).unwrap_or_else(|wrong| {
            self.cluster.world().check("queue", Err(wrong));
            Completion::Info
        })
    }
}

/// The answer, if there is one; that to the selection of the database, if that is refused.
async fn ask(client: &mut Client, words: &[String]) -> Option<Value> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match client.ask(&["SELECT", DATABASE]).await.ok()? {
        Value::Simple(_) => client.ask_where_it_was(&words).await.ok(),
        refused => Some(refused),
    }
}
