//! The slow log: the newest commands that took long, as `SLOWLOG GET` shows them.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::commands::is_word;
use crate::resp::Args;
use crate::session::Session;
use crate::time::Wall;

/// Arguments of a command that are kept, and bytes of each, as in Redis.
const ARGS: usize = 32;
const ARG_BYTES: usize = 128;

/// A slow command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Unique in this process, from 0, also after a reset.
    pub id: u64,
    pub at: Wall,
    pub took: Duration,
    /// Shortened, and without passwords.
    pub args: Vec<Vec<u8>>,
    pub address: String,
    pub client: String,
}

/// The newest slow commands.
#[derive(Debug, Default)]
pub(crate) struct SlowLog {
    /// The newest first.
    entries: VecDeque<Entry>,
    next_id: u64,
}

impl SlowLog {
    pub(crate) fn add(&mut self, at: Wall, took: Duration, args: Vec<Vec<u8>>, session: &Session, bound: usize) {
        let entry = Entry {
            id: self.next_id,
            at,
            took,
            args,
            address: session.peer.address.clone(),
            client: session.name.clone(),
        };
        self.next_id += 1;
        self.entries.push_front(entry);
        self.cut(bound);
    }

    pub(crate) fn cut(&mut self, bound: usize) {
        self.entries.truncate(bound);
    }

    pub(crate) fn entries(&self) -> &VecDeque<Entry> {
        &self.entries
    }

    /// Entries ever made, forgotten ones too.
    pub(crate) fn made(&self) -> u64 {
        self.next_id
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

/// A command's arguments as the log keeps them.
pub(crate) fn shown(args: Args<'_>) -> Vec<Vec<u8>> {
    let kept = if args.len() > ARGS { ARGS - 1 } else { args.len() };
    let mut shown: Vec<Vec<u8>> = (0..kept)
        .map(|i| {
            let arg = args.at(i);
            if is_secret(args, i) {
                b"(redacted)".to_vec()
            } else if arg.len() > ARG_BYTES {
                let more = alloc::format!("... ({} more bytes)", arg.len() - ARG_BYTES);
                [&arg[..ARG_BYTES], more.as_bytes()].concat()
            } else {
                arg.to_vec()
            }
        })
        .collect();
    if kept < args.len() {
        shown.push(alloc::format!("... ({} more arguments)", args.len() - kept).into_bytes());
    }
    shown
}

/// Whether an argument may be a password.
fn is_secret(args: Args<'_>, i: usize) -> bool {
    let is = |at: usize, word| args.get(at).is_some_and(|arg| is_word(arg, word));
    let follows = |word| i > 0 && is(i - 1, word);
    if is(0, "auth") {
        i >= 1
    } else if is(0, "hello") {
        (i > 1 && is(i - 1, "auth")) || (i > 2 && is(i - 2, "auth"))
    } else if is(0, "user") {
        follows("password")
    } else if is(0, "acl") {
        is(1, "setuser") && i >= 3
    } else if is(0, "config") {
        let name = if i >= 3 { args.at(i - 1).to_ascii_lowercase() } else { Vec::new() };
        ["pass", "secret"].iter().any(|word| name.windows(word.len()).any(|part| part == word.as_bytes()))
    } else {
        is(0, "migrate") && (follows("auth") || follows("auth2") || (i > 1 && is(i - 2, "auth2")))
    }
}
