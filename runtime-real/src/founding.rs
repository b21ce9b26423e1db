//! How a node that belongs to no cluster comes to belong to one: it founds one, or joins one.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::join::{JoinError, Joiner, Request, State};
use crate::trust::{Identity, TrustError};

/// How long after a round in vain the next one begins: twice as long each time, up to the second number.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// After so many rounds for the same reason it is told why nothing happens.
const PATIENT_ROUNDS: u32 = 3;

/// Why a node does not come to belong.
#[derive(Debug, thiserror::Error)]
pub enum FoundingError {
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// What a listed node is to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// It is this one.
    Oneself,
    /// It belongs to a cluster.
    Belongs,
    /// It was given a list as well, and belongs to no cluster.
    Empty,
    /// It gave no answer that can be trusted.
    Silent,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Found,
    /// Join by these places of the list.
    Join(Vec<usize>),
    Wait(Reason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Some listed nodes do not answer: one of them may belong to a cluster.
    Silence,
    /// The first listed is the one to found.
    OthersTurn,
    /// This node would be the one, and is a Keeper alone.
    KeepersDoNotFound,
}

/// The rule (DESIGN section 7): never found while a listed node belongs to a cluster, and only if this is the first one of
/// the list, after every other has answered that it is empty. So all nodes may get the same list.
pub(crate) fn decide(list: &[Listed], may_found: bool) -> Decision {
    let belonging: Vec<usize> = (0..list.len()).filter(|i| list[*i] == Listed::Belongs).collect();
    if !belonging.is_empty() {
        Decision::Join(belonging)
    } else if list.contains(&Listed::Silent) {
        Decision::Wait(Reason::Silence)
    } else if list.first() != Some(&Listed::Oneself) {
        Decision::Wait(Reason::OthersTurn)
    } else if !may_found {
        Decision::Wait(Reason::KeepersDoNotFound)
    } else {
        Decision::Found
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// This node is to found.
    Found,
    /// This node was admitted; its identity is in its folder.
    Joined,
}

/// A node that looks for its cluster.
#[derive(Debug)]
pub(crate) struct Seeker {
    pub joiner: Joiner,
    pub identity: Identity,
    /// Cluster addresses, as the operator listed them.
    pub list: Vec<String>,
    /// This node's own, by which it finds itself in the list.
    pub addresses: Vec<String>,
    /// As other nodes are told.
    pub instance: u64,
    pub may_found: bool,
}

impl Seeker {
    /// Goes on until this node belongs, or is the one to found.
    ///
    /// # Errors
    /// If a listed node says that the secret is another one, or a file cannot be written.
    pub(crate) async fn seek(&self) -> Result<Outcome, FoundingError> {
        let mut pause = FIRST_PAUSE;
        let mut complaints = Complaints::default();
        loop {
            let (list, mut silence) = self.ask_all().await?;
            match decide(&list, self.may_found) {
                Decision::Found => return Ok(Outcome::Found),
                Decision::Join(places) => match self.join(places.iter().map(|i| self.list[*i].clone())).await? {
                    Ok(()) => return Ok(Outcome::Joined),
                    Err(error) => complaints.hear(&error.to_string()),
                },
                Decision::Wait(Reason::Silence) => {
                    silence.sort_unstable();
                    complaints.hear(&format!("not every listed node answers: {}", silence.join("; ")));
                }
                Decision::Wait(Reason::OthersTurn) => {
                    complaints.hear(&format!("{} is first in --join, and has not founded the cluster yet", self.list[0]));
                }
                Decision::Wait(Reason::KeepersDoNotFound) => complaints.hear(
                    "this Keeper is first in --join, and a Keeper alone founds no cluster: list a Core first, or start one without --join",
                ),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Asks all listed nodes at once; also returns what was heard instead of answers.
    async fn ask_all(&self) -> Result<(Vec<Listed>, Vec<String>), JoinError> {
        let mut asked = JoinSet::new();
        let mut list = vec![Listed::Silent; self.list.len()];
        for (place, address) in self.list.iter().enumerate() {
            if self.addresses.contains(address) {
                list[place] = Listed::Oneself;
                continue;
            }
            let (joiner, address) = (self.joiner.clone(), address.clone());
            asked.spawn(async move { (place, joiner.state(&address).await) });
        }
        let mut silence = Vec::new();
        while let Some(answered) = asked.join_next().await {
            let (place, answer) = match answered {
                Ok(answered) => answered,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            list[place] = match answer {
                Ok(State { instance, .. }) if instance == self.instance => Listed::Oneself,
                Ok(State { belongs: true, .. }) => Listed::Belongs,
                Ok(State { belongs: false, .. }) => Listed::Empty,
                Err(error) if error.is_wrong_secret() => return Err(error),
                Err(error) => {
                    silence.push(error.to_string());
                    Listed::Silent
                }
            };
        }
        Ok((list, silence))
    }

    /// Joins by one of these nodes, or one that they name.
    async fn join(&self, nodes: impl Iterator<Item = String>) -> Result<Result<(), JoinError>, FoundingError> {
        let request = Request {
            node: self.identity.node.clone(),
            names: self.identity.names.clone(),
            key: self.identity.request()?,
        };
        match admit_by(&self.joiner, nodes.collect(), &request).await {
            Ok((address, admitted)) => {
                let mut known = vec![address];
                known.extend(admitted.nodes);
                known.extend(self.list.iter().cloned());
                known.retain(|node| !self.addresses.contains(node));
                let mut seen = std::collections::BTreeSet::new();
                known.retain(|node| seen.insert(node.clone()));
                self.identity.accept(&admitted.ca, &admitted.certificate, &known)?;
                Ok(Ok(()))
            }
            Err(error) if error.is_wrong_secret() => Err(error.into()),
            Err(error) => Ok(Err(error)),
        }
    }
}

/// Has the first of these nodes that can sign a request; those that cannot name others. Returns who did.
pub(crate) async fn admit_by(
    joiner: &Joiner,
    mut nodes: Vec<String>,
    request: &Request,
) -> Result<(String, crate::join::Admitted), JoinError> {
    let mut last = None;
    let mut next = 0;
    while let Some(address) = nodes.get(next).cloned() {
        next += 1;
        match joiner.admit(&address, request.clone()).await {
            Ok(admitted) => return Ok((address, admitted)),
            Err(JoinError::Elsewhere { nodes: others, address }) => {
                for other in others.iter().take(MOST_NAMED) {
                    if !nodes.contains(other) {
                        nodes.push(other.clone());
                    }
                }
                last = Some(JoinError::Elsewhere { address, nodes: others });
            }
            Err(error) if error.is_wrong_secret() => return Err(error),
            Err(error) => last = Some(error),
        }
        if next >= MOST_NAMED {
            break;
        }
    }
    Err(last.unwrap_or_else(|| JoinError::Connection {
        address: "no node".into(),
        error: std::io::Error::other("the address of no other node is known"),
    }))
}

/// Nodes that are asked one after the other.
const MOST_NAMED: usize = 32;

/// Tells why nothing happens: once for each reason, and not before it has lasted.
#[derive(Debug, Default)]
struct Complaints {
    last: String,
    rounds: u32,
}

impl Complaints {
    fn hear(&mut self, why: &str) {
        if why != self.last {
            *self = Self { last: why.into(), rounds: 0 };
        }
        self.rounds += 1;
        if self.rounds == PATIENT_ROUNDS {
            tracing::warn!("no cluster yet, trying on: {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Listed::{Belongs, Empty, Oneself, Silent};
    use super::*;

    #[test]
    fn only_the_first_listed_founds_and_only_if_all_others_are_empty() {
        for (list, wanted) in [
            (&[Oneself][..], Decision::Found),
            (&[Oneself, Empty, Empty], Decision::Found),
            (&[Empty, Oneself, Empty], Decision::Wait(Reason::OthersTurn)),
            (&[Empty], Decision::Wait(Reason::OthersTurn)),
            (&[Silent], Decision::Wait(Reason::Silence)),
            (&[Oneself, Silent, Empty], Decision::Wait(Reason::Silence)),
            (&[Silent, Oneself], Decision::Wait(Reason::Silence)),
            (&[Oneself, Belongs, Silent], Decision::Join(vec![1])),
            (&[Oneself, Empty, Belongs], Decision::Join(vec![2])),
            (&[Belongs, Oneself, Belongs], Decision::Join(vec![0, 2])),
            (&[Belongs], Decision::Join(vec![0])),
            // The same node under two names.
            (&[Oneself, Oneself, Empty], Decision::Found),
            (&[], Decision::Wait(Reason::OthersTurn)),
        ] {
            assert_eq!(decide(list, true), wanted, "{list:?}");
        }
    }

    #[test]
    fn a_keeper_alone_founds_nothing_and_joins() {
        assert_eq!(decide(&[Oneself, Empty], false), Decision::Wait(Reason::KeepersDoNotFound));
        assert_eq!(decide(&[Oneself, Belongs], false), Decision::Join(vec![1]));
        assert_eq!(decide(&[Empty, Oneself], false), Decision::Wait(Reason::OthersTurn));
    }
}
