//! One process of a cluster: a Core, a Keeper, or both, and its links with the others.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use futures::channel::oneshot;
use futures::future::{Either, pending, select};
use mneme_kernel::core::Config;
use mneme_kernel::members::Member;

use crate::ask::{Asked, Founder};
use crate::courier;
use crate::departure::Removed;
use crate::directory::Directory;
use crate::env::{Env, Stream};
use crate::exchange;
use crate::feed;
use crate::forward;
use crate::keeper::{Keeper, RaftTimes, Schedule, StartError};
use crate::keepers::Keepers;
use crate::link::{FrameReader, Open};
use crate::node::{FirstPassword, Node};
use crate::raft_service;
use crate::wal::OpenError;
use crate::watermark::Watermark;

/// What a process is told once, at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// This node's name, and how other nodes reach it.
    pub member: Member,
    /// `None`: a Keeper alone.
    pub core: Option<CoreOptions>,
    /// `None`: the Keepers are other processes.
    pub keeper: Option<KeeperOptions>,
    /// The newest format that it reads ([`mneme_kernel::agreed`]): all that the program does, unless it claims less.
    pub reads: u32,
    /// How it begins if its data folder belongs to no cluster yet; else that goes on and this is ignored.
    pub start: Start,
}

#[derive(Clone, Debug)]
pub struct CoreOptions {
    pub config: Config,
    /// Used only by a founder, for the first user.
    pub admin_password: FirstPassword,
    /// Used only by a founder: the key of the cluster's CA, sealed.
    pub sealed_ca: Option<Vec<u8>>,
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
    directory: Arc<Directory<E>>,
    /// It is a Core that has founded the cluster without a Keeper: it decides which one founds the Raft group.
    names_founder: bool,
    reads: u32,
}

impl<E: Env> Server<E> {
    /// Recovers what is on this disk and begins to take its place in the cluster. From here on links can be served;
    /// [`Server::ready`] tells when its role can be.
    ///
    /// # Errors
    /// If log or snapshot are damaged or cannot be read.
    pub async fn new(env: E, options: Options) -> Result<Arc<Self>, StartError> {
        let mut keeper = None;
        if let Some(own) = options.keeper {
            let has_core = options.core.is_some();
            let (started, _) = Keeper::start(&env, options.member.clone(), &own, &options.start, has_core).await?;
            let scheduled = started.clone();
            let schedule_env = env.clone();
            env.spawn("snapshots", async move { scheduled.make_snapshots(&schedule_env, own.snapshots).await });
            keeper = Some(started);
        }
        let mut node = None;
        let directory = match &keeper {
            Some(keeper) => keeper.directory().clone(),
            None => Arc::new(Directory::load(&env).await.map_err(OpenError::from)?),
        };
        if let Start::Join { nodes } = &options.start {
            // A Core alone has heard of no Keeper before it has read the log from one.
            directory.hint(nodes);
        }
        let names_founder = keeper.is_none() && matches!(options.start, Start::Found { .. });
        if let Some(core) = options.core {
            if directory.core_was_removed() {
                return Err(Removed::Core.into());
            }
            // Without a link to anybody, nobody else can have anything committed.
            let alone = keeper.as_ref().is_some_and(|keeper| keeper.members().len() == 1);
            let keepers = match &keeper {
                Some(keeper) => Keepers::beside(&env, keeper.clone()),
                None => Keepers::elsewhere(&env, directory.clone()),
            };
            let mut config = core.config;
            config.founds = matches!(options.start, Start::Found { .. });
            config.reads = options.reads;
            let started = Node::start(env.clone(), config, keepers, keeper.clone(), directory.clone());
            started.set_alone(alone);
            if let Start::Found { expect_keepers } = options.start {
                let founding = started.clone();
                env.spawn("found", async move {
                    founding.found(expect_keepers, core.admin_password, core.sealed_ca).await;
                });
            }
            node = Some(started);
        }
        Ok(Arc::new(Self { env, keeper, node, directory, names_founder, reads: options.reads }))
    }

    /// Completes when this process would serve its role now: a Core when it is primary or hot and sees one, a Keeper when
    /// it is a member and caught up.
    ///
    /// # Errors
    /// If what it recovers from is damaged or cannot be read.
    pub async fn ready(&self) -> Result<(), StartError> {
        if let Some(node) = &self.node {
            node.ready().await?;
        }
        if let Some(keeper) = &self.keeper {
            keeper.caught_up().await;
        }
        Ok(())
    }

    /// [`Server::new`], then [`Server::ready`].
    ///
    /// # Errors
    /// Theirs.
    pub async fn start(env: E, options: Options) -> Result<Arc<Self>, StartError> {
        let server = Self::new(env, options).await?;
        server.ready().await?;
        Ok(server)
    }

    /// Serves a link that another node, of this name by its certificate, has opened; returns when it ends.
    ///
    /// # Errors
    /// If the link broke, or what came was no frame that is known.
    pub async fn serve_link<S: Stream + 'static>(&self, stream: S, peer: &str) -> io::Result<()> {
        if let Some(node) = &self.node {
            node.is_not_alone().await;
        }
        let mut reader = FrameReader::new(stream);
        let Some(open) = reader.message::<Open>().await? else { return Ok(()) };
        tracing::debug!(peer, ?open, "a link");
        match (open, &self.node, &self.keeper) {
            (Open::Forward { from }, Some(node), _) => {
                // On a thread of its own: it waits for the Core's lock, and Raft's tasks must not.
                let (done, ended) = oneshot::channel();
                let serving = forward::serve(node.clone(), reader, from);
                self.env.spawn_thread("forwarded", async move {
                    let _ = done.send(serving.await);
                });
                ended.await.unwrap_or_else(|_| Err(io::ErrorKind::ConnectionAborted.into()))
            }
            (Open::Exchange { from }, Some(node), _) => exchange::serve(node, reader, from).await,
            (Open::Raft { to, .. }, _, Some(keeper)) => {
                let (reader, write) = reader.split();
                raft_service::serve(keeper, reader, write, to).await
            }
            (Open::Ask, node, keeper) => {
                let (reader, write) = reader.split();
                let founder = self.names_founder.then_some(&*self.directory as &dyn Founder);
                let known = self.directory.keepers().into_iter().next();
                let (env, keeper, node, reads) = (&self.env, keeper.as_ref(), node.as_deref(), self.reads);
                Asked { env, keeper, node, founder, reads, known }.serve(reader, write).await
            }
            (Open::Propose, _, Some(keeper)) => {
                let (reader, write) = reader.split();
                courier::serve(&self.env, keeper, reader, write).await
            }
            (Open::Feed { known, own }, _, Some(keeper)) => {
                let (reader, write) = reader.split();
                feed::serve(&self.env, keeper, reader, write, known, own).await
            }
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "this node does not serve such links")),
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

    /// Completes when this node, or its Keeper, is a member of the cluster no more: then the process is to end.
    pub async fn removed(&self) -> Removed {
        let keeper = raised(self.keeper.as_ref().map(|keeper| keeper.removed()));
        let core = raised(self.node.as_ref().map(|node| &node.removed));
        match select(pin!(keeper), pin!(core)).await {
            Either::Left(_) => Removed::Keeper,
            Either::Right(_) => Removed::Core,
        }
    }

    /// The cluster addresses of the nodes that this one knows: Keepers and Cores.
    pub fn addresses(&self) -> Vec<String> {
        let mut addresses = self.directory.addresses();
        if let Some(node) = &self.node {
            let cores =
                node.with_core(|core| core.cores().iter().map(|(_, core)| core.address.clone()).collect::<Vec<_>>());
            addresses.extend(cores);
        }
        addresses.dedup();
        addresses
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

/// Completes when it is 1; never, if there is none.
async fn raised(watermark: Option<&Watermark>) {
    match watermark {
        Some(watermark) => watermark.reached(1).await,
        None => pending().await,
    }
}
