//! What each node says of itself, asked again and again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use super::COUNT;
use super::access::Access;
use crate::cli::connection::Connection;
use crate::cli::fields::{fields, integer, text};
use crate::cli::stop::Stop;

/// How long after an answer a node is asked again.
const EVERY: Duration = Duration::from_millis(20);
/// How long after a failure.
const AGAIN: Duration = Duration::from_millis(100);
/// What a node has said holds for so long; it also may take so long to say it.
const FRESH: Duration = Duration::from_secs(1);

/// What a node said.
#[derive(Clone, Debug)]
pub struct Said {
    at: Instant,
    pub role: String,
    pub epoch: i64,
    /// The last entry of the log in its memory.
    pub applied: i64,
}

/// What the nodes have said last.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    said: Arc<[Mutex<Option<Said>>; COUNT]>,
}

impl Watch {
    /// Begins to ask, until this process ends.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(access: &Access) -> io::Result<Watch> {
        let watch = Watch::default();
        for node in 0..COUNT {
            let (watch, access) = (watch.clone(), access.clone());
            thread::Builder::new().name("watch".to_owned()).spawn(move || watch.ask(node, &access))?;
        }
        Ok(watch)
    }

    /// What a node has said just now; `None` if it says nothing.
    pub fn said(&self, node: usize) -> Option<Said> {
        let said = self.said[node].lock().unwrap_or_else(PoisonError::into_inner).clone();
        said.filter(|said| said.at.elapsed() < FRESH)
    }

    /// Who says that it is primary, and since when by the cluster's count. Of two that say so, one has not heard yet.
    pub fn primary(&self) -> Option<(usize, i64)> {
        newest((0..COUNT).filter_map(|node| Some((node, self.said(node)?))))
    }

    fn ask(&self, node: usize, access: &Access) {
        loop {
            if let Ok(mut connection) = access.open(node, FRESH) {
                while let Ok(said) = ask_once(&mut connection) {
                    *self.said[node].lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
                    thread::sleep(EVERY);
                }
            }
            thread::sleep(AGAIN);
        }
    }
}

fn ask_once(connection: &mut Connection) -> Result<Said, Stop> {
    let status = fields(connection.ask(&[b"CLUSTER", b"STATUS"])?);
    let number = |name: &str| status.get(name).map_or(0, integer);
    Ok(Said {
        at: Instant::now(),
        role: status.get("role").map(text).unwrap_or_default(),
        epoch: number("epoch"),
        applied: number("applied"),
    })
}

fn newest(said: impl Iterator<Item = (usize, Said)>) -> Option<(usize, i64)> {
    let primaries = said.filter(|(_, said)| said.role == "primary");
    primaries.map(|(node, said)| (node, said.epoch)).max_by_key(|(_, epoch)| *epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_made_primary_last_is_primary() {
        let said = |role: &str, epoch| Said { at: Instant::now(), role: role.to_owned(), epoch, applied: 0 };
        let nodes = [said("primary", 4), said("standby", 5), said("primary", 5)];
        assert_eq!(newest(nodes.into_iter().enumerate()), Some((2, 5)));
        assert_eq!(newest([said("standby", 5)].into_iter().enumerate()), None);
    }
}
