//! A disk that is full, and then is not.

use std::collections::BTreeSet;
use std::io;

use madsim::rand::{Rng, thread_rng};
use mneme_driver::env::{Disk, File};

use crate::{content, crash, error_kind, for_each_seed, make};

const FULL: Option<io::ErrorKind> = Some(io::ErrorKind::StorageFull);

#[test]
fn what_does_not_fit_is_refused_until_there_is_room() {
    for_each_seed(async |disk| {
        disk.set_capacity(Some(10_000));
        let file = disk.create("file").await?;
        file.allocate(8_000).await?;
        assert_eq!(disk.used_bytes(), 8_000);
        let other = disk.create("other").await?;
        assert_eq!(error_kind(other.allocate(2_001).await), FULL);
        assert_eq!((other.size().await?, disk.used_bytes()), (0, 8_000), "nothing is changed");
        assert_eq!(disk.stats().out_of_space, 1);
        other.allocate(2_000).await?;
        // What is reserved can be written, and allocating it again costs nothing.
        file.write_at(0, &[1; 8_000]).await?;
        other.write_at(0, &[1; 2_000]).await?;
        file.allocate(100).await?;
        assert_eq!(error_kind(other.write_at(2_000, b"x").await), FULL);
        disk.set_capacity(Some(10_001));
        other.write_at(2_000, b"x").await?;
        disk.set_capacity(Some(0));
        file.write_at(7_999, b"x").await?;
        file.sync().await?;
        assert_eq!(error_kind(file.write_at(7_999, b"xx").await), FULL);
        disk.set_capacity(None);
        file.allocate(1 << 40).await?;
        assert_eq!(disk.stats().out_of_space, 3);
        Ok(())
    });
}

#[test]
fn a_write_that_does_not_fit_leaves_a_part_of_its_beginning() {
    let written = for_each_seed(async |disk| {
        make(&disk, "file", &[0; 100]).await?;
        disk.set_capacity(Some(150));
        let file = disk.open("file").await?;
        // 20 bytes within the file, 50 for which there is room, and 30 more.
        assert_eq!(error_kind(file.write_at(80, &[1; 100]).await), FULL);
        let found = content(&disk, "file").await?.expect("it is there");
        let written = found[80..].iter().take_while(|byte| **byte == 1).count();
        assert!(found.len() <= 150 && disk.used_bytes() == found.len() as u64);
        assert_eq!(found.len(), (80 + written).max(100), "as long as what was written, and not shorter");
        assert!(found[80 + written..].iter().all(|byte| *byte == 0));
        // A hole before the write needs room, too.
        assert_eq!(error_kind(file.write_at(200, b"x").await), FULL);
        assert_eq!(disk.used_bytes(), found.len() as u64);
        Ok(written)
    });
    assert!(written.contains(&0) && written.contains(&70), "from nothing to all that fits");
    assert!(written.into_iter().collect::<BTreeSet<_>>().len() > 30);
}

#[test]
fn what_is_cut_removed_or_replaced_is_free_again() {
    for_each_seed(async |disk| {
        disk.set_capacity(Some(3_000));
        for name in ["a", "b", "c"] {
            disk.create(name).await?.allocate(1_000).await?;
        }
        let file = disk.open("a").await?;
        file.truncate(400).await?;
        assert_eq!(disk.used_bytes(), 2_400);
        file.allocate(1_000).await?;
        disk.rename("a", "b").await?;
        assert_eq!(disk.used_bytes(), 2_000);
        disk.remove("c").await?;
        assert_eq!(disk.used_bytes(), 1_000);
        disk.create("c").await?.allocate(2_000).await?;
        assert_eq!(error_kind(file.allocate(1_001).await), FULL);
        Ok(())
    });
}

/// Against a sum over what can be seen, through whatever happens.
#[test]
fn the_account_is_exact() {
    for_each_seed(async |disk| {
        let mut disk = disk;
        let mut refused = 0;
        for _ in 0..100 {
            disk.set_capacity(Some(thread_rng().gen_range(0..60_000)));
            let before = disk.used_bytes();
            let name = thread_rng().gen_range(0..6).to_string();
            let file = match disk.open(&name).await {
                Ok(file) => file,
                Err(_) => disk.create(&name).await?,
            };
            let amount = thread_rng().gen_range(0..20_000);
            let result = match thread_rng().gen_range(0..8) {
                0 | 1 => file.allocate(amount).await,
                2 | 3 => file.write_at(amount, &vec![1; thread_rng().gen_range(0..5_000)]).await,
                4 => file.truncate(amount).await,
                5 => disk.remove(&name).await,
                6 => disk.rename(&name, "0").await,
                _ => {
                    file.sync().await?;
                    if thread_rng().gen_bool(0.5) {
                        disk.sync_dir("").await?;
                    }
                    if thread_rng().gen_bool(0.3) {
                        disk = crash(&disk).await;
                    }
                    continue;
                }
            };
            match error_kind(result) {
                None => {}
                FULL => refused += 1,
                other => panic!("{other:?}"),
            }
            let mut sum = 0;
            for name in disk.list("").await? {
                sum += disk.open(&name).await?.size().await?;
            }
            assert_eq!(disk.used_bytes(), sum);
            disk.set_capacity(Some(before));
        }
        assert_eq!(disk.stats().out_of_space, refused);
        assert!(refused > 0);
        Ok(())
    });
}

#[test]
fn it_never_holds_more_than_it_can() {
    for_each_seed(async |disk| {
        disk.set_capacity(Some(30_000));
        for _ in 0..100 {
            let name = thread_rng().gen_range(0..6).to_string();
            let file = match disk.open(&name).await {
                Ok(file) => file,
                Err(_) => disk.create(&name).await?,
            };
            let amount = thread_rng().gen_range(0..15_000);
            let _ = match thread_rng().gen_bool(0.5) {
                true => file.allocate(amount).await,
                false => file.write_at(amount, &vec![1; thread_rng().gen_range(0..5_000)]).await,
            };
            assert!(disk.used_bytes() <= 30_000);
        }
        Ok(())
    });
}
