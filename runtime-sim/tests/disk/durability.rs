//! What a crash leaves, and what it may take.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use madsim::rand::{Rng, thread_rng};
use madsim::time::Instant;
use mneme_driver::env::{Disk, File};
use mneme_runtime_sim::{DiskOptions, DiskStats};

use crate::{SECTOR, content, crash, error_kind, for_each_seed, latencies, make, with_seed};

#[test]
fn what_is_synced_survives_every_crash() {
    for_each_seed(async |disk| {
        let mut disk = disk;
        let mut expected = vec![0; 20_000];
        make(&disk, "file", &expected).await?;
        for round in 1..5 {
            let file = disk.open("file").await?;
            for _ in 0..5 {
                let bytes = vec![round; thread_rng().gen_range(0..3_000)];
                let offset = thread_rng().gen_range(0..10_000);
                file.write_at(offset, &bytes).await?;
                expected[offset as usize..][..bytes.len()].copy_from_slice(&bytes);
            }
            file.sync().await?;
            file.write_at(15_000, &[round; 5_000]).await?;
            disk = crash(&disk).await;
            let found = content(&disk, "file").await?.expect("its name is durable");
            assert_eq!(found[..15_000], expected[..15_000]);
        }
        Ok(())
    });
}

#[test]
fn an_unsynced_write_is_kept_dropped_or_torn_at_sectors() {
    let outcomes = for_each_seed(async |disk| {
        make(&disk, "file", &[0; 8 * SECTOR]).await?;
        // Not at the beginning of a sector: its first piece is shorter.
        let written = 100..7 * SECTOR + 100;
        disk.open("file").await?.write_at(100, &[1; 7 * SECTOR]).await?;
        let disk = crash(&disk).await;
        let found = content(&disk, "file").await?.expect("its name is durable");
        assert!(found[..100].iter().chain(&found[written.end..]).all(|&byte| byte == 0));
        let sectors = found.chunks(SECTOR).enumerate().map(|(index, sector)| {
            let inside = &sector[written.start.saturating_sub(index * SECTOR)..];
            let inside = &inside[..inside.len().min(written.end - index * SECTOR)];
            assert!(inside.iter().all(|byte| byte == &inside[0]), "sectors are atomic");
            inside[0] == 1
        });
        let sectors: Vec<bool> = sectors.collect();
        let stats = disk.stats();
        assert_eq!(stats.crashes, 1);
        assert_eq!(stats.writes_kept + stats.writes_dropped + stats.writes_torn, 1);
        assert_eq!(stats.writes_kept == 1, sectors.iter().all(|kept| *kept));
        assert_eq!(stats.writes_dropped == 1, sectors.iter().all(|kept| !*kept));
        Ok(sectors)
    });
    let outcomes: BTreeSet<_> = outcomes.into_iter().collect();
    assert!(outcomes.contains(&vec![true; 8]), "kept");
    assert!(outcomes.contains(&vec![false; 8]), "dropped");
    let prefixes = outcomes.iter().filter(|sectors| sectors.is_sorted_by(|left, right| left >= right)).count();
    assert!(prefixes > 4, "torn after a prefix");
    assert!(outcomes.len() > prefixes + 10, "torn anywhere");
}

#[test]
fn a_write_within_a_sector_is_never_torn() {
    let outcomes = for_each_seed(async |disk| {
        make(&disk, "file", &[0; SECTOR]).await?;
        disk.open("file").await?.write_at(0, &[1; SECTOR]).await?;
        let disk = crash(&disk).await;
        assert_eq!(disk.stats().writes_torn, 0);
        content(&disk, "file").await
    });
    let outcomes: BTreeSet<_> = outcomes.into_iter().collect();
    assert_eq!(outcomes, BTreeSet::from([Some(vec![0; SECTOR]), Some(vec![1; SECTOR])]));
}

#[test]
fn an_unsynced_length_holds_or_not() {
    let lengths = for_each_seed(async |disk| {
        make(&disk, "grown", &[1; 100]).await?;
        make(&disk, "cut", &[1; 100]).await?;
        disk.open("grown").await?.allocate(64 << 20).await?;
        disk.open("cut").await?.truncate(50).await?;
        let disk = crash(&disk).await;
        Ok((disk.open("grown").await?.size().await?, disk.open("cut").await?.size().await?))
    });
    let lengths: BTreeSet<_> = lengths.into_iter().collect();
    assert_eq!(lengths, BTreeSet::from([(100, 50), (100, 100), (64 << 20, 50), (64 << 20, 100)]));
}

#[test]
fn a_sync_covers_what_was_written_before_it_began() {
    let later = for_each_seed(async |disk| {
        make(&disk, "file", b"--").await?;
        let file = disk.open("file").await?;
        file.write_at(0, b"1").await?;
        disk.set_options(latencies(0, 20));
        let syncing = madsim::task::spawn({
            let file = disk.open("file").await?;
            async move { file.sync().await }
        });
        madsim::time::sleep(Duration::from_millis(5)).await;
        file.write_at(1, b"2").await?;
        syncing.await??;
        let disk = crash(&disk).await;
        let found = content(&disk, "file").await?.expect("its name is durable");
        assert_eq!(found[0], b'1');
        Ok(found[1])
    });
    assert!(later.contains(&b'2') && later.contains(&b'-'));
}

#[test]
fn a_folder_sync_covers_what_was_changed_before_it_began() {
    let later = for_each_seed(async |disk| {
        disk.create("before").await?;
        disk.set_options(latencies(0, 20));
        let syncing = madsim::task::spawn({
            let disk = disk.clone();
            async move { disk.sync_dir("").await }
        });
        madsim::time::sleep(Duration::from_millis(5)).await;
        disk.create("during").await?;
        syncing.await??;
        let disk = crash(&disk).await;
        assert!(content(&disk, "before").await?.is_some());
        Ok(content(&disk, "during").await?.is_some())
    });
    assert!(later.contains(&true) && later.contains(&false));
}

#[test]
fn a_creation_may_vanish_until_its_folder_is_synced() {
    let stays = for_each_seed(async |disk| {
        disk.create("synced").await?;
        disk.sync_dir("").await?;
        // Syncing the file itself does not sync its name.
        disk.create("unsynced").await?.sync().await?;
        let disk = crash(&disk).await;
        let found = disk.list("").await?;
        assert!(found.contains(&"synced".to_owned()));
        assert_eq!(disk.stats().entries_kept, found.len() as u64 - 1);
        assert_eq!(disk.stats().entries_lost, 2 - found.len() as u64);
        Ok(found.len() == 2)
    });
    assert!(stays.contains(&true) && stays.contains(&false));
}

#[test]
fn a_folder_that_vanishes_takes_its_files_along() {
    let found = for_each_seed(async |disk| {
        disk.create_dir("log").await?;
        disk.create("log/1").await?;
        disk.sync_dir("log").await?;
        let copy = disk.durable_copy();
        assert_eq!(copy.list("log").await?, [""; 0]);
        assert_eq!(disk.list_files(), [""; 0], "nothing leads to it yet");
        assert_eq!(error_kind(disk.read_file("log/1")), Some(io::ErrorKind::NotFound));
        let disk = crash(&disk).await;
        let found = disk.list("log").await?;
        disk.create_dir("log").await?;
        assert_eq!(disk.list("log").await?, found);
        Ok(found.len())
    });
    assert!(found.contains(&0) && found.contains(&1));
}

#[test]
fn a_rename_happens_or_not() {
    let renamed = for_each_seed(async |disk| {
        make(&disk, "manifest", b"old").await?;
        make(&disk, "manifest.new", b"new").await?;
        disk.rename("manifest.new", "manifest").await?;
        assert_eq!(content(&disk, "manifest").await?, Some(b"new".to_vec()));
        let disk = crash(&disk).await;
        match (content(&disk, "manifest").await?.as_deref(), content(&disk, "manifest.new").await?.as_deref()) {
            (Some(b"old"), Some(b"new")) => Ok(false),
            (Some(b"new"), None) => Ok(true),
            other => panic!("half a rename: {other:?}"),
        }
    });
    assert!(renamed.contains(&true) && renamed.contains(&false));
}

#[test]
fn a_synced_rename_stays() {
    for_each_seed(async |disk| {
        make(&disk, "from", b"content").await?;
        disk.rename("from", "to").await?;
        disk.sync_dir("").await?;
        let disk = crash(&disk).await;
        assert_eq!(disk.list("").await?, ["to"]);
        Ok(())
    });
}

#[test]
fn a_removal_happens_or_not_and_holds_once_synced() {
    let removed = for_each_seed(async |disk| {
        make(&disk, "synced", b"content").await?;
        make(&disk, "unsynced", b"content").await?;
        disk.remove("synced").await?;
        disk.sync_dir("").await?;
        disk.remove("unsynced").await?;
        let disk = crash(&disk).await;
        assert_eq!(content(&disk, "synced").await?, None);
        Ok(content(&disk, "unsynced").await?.is_none())
    });
    assert!(removed.contains(&true) && removed.contains(&false));
}

#[test]
fn a_removed_file_serves_those_who_opened_it() {
    for_each_seed(async |disk| {
        make(&disk, "file", b"content").await?;
        let file = disk.open("file").await?;
        disk.remove("file").await?;
        disk.sync_dir("").await?;
        assert_eq!(file.read_at(0, 7).await?, b"content");
        Ok(())
    });
}

#[test]
fn a_failed_sync_loses_data_that_no_later_sync_brings_back() {
    let found = for_each_seed(async |disk| {
        make(&disk, "file", b"-").await?;
        let file = disk.open("file").await?;
        file.write_at(0, b"1").await?;
        disk.create("name").await?;
        disk.set_options(DiskOptions { failed_sync: 1.0, ..DiskOptions::default() });
        assert_eq!(file.sync().await.err().and_then(|error| error.raw_os_error()), Some(5));
        assert!(disk.sync_dir("").await.is_err());
        assert_eq!(disk.stats().failed_syncs, 2);
        disk.set_options(DiskOptions::default());
        file.sync().await?;
        disk.sync_dir("").await?;
        let disk = crash(&disk).await;
        Ok((content(&disk, "file").await?, content(&disk, "name").await?.is_some()))
    });
    let found: BTreeSet<_> = found.into_iter().collect();
    assert_eq!(found.len(), 4, "either is lost or kept: {found:?}");
}

#[test]
fn handles_die_with_the_node() {
    for_each_seed(async |disk| {
        make(&disk, "file", b"content").await?;
        let file = disk.open("file").await?;
        disk.set_options(latencies(20, 20));
        let syncing = madsim::task::spawn({
            let file = disk.open("file").await?;
            async move { file.sync().await }
        });
        let creating = madsim::task::spawn({
            let disk = disk.clone();
            async move { disk.create("other").await }
        });
        madsim::time::sleep(Duration::from_millis(5)).await;
        let next = if thread_rng().gen_bool(0.5) { crash(&disk).await } else { disk.mount() };
        assert_eq!(error_kind(syncing.await?), Some(io::ErrorKind::Other));
        assert_eq!(error_kind(creating.await?), Some(io::ErrorKind::Other));
        assert_eq!(error_kind(file.write_at(0, b"x").await), Some(io::ErrorKind::Other));
        assert_eq!(error_kind(file.read_at(0, 1).await), Some(io::ErrorKind::Other));
        assert_eq!(error_kind(disk.create("new").await), Some(io::ErrorKind::Other));
        assert_eq!(content(&next, "file").await?, Some(b"content".to_vec()));
        Ok(())
    });
}

#[test]
fn the_end_of_a_process_alone_loses_nothing() {
    for_each_seed(async |disk| {
        disk.create("file").await?.write_at(0, &[1; 5_000]).await?;
        assert_eq!(content(&disk.mount(), "file").await?, Some(vec![1; 5_000]));
        Ok(())
    });
}

#[test]
fn a_durable_copy_holds_what_is_synced_and_is_independent() {
    for_each_seed(async |disk| {
        make(&disk, "file", b"old").await?;
        disk.open("file").await?.write_at(0, b"new").await?;
        disk.create("unsynced").await?;
        let copy = disk.durable_copy();
        assert_eq!(copy.list("").await?, ["file"]);
        assert_eq!(content(&copy, "file").await?, Some(b"old".to_vec()));
        assert_eq!(copy.stats(), DiskStats::default());
        copy.open("file").await?.write_at(0, b"copy").await?;
        assert_eq!(content(&disk, "file").await?, Some(b"new".to_vec()));
        assert_eq!(content(&copy, "file").await?, Some(b"copy".to_vec()));
        Ok(())
    });
}

#[test]
fn names_follow_the_rules_of_a_file_system() {
    for_each_seed(async |disk| {
        assert_eq!(error_kind(disk.create("absent/file").await), Some(io::ErrorKind::NotFound));
        assert_eq!(error_kind(disk.sync_dir("absent").await), Some(io::ErrorKind::NotFound));
        assert_eq!(disk.list("absent").await?, [""; 0]);
        assert_eq!(error_kind(disk.open("absent").await), Some(io::ErrorKind::NotFound));
        assert_eq!(error_kind(disk.remove("absent").await), Some(io::ErrorKind::NotFound));
        disk.create_dir("folder").await?;
        disk.create_dir("folder").await?;
        assert_eq!(error_kind(disk.open("folder").await), Some(io::ErrorKind::IsADirectory));
        for name in ["folder/b", "folder/a", "c"] {
            disk.create(name).await?;
        }
        assert_eq!(error_kind(disk.create("c").await), Some(io::ErrorKind::AlreadyExists));
        assert_eq!(disk.list("folder").await?, ["a", "b"]);
        assert_eq!(disk.list("").await?, ["c"]);
        Ok(())
    });
}

#[test]
fn syncs_take_their_time() {
    let slowest = for_each_seed(async |disk| {
        let file = disk.create("file").await?;
        let mut slowest = Duration::ZERO;
        for _ in 0..50 {
            let start = Instant::now();
            file.sync().await?;
            slowest = slowest.max(start.elapsed());
        }
        Ok(slowest)
    });
    assert!(slowest.iter().all(|slowest| *slowest < Duration::from_millis(31)));
    assert!(slowest.iter().any(|slowest| *slowest > Duration::from_millis(20)), "slow disks");
    assert!(slowest.iter().any(|slowest| *slowest < Duration::from_millis(2)), "fast disks");
}

#[test]
fn a_seed_repeats_what_a_crash_leaves() {
    let run = |seed| {
        with_seed(seed, async |disk| {
            for name in 0..20_u8 {
                let file = disk.create(&name.to_string()).await?;
                file.write_at(u64::from(name) * 100, &[name; 3_000]).await?;
                if thread_rng().gen_bool(0.5) {
                    disk.sync_dir("").await?;
                }
            }
            disk.rename("0", "1").await?;
            let disk = crash(&disk).await;
            let mut contents = Vec::new();
            for name in disk.list("").await? {
                contents.push((name.clone(), content(&disk, &name).await?));
            }
            Ok((contents, disk.stats(), Instant::now()))
        })
    };
    for seed in 0..20 {
        assert!(run(seed) == run(seed), "seed {seed}");
    }
    assert!(run(1).0 != run(2).0);
}

/// As a log's segment and a snapshot's manifest get their names.
#[test]
fn a_rename_over_another_file_is_undone_unless_the_targets_folder_is_synced() {
    let outcomes = for_each_seed(async |disk| {
        for folder in ["a", "b"] {
            disk.create_dir(folder).await?;
        }
        disk.sync_dir("").await?;
        for (path, bytes) in [("a/new", b"new"), ("b/file", b"old")] {
            make(&disk, path, bytes).await?;
            disk.sync_dir(&path[..1]).await?;
        }
        disk.rename("a/new", "b/file").await?;
        assert_eq!(disk.list_files(), ["a/new", "b/file"], "what is durable knows nothing of it");
        disk.sync_dir("a").await?;
        disk.open("b/file").await?.sync().await?;
        let (disk, synced) = match thread_rng().gen_bool(0.5) {
            true => {
                disk.sync_dir("b").await?;
                (crash(&disk).await, true)
            }
            false => (crash(&disk).await, false),
        };
        let renamed = match (content(&disk, "a/new").await?.as_deref(), content(&disk, "b/file").await?.as_deref()) {
            (Some(b"new"), Some(b"old")) => false,
            (None, Some(b"new")) => true,
            other => panic!("half a rename: {other:?}"),
        };
        assert_eq!(disk.stats().entries_lost, u64::from(!renamed));
        Ok((synced, renamed))
    });
    let outcomes: BTreeSet<_> = outcomes.into_iter().collect();
    assert_eq!(outcomes, BTreeSet::from([(true, true), (false, true), (false, false)]));
}

#[test]
fn a_creation_and_its_rename_are_lost_each_by_itself() {
    let found = for_each_seed(async |disk| {
        let file = disk.create("new").await?;
        file.write_at(0, b"content").await?;
        file.sync().await?;
        disk.rename("new", "file").await?;
        let disk = crash(&disk).await;
        let names = disk.list("").await?;
        for name in &names {
            assert_eq!(content(&disk, name).await?, Some(b"content".to_vec()));
        }
        Ok(names)
    });
    let found: BTreeSet<_> = found.into_iter().collect();
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    assert_eq!(found, BTreeSet::from([names(&[]), names(&["new"]), names(&["file"])]));
}
