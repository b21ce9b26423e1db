//! A run as a drawing: what each machine was, which faults there were, what clients heard, and what broke when.

use std::fmt::Write as _;
use std::time::Duration;

use super::time_of;
use crate::history::{NEVER, Outcome};
use crate::page::{escaped, page as html, table};
use crate::plan::Plan;
use crate::simulation::{Record, Report};
use crate::timeline::{Band, Lane, State};

/// Pixels before the lanes, of the lanes, and of a row.
const LEFT: f64 = 150.0;
const WIDTH: f64 = 1060.0;
const ROW: f64 = 18.0;
/// Into so many pieces operations are counted.
const PIECES: usize = 212;
/// Pixels of the row that shows them.
const LOAD: f64 = 44.0;
/// The least that is seen.
const THIN: f64 = 1.5;

/// The page of a run.
pub fn page(plan: &Plan, report: &Report, record: &Record) -> String {
    let end = record.times.iter().chain(record.bands.iter().map(|band| &band.to)).max().copied();
    let end = end.unwrap_or_default().max(report.virtual_time).max(Duration::from_millis(1));
    let mut content = String::new();
    let roles = plan.options.topology.roles();
    let machines: Vec<String> =
        roles.iter().enumerate().map(|(number, role)| format!("node{} {role:?}", number + 1)).collect();
    content += &format!(
        "<p class=\"quiet\">{}; {} faults, {} operations in {:.1} s of virtual time; trace {:016x}</p>\n",
        machines.join(", "),
        plan.schedule.0.len(),
        report.operations.len(),
        end.as_secs_f64(),
        report.trace_hash
    );
    match report.violations.is_empty() {
        true => content += "<p class=\"good\">Every check passes.</p>\n",
        false => content += "<h2>What broke</h2>\n",
    }
    for violation in &report.violations {
        content += &format!("<p class=\"bad\">{}</p>\n<pre>{}</pre>\n", violation.check, escaped(&violation.what));
    }
    let mut drawing = Drawing { end, rows: 0.0, svg: String::new() };
    drawing.running(record);
    drawing.machines(plan, record);
    drawing.faults(record);
    drawing.load(report, record);
    drawing.broken(report, record);
    content += &format!("<h2>When</h2>\n<div class=\"scroll\">\n{}</div>\n", drawing.finish());
    content += "<p class=\"quiet\">Blue: is primary, in this epoch. Green: leads the Keepers, in this term. Grey: does not serve. Orange: does not hear \
                others. Violet: a fault, by its number. Red: a check failed. More is said where the pointer rests.</p>\n";
    content += "<h2>Faults</h2>\n";
    content += &faults(plan, record);
    html(&format!("Seed {}", plan.options.seed), &content)
}

fn faults(plan: &Plan, record: &Record) -> String {
    let seconds = |at: Duration| format!("{:.3}", at.as_secs_f64());
    let rows = plan.schedule.0.iter().enumerate().map(|(number, (_, fault))| {
        let band = record.bands.iter().find(|band| band.lane == Lane::Fault(number));
        let (from, to) = band.map_or(("never".into(), String::new()), |band| (seconds(band.from), seconds(band.to)));
        [number.to_string(), from, to, format!("<code>{}</code>", escaped(format!("{fault:?}")))]
    });
    table(["#", "#began, s", "#was over, s", "what"], rows)
}

/// Rows, one below the other.
struct Drawing {
    end: Duration,
    /// Pixels that are full.
    rows: f64,
    svg: String,
}

impl Drawing {
    fn x(&self, at: Duration) -> f64 {
        LEFT + WIDTH * at.as_secs_f64() / self.end.as_secs_f64()
    }

    fn push(&mut self, svg: std::fmt::Arguments<'_>) {
        // Writing to a text does not fail.
        let _ = writeln!(self.svg, "{svg}");
    }

    /// Begins a row with this name.
    fn row(&mut self, name: &str, height: f64) {
        let middle = self.rows + height / 2.0 + 4.0;
        self.push(format_args!("<text x=\"0\" y=\"{middle:.1}\">{}</text>", escaped(name)));
        self.rows += height;
    }

    /// A stretch of time in the last row, with a text if that fits in.
    fn stretch(&mut self, class: &str, from: Duration, to: Duration, what: &str, label: &str) {
        let (x, y) = (self.x(from), self.rows - ROW + 2.0);
        let width = (self.x(to) - x).max(THIN);
        let times = format!("{:.3} s to {:.3} s: {what}", from.as_secs_f64(), to.as_secs_f64());
        self.push(format_args!(
            "<g><title>{}</title><rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" rx=\"2\"/>",
            escaped(times),
            ROW - 4.0
        ));
        // Its first word is better than nothing.
        let words = [label, label.split(' ').next().unwrap_or_default()];
        if let Some(label) = words.into_iter().find(|label| width > 7.0 * label.len() as f64 + 4.0) {
            self.push(format_args!(
                "<text class=\"in\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x + 3.0,
                y + 11.0,
                escaped(label)
            ));
        }
        self.push(format_args!("</g>"));
    }

    /// When there were faults and commands; all else is before that, or healing and the last look.
    fn running(&mut self, record: &Record) {
        self.row("", ROW);
        for band in record.bands.iter().filter(|band| band.lane == Lane::Running) {
            self.stretch("rest", band.from, band.to, &band.what, "");
            let x = self.x(band.from) + 4.0;
            self.push(format_args!(
                "<text class=\"quiet\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                self.rows - 5.0,
                band.what
            ));
        }
        self.gap();
    }

    fn machines(&mut self, plan: &Plan, record: &Record) {
        let states =
            [(State::Primary, "primary"), (State::Leads, "leads"), (State::Down, "down"), (State::Deaf, "deaf")];
        for (number, role) in plan.options.topology.roles().iter().enumerate() {
            let mut name = format!("node{} {role:?}", number + 1);
            for (state, class) in states {
                let bands: Vec<&Band> =
                    record.bands.iter().filter(|band| band.lane == Lane::Machine(number, state)).collect();
                if bands.is_empty() {
                    continue;
                }
                self.row(&std::mem::take(&mut name), ROW);
                for band in bands {
                    let label = band.what.rsplit(' ').next().filter(|_| state <= State::Leads);
                    self.stretch(class, band.from, band.to, &band.what, label.unwrap_or(&band.what));
                }
            }
            self.gap();
        }
        let clients: Vec<&Band> = record.bands.iter().filter(|band| band.lane == Lane::Clients).collect();
        if !clients.is_empty() {
            self.row("clients' links cut", ROW);
            for band in clients {
                self.stretch("deaf", band.from, band.to, &band.what, &band.what);
            }
            self.gap();
        }
    }

    /// Faults, in as many rows as happen at the same time.
    fn faults(&mut self, record: &Record) {
        let mut rows: Vec<(Duration, Vec<(usize, &Band)>)> = Vec::new();
        for band in &record.bands {
            let Lane::Fault(number) = band.lane else { continue };
            match rows.iter_mut().find(|(free, _)| *free <= band.from) {
                Some((free, row)) => {
                    *free = band.to;
                    row.push((number, band));
                }
                None => rows.push((band.to, vec![(number, band)])),
            }
        }
        for (row, (_, bands)) in rows.into_iter().enumerate() {
            self.row(if row == 0 { "faults" } else { "" }, ROW);
            for (number, band) in bands {
                let name: String = band.what.chars().take_while(|letter| letter.is_alphanumeric()).collect();
                let what = format!("{number}: {}", band.what);
                self.stretch("fault", band.from, band.to, &what, &format!("{number} {name}"));
            }
        }
        self.gap();
    }

    /// How many operations were called when, and of how many the fate is known.
    fn load(&mut self, report: &Report, record: &Record) {
        let mut pieces = [(0, 0); PIECES];
        for operation in &report.operations {
            let Some(at) = time_of(record, operation.called) else { continue };
            let piece = (at.as_secs_f64() / self.end.as_secs_f64() * PIECES as f64) as usize;
            let (sure, unsure) = &mut pieces[piece.min(PIECES - 1)];
            let is_unsure = matches!(operation.outcome, Outcome::Unknown | Outcome::Uncertain);
            *(if is_unsure { unsure } else { sure }) += 1;
        }
        self.row("operations", LOAD);
        let most = pieces.iter().map(|(sure, unsure)| sure + unsure).max().unwrap_or(1).max(1);
        let (step, unit) = (WIDTH / PIECES as f64, (LOAD - 4.0) / f64::from(most));
        for (piece, (sure, unsure)) in pieces.into_iter().enumerate().filter(|(_, piece)| *piece != (0, 0)) {
            let x = LEFT + step * piece as f64;
            self.push(format_args!("<g><title>{sure} with a known fate, {unsure} without</title>"));
            let mut bottom = self.rows;
            for (class, count) in [("sure", sure), ("unsure", unsure)] {
                let height = unit * f64::from(count);
                bottom -= height;
                self.push(format_args!(
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{bottom:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
                    step - 0.5
                ));
            }
            self.push(format_args!("</g>"));
        }
        self.gap();
    }

    /// Which operations show what broke, and when checks failed while it ran.
    fn broken(&mut self, report: &Report, record: &Record) {
        let mut marks: Vec<(Duration, &str)> = record.failures.clone();
        let shown = report.violations.iter().filter_map(|violation| violation.at.map(|at| (violation.check, at)));
        for (check, at) in shown {
            // One whose end nobody knows shows nothing.
            let Some(operation) = report.operations.iter().find(|operation| operation.ended == at && at != NEVER)
            else {
                continue;
            };
            let (Some(from), Some(to)) = (time_of(record, operation.called), time_of(record, at)) else { continue };
            self.row(&format!("broke {check}"), ROW);
            let what = format!("process {}: {:?}: {:?}", operation.process, operation.command, operation.outcome);
            self.stretch("broken", from, to, &what, &what);
            marks.push((to, check));
        }
        for (at, check) in marks {
            let (x, bottom) = (self.x(at), self.rows + 4.0);
            self.push(format_args!(
                "<g><title>{check} failed at {:.3} s</title><line class=\"failure\" x1=\"{x:.1}\" y1=\"0\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/></g>",
                at.as_secs_f64()
            ));
            self.push(format_args!(
                "<text class=\"bad\" x=\"{:.1}\" y=\"{:.1}\">{check}</text>",
                x + 4.0,
                bottom + 8.0
            ));
        }
        self.rows += ROW;
    }

    fn gap(&mut self) {
        self.rows += 8.0;
    }

    /// The drawing, with the seconds below it.
    fn finish(mut self) -> String {
        let seconds = self.end.as_secs_f64();
        let step =
            [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0].into_iter().find(|step| seconds / step < 16.0);
        let step = step.unwrap_or(100.0);
        let mut grid = String::new();
        let bottom = self.rows;
        for number in 0..=(seconds / step) as u32 {
            let at = step * f64::from(number);
            let x = LEFT + WIDTH * at / seconds;
            grid += &format!("<line class=\"grid\" x1=\"{x:.1}\" y1=\"0\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>\n");
            let label = if step < 1.0 { format!("{at:.2} s") } else { format!("{at:.0} s") };
            grid += &format!("<text class=\"quiet\" x=\"{x:.1}\" y=\"{:.1}\">{label}</text>\n", bottom + 14.0);
        }
        self.rows += 22.0;
        let (width, height) = (LEFT + WIDTH + 60.0, self.rows);
        format!(
            "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n{grid}{}</svg>\n",
            self.svg
        )
    }
}
