//! A log or snapshot that cannot be trusted, while other Keepers have a group that goes on without it: it is moved out
//! of the way, and its Keeper begins anew under another id (DESIGN.md section 4). Nobody votes or acknowledges by it.

use std::io;
use std::time::Duration;

use mneme_kernel::probe::Probe;

use crate::ask::{Answer, Ask, ask};
use crate::env::{Disk, Env, File};
use crate::{snapshot, wal};

/// Says that what is in the log's folder is void: it goes away before anything else of the log, and only then.
const VOID: &str = "void";
/// How long somebody who is asked may take, and the pause between two rounds of asking.
const ASK_PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_secs(1);

/// Waits until one of these nodes leads a group that a majority of Keepers makes up now.
pub(crate) async fn until_others_lead<E: Env>(env: &E, nodes: &[String]) {
    let mut hint = None;
    loop {
        let hinted: Option<String> = hint.take();
        for address in hinted.iter().chain(nodes) {
            match ask(env, address, &Ask::Lead, ASK_PATIENCE).await {
                Ok(Answer::Done) => return,
                Ok(Answer::NotLeader(Some(leader))) => hint = Some(leader.address),
                Ok(_) | Err(_) => {}
            }
        }
        env.sleep(PAUSE).await;
    }
}

/// Whether an earlier life has found the log or the snapshot void and did not get to the end of moving them.
pub(crate) async fn has_begun<E: Env>(env: &E) -> io::Result<bool> {
    Ok(env.disk().list(wal::FOLDER).await?.iter().any(|name| name == VOID))
}

/// Moves the log and the snapshot into a folder of their own, whose name is returned. A crash leaves what
/// [`has_begun`] sees: a part of a log must never be taken for the whole.
pub(crate) async fn set_aside<E: Env>(env: &E) -> io::Result<String> {
    let disk = env.disk();
    let void = format!("{}/{VOID}", wal::FOLDER);
    if has_begun(env).await? {
        env.probes().hit(Probe::SetAsideResumed);
    } else {
        disk.create_dir(wal::FOLDER).await?;
        disk.sync_dir("").await?;
        disk.create(&void).await?.sync().await?;
    }
    disk.sync_dir(wal::FOLDER).await?;
    let mut number = 1;
    let folder = loop {
        let folder = format!("damaged-{number}");
        if disk.list(&folder).await?.is_empty() {
            break folder;
        }
        number += 1;
    };
    disk.create_dir(&folder).await?;
    disk.sync_dir("").await?;
    for from in [snapshot::FOLDER, wal::FOLDER] {
        for name in disk.list(from).await?.iter().filter(|name| from != wal::FOLDER || *name != VOID) {
            disk.rename(&format!("{from}/{name}"), &format!("{folder}/{from}-{name}")).await?;
        }
        disk.sync_dir(&folder).await?;
        disk.sync_dir(from).await?;
    }
    disk.remove(&void).await?;
    disk.sync_dir(wal::FOLDER).await?;
    env.probes().hit(Probe::SetAside);
    Ok(folder)
}
