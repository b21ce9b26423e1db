//! Prometheus's text format, version 0.0.4.

use std::fmt::{Display, Write};

use mneme_kernel::histogram::Histogram;

/// One answer to Prometheus.
#[derive(Debug, Default)]
pub(super) struct Page(String);

/// Labels with their values.
type Labels<'a> = [(&'a str, &'a str)];

/// A metric whose samples are written next.
#[derive(Debug)]
pub(super) struct Family<'p> {
    page: &'p mut String,
    name: &'static str,
}

impl Page {
    /// Begins a counter; its name ends in `_total`.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        debug_assert!(name.ends_with("_total"), "{name}");
        self.family(name, "counter", help)
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        debug_assert!(!help.contains(['\\', '\n']), "help is written as it is");
        line(&mut self.0, format_args!("# HELP {name} {help}"));
        line(&mut self.0, format_args!("# TYPE {name} {kind}"));
        Family { page: &mut self.0, name }
    }

    pub(super) fn text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// The only sample.
    pub(super) fn is(self, value: impl Display) {
        line(self.page, format_args!("{} {value}", self.name));
    }

    /// One of several samples.
    pub(super) fn with(&mut self, labels: &Labels<'_>, value: impl Display) -> &mut Self {
        sample(self.page, self.name, "", labels, &value);
        self
    }

    /// A histogram's samples.
    pub(super) fn buckets(&mut self, labels: &Labels<'_>, histogram: &Histogram) -> &mut Self {
        let bucket = |page: &mut String, bound: &str, n: u64| {
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound)]).collect();
            sample(page, self.name, "_bucket", &labels, &n);
        };
        for (bound, n) in histogram.cumulative() {
            bucket(self.page, &bound.as_secs_f64().to_string(), n);
        }
        bucket(self.page, "+Inf", histogram.count());
        sample(self.page, self.name, "_sum", labels, &histogram.sum().as_secs_f64());
        sample(self.page, self.name, "_count", labels, &histogram.count());
        self
    }
}

fn sample(page: &mut String, name: &str, suffix: &str, labels: &Labels<'_>, value: &dyn Display) {
    page.push_str(name);
    page.push_str(suffix);
    for (i, (label, content)) in labels.iter().enumerate() {
        page.push(if i == 0 { '{' } else { ',' });
        page.push_str(label);
        page.push_str("=\"");
        for c in content.chars() {
            match c {
                '\\' => page.push_str("\\\\"),
                '"' => page.push_str("\\\""),
                '\n' => page.push_str("\\n"),
                c => page.push(c),
            }
        }
        page.push('"');
    }
    if !labels.is_empty() {
        page.push('}');
    }
    line(page, format_args!(" {value}"));
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into memory cannot fail.
    let _ = page.write_fmt(text);
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn samples_have_the_form_that_prometheus_reads() {
        let mut page = Page::default();
        page.gauge("a_bytes", "Bytes.").is(7);
        page.counter("b_total", "Things.").with(&[("x", "1"), ("y", "a\"\\\n")], 0).with(&[("x", "2"), ("y", "")], 1.5);
        let text = page.text();
        assert_eq!(
            text,
            "# HELP a_bytes Bytes.\n# TYPE a_bytes gauge\na_bytes 7\n\
             # HELP b_total Things.\n# TYPE b_total counter\n\
             b_total{x=\"1\",y=\"a\\\"\\\\\\n\"} 0\nb_total{x=\"2\",y=\"\"} 1.5\n"
        );
    }

    #[test]
    fn a_histogram_has_every_bucket_cumulated_and_one_for_all() {
        let mut histogram = Histogram::default();
        histogram.observe(Duration::from_micros(15));
        histogram.observe(Duration::from_secs(60));
        let mut page = Page::default();
        page.histogram("h_seconds", "Times.").buckets(&[("level", "ALL")], &histogram);
        let text = page.text();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines.len(), mneme_kernel::histogram::BOUNDED + 3);
        assert_eq!(lines[0], "h_seconds_bucket{level=\"ALL\",le=\"0.00001\"} 0");
        assert_eq!(lines[1], "h_seconds_bucket{level=\"ALL\",le=\"0.00002\"} 1");
        assert_eq!(lines[19], "h_seconds_bucket{level=\"ALL\",le=\"5.24288\"} 1");
        assert_eq!(lines[20], "h_seconds_bucket{level=\"ALL\",le=\"+Inf\"} 2");
        assert_eq!(lines[21..], ["h_seconds_sum{level=\"ALL\"} 60.000015", "h_seconds_count{level=\"ALL\"} 2"]);
    }
}
