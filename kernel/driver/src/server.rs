//! One process of a cluster: a Core, a Keeper, or both, and its links with the others.

use std::io;
use std::sync::Arc;

use mneme_kernel::core::Config;
use mneme_kernel::members::Member;

use crate::ask::{self, Founder};
use crate::courier;
use crate::directory::Directory;
use crate::env::{Env, Stream};
use crate::feed;
use crate::keeper::{Keeper, RaftTimes, Schedule, StartError};
use crate::keepers::Keepers;
use crate::link::{FrameReader, Open};
use crate::node::{FirstPassword, Node};
use crate::raft_service;
use crate::wal::OpenError;

/// What a process is told once, at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// This node's name, and how other nodes reach it.
    pub member: Member,
    /// `None`: a Keeper alone.
    pub core: Option<CoreOptions>,
    /// `None`: the Keepers are other processes.
    pub keeper: Option<KeeperOptions>,
    /// How it begins if its data folder belongs to no cluster yet; else that goes on and this is ignored.
    pub start: Start,
}

#[derive(Clone, Debug)]
pub struct CoreOptions {
    pub config: Config,
    /// Used only by a founder, for the first user.
    pub admin_password: FirstPassword,
}

#[derive(Clone, Copy, Debug)]
pub struct KeeperOptions {
    /// Bytes of a segment of the log; a single larger record makes its own segment larger.
    pub segment_bytes: u64,
    pub snapshots: Schedule,
    pub raft: RaftTimes,
}

/// How a node begins that belongs to no cluster.
#[derive(Clone, Debug)]
pub enum Start {
    /// It founds one, which serves nothing before so many Keepers are voters. Without a Keeper of its own it has the
    /// first one that asks found the Raft group.
    Found { expect_keepers: usize },
    /// These nodes, by cluster address, admit it.
    Join { nodes: Vec<String> },
}

/// A running process.
#[derive(Debug)]
pub struct Server<E: Env> {
    env: E,
    keeper: Option<Arc<Keeper<E>>>,
    node: Option<Arc<Node<E>>>,
    /// Of a Core that has founded the cluster without a Keeper.
    founder: Option<Arc<Directory<E>>>,
}

impl<E: Env> Server<E> {
    /// Recovers, takes its place in the cluster, and returns when it would serve its role now: a Core when it is primary
    /// or hot and sees one, a Keeper when it is a member and caught up.
    ///
    /// # Errors
    /// If log or snapshot are damaged or cannot be read.
    pub async fn start(env: E, options: Options) -> Result<Arc<Self>, StartError> {
        let (mut keeper, mut node, mut founder) = (None, None, None);
        if let Some(own) = options.keeper {
            let has_core = options.core.is_some();
            let (started, _) = Keeper::start(&env, options.member.clone(), &own, &options.start, has_core).await?;
            let scheduled = started.clone();
            let schedule_env = env.clone();
            env.spawn("snapshots", async move { scheduled.make_snapshots(&schedule_env, own.snapshots).await });
            keeper = Some(started);
        }
        if let Some(core) = options.core {
            let keepers = match &keeper {
                Some(keeper) => Keepers::beside(&env, keeper.clone()),
                None => {
                    let directory = Directory::load(&env).await.map_err(OpenError::from)?;
                    let directory = Arc::new(directory);
                    if matches!(options.start, Start::Found { .. }) {
                        founder = Some(directory.clone());
                    }
                    Keepers::elsewhere(&env, directory)
                }
            };
            node = Some(Node::start(env.clone(), core, keepers, keeper.clone()).await?);
        }
        Ok(Arc::new(Self { env, keeper, node, founder }))
    }

    /// Serves a link that another node, of this name by its certificate, has opened; returns when it ends.
    ///
    /// # Errors
    /// If the link broke, or what came was no frame that is known.
    pub async fn serve_link<S: Stream>(&self, stream: S, peer: &str) -> io::Result<()> {
        let (read, writer) = tokio::io::split(stream);
        let mut reader = FrameReader::new(read);
        let Some(open) = reader.message::<Open>().await? else { return Ok(()) };
        tracing::debug!(peer, ?open, "a link");
        if open == Open::Ask {
            return ask::serve(self.keeper.as_ref(), self.founder(), reader, writer).await;
        }
        let unsupported = |what| Err(io::Error::new(io::ErrorKind::Unsupported, what));
        let Some(keeper) = &self.keeper else { return unsupported("there is no Keeper here") };
        match open {
            Open::Raft { to, .. } => raft_service::serve(keeper, reader, writer, to).await,
            Open::Propose => courier::serve(&self.env, keeper, reader, writer).await,
            Open::Feed { known, own } => feed::serve(&self.env, keeper, reader, writer, known, own).await,
            Open::Forward { .. } | Open::Ask => unsupported("there are no such links yet"),
        }
    }

    /// Who decides which Keeper founds the group, if this node does.
    fn founder(&self) -> Option<&dyn Founder> {
        self.founder.as_deref().map(|directory| directory as &dyn Founder)
    }

    /// Completes when its Keeper, if it has one, is a member that keeps up: see [`Keeper::caught_up`].
    pub async fn ready(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.caught_up().await;
        }
    }

    /// Stops in order: hands over, answers what was executed, closes the log.
    pub async fn stop(&self) {
        if let Some(node) = &self.node {
            node.stop().await;
        }
        if let Some(keeper) = &self.keeper {
            keeper.stop().await;
        }
    }

    pub fn env(&self) -> &E {
        &self.env
    }

    pub fn keeper(&self) -> Option<&Arc<Keeper<E>>> {
        self.keeper.as_ref()
    }

    pub fn node(&self) -> Option<&Arc<Node<E>>> {
        self.node.as_ref()
    }
}
