//! What happened in a run, as text: two runs of a seed must agree in every byte.

use std::fmt::{self, Arguments};
use std::hash::{DefaultHasher, Hasher};

use madsim::time::TimeHandle;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// A run's events. The text itself is kept only if somebody wants to read it.
#[derive(Debug)]
pub struct Trace {
    hasher: DefaultHasher,
    text: Option<String>,
}

impl Trace {
    pub fn new(keeps_text: bool) -> Trace {
        Trace { hasher: DefaultHasher::new(), text: keeps_text.then(String::new) }
    }

    /// Adds an event, at the current virtual time.
    pub fn event(&mut self, event: Arguments<'_>) {
        let line = format!("{:15.9} {event}\n", TimeHandle::current().elapsed().as_secs_f64());
        self.hasher.write(line.as_bytes());
        if let Some(text) = &mut self.text {
            text.push_str(&line);
        }
    }

    /// A number that differs when any event does.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

/// Prints what the nodes of all runs from now on log.
pub fn show_logs(filter: &str) {
    let lines = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_timer(VirtualTime);
    lines.with_ansi(false).with_writer(std::io::stderr).init();
}

struct VirtualTime;

impl FormatTime for VirtualTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let elapsed = TimeHandle::try_current().map_or(0.0, |time| time.elapsed().as_secs_f64());
        write!(writer, "{elapsed:15.9}")
    }
}
