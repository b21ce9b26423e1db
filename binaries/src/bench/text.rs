//! A report, for people.

use std::fmt::Write;

use hdrhistogram::Histogram;
use indicatif::{HumanBytes, HumanCount};

use super::report::{Latency, Report, Summary};
use crate::table;

/// The report.
pub fn report(report: &Report) -> String {
    let mut out = asked(report) + "\n\n";
    let several = report.commands.len() > 1;
    let rows = [&report.all].into_iter().filter(|_| several || report.commands.is_empty()).chain(&report.commands);
    let rows: Vec<Vec<String>> = [head()].into_iter().chain(rows.map(row)).collect();
    out += &table::text(&rows, 1);
    // Writing into memory cannot fail.
    let _ = writeln!(
        out,
        "\n{} requests in {:.2} s{}, {}/s received, {}/s sent; the longest time without an answer was {} ms",
        HumanCount(report.all.requests),
        report.seconds,
        if report.interrupted { ", when it was interrupted" } else { "" },
        HumanBytes(rate(report.bytes_in, report.seconds)),
        HumanBytes(rate(report.bytes_out, report.seconds)),
        milliseconds(report.longest_gap_ms),
    );
    if !report.errors.is_empty() {
        let errors = report.errors.iter().map(|(word, count)| format!("{word} {}", HumanCount(*count)));
        let _ = writeln!(out, "Errors: {}", errors.collect::<Vec<_>>().join(", "));
    }
    if report.connections_lost > 0 {
        let _ = writeln!(
            out,
            "{} connections were lost, and {} requests with them; {} were opened again",
            HumanCount(report.connections_lost),
            HumanCount(report.lost),
            HumanCount(report.reconnected),
        );
    }
    if report.unanswered > 0 {
        let count = HumanCount(report.unanswered);
        let _ = writeln!(out, "{count} requests had no answer at the end; they count with the time they had waited");
    }
    out
}

/// What was asked for, in a line.
fn asked(report: &Report) -> String {
    let option = |name: &str| report.options.get(name).map_or("", String::as_str);
    let what = match option("command") {
        own if own.is_empty() || report.options.contains_key("mix") => option("mix"),
        own => own,
    };
    let pace = match option("rate") {
        "" => "as fast as it goes".to_owned(),
        rate => format!("{rate} requests a second due"),
    };
    let level = match option("consistency") {
        "" => String::new(),
        level => format!(", {level}"),
    };
    format!(
        "{what}; {} clients, pipeline {}, {pace}; {} keys, {}; values of {} bytes{level}; latencies in milliseconds",
        option("clients"),
        option("pipeline"),
        option("keys"),
        option("distribution"),
        option("size"),
    )
}

fn rate(bytes: u64, seconds: f64) -> u64 {
    if seconds > 0.0 { (bytes as f64 / seconds) as u64 } else { 0 }
}

fn head() -> Vec<String> {
    let latencies = Latency::default().columns().map(|(name, _)| name);
    ["command", "requests", "a second", "errors", "nulls"].into_iter().chain(latencies).map(str::to_owned).collect()
}

fn row(summary: &Summary) -> Vec<String> {
    let counts = [summary.requests, summary.per_second.round() as u64, summary.errors, summary.nulls];
    let counts = counts.into_iter().map(|count| HumanCount(count).to_string());
    let latencies = summary.latency_ms.columns().into_iter().map(|(_, latency)| milliseconds(latency));
    [summary.name.clone()].into_iter().chain(counts).chain(latencies).collect()
}

/// Three digits that matter.
pub fn milliseconds(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.3}"),
        ..100.0 => format!("{value:.2}"),
        ..1000.0 => format!("{value:.1}"),
        _ => HumanCount(value.round() as u64).to_string(),
    }
}

/// The latencies in full, as HdrHistogram prints them and its plotter reads them: milliseconds, and how many took no longer.
pub fn percentiles(times: &Histogram<u64>) -> String {
    /// Steps within each half of what is left above.
    const STEPS: u32 = 5;
    let mut out = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    for step in times.iter_quantiles(STEPS) {
        let value = step.value_iterated_to() as f64 / 1000.0;
        let quantile = step.quantile_iterated_to();
        let count = times.count_between(0, step.value_iterated_to());
        let _ = match quantile < 1.0 {
            true => writeln!(out, "{value:>12.3} {quantile:>14.12} {count:>10} {:>14.2}", 1.0 / (1.0 - quantile)),
            false => writeln!(out, "{value:>12.3} {quantile:>14.12} {count:>10}"),
        };
    }
    let thousandth = |value: f64| value / 1000.0;
    let (mean, deviation) = (thousandth(times.mean()), thousandth(times.stdev()));
    let _ = writeln!(out, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
    let (max, count) = (thousandth(times.max() as f64), times.len());
    let _ = writeln!(out, "#[Max     = {max:>12.3}, Total count    = {count:>12}]");
    let (buckets, subbuckets) = (times.buckets(), times.distinct_values());
    let _ = writeln!(out, "#[Buckets = {buckets:>12}, SubBuckets     = {subbuckets:>12}]");
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tally::Tally;
    use super::*;

    fn tally(times: &[u64]) -> Tally {
        let mut tally = Tally::new(2);
        times.iter().for_each(|time| tally.rows[0].times.saturating_record(*time));
        tally
    }

    fn told(tally: &Tally) -> String {
        let options = [("mix", "get"), ("clients", "5"), ("rate", "100"), ("size", "64"), ("consistency", "ALL")];
        let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let names = ["get", "set"].map(str::to_owned);
        report(&Report::new(BTreeMap::from(options), &names, tally, 2.0))
    }

    #[test]
    fn a_report_says_what_was_asked_and_what_became_of_it() {
        let mut tally = tally(&[1000; 2000]);
        let text = told(&tally);
        assert!(text.starts_with("get; 5 clients, pipeline , 100 requests a second due; "), "{text}");
        assert!(text.contains("values of 64 bytes, ALL; latencies"), "{text}");
        let row = text.lines().find(|line| line.starts_with("get ")).expect("its row");
        assert!(row.contains("2,000") && row.contains("1,000") && row.contains("1.000"), "{row}");
        assert!(!text.contains("all ") && !text.contains("Errors: ") && !text.contains("lost"), "{text}");
        tally.error(1, "LOADING later");
        (tally.connections_lost, tally.lost, tally.reconnected) = (3, 4, 2);
        tally.rows[0].unanswered = 500;
        let text = told(&tally);
        assert!(text.contains("\n1,500 requests in 2.00 s"), "{text}");
        assert!(
            text.contains("\nErrors: LOADING 1\n3 connections were lost, and 4 requests with them; 2 were"),
            "{text}"
        );
        assert!(text.contains("\n500 requests had no answer"), "{text}");
        assert!(text.contains("\nall ") && text.contains("\nset "), "{text}");
    }

    #[test]
    fn percentiles_end_with_all_requests() {
        let times = tally(&[1000, 2000, 3000, 4000]).all().times;
        let text = percentiles(&times);
        let rows: Vec<Vec<&str>> = text.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0][2..], ["1", "1.00"], "{text}");
        let last = rows.iter().rfind(|row| !row[0].starts_with('#')).expect("a row");
        assert_eq!(last[1..], ["1.000000000000", "4"], "{text}");
        assert!(text.contains("Total count    =            4]"), "{text}");
    }
}
