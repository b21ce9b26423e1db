//! What a node does: asked again and again, by a thread for each, so that none holds up another.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use mneme_kernel::resp::Value;

use crate::cli::Words;
use crate::cli::connection::Connection;
use crate::cli::dial::Target;
use crate::cli::fields::integer;
use crate::cli::seen::Seen;
use crate::cli::stop::Stop;

/// Entries of the slow log that are looked at: as many as are kept by default.
const SLOW: &str = "128";

/// What a look has shown, or why there was none.
#[derive(Debug)]
pub struct News {
    /// The number of the host, and its name.
    pub host: usize,
    pub name: String,
    pub looked: Result<Box<Sample>, Stop>,
}

/// A node at one time.
#[derive(Clone, Debug)]
pub struct Sample {
    pub at: Instant,
    pub seen: Seen,
    pub commands: BTreeMap<String, Counts>,
    pub slow: Vec<Slow>,
}

/// Of a command, since the node's start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub calls: u64,
    pub micros: u64,
    /// Rejected and failed.
    pub errors: u64,
    /// Microseconds that a hundredth of the calls exceeds.
    pub p99: f64,
}

/// An entry of the slow log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slow {
    /// Unix time in seconds.
    pub at: i64,
    pub micros: i64,
    pub command: String,
}

/// A node, and what was last heard of it.
#[derive(Debug)]
pub struct Node {
    pub name: String,
    /// None while it does not answer.
    pub now: Option<Box<Sample>>,
    /// The look before, if nothing began anew since.
    pub before: Option<Box<Sample>>,
    pub problem: Option<Stop>,
    looks: u64,
}

impl Node {
    pub fn new(name: String) -> Node {
        Node { name, now: None, before: None, problem: None, looks: 0 }
    }

    pub fn hear(&mut self, looked: Result<Box<Sample>, Stop>) {
        self.looks += 1;
        match looked {
            Ok(sample) => {
                let last = self.now.replace(sample);
                let now = self.now.as_ref().map_or(0, |now| now.total());
                // A node that was started anew counts anew.
                self.before = last.filter(|last| last.total() <= now);
                self.problem = None;
            }
            Err(problem) => {
                (self.now, self.before) = (None, None);
                self.problem = Some(problem);
            }
        }
    }

    /// How often it was looked at.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// What a number of `INFO` grew by, a second; none before the second look.
    pub fn rate(&self, name: &str) -> Option<f64> {
        let (now, before) = (self.now.as_ref()?, self.before.as_ref()?);
        let grown = (now.seen.number(name) - before.seen.number(name)).max(0);
        Some(grown as f64 / now.after(before))
    }

    /// What each command did since the look before, a second; at the first look since the start, as a whole.
    pub fn commands(&self) -> Vec<Doing> {
        let Some(now) = &self.now else { return Vec::new() };
        let all = now.commands.iter().map(|(name, counts)| {
            let before = self.before.as_ref();
            let old = before.and_then(|before| before.commands.get(name)).copied().unwrap_or_default();
            let seconds = before.map_or(now.seen.number("uptime_in_seconds").max(1) as f64, |before| now.after(before));
            let grown = |now: u64, old: u64| now.saturating_sub(old) as f64;
            let (calls, micros) = (grown(counts.calls, old.calls), grown(counts.micros, old.micros));
            Doing {
                name: name.clone(),
                calls: calls / seconds,
                busy: micros / seconds / 1e6,
                mean: if calls > 0.0 { micros / calls } else { 0.0 },
                errors: grown(counts.errors, old.errors) / seconds,
                p99: counts.p99,
            }
        });
        all.filter(|doing| doing.calls > 0.0 || doing.errors > 0.0).collect()
    }
}

/// What a command does, a second.
#[derive(Clone, Debug, PartialEq)]
pub struct Doing {
    pub name: String,
    pub calls: f64,
    /// The share of a thread's time.
    pub busy: f64,
    /// Microseconds a call.
    pub mean: f64,
    pub errors: f64,
    /// Microseconds, since the node's start.
    pub p99: f64,
}

impl Sample {
    fn look(name: &str, connection: &mut Connection) -> Result<Sample, Stop> {
        let at = Instant::now();
        let seen = Seen::look(name, connection)?;
        let slow = match connection.ask(&[b"SLOWLOG", b"GET", SLOW.as_bytes()]) {
            Ok(Value::Array(entries)) => entries.iter().filter_map(Slow::of).collect(),
            // Not everybody may see it.
            Ok(_) | Err(Stop::Server(_)) => Vec::new(),
            Err(stop) => return Err(stop),
        };
        let commands = commands(&seen.info);
        Ok(Sample { at, seen, commands, slow })
    }

    fn total(&self) -> i64 {
        self.seen.number("total_commands_processed")
    }

    /// Seconds since another.
    fn after(&self, before: &Sample) -> f64 {
        (self.at - before.at).as_secs_f64().max(0.001)
    }
}

/// What `INFO` tells of each command.
fn commands(info: &BTreeMap<String, String>) -> BTreeMap<String, Counts> {
    let mut commands = BTreeMap::new();
    for (name, line) in info.iter().filter_map(|(name, line)| Some((name.strip_prefix("cmdstat_")?, line))) {
        let number = |field: &str| field_of(line, field).and_then(|number| number.parse().ok()).unwrap_or(0);
        let percentiles = info.get(&format!("latency_percentiles_usec_{name}"));
        let p99 = percentiles.and_then(|line| field_of(line, "p99")?.parse().ok()).unwrap_or(0.0);
        let errors = number("rejected_calls") + number("failed_calls");
        commands.insert(name.to_owned(), Counts { calls: number("calls"), micros: number("usec"), errors, p99 });
    }
    commands
}

/// Of `a=1,b=2`, the value of a field.
fn field_of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(',').filter_map(|pair| pair.split_once('=')).find(|(field, _)| *field == name).map(|(_, value)| value)
}

impl Slow {
    /// An entry of `SLOWLOG GET`: id, time, microseconds, arguments, and whose they are.
    fn of(entry: &Value) -> Option<Slow> {
        let Value::Array(fields) = entry else { return None };
        let [_, at, micros, Value::Array(words), ..] = fields.as_slice() else { return None };
        let words = words.iter().map(|word| word.as_bytes().unwrap_or_default().escape_ascii().to_string());
        Some(Slow { at: integer(at), micros: integer(micros), command: words.collect::<Vec<_>>().join(" ") })
    }
}

/// Looks at each host, each time so long after the one before; a connection that is lost is made anew.
pub fn watch(hosts: Vec<(String, Target)>, opening: &[Words], every: Duration) -> Receiver<News> {
    let (told, news) = channel();
    for (host, (name, target)) in hosts.into_iter().enumerate() {
        let (told, opening) = (told.clone(), opening.to_vec());
        thread::spawn(move || look_on(host, &name, &target, &opening, every, &told));
    }
    news
}

fn look_on(host: usize, name: &str, target: &Target, opening: &[Words], every: Duration, told: &Sender<News>) {
    let mut connection = None;
    loop {
        let begun = Instant::now();
        let opened = match connection.take() {
            Some(open) => Ok(open),
            None => Connection::open(target, opening),
        };
        let looked = opened.and_then(|mut open| {
            let sample = Sample::look(name, &mut open)?;
            connection = Some(open);
            Ok(Box::new(sample))
        });
        if told.send(News { host, name: name.to_owned(), looked }).is_err() {
            return;
        }
        thread::sleep(every.saturating_sub(begun.elapsed()));
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A node that has answered these calls of GET by that second.
    pub fn sample(name: &str, start: Instant, second: u64, calls: u64) -> Box<Sample> {
        let line = format!("calls={calls},usec={},usec_per_call=10.00,rejected_calls=0,failed_calls=0", calls * 10);
        let total = calls.to_string();
        let info = [
            ("node", name),
            ("node_role", "primary"),
            ("maxclients", "100"),
            ("connected_clients", "1"),
            ("total_commands_processed", total.as_str()),
            ("used_memory", "2048"),
            ("cmdstat_get", line.as_str()),
            ("latency_percentiles_usec_get", "p50=10.000,p99=40.000,p99.9=80.000"),
        ];
        let info: BTreeMap<String, String> =
            info.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let commands = commands(&info);
        let seen = Seen { host: name.to_owned(), info, primary: "n1".to_owned(), voters: 3, ..Seen::default() };
        Box::new(Sample { at: start + Duration::from_secs(second), seen, commands, slow: Vec::new() })
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks() {
        let start = Instant::now();
        let mut node = Node::new("n1".to_owned());
        node.hear(Ok(sample("n1", start, 0, 100)));
        assert_eq!(node.rate("total_commands_processed"), None);
        node.hear(Ok(sample("n1", start, 2, 300)));
        assert_eq!(node.rate("total_commands_processed"), Some(100.0));
        let doing = Doing { name: "get".to_owned(), calls: 100.0, busy: 0.001, mean: 10.0, errors: 0.0, p99: 40.0 };
        assert_eq!(node.commands(), [doing]);
    }

    #[test]
    fn a_node_that_was_started_anew_counts_anew() {
        let start = Instant::now();
        let mut node = Node::new("n1".to_owned());
        node.hear(Ok(sample("n1", start, 0, 100)));
        node.hear(Ok(sample("n1", start, 1, 5)));
        assert_eq!(node.rate("total_commands_processed"), None);
        node.hear(Err(Stop::Connection("gone".to_owned())));
        assert!(node.now.is_none() && node.problem.is_some());
    }

    #[test]
    fn an_entry_of_the_slow_log_cannot_act_upon_a_terminal() {
        let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
        let words = Value::Array(vec![bulk("SET"), bulk("\x1b[2J")]);
        let entry = Value::Array(vec![Value::Int(1), Value::Int(7), Value::Int(20_000), words, bulk("1.2.3.4:5")]);
        let slow = Slow::of(&entry).expect("an entry");
        assert_eq!((slow.command.as_str(), slow.micros, slow.at), ("SET \\x1b[2J", 20_000, 7));
    }
}
