//! How the Keepers are, for whoever watches a node whose own Keeper does not lead them: the one that leads is asked, only
//! while somebody watches.

use std::fmt;
use std::time::Duration;

use crate::ask::{Answer, Ask, ask_again};
use crate::env::Env;
use crate::link::FrameReader;
use crate::node::Node;

/// How long the leader may take to connect, and half as long as it may take to answer.
const PATIENCE: Duration = Duration::from_millis(300);

/// What the leader says of the Keepers, by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The last entry that each is known to have.
    pub matched: Vec<(u64, u64)>,
    /// How many milliseconds ago each has answered, if ever.
    pub heard: Vec<(u64, u64)>,
}

/// Looks at the Keepers through the one that leads. Its link is kept for the next time.
pub struct Outlook<E: Env> {
    leader: String,
    link: Option<FrameReader<E::Link>>,
}

impl<E: Env> Default for Outlook<E> {
    fn default() -> Self {
        Self { leader: String::new(), link: None }
    }
}

impl<E: Env> Outlook<E> {
    /// What the leader says, or that it does not answer; `None` if none is known, or it is in this process, whose Core knows.
    pub async fn look(&mut self, node: &Node<E>) -> Option<Option<Seen>> {
        let group = node.with_core(|core| core.group().clone());
        let leader = group.leader.filter(|_| group.matched.is_empty())?;
        if leader != self.leader {
            self.link = None;
            self.leader = leader;
        }
        let answer = ask_again(node.env(), &self.leader, self.link.take(), &Ask::Group, PATIENCE).await;
        match answer {
            Some((Answer::Group { matched, heard }, link)) => {
                self.link = Some(link);
                Some(Some(Seen { matched, heard }))
            }
            // It leads no more, or not yet, or is of an older version.
            Some(_) => None,
            None => Some(None),
        }
    }
}

impl<E: Env> fmt::Debug for Outlook<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlook").field("leader", &self.leader).finish_non_exhaustive()
    }
}
