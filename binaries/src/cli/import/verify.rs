//! Reads back what was written, and compares: values by what they hold, deadlines by the millisecond.

use super::cluster::Cluster;
use crate::cli::keys::{Content, Entry, now};
use crate::cli::stop::Stop;

/// Keys that are named where they differ.
const NAMED: usize = 5;

/// Keys that are not the same on both sides.
#[derive(Debug, Default)]
pub(super) struct Wrong {
    pub(super) keys: u64,
    /// Some of them, for people.
    named: Vec<String>,
}

impl Wrong {
    pub(super) fn add(&mut self, database: &str, key: &[u8]) {
        self.keys += 1;
        if self.named.len() < NAMED {
            self.named.push(format!("\"{}\" in database {database}", key.escape_ascii()));
        }
    }

    /// An error if there are any.
    pub(super) fn check(&self) -> Result<(), Stop> {
        match self.keys {
            0 => Ok(()),
            keys => Err(Stop::Damaged(format!(
                "{keys} keys are not the same as in the source, such as {}: somebody else changes them, or it is a mistake \
                 of Mneme; --replace begins again",
                self.named.join(", ")
            ))),
        }
    }
}

/// Those of the entries, all of one database, that the cluster does not hold as they are. A deadline may be off by as much as
/// the source cannot tell it.
pub(super) fn differing(cluster: &mut Cluster, entries: Vec<Entry>, slack_ms: u64) -> Result<Vec<Entry>, Stop> {
    let Some(first) = entries.first() else { return Ok(entries) };
    let database = cluster.database(&first.database);
    let keys: Vec<Vec<u8>> = entries.iter().map(|entry| entry.key.clone()).collect();
    let held = cluster.reads.fetch(&database, &keys)?;
    let is_same = |(entry, held): &(Entry, Entry)| {
        let is_over = entry.deadline.is_some_and(|deadline| deadline <= now() + slack_ms);
        let is_on_time = match (entry.deadline, held.deadline) {
            (Some(a), Some(b)) => a.abs_diff(b) <= slack_ms,
            (a, b) => a == b,
        };
        is_over && matches!(held.content, Content::Gone) || is_on_time && entry.content.is_same(&held.content)
    };
    let pairs = entries.into_iter().zip(held);
    Ok(pairs.filter(|pair| !is_same(pair)).map(|(entry, _)| entry).collect())
}
