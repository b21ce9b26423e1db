//! `--latency` and `--stat`: how a server does, again and again.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stdout};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::seen::keys;
use super::stop::Stop;

/// How often `--latency` asks.
const ASK: Duration = Duration::from_millis(10);
/// Lines of `--stat` between two of its heads.
const HEAD: u64 = 20;

/// What `PING` took so far.
#[derive(Debug, Default)]
struct Times {
    sorted: Vec<Duration>,
}

impl Times {
    fn add(&mut self, time: Duration) {
        let at = self.sorted.partition_point(|known| *known <= time);
        self.sorted.insert(at, time);
    }

    /// The smallest number that so many of a thousand do not exceed.
    fn quantile(&self, per_mille: usize) -> Duration {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get(last * per_mille / 1000).copied().unwrap_or_default()
    }

    fn line(&self) -> String {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let sum: Duration = self.sorted.iter().sum();
        format!(
            "min {:.3}, p50 {:.3}, p99 {:.3}, max {:.3}, mean {:.3} ms ({} samples)",
            ms(self.quantile(0)),
            ms(self.quantile(500)),
            ms(self.quantile(990)),
            ms(self.quantile(1000)),
            ms(sum) / self.sorted.len().max(1) as f64,
            self.sorted.len()
        )
    }
}

/// Measures what `PING` takes, and says so in a line each interval: on a terminal until it is interrupted, else once.
///
/// # Errors
/// If the server cannot be asked.
pub fn latency(connection: &mut Connection, every: Duration, mut out: impl Write) -> Result<(), Stop> {
    loop {
        let (begun, mut times) = (Instant::now(), Times::default());
        while begun.elapsed() < every.max(ASK) {
            let asked = Instant::now();
            connection.ask(&[b"PING"])?;
            times.add(asked.elapsed());
            thread::sleep(ASK);
        }
        writeln!(out, "{}", times.line())?;
        out.flush()?;
        if !stdout().is_terminal() {
            return Ok(());
        }
    }
}

/// Prints a line of what the server does, each interval, so many times.
///
/// # Errors
/// If the server cannot be asked.
pub fn stat(connection: &mut Connection, every: Duration, times: u64, mut out: impl Write) -> Result<(), Stop> {
    let mut before: Option<(Instant, f64)> = None;
    for line in 0..times {
        if line > 0 {
            thread::sleep(every);
        }
        if line % HEAD == 0 {
            writeln!(
                out,
                "{:<10} {:>12} {:>12} {:>8} {:>12} {:>14}",
                "role", "keys", "memory", "clients", "commands/s", "index"
            )?;
        }
        let info = connection.ask(&[b"INFO"])?;
        let info = String::from_utf8_lossy(info.as_bytes().unwrap_or_default()).into_owned();
        let info: BTreeMap<&str, &str> = info.lines().filter_map(|line| line.split_once(':')).collect();
        let get = |name: &str| info.get(name).copied().unwrap_or("-");
        let commands: f64 = get("total_commands_processed").parse().unwrap_or(0.0);
        let now = Instant::now();
        let rate = before.map_or(0.0, |(then, count)| (commands - count) / (now - then).as_secs_f64().max(0.001));
        before = Some((now, commands));
        writeln!(
            out,
            "{:<10} {:>12} {:>12} {:>8} {:>12.0} {:>14}",
            get("node_role"),
            keys(info.iter().map(|(name, value)| (*name, *value))),
            get("used_memory_human"),
            get("connected_clients"),
            rate,
            get("applied_index")
        )?;
        out.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_rank() {
        let mut times = Times::default();
        for ms in [5, 1, 3, 2, 4] {
            times.add(Duration::from_millis(ms));
        }
        assert_eq!(times.line(), "min 1.000, p50 3.000, p99 4.000, max 5.000, mean 3.000 ms (5 samples)");
        assert_eq!(Times::default().line(), "min 0.000, p50 0.000, p99 0.000, max 0.000, mean 0.000 ms (0 samples)");
    }
}
