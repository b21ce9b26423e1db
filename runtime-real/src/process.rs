//! What the operating system knows of this process.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The process now. What the system does not tell is `None`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub resident_bytes: Option<u64>,
    pub virtual_bytes: Option<u64>,
    pub threads: Option<u64>,
    /// Processor time of all threads.
    pub cpu: Duration,
    pub open_files: Option<u64>,
    pub max_files: Option<u64>,
}

impl Process {
    pub(crate) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Self {
            resident_bytes: field(&status, "VmRSS:").map(|kilobytes| kilobytes * 1024),
            virtual_bytes: field(&status, "VmSize:").map(|kilobytes| kilobytes * 1024),
            threads: field(&status, "Threads:"),
            cpu: Duration::new(cpu.tv_sec.unsigned_abs(), cpu.tv_nsec as u32),
            // One of them is the folder itself.
            open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count().saturating_sub(1) as u64),
            max_files: getrlimit(Resource::Nofile).current,
        }
    }
}

/// Lets the process have as many connections as the system allows it.
///
/// # Errors
/// If the system refuses; the limit is what it was.
pub fn raise_file_limit() -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// When this was first asked, at the process's start.
pub(crate) fn started() -> Duration {
    static STARTED: OnceLock<Duration> = OnceLock::new();
    *STARTED.get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A line's number.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
