//! An alarm to the microsecond. `mio` waits for whole milliseconds, which is longer than most servers take to answer.

use std::io;
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::pace::Nanos;

/// Wakes who polls.
#[derive(Debug)]
pub struct Timer(OwnedFd);

impl Timer {
    /// The registry tells by this token when it is time.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn new(registry: &Registry, token: Token) -> io::Result<Timer> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Timer(timer))
    }

    /// Wakes after this time, and not at what was set before. Nobody need read it: each alarm is told once.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn set(&self, after: Nanos) -> io::Result<()> {
        // 0 would mean never.
        let after = after.max(1);
        let it_value = Timespec { tv_sec: (after / 1_000_000_000) as i64, tv_nsec: (after % 1_000_000_000) as i64 };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}
