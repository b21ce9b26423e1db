//! `--latency-dist`: how the times of `PING` are spread, a row of colours each interval, as redis-cli shows it.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::connection::Connection;
use super::stop::Stop;

/// A column's sign, and the microseconds that its times do not exceed.
const COLUMNS: [(char, u64); 31] = [
    ('.', 10),
    ('-', 125),
    ('*', 250),
    ('#', 500),
    ('1', 1_000),
    ('2', 2_000),
    ('3', 3_000),
    ('4', 4_000),
    ('5', 5_000),
    ('6', 6_000),
    ('7', 7_000),
    ('8', 8_000),
    ('9', 9_000),
    ('A', 10_000),
    ('B', 20_000),
    ('C', 30_000),
    ('D', 40_000),
    ('E', 50_000),
    ('F', 100_000),
    ('G', 200_000),
    ('H', 300_000),
    ('I', 400_000),
    ('J', 500_000),
    ('K', 1_000_000),
    ('L', 2_000_000),
    ('M', 4_000_000),
    ('N', 8_000_000),
    ('O', 16_000_000),
    ('P', 30_000_000),
    ('Q', 60_000_000),
    ('?', LONGEST),
];
/// What takes longer, in microseconds, counts as this.
const LONGEST: u64 = 3_600_000_000;
/// Of the 256 colours of a terminal, from nothing to everything.
const COLOURS: [u8; 19] = [0, 233, 234, 235, 237, 239, 241, 243, 245, 247, 144, 143, 142, 184, 226, 214, 208, 202, 196];
/// Rows between two heads.
const HEAD: u64 = 20;

/// Measures what `PING` takes, and shows how that is spread, each interval: on a terminal as a row of colours until it is
/// interrupted, else once and in words.
///
/// # Errors
/// If the server cannot be asked.
pub fn show(connection: &mut Connection, every: Duration, mut out: impl Write) -> Result<(), Stop> {
    for row in 0.. {
        let times = measured(connection, every)?;
        if !stdout().is_terminal() {
            return Ok(writeln!(out, "{}", words(&times))?);
        }
        if row % HEAD == 0 {
            writeln!(out, "{}", head())?;
        }
        writeln!(out, "{}", colours(&times))?;
        out.flush()?;
    }
    Ok(())
}

/// One `PING` after the other, for so long; what each took in microseconds.
fn measured(connection: &mut Connection, every: Duration) -> Result<Histogram<u64>, Stop> {
    let mut times = empty();
    let begun = Instant::now();
    while times.is_empty() || begun.elapsed() < every {
        let asked = Instant::now();
        connection.ask(&[b"PING"])?;
        times.saturating_record(asked.elapsed().as_micros() as u64);
    }
    Ok(times)
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_max(LONGEST, 3).expect("the bounds are good")
}

/// The share of each column, from 0 to 1.
fn shares(times: &Histogram<u64>) -> impl Iterator<Item = (char, u64, f64)> + '_ {
    let mut below = 0;
    COLUMNS.into_iter().map(move |(sign, upto)| {
        let count = times.count_between(below, upto);
        below = upto + 1;
        (sign, upto, count as f64 / times.len().max(1) as f64)
    })
}

fn words(times: &Histogram<u64>) -> String {
    let milliseconds = |upto: u64| match upto {
        LONGEST => "more".to_owned(),
        upto => format!("up to {} ms", upto as f64 / 1000.0),
    };
    let taken = shares(times).filter(|(_, _, share)| *share > 0.0);
    let taken: Vec<_> = taken.map(|(_, upto, share)| format!("{} {:.2}%", milliseconds(upto), share * 100.0)).collect();
    format!("{} ({} samples)", taken.join(", "), times.len())
}

fn colours(times: &Histogram<u64>) -> String {
    let last = (COLOURS.len() - 1) as f64;
    // The least share is one that can be seen.
    shares(times).fold(String::new(), |row, (sign, _, share)| row + &cell((share * last).ceil() as usize, sign))
}

/// A sign on its colour; no sign where there is nothing.
fn cell(colour: usize, sign: char) -> String {
    let sign = if colour == 0 { ' ' } else { sign };
    format!("\x1b[30;48;5;{}m{sign}\x1b[0m", COLOURS[colour])
}

fn head() -> String {
    let mut head = "\
        . - * #           up to .01, .125, .25, .5 milliseconds\n\
        1 to 9            up to 1 to 9 milliseconds\n\
        A B C D E         up to 10, 20, 30, 40, 50 milliseconds\n\
        F G H I J         up to .1, .2, .3, .4, .5 seconds\n\
        K L M N O P Q ?   up to 1, 2, 4, 8, 16, 30, 60 seconds, and more\n\
        none to all       "
        .to_owned();
    for colour in COLOURS {
        // Writing into memory cannot fail.
        let _ = write!(head, "\x1b[48;5;{colour}m \x1b[0m");
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(micros: &[u64]) -> Histogram<u64> {
        let mut times = empty();
        micros.iter().for_each(|time| times.saturating_record(*time));
        times
    }

    #[test]
    fn each_time_is_in_one_column() {
        let times = times(&[7, 125, 126, 900, 1_000, 70_000, LONGEST * 2, 250]);
        assert_eq!(
            words(&times),
            "up to 0.01 ms 12.50%, up to 0.125 ms 12.50%, up to 0.25 ms 25.00%, up to 1 ms 25.00%, up to 100 ms 12.50%, \
             more 12.50% (8 samples)"
        );
        assert_eq!(shares(&times).map(|(_, _, share)| share).sum::<f64>(), 1.0);
    }

    #[test]
    fn a_row_has_a_cell_a_column_and_the_rarest_is_seen() {
        let mut many = vec![100; 999];
        many.push(5_000_000);
        let row = colours(&times(&many));
        assert_eq!(row.matches("\x1b[0m").count(), COLUMNS.len());
        assert!(row.contains("48;5;196m-") && row.contains("48;5;233mN") && !row.contains('Q'), "{row:?}");
        assert_eq!(head().lines().count(), 6);
    }
}
