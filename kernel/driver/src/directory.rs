//! Who belongs to the cluster, as this node has heard last, and what this folder is to it: two small files, so that a node
//! that starts knows whom to ask. The first is a hint but for one thing: whom this node has told to found the Raft group, it
//! tells nobody else. By the second, what was removed from the cluster does not begin to take part again.

use std::io;
use std::sync::Mutex;

use bincode::{Decode, Encode};
use futures::future::BoxFuture;
use mneme_kernel::codec;
use mneme_kernel::members::{Member, Members};
use mneme_kernel::mutant::Mutant;

use crate::ask::Founder;
use crate::env::{Disk, Env, File};
use crate::sync::lock;
use crate::wal::checksum;

/// [`Listed`]'s file.
const CLUSTER: &str = "cluster";
/// [`Own`]'s file. A version that does not know it can go on with the other one.
const OWN: &str = "own";
/// Bytes before a file's content: version (4), CRC32C of that and the content (4).
const HEAD: usize = 8;
const VERSION: u32 = 1;
/// Other nodes that are remembered: the latest ones.
const MAX_NODES: usize = 256;

/// The nodes of the cluster.
#[derive(Debug)]
pub struct Directory<E: Env> {
    env: E,
    content: Mutex<Content>,
    /// Addresses that this life was told to try.
    hints: Mutex<Vec<String>>,
    /// Held by who writes the file.
    writing: futures::lock::Mutex<()>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Content {
    listed: Listed,
    own: Own,
}

/// Who belongs to the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct Listed {
    /// The members of the Raft group, and one more than the index of the log's entry that made them so.
    keepers: Vec<Member>,
    known: u64,
    /// Other nodes.
    nodes: Vec<Member>,
    /// Who was told to found the group.
    founder: Option<Member>,
}

/// What this folder is to the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct Own {
    /// By which the cluster tells it from others of the same node; never 0.
    identity: u32,
    /// The id of the Keeper that was a member of the Raft group, by the log's entry at that index; and of one that is none any
    /// more.
    keeper_joined: Option<(u64, u64)>,
    keeper_removed: Option<u64>,
    /// Its Core is a member no more.
    core_removed: bool,
}

impl Listed {
    fn meet(&mut self, node: &Member) {
        if self.nodes.contains(node) {
            return;
        }
        self.nodes.retain(|known| known.name != node.name);
        self.nodes.push(node.clone());
        if self.nodes.len() > MAX_NODES {
            self.nodes.remove(0);
        }
    }
}

impl<E: Env> Directory<E> {
    /// Reads the files. Without one it is empty, and with one that is damaged too: nodes are found by other ways, if
    /// slower.
    ///
    /// # Errors
    /// If the disk does.
    pub async fn load(env: &E) -> io::Result<Self> {
        let content = Content { listed: read(env, CLUSTER).await?, own: read(env, OWN).await? };
        let (hints, writing) = Default::default();
        let directory = Self { env: env.clone(), content: Mutex::new(content), hints, writing };
        if directory.identity() == 0 {
            let identity = (env.random() as u32).max(1);
            directory.note(|content| content.own.identity = identity).await;
        }
        Ok(directory)
    }

    /// What the cluster tells this folder from others of the same node by.
    pub(crate) fn identity(&self) -> u32 {
        lock(&self.content).own.identity
    }

    /// By which entry of the log the Keeper of this id was a member of the Raft group, if it was.
    pub(crate) fn keeper_joined(&self, id: u64) -> Option<u64> {
        lock(&self.content).own.keeper_joined.filter(|(joined, _)| *joined == id).map(|(_, at)| at)
    }

    /// Whether the Keeper of this id is known to be a member no more.
    pub(crate) fn keeper_was_removed(&self, id: u64) -> bool {
        lock(&self.content).own.keeper_removed == Some(id)
    }

    /// Whether this node's Core is known to be a member no more.
    pub(crate) fn core_was_removed(&self) -> bool {
        lock(&self.content).own.core_removed
    }

    pub(crate) async fn note_keeper_joined(&self, id: u64, at: u64) {
        self.note(|content| {
            // What is noted beside other tasks may come late.
            let before = content.own.keeper_joined.filter(|(joined, _)| *joined == id).map_or(0, |(_, at)| at);
            content.own.keeper_joined = Some((id, at.max(before)));
        })
        .await;
    }

    pub(crate) async fn note_keeper_removed(&self, id: u64) {
        self.note(|content| content.own.keeper_removed = Some(id)).await;
    }

    pub(crate) async fn note_core_removed(&self) {
        self.note(|content| content.own.core_removed = true).await;
    }

    /// The members of the Raft group, by id.
    pub fn keepers(&self) -> Vec<Member> {
        lock(&self.content).listed.keepers.clone()
    }

    /// All nodes' addresses, Keepers first, then whom this life was told to try.
    pub fn addresses(&self) -> Vec<String> {
        let content = lock(&self.content);
        let (listed, hints) = (&content.listed, lock(&self.hints));
        let members = listed.keepers.iter().chain(&listed.founder).chain(&listed.nodes);
        let mut addresses: Vec<String> = Vec::new();
        for address in members.map(|member| &member.address).chain(hints.iter()) {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses
    }

    /// These are worth a try while nobody better is known. Not written down.
    pub fn hint(&self, addresses: &[String]) {
        lock(&self.hints).extend_from_slice(addresses);
    }

    /// Whom to ask for what Keepers do, in this order: Keepers, beginning with that of this turn and ending with the one
    /// to spare, then the others: it may be known of none of them that they are Keepers by now.
    pub(crate) fn candidates(&self, turn: u64, spare: Option<&str>) -> Vec<String> {
        let mut keepers = self.keepers();
        if !keepers.is_empty() {
            let first = (turn % keepers.len() as u64) as usize;
            keepers.rotate_left(first);
            keepers.sort_by_key(|keeper| Some(keeper.address.as_str()) == spare);
        }
        let mut candidates: Vec<String> = keepers.into_iter().map(|keeper| keeper.address).collect();
        for address in self.addresses() {
            if !candidates.contains(&address) {
                candidates.push(address);
            }
        }
        candidates
    }

    /// Whether this node has been told of a cluster that it belongs to.
    pub fn belongs(&self) -> bool {
        let listed = &lock(&self.content).listed;
        !listed.keepers.is_empty() || listed.founder.is_some()
    }

    /// Who was told to found the group.
    pub fn founder(&self) -> Option<Member> {
        lock(&self.content).listed.founder.clone()
    }

    /// The log says at this index that these are the members of the Raft group. Older news changes nothing: who reads
    /// the log from its beginning must not forget who is there now. The disk's failure is no more than logged.
    pub async fn learn(&self, at: u64, members: &Members) {
        self.note(|Content { listed, .. }| {
            if at >= listed.known {
                listed.known = at + 1;
                let now: Vec<Member> = members.members.iter().map(|(_, member)| member.clone()).collect();
                // Those that have left may be back already, further on in the log: better asked than forgotten.
                for gone in std::mem::take(&mut listed.keepers).iter().filter(|keeper| !now.contains(keeper)) {
                    listed.meet(gone);
                }
                listed.keepers = now;
            }
        })
        .await;
    }

    /// Another node has shown itself: a Core, or a Keeper that is not yet a member.
    pub async fn meet(&self, node: &Member) {
        self.note(|content| content.listed.meet(node)).await;
    }

    /// Names the founder of the Raft group: this one, unless another was named before; returns who it is. That is on
    /// stable storage by then.
    ///
    /// # Errors
    /// If it could not be brought there; then nobody is named.
    pub async fn designate(&self, founder: Member) -> io::Result<Member> {
        let _turn = self.writing.lock().await;
        let mut content = lock(&self.content).clone();
        if let Some(founder) = content.listed.founder {
            return Ok(founder);
        }
        content.listed.founder = Some(founder.clone());
        self.write(CLUSTER, &content.listed).await?;
        *lock(&self.content) = content;
        Ok(founder)
    }

    async fn note(&self, change: impl FnOnce(&mut Content)) {
        let _turn = self.writing.lock().await;
        let before = lock(&self.content).clone();
        let mut content = before.clone();
        change(&mut content);
        *lock(&self.content) = content.clone();
        let Content { listed, own } = content;
        if listed != before.listed
            && let Err(error) = self.write(CLUSTER, &listed).await
        {
            tracing::warn!("cannot write {CLUSTER}: {error}");
        }
        if own != before.own
            && let Err(error) = self.write(OWN, &own).await
        {
            tracing::warn!("cannot write {OWN}: {error}");
        }
    }

    /// The file is the old one or the new one, whenever the machine stops.
    async fn write(&self, name: &str, content: &impl Encode) -> io::Result<()> {
        let disk = self.env.disk();
        let unfinished = format!("{name}.new");
        let file = match disk.create(&unfinished).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.remove(&unfinished).await?;
                disk.create(&unfinished).await?
            }
            created => created?,
        };
        file.write_at(0, &encode(content)).await?;
        file.sync().await?;
        disk.rename(&unfinished, name).await?;
        disk.sync_dir("").await
    }
}

impl<E: Env> Founder for Directory<E> {
    fn designate(&self, asking: Member) -> BoxFuture<'_, io::Result<Option<Member>>> {
        Box::pin(async move {
            if Mutant::TwoFounders.is_chosen() {
                return Ok(Some(asking));
            }
            if !self.keepers().is_empty() {
                return Ok(None);
            }
            Directory::designate(self, asking).await.map(Some)
        })
    }
}

/// What the file of this name says; nothing, if there is none that can be used.
async fn read<E: Env, T: Default + Decode<()>>(env: &E, name: &str) -> io::Result<T> {
    let file = match env.disk().open(name).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(T::default()),
        opened => opened?,
    };
    // A life that was killed may have left what no sync has covered: what follows relies on it.
    file.sync().await?;
    env.disk().sync_dir("").await?;
    let len = file.size().await?;
    Ok(decode(&file.read_at(0, len as usize).await?).unwrap_or_else(|why| {
        tracing::warn!("{name} {why}: other nodes have to be found anew");
        T::default()
    }))
}

fn encode(content: &impl Encode) -> Vec<u8> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    bytes.extend_from_slice(&[0; 4]);
    codec::encode(content, &mut bytes);
    let sum = sum(&bytes);
    bytes[4..HEAD].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, &'static str> {
    let (head, content) = bytes.split_at_checked(HEAD).ok_or("is too short")?;
    if head[4..] != sum(bytes).to_le_bytes() {
        return Err("is damaged");
    }
    if head[..4] != VERSION.to_le_bytes() {
        return Err("was written by another version");
    }
    codec::decode_owned(content).map_err(|_| "is damaged")
}

fn sum(bytes: &[u8]) -> u32 {
    checksum(checksum(0, &bytes[..4]), &bytes[HEAD..])
}
