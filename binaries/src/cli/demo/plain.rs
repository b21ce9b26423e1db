//! What goes on, in lines: for a terminal that is none, and for logs.

use std::io::{Write, stdout};
use std::thread;
use std::time::Duration;

use super::end::End;
use super::nodes::State;
use super::stage::{Node, Stage};
use super::{COUNT, NAMES};
use crate::cli::stop::Stop;

const LOOK: Duration = Duration::from_millis(20);

/// Prints what happens, and a line every second, until it is over.
///
/// # Errors
/// If a node cannot be started again, or nobody reads the lines.
pub fn show(stage: &mut Stage, end: &End) -> Result<(), Stop> {
    let mut told = 0;
    let mut is_over = false;
    while !is_over {
        // What is seen last is told, too.
        is_over = stage.is_over() || end.is_asked();
        let is_second = stage.turn()?;
        for (at, what) in &stage.events[told..] {
            writeln!(stdout(), "{:>6.2} s  {what}", at.as_secs_f64())?;
        }
        told = stage.events.len();
        if is_second {
            writeln!(stdout(), "{}", line(stage))?;
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

fn line(stage: &Stage) -> String {
    let nodes: Vec<_> = (0..COUNT).map(|node| format!("{} {:<8}", NAMES[node], role(&stage.node(node)))).collect();
    let second = stage.seconds.last().copied().unwrap_or_default();
    format!(
        "{:>6} s  {}  {:>5} op/s  p99 {:>6.1} ms  errors {:>2}  gap {:>5.0} ms  {} acknowledged",
        stage.seconds.len(),
        nodes.join(" "),
        second.operations,
        second.p99.as_secs_f64() * 1000.0,
        second.errors,
        second.gap.as_secs_f64() * 1000.0,
        stage.tally().acknowledged,
    )
}

/// What a node is, or else what was done to it. What one that is cut off says of itself matters only if it was primary.
fn role(node: &Node) -> String {
    match (node.state, node.role.as_deref()) {
        (State::Up, Some(role)) | (State::CutOff, Some(role @ ("primary" | "deposed"))) => role.to_owned(),
        (State::Up, None) => "silent".to_owned(),
        (state, _) => state.text().to_owned(),
    }
}
