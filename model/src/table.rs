//! The request table (rules 9 and 10): the replies of forwarded requests, as long as their origins may ask for them.

use std::collections::BTreeMap;

use crate::numbers::Request;
use crate::op::Reply;

/// Part of the replicated state: every Core has it from accepted batches. A primary's is ahead, as its data is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Table(BTreeMap<Request, Reply>);

/// What a batch says about a forwarded request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    pub request: Request,
    pub reply: Reply,
    /// The origin has the replies of all requests of this client below this number.
    pub acknowledged: u8,
}

impl Table {
    pub fn get(&self, request: Request) -> Option<Reply> {
        self.0.get(&request).copied()
    }

    pub fn record(&mut self, record: &Record) {
        let Record { request, reply, acknowledged } = *record;
        self.0.retain(|known, _| known.client != request.client || known.number >= acknowledged);
        self.0.insert(request, reply);
    }
}
