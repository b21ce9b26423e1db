//! Drawings of a run, all with the same axis of time: latencies, commands a second, and what was so when.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use mneme_checks::page::escaped;

use crate::run::{Band, Ended, Sample};

const WIDTH: f64 = 1180.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 10.0;
const LANE: f64 = 20.0;
/// Points that are drawn at most; those beyond are left out evenly, but none that was not answered.
const POINTS: usize = 6000;

/// The axis of time.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    pub fn new(during: &Range<Duration>) -> Axis {
        Axis { from: during.start.as_secs_f64(), to: during.end.as_secs_f64() + 2.0 }
    }

    fn x(self, at: f64) -> f64 {
        let share = (at - self.from) / (self.to - self.from);
        LEFT + share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn ticks(self, height: f64) -> String {
        let every =
            [1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0].into_iter().find(|every| (self.to - self.from) / every < 25.0);
        let every = every.unwrap_or(1000.0);
        let mut text = String::new();
        let mut at = (self.from / every).ceil() * every;
        while at <= self.to {
            let x = self.x(at);
            // Writing to a text does not fail.
            let _ = write!(text, "<line class=\"tick\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{height:.0}\"/>");
            let _ = write!(
                text,
                "<text class=\"quiet\" x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{at:.0} s</text>",
                height + 14.0
            );
            at += every;
        }
        text
    }
}

fn svg(height: f64, label: &str, content: &str) -> String {
    format!(
        "<div class=\"scroll\"><svg width=\"{WIDTH}\" height=\"{:.0}\" role=\"img\" aria-label=\"{label}\">{content}</svg></div>\n",
        height + 20.0
    )
}

fn is_fault(lane: &str) -> bool {
    !["primary", "leader", "healing", "final reads"].contains(&lane)
}

/// Shadows of all faults behind a drawing.
fn shadows(axis: Axis, bands: &[Band], height: f64) -> String {
    let faults = bands.iter().filter(|band| is_fault(&band.lane));
    let shadow = |band: &Band| {
        let (from, to) = (axis.x(band.from), axis.x(band.to));
        format!(
            "<rect class=\"shadow\" x=\"{from:.1}\" width=\"{:.1}\" y=\"0\" height=\"{height:.0}\"/>",
            (to - from).max(1.0)
        )
    };
    faults.map(shadow).collect()
}

/// Each command by when it was sent and how long it took, on a logarithmic scale.
pub fn latencies(axis: Axis, samples: &[Sample], bands: &[Band]) -> String {
    const HEIGHT: f64 = 260.0;
    // From 0.1 ms to 10 s.
    let y = |seconds: f64| HEIGHT * (1.0 - ((seconds.max(1e-4).log10() + 4.0) / 5.0).min(1.0));
    let mut content = shadows(axis, bands, HEIGHT) + &axis.ticks(HEIGHT);
    for (seconds, name) in [(0.001, "1 ms"), (0.01, "10 ms"), (0.1, "100 ms"), (1.0, "1 s"), (10.0, "10 s")] {
        let at = y(seconds);
        let _ = write!(content, "<line class=\"tick\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let _ = write!(
            content,
            "<text class=\"quiet\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            LEFT - 6.0,
            at + 10.0
        );
    }
    let every = samples.len().div_ceil(POINTS).max(1);
    for (i, sample) in samples.iter().enumerate() {
        if sample.kind == Ended::Ok && i % every != 0 && sample.took < Duration::from_millis(100) {
            continue;
        }
        let class = match sample.kind {
            Ended::Ok => "ok",
            Ended::Refused => "refused",
            Ended::Unknown => "unknown",
        };
        let (x, y) = (axis.x(sample.called.as_secs_f64()), y(sample.took.as_secs_f64()));
        let _ = write!(content, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.5\"/>");
    }
    svg(HEIGHT, "latency over time", &content)
}

/// Commands answered in each quarter of a second, a second, and those that were not.
pub fn rates(axis: Axis, samples: &[Sample], bands: &[Band]) -> String {
    const HEIGHT: f64 = 140.0;
    const BUCKET: f64 = 0.25;
    let mut counts: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let buckets = ((axis.to - axis.from) / BUCKET).ceil() as usize + 1;
    for sample in samples {
        let class = match sample.kind {
            Ended::Ok => "ok",
            Ended::Refused => "refused",
            Ended::Unknown => "unknown",
        };
        let at = (sample.called + sample.took).as_secs_f64() - axis.from;
        let counts = counts.entry(class).or_insert_with(|| vec![0.0; buckets]);
        if at >= 0.0
            && let Some(count) = counts.get_mut((at / BUCKET) as usize)
        {
            *count += 1.0 / BUCKET;
        }
    }
    let most = counts.values().flatten().copied().fold(1.0, f64::max);
    let mut content = shadows(axis, bands, HEIGHT) + &axis.ticks(HEIGHT);
    let _ = write!(
        content,
        "<text class=\"quiet\" x=\"{}\" y=\"10\" text-anchor=\"end\">{most:.0} a second</text>",
        LEFT - 6.0
    );
    for (class, counts) in &counts {
        let point = |(i, count): (usize, &f64)| {
            let (x, y) = (axis.x(axis.from + (i as f64 + 0.5) * BUCKET), HEIGHT * (1.0 - count / most));
            format!("{x:.1},{y:.1}")
        };
        let points: Vec<String> = counts.iter().enumerate().map(point).collect();
        let _ = write!(content, "<polyline class=\"line {class}\" points=\"{}\"/>", points.join(" "));
    }
    svg(HEIGHT, "commands a second", &content)
}

/// What was so when, a line for each kind; `mark` is when a check failed.
pub fn bands(axis: Axis, bands: &[Band], mark: Option<f64>) -> String {
    let mut lanes: Vec<&str> = bands.iter().map(|band| band.lane.as_str()).collect();
    lanes.dedup();
    let height = lanes.len() as f64 * LANE;
    let mut content = axis.ticks(height);
    for band in bands {
        let lane = lanes.iter().position(|lane| *lane == band.lane).unwrap_or_default();
        let (from, to, y) = (axis.x(band.from), axis.x(band.to), lane as f64 * LANE + 3.0);
        let class = if is_fault(&band.lane) { "fault" } else { "state" };
        let what = escaped(&band.what);
        let title = format!("{what}: {:.2} to {:.2} s", band.from, band.to);
        let _ = write!(
            content,
            "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{y:.0}\" width=\"{:.1}\" height=\"14\" rx=\"2\"><title>{title}</title></rect>",
            (to - from).max(1.5)
        );
        if to - from > 7.0 * band.what.len() as f64 {
            let _ = write!(content, "<text class=\"in\" x=\"{:.1}\" y=\"{:.0}\">{what}</text>", from + 4.0, y + 11.0);
        }
    }
    for (place, lane) in lanes.iter().enumerate() {
        let y = place as f64 * LANE + 14.0;
        let _ = write!(content, "<text x=\"{}\" y=\"{y:.0}\" text-anchor=\"end\">{}</text>", LEFT - 6.0, escaped(lane));
    }
    if let Some(at) = mark {
        let x = axis.x(at);
        let _ = write!(content, "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{height:.0}\"/>");
    }
    svg(height, "faults and roles over time", &content)
}
