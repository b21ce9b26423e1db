//! Damage to what is durable, and images of it.

use std::collections::BTreeSet;
use std::io;

use madsim::rand::{Rng, thread_rng};
use mneme_driver::env::{Disk, File};
use mneme_runtime_sim::{DiskOptions, DiskStats, SimDisk};

use crate::{SECTOR, content, crash, error_kind, for_each_seed, make, with_seed};

const PAGE: usize = 4096;
const INVALID: Option<io::ErrorKind> = Some(io::ErrorKind::InvalidInput);
const ABSENT: Option<io::ErrorKind> = Some(io::ErrorKind::NotFound);

fn random_bytes(len: usize) -> Vec<u8> {
    (0..len).map(|_| thread_rng().r#gen()).collect()
}

/// Checks that the next life of the node reads what the test does.
async fn check(disk: &SimDisk, path: &str, expected: &[u8]) -> io::Result<()> {
    assert!(disk.read_file(path)? == expected, "the platter");
    assert!(content(&disk.mount(), path).await?.as_deref() == Some(expected), "the next life");
    Ok(())
}

#[test]
fn one_bit_flips() {
    let bits = for_each_seed(async |disk| {
        let bytes = random_bytes(10_000);
        make(&disk, "file", &bytes).await?;
        let offset = thread_rng().gen_range(0..10_000);
        disk.flip_bit("file", offset)?;
        let found = disk.read_file("file")?;
        check(&disk, "file", &found).await?;
        let changed: Vec<usize> = (0..10_000).filter(|at| found[*at] != bytes[*at]).collect();
        assert_eq!(changed, [offset as usize]);
        let difference = found[offset as usize] ^ bytes[offset as usize];
        assert_eq!(difference.count_ones(), 1);
        assert_eq!((disk.stats().bits_flipped, disk.stats().damages()), (1, 1));
        assert_eq!(error_kind(disk.flip_bit("file", 10_000)), INVALID);
        assert_eq!(error_kind(disk.flip_bit("absent", 0)), ABSENT);
        Ok(difference)
    });
    assert_eq!(bits.into_iter().collect::<BTreeSet<_>>().len(), 8, "any bit");
}

#[test]
fn ranges_turn_to_zeros_and_files_are_cut() {
    for_each_seed(async |disk| {
        let mut bytes = random_bytes(10_000);
        make(&disk, "file", &bytes).await?;
        let (start, len) = (thread_rng().gen_range(0..9_000), thread_rng().gen_range(900..2_000));
        assert!(disk.zero("file", start as u64, len as u64)?);
        let end = (start + len).min(10_000);
        bytes[start..end].fill(0);
        check(&disk, "file", &bytes).await?;
        assert!(!disk.zero("file", start as u64, 10)?, "it is zeros already");
        assert_eq!(error_kind(disk.zero("file", u64::MAX, 1)), INVALID);

        let len = thread_rng().gen_range(0..10_000);
        assert!(!disk.truncate_file("file", 10_000)?);
        assert!(disk.truncate_file("file", len as u64)?);
        check(&disk, "file", &bytes[..len]).await?;
        assert_eq!((disk.stats().ranges_zeroed, disk.stats().files_cut), (1, 1));
        assert_eq!(disk.used_bytes(), len as u64);
        Ok(())
    });
}

#[test]
fn a_misdirected_block_stands_at_two_places() {
    for_each_seed(async |disk| {
        let mut bytes = random_bytes(20 * SECTOR + 100);
        make(&disk, "file", &bytes).await?;
        let [from, to] = [(); 2].map(|()| thread_rng().gen_range(0..20) * SECTOR);
        let len = thread_rng().gen_range(1..4) * SECTOR;
        assert_eq!(disk.misdirect("file", from as u64, to as u64, len as u64)?, from != to);
        // At the end of the file the block is only as long as there is room for it.
        let len = len.min(bytes.len() - from.max(to));
        let block = bytes[from..from + len].to_vec();
        bytes[to..to + len].copy_from_slice(&block);
        check(&disk, "file", &bytes).await?;
        assert_eq!(disk.stats().blocks_misdirected, u64::from(from != to));
        for (from, to, len) in [(1, 0, 512), (0, 1, 512), (0, 512, 100), (0, 1 << 20, 512), (1 << 20, 0, 512)] {
            assert_eq!(error_kind(disk.misdirect("file", from, to, len)), INVALID);
        }
        Ok(())
    });
}

#[test]
fn a_stale_block_is_what_it_was_before_a_sync() {
    for_each_seed(async |disk| {
        let versions: Vec<Vec<u8>> = (0..3).map(|_| random_bytes(3 * PAGE)).collect();
        make(&disk, "file", &versions[0]).await?;
        let file = disk.open("file").await?;
        file.write_at(0, &versions[1][..PAGE]).await?;
        file.sync().await?;
        // Several writes of one sync are one step, and one that changes nothing is none.
        file.write_at(PAGE as u64, &versions[1][PAGE..2 * PAGE]).await?;
        file.write_at(PAGE as u64 + 10, &versions[2][..100]).await?;
        file.sync().await?;
        let mut bytes = disk.read_file("file")?;
        file.write_at(0, &bytes).await?;
        file.sync().await?;
        assert_eq!(disk.stale_pages("file")?, [0, PAGE as u64, 2 * PAGE as u64]);

        let sector = thread_rng().gen_range(0..16);
        let range = sector * SECTOR..(sector + 1) * SECTOR;
        assert!(disk.stale("file", range.start as u64, SECTOR as u64)?);
        bytes[range.clone()].copy_from_slice(&versions[0][range.clone()]);
        check(&disk, "file", &bytes).await?;
        assert!(!disk.stale("file", range.start as u64, SECTOR as u64)?);
        assert!(disk.stale("file", 0, 1 << 20)?);
        bytes[..2 * PAGE].copy_from_slice(&versions[0][..2 * PAGE]);
        // The third page has been written once only.
        bytes[2 * PAGE..].fill(0);
        check(&disk, "file", &bytes).await?;
        assert_eq!(disk.stale_pages("file")?, [0; 0]);
        assert_eq!(disk.stats().blocks_stale, 2);
        assert_eq!(error_kind(disk.stale("file", 10, 512)), INVALID);
        Ok(())
    });
}

/// As the end of a log: the write that a sync acknowledged is gone, what came before it is there.
#[test]
fn a_stale_page_that_was_appended_to_loses_only_the_end() {
    for_each_seed(async |disk| {
        let file = disk.create("file").await?;
        file.allocate(1 << 20).await?;
        file.write_at(0, b"first").await?;
        file.sync().await?;
        disk.sync_dir("").await?;
        file.write_at(5, b"second").await?;
        file.sync().await?;
        file.write_at(11, b"unsynced").await?;
        let disk = crash(&disk).await;
        assert!(disk.stale("file", 0, PAGE as u64)?);
        let found = disk.read_file("file")?;
        assert_eq!(found.len(), 1 << 20);
        assert_eq!(found[..20], *b"first\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        Ok(())
    });
}

#[test]
fn damage_is_below_what_is_pending_and_survives_crashes() {
    for_each_seed(async |disk| {
        make(&disk, "file", &[1; 1_000]).await?;
        let file = disk.open("file").await?;
        file.write_at(0, &[2; 500]).await?;
        disk.zero("file", 0, 1_000)?;
        let mut expected = vec![2; 500];
        expected.resize(1_000, 0);
        assert_eq!(file.read_at(0, 1_000).await?, expected);
        file.sync().await?;
        let disk = crash(&disk).await;
        check(&disk, "file", &expected).await
    });
}

#[test]
fn files_are_listed_read_written_and_taken_away() {
    for_each_seed(async |disk| {
        disk.create_dir("log").await?;
        assert_eq!(error_kind(disk.write_file("log/1", b"x")), ABSENT, "its folder is not durable");
        disk.sync_dir("").await?;
        disk.create("unsynced").await?;
        disk.write_file("log/1", b"one")?;
        disk.write_file("a", &[1; 5_000])?;
        assert_eq!(disk.list_files(), ["a", "log/1"]);
        assert_eq!(disk.list("").await?, ["a", "unsynced"]);
        disk.write_file("a", b"two")?;
        assert_eq!(disk.used_bytes(), 6);
        let disk = crash(&disk).await;
        check(&disk, "log/1", b"one").await?;
        check(&disk, "a", b"two").await?;
        let disk = disk.mount();
        disk.remove_file("log/1")?;
        assert_eq!(error_kind(disk.open("log/1").await), ABSENT);
        for error in [
            error_kind(disk.read_file("log/1")),
            error_kind(disk.remove_file("log/1")),
            error_kind(disk.zero("log/1", 0, 1)),
        ] {
            assert_eq!(error, ABSENT);
        }
        assert_eq!(error_kind(disk.write_file("log", b"")), Some(io::ErrorKind::IsADirectory));
        let disk = crash(&disk).await;
        assert!(!disk.list_files().contains(&"log/1".to_owned()));
        assert_eq!(disk.stats().damages(), 1);
        Ok(())
    });
}

#[test]
fn disks_of_an_image_are_alike_and_independent() {
    for_each_seed(async |disk| {
        disk.create_dir("log").await?;
        make(&disk, "log/1", &[1; 10_000]).await?;
        disk.sync_dir("log").await?;
        let file = disk.open("log/1").await?;
        file.write_at(0, &[2; PAGE]).await?;
        file.sync().await?;
        file.write_at(0, &[3; 10_000]).await?;
        disk.create("unsynced").await?;
        let image = disk.image();
        let mut expected = vec![2; PAGE];
        expected.resize(10_000, 1);
        disk.zero("log/1", 0, 10_000)?;
        disk.remove_file("log/1")?;

        for _ in 0..2 {
            let copy = SimDisk::from_image(&image.clone(), DiskOptions::default());
            assert_eq!(copy.stats(), DiskStats::default());
            assert_eq!(copy.list_files(), ["log/1"]);
            assert_eq!(copy.list("").await?, [""; 0]);
            check(&copy, "log/1", &expected).await?;
            let copy = copy.mount();
            // It knows the past, too.
            assert!(copy.stale("log/1", 0, PAGE as u64)?);
            check(&copy, "log/1", &[1; 10_000]).await?;
            let copy = copy.mount();
            let file = copy.open("log/1").await?;
            file.write_at(5_000, &[4; 10_000]).await?;
            file.sync().await?;
            copy.flip_bit("log/1", 0)?;
            copy.create("other").await?;
            copy.sync_dir("").await?;
        }
        Ok(())
    });
}

#[test]
fn thousands_of_copies_are_cheap() {
    with_seed(0, async |disk| {
        disk.write_file("file", &[1; 8 << 20])?;
        let image = disk.image();
        // Were they not shared, they would take 16 GiB.
        let copies: Vec<SimDisk> = (0..2_000).map(|_| SimDisk::from_image(&image, DiskOptions::default())).collect();
        for copy in &copies {
            copy.flip_bit("file", 1 << 20)?;
        }
        assert!(copies.iter().all(|copy| copy.stats().bits_flipped == 1));
        Ok(())
    });
}
