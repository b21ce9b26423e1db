//! Clients that push numbers to lists, and others that wait for them: each number is delivered once, through whatever happens
//! ([`crate::check::queue`]).

use std::time::Duration;

use madsim::rand::Rng;
use mneme_checks::export::Completion;
use mneme_checks::queue::{Action, failed, number};
use mneme_kernel::resp::Value;
use mneme_runtime_sim::sleep::sleep;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::options::Options;

/// The database of the lists; nobody else writes there.
const DATABASE: &str = "12";
const LISTS: u16 = 2;
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
    for list in 0..LISTS {
        let reads = [Action::Read { list, found: Vec::new() }];
        let call = cluster.world().queues().call(u32::MAX, reads);
        let name = name(list);
        let found = match ask(&mut client, &["LRANGE", &name, "0", "-1"]).await {
            Some(Value::Array(items)) => items.iter().map(number).collect::<Option<Vec<u32>>>(),
            _ => None,
        };
        let Some(found) = found else { return false };
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
        let list = self.dice.gen_range(0..LISTS);
        let numbers: Vec<u32> = (0..self.dice.gen_range(1..=3)).map(|i| self.next + i).collect();
        self.next += numbers.len() as u32;
        let pushes = numbers.iter().map(|number| Action::Push { list, number: *number });
        let call = self.cluster.world().queues().call(self.number, pushes);
        let (name, numbers) = (name(list), numbers.iter().map(u32::to_string).collect::<Vec<_>>());
        let words = ["RPUSH", &name].into_iter().chain(numbers.iter().map(String::as_str)).collect::<Vec<_>>();
        let answer = ask(&mut self.client, &words).await;
        let completion = match &answer {
            Some(Value::Int(_)) => Completion::Ok,
            answer => failed(answer.as_ref()),
        };
        self.cluster.world().event(format_args!("q{} pushes {numbers:?} to {list}: {answer:?}", self.number));
        self.cluster.world().queues().end(call, completion, None);
    }

    async fn pop(&mut self, options: &Options) {
        let mut lists: Vec<u16> = (0..LISTS).collect();
        if self.dice.chance(0.5) {
            lists.rotate_left(1);
        }
        lists.truncate(self.dice.gen_range(1..=lists.len()));
        let waits = self.dice.chance(0.8);
        if !waits {
            lists.truncate(1);
        }
        let names: Vec<String> = lists.iter().map(|list| name(*list)).collect();
        // Shorter than it is patient, or longer: then it gives up, and its place in the line with it.
        let seconds = self.dice.gen_range(0.01..options.clients.patience.as_secs_f64() * 1.2);
        let seconds = format!("{seconds:.3}");
        let mut words = vec![if waits { "BLPOP" } else { "LPOP" }];
        words.extend(names.iter().map(String::as_str));
        if waits {
            words.push(&seconds);
        }
        let call = self.cluster.world().queues().call(self.number, [Action::Pop { lists: lists.clone(), got: None }]);
        let answer = ask(&mut self.client, &words).await;
        let got = match &answer {
            Some(Value::Array(items)) if waits => match items.as_slice() {
                [Value::Bulk(list), element] => {
                    lists.iter().position(|at| name(*at).as_bytes() == list).zip(number(element))
                }
                _ => None,
            },
            Some(element) if !waits => number(element).map(|number| (0, number)),
            _ => None,
        };
        let completion = match &answer {
            Some(Value::Null) => Completion::Ok,
            _ if got.is_some() => Completion::Ok,
            answer => failed(answer.as_ref()),
        };
        self.cluster.world().event(format_args!("q{} {words:?}: {answer:?}", self.number));
        self.cluster.world().count("numbers delivered by queues", u64::from(got.is_some()));
        let became = got.map(|(at, number)| Action::Pop { lists: lists.clone(), got: Some((lists[at], number)) });
        self.cluster.world().queues().end(call, completion, became);
    }
}

/// The answer, if there is one; that to the selection of the database, if that is refused.
async fn ask(client: &mut Client, words: &[&str]) -> Option<Value> {
    match client.ask(&["SELECT", DATABASE]).await.ok()? {
        Value::Simple(_) => client.ask_where_it_was(words).await.ok(),
        refused => Some(refused),
    }
}

fn name(list: u16) -> String {
    format!("queue:{list}")
}
