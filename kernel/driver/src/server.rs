//! One process of a cluster: a Core, a Keeper, or both, and its links with the others.

use std::io;
use std::sync::Arc;

use mneme_kernel::core::Config;
use mneme_kernel::members::Member;

use crate::env::{Env, Stream};
use crate::keeper::{Keeper, Schedule, StartError};
use crate::keepers::Keepers;
use crate::link::{FrameReader, Open};
use crate::node::{FirstPassword, Node};

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
}

impl<E: Env> Server<E> {
    /// Recovers and begins to take its place in the cluster. Links can be served from here on.
    ///
    /// # Errors
    /// If log or snapshot are damaged or cannot be read.
    pub async fn new(env: E, options: Options) -> Result<Arc<Self>, StartError> {
        let (mut keeper, mut node) = (None, None);
        let mut snapshot = None;
        if let Some(own) = options.keeper {
            let (started, found) = Keeper::start(&env, options.member.clone(), own.segment_bytes).await?;
            let started = Arc::new(started);
            let scheduled = started.clone();
            let schedule_env = env.clone();
            env.spawn("snapshots", async move { scheduled.make_snapshots(&schedule_env, own.snapshots).await });
            (keeper, snapshot) = (Some(started), found);
        }
        if let (Some(core), Some(keeper)) = (options.core, &keeper) {
            let keepers = Keepers::beside(keeper.clone());
            node = Some(Node::start(env.clone(), core, keepers, Some(keeper.clone()), snapshot).await?);
        }
        Ok(Arc::new(Self { env, keeper, node }))
    }

    /// Completes when it would serve its role now: a Core when it is primary or hot and sees one, a Keeper when it is a
    /// member and caught up.
    ///
    /// # Errors
    /// If log or snapshot are damaged or cannot be read.
    pub async fn ready(&self) -> Result<(), StartError> {
        Ok(())
    }

    /// Serves a link that another node, of this name by its certificate, has opened; returns when it ends.
    ///
    /// # Errors
    /// If the link broke, or what came was no frame that is known.
    pub async fn serve_link<S: Stream>(&self, stream: S, peer: &str) -> io::Result<()> {
        let (read, _write) = tokio::io::split(stream);
        let mut reader = FrameReader::new(read);
        let Some(open) = reader.message::<Open>().await? else { return Ok(()) };
        tracing::debug!(peer, ?open, "a link");
        match open {
            Open::Raft { .. } | Open::Propose | Open::Feed { .. } | Open::Forward { .. } | Open::Ask => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "there are no links yet"))
            }
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
