//! Questions between nodes, each with one answer, in order on a link of their own. Enums grow only at their end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bincode::{Decode, Encode};
use futures::future::BoxFuture;
use mneme_kernel::facade::Reach;
use mneme_kernel::members::{Group, Member};
use tokio::io::{ReadHalf, WriteHalf};

use crate::departure;
use crate::env::{Env, Stream};
use crate::everywhere;
use crate::keeper::Keeper;
use crate::link::{self, FrameReader, Open};
use crate::node::Node;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Ask {
    /// Take this Keeper into the Raft group; or, if it is in it, note where it is now.
    Admit { id: u64, member: Member },
    /// Let this voter lead, if it has the whole log.
    Transfer { to: u64 },
    /// Whether you lead a group of which a majority answers.
    Lead,
    /// Whether you have the log up to this entry: synced, if you are the Keeper of this id; applied, if you have a Core.
    Holds { keeper: Option<u64>, core: bool, index: u64 },
    /// Take the Keepers of these ids, which have this name, out of the Raft group.
    Remove { ids: Vec<u64>, name: String },
    /// Find out whether you are a member still: somebody was told to remove you.
    FindOut,
    /// Whether the Keeper of this id is a member of the Raft group, as far as you know.
    Member { id: u64 },
    /// This member of the Raft group is there now.
    Moved { id: u64, member: Member },
    /// Have another Core be primary, if you are.
    HandOver,
    /// The newest format that you read.
    Reads,
    /// Get a new certificate.
    RotateCertificate,
    /// Where clients reach your Core.
    Reach,
    /// How the Keepers are, if you lead them.
    Group,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    Done,
    /// Ask this one, if somebody is known who may know more.
    NotLeader(Option<Member>),
    /// You are the first Keeper of the cluster: found the group.
    Found,
    /// No, and why; asking again later may help.
    Refused(String),
    /// It is not among the members that the committed entry at this index names.
    Removed {
        at: u64,
    },
    /// This format, and all older ones.
    Reads(u32),
    /// There.
    Reach(Reach),
    /// By id, the last entry that each is known to have, and how many milliseconds ago it has answered.
    Group {
        matched: Vec<(u64, u64)>,
        heard: Vec<(u64, u64)>,
    },
}

/// A founder Core without a Keeper: it decides, once and durably, which Keeper founds the Raft group.
pub trait Founder: Send + Sync {
    /// The one that is to found it: whoever asked first. `None`: the group has been heard of, so it is founded.
    fn designate(&self, asking: Member) -> BoxFuture<'_, io::Result<Option<Member>>>;
}

/// Asks the node at an address.
///
/// # Errors
/// If there is no answer within the time.
pub async fn ask<E: Env>(env: &E, address: &str, question: &Ask, within: Duration) -> io::Result<Answer> {
    let begun = env.monotonic();
    let mut link = link::open(env, address, &Open::Ask, within).await?;
    let left = within.saturating_sub(env.monotonic() - begun);
    link::timeout(env, left, async {
        link::send(&mut link, question).await?;
        let answer = FrameReader::new(&mut link).message::<Answer>().await?;
        answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    })
    .await
}

/// Asks the node at an address over a link that is kept for the next question, if there is an answer: both, if so. To connect
/// may take as long as patience lasts, and to answer twice as long.
pub(crate) async fn ask_again<E: Env>(
    env: &E,
    address: &str,
    link: Option<FrameReader<E::Link>>,
    question: &Ask,
    patience: Duration,
) -> Option<(Answer, FrameReader<E::Link>)> {
    let mut link = match link {
        Some(link) => link,
        None => FrameReader::new(link::open(env, address, &Open::Ask, patience).await.ok()?),
    };
    let answer = link::timeout(env, patience * 2, async {
        link::send(link.stream(), question).await?;
        link.message::<Answer>().await
    });
    let answer = answer.await.ok()??;
    Some((answer, link))
}

/// Who is asked: the parts of a node.
pub(crate) struct Asked<'a, E: Env> {
    pub env: &'a E,
    pub keeper: Option<&'a Arc<Keeper<E>>>,
    pub node: Option<&'a Node<E>>,
    pub founder: Option<&'a dyn Founder>,
    /// The newest format that it reads.
    pub reads: u32,
    /// A Keeper that is named where there is none to answer.
    pub known: Option<Member>,
}

impl<E: Env> Asked<'_, E> {
    /// Answers what another node asks on a link; returns when it ends.
    ///
    /// # Errors
    /// If the link broke, or what came was no question.
    pub(crate) async fn serve<S: Stream>(
        &self,
        mut reader: FrameReader<ReadHalf<S>>,
        mut writer: WriteHalf<S>,
    ) -> io::Result<()> {
        while let Some(question) = reader.message::<Ask>().await? {
            let answer = self.answer(&question).await?;
            tracing::debug!(?question, ?answer, "asked");
            link::send(&mut writer, &answer).await?;
        }
        Ok(())
    }

    async fn answer(&self, question: &Ask) -> io::Result<Answer> {
        let Self { env, keeper, node, founder, reads, known } = self;
        Ok(match (question, keeper, founder) {
            (Ask::Admit { id, member }, Some(keeper), _) => keeper.admit(*id, member.clone()).await,
            (Ask::Transfer { to }, Some(keeper), _) => keeper.transfer(*to).await,
            (Ask::Lead, Some(keeper), _) => keeper.answers_for_a_majority(),
            (Ask::Admit { member, .. }, None, Some(founder)) => match founder.designate(member.clone()).await? {
                Some(designated) if designated == *member => Answer::Found,
                designated => Answer::NotLeader(designated),
            },
            (Ask::Lead, None, _) => Answer::NotLeader(known.clone()),
            (Ask::Holds { keeper: id, core, index }, keeper, _) => {
                match everywhere::holds(*env, keeper.as_ref().copied(), *node, *id, *core, *index).await {
                    true => Answer::Done,
                    false => Answer::Refused("not yet".into()),
                }
            }
            (Ask::Remove { ids, name }, Some(keeper), _) => keeper.remove(ids, name).await,
            (Ask::FindOut, Some(keeper), _) => {
                departure::find_out(keeper).await;
                Answer::Done
            }
            (Ask::Member { id }, Some(keeper), _) => keeper.knows(*id),
            (Ask::Moved { id, member }, Some(keeper), _) => keeper.moved(*id, member.clone()).await,
            (Ask::HandOver, ..) => {
                if let Some(node) = node {
                    node.hand_over().await;
                }
                Answer::Done
            }
            (Ask::Reads, ..) => Answer::Reads(*reads),
            (Ask::RotateCertificate, ..) => match env.rotate_certificate().await {
                Ok(()) => Answer::Done,
                Err(why) => Answer::Refused(why),
            },
            (Ask::Reach, ..) => match node {
                Some(node) => Answer::Reach(node.reach.clone()),
                None => Answer::NotLeader(None),
            },
            (Ask::Group, Some(keeper), _) if keeper.leads() => {
                let Group { matched, heard, .. } = keeper.group();
                let heard = heard.into_iter().map(|(id, ago)| (id, ago.as_millis() as u64)).collect();
                Answer::Group { matched, heard }
            }
            _ => Answer::NotLeader(None),
        })
    }
}
