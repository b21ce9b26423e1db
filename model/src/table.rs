//! The request table (rules 9 and 10): the replies of forwarded requests, as long as their origins may ask for them.

use std::collections::BTreeMap;

use crate::numbers::{Node, Request};
use crate::op::Reply;

/// Part of the replicated state: every Core has it from accepted batches. A primary's is ahead, as its data is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Table {
    replies: BTreeMap<Request, Kept>,
    /// The newest life of each node.
    lives: BTreeMap<Node, u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kept {
    reply: Reply,
    origin: Node,
}

/// What a batch says about a forwarded request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    pub request: Request,
    pub reply: Reply,
    pub origin: Origin,
    /// The origin has the replies of all requests of this client below this number.
    pub acknowledged: u8,
}

/// Who forwarded a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    pub node: Node,
    pub life: u16,
}

impl Table {
    pub fn get(&self, request: Request) -> Option<Reply> {
        self.replies.get(&request).map(|kept| kept.reply)
    }

    /// A node began another life: nobody asks for the replies of the one before. A `Hello` that was sent twice begins one.
    pub fn hello(&mut self, node: Node, life: u16) {
        if self.is_unknown(Origin { node, life }) {
            self.lives.insert(node, life);
            self.replies.retain(|_, kept| kept.origin != node);
        }
    }

    pub fn is_replaced(&self, origin: Origin) -> bool {
        self.lives.get(&origin.node).is_some_and(|life| origin.life < *life)
    }

    /// Whether the `Hello` that began its life has not been applied.
    pub fn is_unknown(&self, origin: Origin) -> bool {
        self.lives.get(&origin.node).is_none_or(|life| *life < origin.life)
    }

    pub fn record(&mut self, record: &Record) {
        let Record { request, reply, origin, acknowledged } = *record;
        if self.is_replaced(origin) {
            return;
        }
        self.replies.retain(|known, _| known.client != request.client || known.number >= acknowledged);
        self.replies.insert(request, Kept { reply, origin: origin.node });
    }
}
