//! A page: health, nodes, Keepers, the busiest commands, the slowest ones.

use indicatif::{HumanBytes, HumanCount};

use super::sample::{Doing, Node, Sample, Slow};
use crate::cli::doctor;
use crate::cli::seen::{keys, unix_millis};
use crate::cli::stop::Stop;
use crate::cli::terminal::{Line, Look};
use crate::table;

/// Commands and slow ones that are shown at most.
const COMMANDS: usize = 15;
const SLOW: usize = 5;

/// How it is shown.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub order: Order,
    pub is_paused: bool,
    pub is_help: bool,
}

/// By what commands are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Calls,
    Busy,
    Mean,
    P99,
    Errors,
}

impl Order {
    pub fn next(self) -> Order {
        match self {
            Order::Calls => Order::Busy,
            Order::Busy => Order::Mean,
            Order::Mean => Order::P99,
            Order::P99 => Order::Errors,
            Order::Errors => Order::Calls,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Order::Calls => "calls",
            Order::Busy => "time",
            Order::Mean => "mean",
            Order::P99 => "p99",
            Order::Errors => "errors",
        }
    }

    fn of(self, doing: &Doing) -> f64 {
        match self {
            Order::Calls => doing.calls,
            Order::Busy => doing.busy,
            Order::Mean => doing.mean,
            Order::P99 => doing.p99,
            Order::Errors => doing.errors,
        }
    }
}

const HELP: [&str; 15] = [
    "q, Esc, Ctrl-C   quit",
    "p, space         pause, go on",
    "s                sort commands by calls, time, mean, p99, errors",
    "?                this, and back",
    "",
    "lag        entries that are committed and not applied at the node",
    "hits       of the reads since the last look, those that found their key",
    "time       the share of one thread's time that a command takes",
    "mean       of the calls since the last look",
    "p99        since the node's start",
    "",
    "Rates are of the time between two looks; the first page has those since the start.",
    "Commands are those of the primary, where what is asked of any node is executed, or else",
    "of the first host of -H that answers. The slow log is that of all hosts.",
    "mneme-cli doctor tells what to do about what is not well.",
];

/// All of it, in so many columns and rows.
pub fn lines(nodes: &[&Node], view: View, width: usize, height: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut push = |text: String, look| lines.push(Line { text, look });
    let paused = if view.is_paused { "  PAUSED" } else { "" };
    let order = view.order.name();
    push(format!("mneme-cli top{paused}   q quit  p pause  s sort ({order})  ? help"), Look::Dim);
    if view.is_help {
        HELP.iter().for_each(|line| push((*line).to_owned(), Look::Plain));
        return cut(lines, width, height);
    }
    health(nodes, &mut push);
    push(String::new(), Look::Plain);
    whole_table(&node_rows(nodes), 3, &mut push);
    let Some((watched, sample)) = watched(nodes) else { return cut(lines, width, height) };
    keepers(sample, &mut push);
    push(String::new(), Look::Plain);
    let slow = slowest(nodes);
    let slow_lines = if slow.is_empty() { 0 } else { slow.len() + 2 };
    let used = lines.len() + slow_lines + 1;
    let room = height.saturating_sub(used).min(COMMANDS);
    let mut push = |text: String, look| lines.push(Line { text, look });
    whole_table(&command_rows(watched, view.order, room), 1, &mut push);
    if !slow.is_empty() {
        push(String::new(), Look::Plain);
        whole_table(&slow_rows(&slow), 2, &mut push);
    }
    cut(lines, width, height)
}

/// Whose commands are shown: the primary, where what is asked of any node is executed; else the first that answers.
fn watched<'a>(nodes: &[&'a Node]) -> Option<(&'a Node, &'a Sample)> {
    let mut answering = nodes.iter().filter_map(|node| Some((*node, &**node.now.as_ref()?)));
    let first = answering.clone().next();
    answering.find(|(_, sample)| sample.seen.text("node_role") == "primary").or(first)
}

fn cut(lines: Vec<Line>, width: usize, height: usize) -> Vec<Line> {
    let short = |line: Line| Line {
        text: match line.look {
            // To the edge, as a bar.
            Look::Head if width < 1000 => format!("{:width$.width$}", line.text),
            _ => line.text.chars().take(width).collect(),
        },
        ..line
    };
    lines.into_iter().take(height).map(short).collect()
}

fn whole_table(rows: &[Vec<String>], left: usize, push: &mut impl FnMut(String, Look)) {
    for (row, line) in table::lines(rows, left).into_iter().enumerate() {
        push(line, if row == 0 { Look::Head } else { Look::Plain });
    }
}

/// One line if all is well; else what is not.
fn health(nodes: &[&Node], push: &mut impl FnMut(String, Look)) {
    let seen: Vec<_> = nodes.iter().filter_map(|node| node.now.as_ref()).map(|sample| sample.seen.clone()).collect();
    let mut ill = 0;
    for node in nodes.iter().filter(|node| node.now.is_none()) {
        let why = node.problem.as_ref().map_or_else(|| "no answer yet".to_owned(), Stop::why);
        let why = why.strip_prefix(&format!("{}: ", node.name)).unwrap_or(&why).replace('\n', " ");
        push(format!("BAD  {} does not answer: {why}; it is asked again", node.name), Look::Bad);
        ill += 1;
    }
    for finding in doctor::judged(&seen).into_iter().filter(|finding| finding.mend.is_some()) {
        push(format!("BAD  {}: {}", finding.place, finding.what), Look::Bad);
        ill += 1;
    }
    if let Some(first) = seen.first().filter(|_| ill == 0) {
        let (count, primary, epoch, voters) = (seen.len(), &first.primary, first.epoch, first.voters);
        let nodes = if count == 1 { "1 node answers".to_owned() } else { format!("{count} nodes answer") };
        let vote = if voters == 1 { "1 Keeper votes".to_owned() } else { format!("{voters} Keepers vote") };
        push(format!("ok   {nodes}, {primary} is primary in epoch {epoch}, {vote}"), Look::Good);
    }
}

fn node_rows(nodes: &[&Node]) -> Vec<Vec<String>> {
    let head = ["HOST", "NODE", "ROLE", "EPOCH", "LAG", "OPS/S", "HITS", "KEYS", "MEMORY", "CLIENTS", "IN/S", "OUT/S"];
    let row = |node: &&Node| {
        let Some(now) = &node.now else {
            let mut row = vec!["-".to_owned(); head.len()];
            row[0] = node.name.clone();
            row[2] = "gone".to_owned();
            return row;
        };
        let seen = &now.seen;
        let rate = |name: &str, instead: f64| node.rate(name).unwrap_or(instead);
        let kilobytes = |name: &str| seen.text(name).parse().unwrap_or(0.0) * 1024.0;
        let bytes = |rate: f64| HumanBytes(rate as u64).to_string();
        vec![
            node.name.clone(),
            seen.text("node").to_owned(),
            seen.text("node_role").to_owned(),
            seen.epoch.to_string(),
            seen.lag.to_string(),
            count(rate("total_commands_processed", seen.number("instantaneous_ops_per_sec") as f64)),
            hits(node, now),
            HumanCount(keys(seen.info.iter().map(|(name, value)| (name.as_str(), value.as_str())))).to_string(),
            HumanBytes(seen.number("used_memory").unsigned_abs()).to_string(),
            seen.number("connected_clients").to_string(),
            bytes(rate("total_net_input_bytes", kilobytes("instantaneous_input_kbps"))),
            bytes(rate("total_net_output_bytes", kilobytes("instantaneous_output_kbps"))),
        ]
    };
    [head.map(str::to_owned).to_vec()].into_iter().chain(nodes.iter().map(row)).collect()
}

/// Of the reads since the last look, else since the start, those that found their key.
fn hits(node: &Node, now: &Sample) -> String {
    let all = |name: &str| now.seen.number(name) as f64;
    let (hits, misses) = match (node.rate("keyspace_hits"), node.rate("keyspace_misses")) {
        (Some(hits), Some(misses)) => (hits, misses),
        _ => (all("keyspace_hits"), all("keyspace_misses")),
    };
    match hits + misses {
        0.0 => "-".to_owned(),
        reads => format!("{:.1} %", 100.0 * hits / reads),
    }
}

fn keepers(sample: &Sample, push: &mut impl FnMut(String, Look)) {
    let keepers = sample.seen.keepers.iter().map(|keeper| {
        let leads = if keeper.leads { ", leads" } else { "" };
        let matched = keeper.matched.map(|matched| format!(" at {matched}")).unwrap_or_default();
        format!("{} ({}{leads}){matched}", keeper.name, keeper.role)
    });
    push(format!("Keepers: {}", keepers.collect::<Vec<_>>().join(", ")), Look::Plain);
}

fn command_rows(node: &Node, order: Order, most: usize) -> Vec<Vec<String>> {
    let mut doing = node.commands();
    doing.sort_by(|a, b| order.of(b).total_cmp(&order.of(a)).then_with(|| a.name.cmp(&b.name)));
    let first = format!("COMMAND at {}", node.name);
    let head = [&*first, "CALLS/S", "TIME", "MEAN us", "P99 us", "ERRORS/S"].map(str::to_owned).to_vec();
    let row = |doing: Doing| {
        vec![
            doing.name,
            count(doing.calls),
            format!("{:.1} %", doing.busy * 100.0),
            format!("{:.1}", doing.mean),
            count(doing.p99),
            count(doing.errors),
        ]
    };
    [head].into_iter().chain(doing.into_iter().take(most).map(row)).collect()
}

/// The longest entries of all slow logs, with the host's name.
fn slowest<'a>(nodes: &[&'a Node]) -> Vec<(&'a str, &'a Slow)> {
    let all = nodes.iter().filter_map(|node| Some((node.name.as_str(), node.now.as_ref()?)));
    let mut all: Vec<_> = all.flat_map(|(name, sample)| sample.slow.iter().map(move |slow| (name, slow))).collect();
    all.sort_by_key(|(_, slow)| std::cmp::Reverse((slow.micros, slow.at)));
    all.truncate(SLOW);
    all
}

fn slow_rows(slow: &[(&str, &Slow)]) -> Vec<Vec<String>> {
    let now = unix_millis() / 1000;
    let head = ["SLOWEST", "HOST", "AGO s", "ms"].map(str::to_owned).to_vec();
    let row = |(host, slow): &(&str, &Slow)| {
        let command: String = slow.command.chars().take(60).collect();
        let ago = HumanCount((now - slow.at).max(0).unsigned_abs()).to_string();
        vec![command, (*host).to_owned(), ago, format!("{:.2}", slow.micros as f64 / 1000.0)]
    };
    [head].into_iter().chain(slow.iter().map(row)).collect()
}

/// A number for people: whole, or with a digit where it is small.
fn count(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{number:.1}"),
        _ => HumanCount(number.round() as u64).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::sample::tests::sample;
    use super::*;

    const VIEW: View = View { order: Order::Calls, is_paused: false, is_help: false };

    fn node(name: &str, calls: [u64; 2]) -> Node {
        let start = Instant::now();
        let mut node = Node::new(name.to_owned());
        node.hear(Ok(sample(name, start, 0, calls[0])));
        node.hear(Ok(sample(name, start, 1, calls[1])));
        node
    }

    fn text(nodes: &[&Node], view: View) -> String {
        lines(nodes, view, 120, usize::MAX).into_iter().map(|line| line.text.trim_end().to_owned() + "\n").collect()
    }

    #[test]
    fn a_page_tells_health_nodes_and_commands() {
        let text = text(&[&node("n1", [0, 5000])], VIEW);
        assert!(text.contains("ok   1 node answers, n1 is primary in epoch 0, 3 Keepers vote"), "{text}");
        let row = text.lines().find(|line| line.starts_with("n1 ")).expect("its row");
        assert!(row.contains("primary") && row.contains("5,000") && row.contains("2.00 KiB"), "{row}");
        let row = text.lines().find(|line| line.starts_with("get ")).expect("its row");
        assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["get", "5,000", "5.0", "%", "10.0", "40", "0"]);
    }

    #[test]
    fn a_node_that_died_is_named_and_another_one_shown() {
        let mut dead = node("n1", [0, 5]);
        dead.hear(Err(Stop::Connection("n1: connection refused".to_owned())));
        let text = text(&[&dead, &node("n2", [0, 700])], VIEW);
        assert!(text.contains("BAD  n1 does not answer: connection refused; it is asked again"), "{text}");
        let row = text.lines().find(|line| line.starts_with("get ")).expect("its row");
        assert!(text.contains("gone") && text.contains("COMMAND at n2") && row.contains(" 700 "), "{text}");
    }

    #[test]
    fn the_slowest_of_all_nodes_come_first_and_not_too_many() {
        let (mut first, mut second) = (node("n1", [0, 1]), node("n2", [0, 1]));
        let slow = |micros: i64| Slow { at: 0, micros, command: format!("CMD{micros}") };
        first.now.as_mut().expect("seen").slow = (1..=9).map(slow).collect();
        second.now.as_mut().expect("seen").slow = vec![slow(50)];
        let found: Vec<_> = slowest(&[&first, &second]).iter().map(|(host, slow)| (*host, slow.micros)).collect();
        assert_eq!(found, [("n2", 50), ("n1", 9), ("n1", 8), ("n1", 7), ("n1", 6)]);
    }

    #[test]
    fn a_page_is_as_large_as_the_terminal() {
        let node = node("n1", [0, 5]);
        for (width, height) in [(20, 5), (80, 24), (1, 1)] {
            let lines = lines(&[&node], VIEW, width, height);
            assert!(lines.len() <= height && lines.iter().all(|line| line.text.chars().count() <= width));
        }
        let help = text(&[&node], View { is_help: true, ..VIEW });
        assert!(help.contains("quit") && !help.contains("COMMAND"), "{help}");
    }
}
