//! Ends in the middle of something.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use futures::FutureExt;
use madsim::rand::{Rng, thread_rng};
use madsim::task::JoinHandle;
use mneme_driver::env::{Disk, File};
use mneme_runtime_sim::{Operation, SimDisk, Step, Trap};

use crate::{content, crash, error_kind, for_each_seed, latencies, make};

/// Each operation once, in folders of their own.
fn do_everything(disk: &SimDisk) -> JoinHandle<io::Result<()>> {
    let disk = disk.clone();
    madsim::task::spawn(async move {
        for folder in ["log", "snapshot"] {
            disk.create_dir(folder).await?;
            disk.list(folder).await?;
            let file = disk.create(&format!("{folder}/new")).await?;
            file.allocate(1_000).await?;
            file.write_at(0, b"content").await?;
            file.truncate(500).await?;
            file.sync().await?;
            disk.rename(&format!("{folder}/new"), &format!("{folder}/file")).await?;
            disk.sync_dir(folder).await?;
            let file = disk.open(&format!("{folder}/file")).await?;
            file.size().await?;
            file.read_at(0, 7).await?;
            disk.remove(&format!("{folder}/file")).await?;
        }
        Ok(())
    })
}

#[test]
fn every_operation_can_be_caught() {
    const OPERATIONS: [Operation; 13] = [
        Operation::CreateFolder,
        Operation::List,
        Operation::Create,
        Operation::Open,
        Operation::Rename,
        Operation::Remove,
        Operation::SyncFolder,
        Operation::Size,
        Operation::Read,
        Operation::Write,
        Operation::Allocate,
        Operation::Truncate,
        Operation::Sync,
    ];
    for operation in OPERATIONS {
        for_each_seed(async |disk| {
            let (prefix, skip) = match thread_rng().gen_range(0..3) {
                0 => ("log/", 0),
                1 => ("snapshot/", 0),
                _ => ("", 1),
            };
            let sprung = disk.trap(Trap { after: &[], operation, prefix, skip });
            let running = do_everything(&disk);
            assert!(sprung.await);
            assert_eq!(disk.stats().traps_sprung, 1);
            // It was in the right folder that it happened.
            assert_eq!(disk.list("").await?, [""; 0]);
            let began_second = error_kind(disk.sync_dir("snapshot").await).is_none();
            assert!(prefix != "log/" || !began_second);
            assert!(prefix == "log/" || began_second || operation == Operation::CreateFolder);
            madsim::time::sleep(Duration::from_secs(3_600)).await;
            assert!(!running.is_finished(), "it hangs for ever");
            let next = if thread_rng().gen_bool(0.5) { crash(&disk).await } else { disk.mount() };
            assert_eq!(error_kind(running.await?), Some(io::ErrorKind::Other));
            next.create_dir("log").await?;
            Ok(())
        });
    }
}

#[test]
fn the_nth_is_caught_and_no_other() {
    for_each_seed(async |disk| {
        let nth = thread_rng().gen_range(0..10);
        let sprung = disk.trap(Trap { after: &[], operation: Operation::Create, prefix: "1", skip: nth });
        let running = madsim::task::spawn({
            let disk = disk.clone();
            async move {
                for number in 0..20 {
                    let file = disk.create(&format!("0{number}")).await?;
                    file.write_at(0, b"x").await?;
                    disk.create(&format!("1{number}")).await?;
                }
                io::Result::Ok(())
            }
        });
        assert!(sprung.await);
        let mut names = disk.list("").await?;
        names.retain(|name| name.starts_with('1'));
        assert!((nth..=nth + 1).contains(&(names.len() as u64)));
        // One that came by later goes its way.
        disk.create("1x").await?;
        let disk = crash(&disk).await;
        assert!(running.await?.is_err());
        disk.create("1y").await?;
        assert_eq!(disk.stats().traps_sprung, 1);
        Ok(())
    });
}

#[test]
fn one_is_caught_only_behind_what_must_come_before_it() {
    const AFTER: [Step; 2] = [(Operation::Create, "1"), (Operation::Rename, "2")];
    for_each_seed(async |disk| {
        let mut sprung = disk.trap(Trap { after: &AFTER, operation: Operation::Create, prefix: "3", skip: 0 });
        // In another order than it must be, or elsewhere.
        disk.create("x").await?;
        disk.rename("x", "2x").await?;
        disk.create("3a").await?;
        disk.create("1").await?;
        disk.create("3b").await?;
        disk.rename("1", "4").await?;
        disk.create("3c").await?;
        assert_eq!((&mut sprung).now_or_never(), None);
        disk.rename("4", "2").await?;
        let running = madsim::task::spawn({
            let disk = disk.clone();
            async move { disk.create("3d").await }
        });
        assert!(sprung.await);
        disk.crash();
        assert!(running.await?.is_err());
        Ok(())
    });
}

#[test]
fn what_is_caught_has_happened_or_not() {
    let outcomes = for_each_seed(async |disk| {
        make(&disk, "file", b"old").await?;
        make(&disk, "other", b"--").await?;
        let file = disk.open("file").await?;
        file.write_at(0, b"new").await?;
        let operation = if thread_rng().gen_bool(0.5) { Operation::Sync } else { Operation::Rename };
        let sprung = disk.trap(Trap { after: &[], operation, prefix: "", skip: 0 });
        let running = madsim::task::spawn({
            let disk = disk.clone();
            async move {
                file.sync().await?;
                disk.rename("file", "other").await
            }
        });
        assert!(sprung.await);
        let happened = match operation {
            Operation::Sync => disk.read_file("file")? == b"new",
            _ => content(&disk, "file").await?.is_none(),
        };
        // It stays as it is, and a rename that has happened is still not durable.
        let disk = crash(&disk).await;
        assert!(running.await?.is_err());
        let kept = match operation {
            Operation::Sync => disk.read_file("file")? == b"new",
            _ => !disk.list_files().contains(&"file".to_owned()),
        };
        Ok((operation == Operation::Sync, happened, kept))
    });
    let outcomes: BTreeSet<_> = outcomes.into_iter().collect();
    let expected = [
        (true, true, true),
        (true, false, true),
        (true, false, false),
        (false, true, true),
        (false, true, false),
        (false, false, false),
    ];
    assert_eq!(outcomes, BTreeSet::from(expected));
}

#[test]
fn a_renamed_file_is_caught_by_its_present_name() {
    for_each_seed(async |disk| {
        let file = disk.create("new").await?;
        disk.rename("new", "file").await?;
        let mut by_old = disk.trap(Trap { after: &[], operation: Operation::Write, prefix: "new", skip: 0 });
        file.write_at(0, b"x").await?;
        assert_eq!((&mut by_old).now_or_never(), None);
        let by_new = disk.trap(Trap { after: &[], operation: Operation::Write, prefix: "file", skip: 0 });
        assert!(!by_old.await, "another took its place");
        let running = madsim::task::spawn(async move { file.write_at(0, b"y").await });
        assert!(by_new.await);
        disk.crash();
        assert!(running.await?.is_err());
        Ok(())
    });
}

#[test]
fn a_trap_waits_for_the_next_life() {
    for_each_seed(async |disk| {
        disk.create_dir("log").await?;
        disk.sync_dir("").await?;
        make(&disk, "log/1", b"content").await?;
        disk.sync_dir("log").await?;
        let sprung = disk.trap(Trap { after: &[], operation: Operation::Read, prefix: "log/", skip: 0 });
        let disk = crash(&disk).await;
        let file = disk.open("log/1").await?;
        let recovering = madsim::task::spawn(async move { file.read_at(0, 7).await });
        assert!(sprung.await);
        disk.crash();
        assert!(recovering.await?.is_err());
        Ok(())
    });
}

#[test]
fn a_trap_that_nobody_waits_for_catches_nothing() {
    for_each_seed(async |disk| {
        drop(disk.trap(Trap { after: &[], operation: Operation::Create, prefix: "", skip: 0 }));
        disk.create("file").await?;
        // Nor does one that was given up while the operation was under way, on either side.
        disk.set_options(latencies(20, 20));
        let sprung = disk.trap(Trap { after: &[], operation: Operation::Sync, prefix: "", skip: 0 });
        let file = disk.open("file").await?;
        let running = madsim::task::spawn(async move { file.sync().await });
        madsim::time::sleep(Duration::from_millis(5)).await;
        drop(sprung);
        running.await??;
        let sprung = disk.trap(Trap { after: &[], operation: Operation::Sync, prefix: "", skip: 0 });
        let file = disk.open("file").await?;
        let running = madsim::task::spawn(async move { file.sync().await });
        madsim::time::sleep(Duration::from_millis(5)).await;
        disk.crash();
        assert!(running.await?.is_err());
        assert!(!sprung.await);
        assert_eq!(disk.stats().traps_sprung, 0);
        Ok(())
    });
}
