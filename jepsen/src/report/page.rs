//! The page of one run: it needs nothing but itself.

use std::ops::Range;
use std::time::Duration;

use mneme_checks::page::{escaped, page as html, table};

use super::{Report, drawing, told};
use crate::judge::{Verdict, Wrong};
use crate::run::Sample;
use crate::workload::Workload;

const STYLE: &str = include_str!("page.css");

pub fn page(
    report: &Report,
    samples: &[Sample],
    during: &Range<Duration>,
    times: &[Duration],
    verdict: &Verdict,
    workload: Workload,
) -> String {
    let axis = drawing::Axis::new(during);
    let nemeses = if report.nemesis.is_empty() { "nothing goes wrong".to_owned() } else { report.nemesis.join(", ") };
    let title = format!("{} against {nemeses}", report.workload);
    let mark = verdict.checks.values().find_map(|came| came.as_ref().err()?.at);
    let mark = mark.and_then(|at| times.get(usize::try_from(at.0).ok()?)).map(Duration::as_secs_f64);
    let mut content = format!("<style>\n{STYLE}</style>\n");
    content += &format!(
        "<p class=\"quiet\">{} on {}; seed {}; {:.0} s; {} operations; {} packets, {} dropped</p>\n",
        report.system,
        report.topology,
        report.seed,
        report.seconds,
        report.operations,
        report.packets_passed,
        report.packets_dropped
    );
    content += match report.is_valid() {
        true => "<p class=\"good\">Every check is content.</p>\n",
        false => "<p class=\"bad\">Not every check is content.</p>\n",
    };
    content += "<h2>Checks</h2>\n";
    let row = |(name, wrong): (&&'static str, &Option<String>)| match wrong {
        None => [(*name).to_owned(), "<span class=\"good\">ok</span>".to_owned()],
        Some(what) => [(*name).to_owned(), format!("<span class=\"bad\">failed</span><pre>{}</pre>", escaped(what))],
    };
    content += &table(["check", "what came of it"], report.checks.iter().map(row));
    content += "<h2>Faults and roles</h2>\n";
    content += &drawing::bands(axis, &report.bands, mark);
    content += "<h2>Latency</h2>\n<p class=\"quiet\">Each point is a command: <i class=\"ok\">answered</i>, \
                <i class=\"refused\">refused</i>, <i class=\"unknown\">of unknown fate</i>. Shaded: something is wrong.</p>\n";
    content += &drawing::latencies(axis, samples, &report.bands);
    content += "<h2>Commands a second</h2>\n";
    content += &drawing::rates(axis, samples, &report.bands);
    content += "<h2>Service</h2>\n";
    let headings = [
        "commands",
        "#answered",
        "#refused",
        "#unknown",
        "#p50, ms",
        "#p90",
        "#p99",
        "#p99.9",
        "#longest",
        "#longest gap, s",
        "#from, s",
    ];
    let row = |(kind, service): (&String, &crate::analysis::Service)| {
        let millis =
            [service.p50, service.p90, service.p99, service.p999, service.longest].map(|millis| format!("{millis:.1}"));
        let [p50, p90, p99, p999, longest] = millis;
        let [ok, refused, unknown] = [service.ok, service.refused, service.unknown].map(|count| count.to_string());
        let (gap, at) = (format!("{:.2}", service.longest_gap), format!("{:.1}", service.gap_at));
        [kind.clone(), ok, refused, unknown, p50, p90, p99, p999, longest, gap, at]
    };
    content += &table(headings, report.service.iter().map(row));
    for (name, came) in &verdict.checks {
        if let Err(wrong) = came {
            content += &contradiction(name, wrong, workload);
        }
    }
    html(&title, &content)
}

fn contradiction(check: &str, wrong: &Wrong, workload: Workload) -> String {
    if wrong.part.is_empty() {
        return String::new();
    }
    format!(
        "<h2>What contradicts itself: {check}</h2>\n<p class=\"quiet\">The smallest part that was found, {} operations on keys that \
         hang together, the last ones of it; all are in <code>smallest.jsonl</code>.</p>\n<pre>{}</pre>\n",
        wrong.part.len(),
        escaped(told(&wrong.part, workload))
    )
}
