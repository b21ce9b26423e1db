//! What pages that watch are told each second: computed once a session, and only while one watches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mneme_driver::node::Node;
use mneme_driver::outlook::{Outlook, Seen};
use mneme_kernel::histogram::Histogram;
use mneme_kernel::level::Level;
use mneme_kernel::resp::Value;
use serde_json::json;

use super::conversation::{Conversation, Silence, Words};
use super::encoding;
use crate::env::RealEnv;

/// How often.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// What was told just now is told to the session's other pages as well.
const FRESH: Duration = Duration::from_millis(900);
/// Replies below which a second has no percentiles worth showing: the console's own are among them.
const FEW: u64 = 8;

/// The source of one session's pages.
#[derive(Debug)]
pub(super) struct Feed {
    conversation: Conversation,
    outlook: Outlook<RealEnv>,
    last: Option<(Instant, Arc<str>)>,
    /// How long replies had taken when it was told last.
    replies: Option<Histogram>,
}

impl Feed {
    pub(super) fn new(conversation: Conversation) -> Self {
        Self { conversation, outlook: Outlook::default(), last: None, replies: None }
    }

    /// What there is to tell now, as JSON.
    pub(super) async fn told(&mut self, node: &Node<RealEnv>, ready: &str) -> Result<Arc<str>, Silence> {
        if let Some((at, told)) = &self.last
            && at.elapsed() < FRESH
        {
            return Ok(told.clone());
        }
        let (begun, questions) = (Instant::now(), questions());
        let (replies, seen) = futures::join!(self.conversation.ask(&questions), self.outlook.look(node));
        let replies = replies?;
        if replies.iter().any(has_no_user) {
            return Err(Silence::Ended);
        }
        let [status, info] = [0, 1].map(|i| replies.get(i).map(encoding::reply));
        let (latency, outlook) = (self.latency(node), seen.map(|seen| seen.as_ref().map(by_keeper)));
        // `outlook`: absent where CLUSTER STATUS says it, `[null]` if the leader does not answer.
        let outlook = outlook.map(|seen| [seen]);
        let told = json!({ "ready": ready, "status": status, "info": info, "latency": latency, "outlook": outlook });
        let told: Arc<str> = told.to_string().into();
        self.last = Some((begun, told.clone()));
        Ok(told)
    }

    /// Of replies since the last time, in microseconds from a request's arrival until its reply could leave.
    fn latency(&mut self, node: &Node<RealEnv>) -> Option<serde_json::Value> {
        let mut now = Histogram::default();
        for level in [Level::Eventual, Level::Quorum, Level::All] {
            now.add(&node.traffic().replies(level));
        }
        let since = now.since(&self.replies.replace(now)?);
        let micros = |share| since.quantile(share).as_micros() as u64;
        (since.count() >= FEW).then(|| json!({ "p50": micros(0.5), "p99": micros(0.99), "count": since.count() }))
    }
}

/// Keepers by id, as CLUSTER STATUS writes it: what they have, and when they were heard.
fn by_keeper(seen: &Seen) -> serde_json::Value {
    let heard = |id: u64| seen.heard.iter().find(|(heard, _)| *heard == id).map(|(_, ago)| *ago);
    let keeper =
        |(id, matched): &(u64, u64)| (format!("{id:016x}"), json!({ "matched": matched, "heard": heard(*id) }));
    serde_json::Value::Object(seen.matched.iter().map(keeper).collect())
}

fn questions() -> [Words; 2] {
    let words = |text: &str| text.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    [words("CLUSTER STATUS"), words("INFO server clients memory persistence stats replication keyspace")]
}

/// Whether the connection's user has been dropped, or has another password.
pub(super) fn has_no_user(reply: &Value) -> bool {
    matches!(reply, Value::Error(why) if why.starts_with("NOAUTH"))
}
