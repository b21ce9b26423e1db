//! Errors that pass.

use std::collections::BTreeSet;
use std::io;

use mneme_driver::env::{Disk, File};
use mneme_runtime_sim::DiskOptions;

use crate::{content, error_kind, for_each_seed, make};

const EIO: Option<i32> = Some(5);

fn os_error<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

#[test]
fn reads_fail_at_times_and_then_do_not() {
    let failures = for_each_seed(async |disk| {
        make(&disk, "file", &[7; 1_000]).await?;
        let file = disk.open("file").await?;
        disk.set_options(DiskOptions { failed_read: 0.2, ..DiskOptions::default() });
        let mut failed = 0;
        for _ in 0..50 {
            for result in [
                file.read_at(0, 1_000).await.map(|bytes| assert_eq!(bytes, [7; 1_000])),
                file.size().await.map(|size| assert_eq!(size, 1_000)),
                disk.open("file").await.map(drop),
                disk.list("").await.map(drop),
            ] {
                if result.is_err() {
                    assert_eq!(os_error(result), EIO);
                    failed += 1;
                }
            }
            // Changes do not fail by it.
            file.write_at(0, &[7]).await?;
        }
        assert_eq!((disk.stats().eio_reads, disk.stats().eio_writes), (failed, 0));
        disk.set_options(DiskOptions::default());
        file.read_at(0, 1_000).await?;
        Ok(failed)
    });
    let mean = failures.iter().sum::<u64>() / failures.len() as u64;
    assert!((35..45).contains(&mean), "{mean} of 200");
}

#[test]
fn a_failed_change_changes_nothing_but_the_beginning_of_what_it_writes() {
    let written = for_each_seed(async |disk| {
        make(&disk, "file", &[0; 100]).await?;
        let file = disk.open("file").await?;
        disk.set_options(DiskOptions { failed_write: 1.0, ..DiskOptions::default() });
        assert_eq!(os_error(file.write_at(50, &[1; 100]).await), EIO);
        assert_eq!(os_error(disk.create("other").await), EIO);
        assert_eq!(os_error(disk.create_dir("folder").await), EIO);
        assert_eq!(os_error(disk.rename("file", "other").await), EIO);
        assert_eq!(os_error(disk.remove("file").await), EIO);
        let found = content(&disk, "file").await?.expect("it is there");
        assert_eq!(os_error(file.allocate(1_000).await), EIO);
        assert_eq!(os_error(file.truncate(0).await), EIO);
        assert_eq!(content(&disk, "file").await?.as_ref(), Some(&found));
        assert_eq!((disk.stats().eio_reads, disk.stats().eio_writes), (0, 7));
        disk.set_options(DiskOptions::default());
        assert_eq!(disk.list("").await?, ["file"]);
        assert_eq!(error_kind(disk.create("folder/file").await), Some(io::ErrorKind::NotFound));
        let written = found[50..].iter().take_while(|byte| **byte == 1).count();
        assert_eq!(found.len(), (50 + written).max(100));
        assert!(found[..50].iter().chain(&found[50 + written..]).all(|byte| *byte == 0));
        file.write_at(50, &[2; 100]).await?;
        assert_eq!(file.read_at(50, 100).await?, [2; 100]);
        Ok(written)
    });
    assert!(written.into_iter().collect::<BTreeSet<_>>().len() > 30, "parts of any length");
}

#[test]
fn reads_are_short_at_times_and_then_are_not() {
    let short = for_each_seed(async |disk| {
        make(&disk, "file", &[7; 1_000]).await?;
        let file = disk.open("file").await?;
        disk.set_options(DiskOptions { short_read: 0.2, ..DiskOptions::default() });
        let mut short = 0;
        for _ in 0..50 {
            match file.read_at(0, 1_000).await {
                Ok(bytes) => assert_eq!(bytes, [7; 1_000]),
                error => {
                    assert_eq!(error_kind(error), Some(io::ErrorKind::UnexpectedEof));
                    short += 1;
                }
            }
            assert_eq!(file.size().await?, 1_000);
            assert_eq!(file.read_at(0, 0).await?, [0; 0], "nothing cannot be short");
        }
        // A file that ends is no fault.
        assert_eq!(error_kind(file.read_at(0, 1_001).await), Some(io::ErrorKind::UnexpectedEof));
        assert_eq!(disk.stats().short_reads, short);
        Ok(short)
    });
    let mean = short.iter().sum::<u64>() / short.len() as u64;
    assert!((8..12).contains(&mean), "{mean} of 50");
}
