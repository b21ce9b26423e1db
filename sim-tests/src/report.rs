//! The result of a campaign as a page: what was run, what happened, what did not, and what failed.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::expected::{self, FAULTS, MARK, SOMETIMES, missing};
use crate::page::{bar, escaped, page, table};
use crate::summary::{Cause, Summary, Tally};

/// Reads a result and writes its page.
///
/// # Errors
/// If there is no such result, or the page cannot be written.
pub fn report(file: &Path, html: Option<&Path>) -> anyhow::Result<ExitCode> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let summary: Summary = serde_json::from_str(&text).with_context(|| format!("{} is no result", file.display()))?;
    let html = html.map_or_else(|| file.with_extension("html"), Path::to_owned);
    fs::write(&html, render(&summary)).with_context(|| format!("writing {}", html.display()))?;
    println!("written to {}", html.display());
    Ok(ExitCode::SUCCESS)
}

fn render(summary: &Summary) -> String {
    let mut content = format!(
        "<p class=\"quiet\">Version {}; <code>cargo sim {}</code></p>\n",
        escaped(&summary.commit),
        escaped(&summary.asked)
    );
    content += &verdict(summary);
    content += &tiles(summary);
    content += &failures(&summary.failures);
    let runs = summary.seeds + summary.regressions;
    let of = |wanted: &dyn Fn(&str) -> bool| -> Vec<(&str, Tally)> {
        let tallies = summary.happened.iter().map(|(what, tally)| (what.as_str(), *tally));
        tallies.filter(|(what, _)| wanted(what)).collect()
    };
    let is_mark = |what: &str| what.starts_with(MARK);
    let is_fault = |what: &str| FAULTS.contains(&what) || SOMETIMES.contains(&what);
    let is_command = |what: &str| crate::wire::COMMANDS.contains(&what);
    let all: Vec<String> = expected::all().collect();
    let expected = |what: &str| all.iter().any(|expected| expected == what);
    content += "<h2>Faults that fired, and what they led to</h2>\n";
    content += &tallies(of(&is_fault), runs, &expected);
    content +=
        "<h2>Marks</h2>\n<p class=\"quiet\">Rare states that must be reached for the checks to mean anything.</p>\n";
    let marks: Vec<(&str, Tally)> = of(&is_mark);
    content += &match marks.is_empty() {
        true => "<p>There are none.</p>\n".to_owned(),
        false => tallies(marks.iter().map(|(what, tally)| (&what[MARK.len()..], *tally)).collect(), runs, &|_| true),
    };
    content += "<h2>What else happened</h2>\n";
    content += &tallies(of(&|what| !is_mark(what) && !is_fault(what) && !is_command(what)), runs, &expected);
    content += "<h2>Commands that were acknowledged</h2>\n";
    content += &tallies(of(&is_command), runs, &expected);
    content += "<h2>The slowest runs</h2>\n";
    let slowest = summary.slowest.iter();
    let slowest =
        slowest.map(|slow| [escaped(&slow.name), format!("{:.2}", slow.took), format!("{:.1}", slow.virtual_time)]);
    content += &table(["seed", "#seconds", "#of virtual time"], slowest);
    page("Simulation", &content)
}

fn verdict(summary: &Summary) -> String {
    let runs = summary.seeds + summary.regressions;
    if summary.failed > 0 {
        return format!("<p class=\"bad\">{} of {runs} runs failed.</p>\n", summary.failed);
    }
    let missing: Vec<String> = missing(summary).into_iter().map(escaped).collect();
    let mut text = format!("<p class=\"good\">All {runs} runs pass.</p>\n");
    if !missing.is_empty() {
        text += &format!("<p class=\"bad\">This never happened: {}.</p>\n", missing.join(", "));
    }
    text
}

fn tiles(summary: &Summary) -> String {
    let (together, one) = summary.speed();
    let last = summary.from + summary.seeds.saturating_sub(1);
    let seeds = if summary.seeds == 0 { "none".into() } else { format!("{} to {last}", summary.from) };
    let tiles = [
        (grouped(summary.seeds), format!("seeds, {seeds}")),
        (grouped(summary.regressions), "kept runs again".into()),
        (spoken(summary.virtual_time), "of virtual time".into()),
        (spoken(summary.took), "of real time".into()),
        (format!("{together:.0} ×"), format!("as fast as real time; {one:.0} × on each core")),
        (grouped(summary.times("operations")), "operations of clients".into()),
        (format!("{:.0}", summary.load()), "of them in a second of virtual time".into()),
        (format!("{:.1} %", summary.unknown()), "of them with an unknown fate".into()),
    ];
    let tiles = tiles.map(|(number, what)| format!("<div class=\"tile\"><b>{number}</b>{what}</div>\n"));
    format!("<div class=\"tiles\">\n{}</div>\n", tiles.concat())
}

fn failures(causes: &[Cause]) -> String {
    if causes.is_empty() {
        return String::new();
    }
    let mut text = "<h2>What failed, by cause</h2>\n".to_owned();
    for Cause { check, cause, runs, named, example } in causes {
        let more = if (named.len() as u64) < *runs { " …" } else { "" };
        text += &format!(
            "<p><span class=\"bad\">{}</span> {runs} ×: {}</p>\n<p class=\"quiet\">{}{more}</p>\n<pre>{}</pre>\n",
            escaped(check),
            escaped(cause),
            escaped(named.join(", ")),
            escaped(example)
        );
    }
    text
}

/// How often what happened, and a bar for the share of runs in which it did. What should have and did not is said.
fn tallies(mut tallies: Vec<(&str, Tally)>, runs: u64, is_expected: &dyn Fn(&str) -> bool) -> String {
    tallies.sort_by_key(|(what, _)| what.to_lowercase());
    let row = |(what, tally): (&str, Tally)| {
        let share = tally.runs as f64 / runs.max(1) as f64;
        let shown = match tally.times {
            0 if is_expected(what) => "<span class=\"bad\">never</span>".to_owned(),
            0 => "<span class=\"quiet\">never</span>".to_owned(),
            times => grouped(times),
        };
        [escaped(what), shown, grouped(tally.runs), format!("{:.1} %", 100.0 * share), bar(share)]
    };
    table(["", "#times", "#in runs", "#of all", ""], tallies.into_iter().map(row))
}

/// Seconds, in the unit that people would say.
fn spoken(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.0} s"),
        ..7_200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3_600.0),
    }
}

/// A number in groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_what_never_happened() {
        let mut summary = Summary { seeds: 4, from: 1, ..Summary::default() };
        let tally = |times, runs| Tally { times, runs };
        summary.happened.insert("killed".into(), tally(1_234_567, 3));
        summary.happened.insert("mark: two at once".into(), tally(0, 0));
        let page = render(&summary);
        assert!(page.contains("1,234,567"), "{page}");
        assert!(page.contains("<td>two at once</td><td class=\"number\"><span class=\"bad\">never</span>"), "{page}");
        assert!(page.contains("All 4 runs pass"), "{page}");
    }

    #[test]
    fn a_page_needs_nothing_else() {
        let page = render(&Summary::default());
        assert!(!page.contains("http") && !page.contains("<script") && !page.contains("@import"), "{page}");
    }
}
