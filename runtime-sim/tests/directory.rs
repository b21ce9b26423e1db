//! What a node knows of its cluster survives whatever happens to it.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use madsim::rand::{Rng, thread_rng};
use madsim::runtime::Runtime;
use mneme_driver::directory::Directory;
use mneme_driver::env::{Disk, Env, File};
use mneme_kernel::members::{Member, Members};
use mneme_runtime_sim::{DiskOptions, Operation, SimDisk, SimEnv, Trap, sleep};

const SEEDS: u64 = 300;

fn member(name: &str) -> Member {
    Member { name: name.into(), address: format!("{name}:7000") }
}

fn members(names: &[&str]) -> Members {
    let members = names.iter().zip(1..).map(|(name, id)| (id, member(name))).collect();
    Members { voters: vec![(1..=names.len() as u64).collect()], members }
}

async fn load(env: &SimEnv) -> Directory<SimEnv> {
    Directory::load(env).await.expect("the disk is sound")
}

#[test]
fn a_new_life_knows_what_the_last_one_learnt() {
    Runtime::new().block_on(async {
        let disk = SimDisk::new(DiskOptions::default());
        let env = SimEnv::new(&disk);
        let directory = load(&env).await;
        assert!(!directory.belongs() && directory.addresses().is_empty());
        directory.learn(7, &members(&["a", "b"])).await;
        directory.meet(&member("core")).await;
        let next = load(&env.next_life(&disk)).await;
        assert!(next.belongs());
        assert_eq!(next.keepers(), [member("a"), member("b")]);
        assert_eq!(next.addresses(), ["a:7000", "b:7000", "core:7000"]);
    });
}

#[test]
fn older_news_changes_nothing() {
    Runtime::new().block_on(async {
        let directory = load(&SimEnv::new(&SimDisk::new(DiskOptions::default()))).await;
        directory.learn(9, &members(&["a", "b", "c"])).await;
        directory.learn(1, &members(&["a"])).await;
        assert_eq!(directory.keepers().len(), 3);
        directory.learn(10, &members(&["b", "c"])).await;
        assert_eq!(directory.keepers(), [member("b"), member("c")]);
    });
}

#[test]
fn a_damaged_file_is_as_good_as_none() {
    Runtime::new().block_on(async {
        let env = SimEnv::new(&SimDisk::new(DiskOptions::default()));
        load(&env).await.learn(7, &members(&["a"])).await;
        let file = env.disk().open("cluster").await.expect("it was written");
        let byte = file.read_at(10, 1).await.expect("it is longer");
        file.write_at(10, &[byte[0] ^ 4]).await.expect("the disk is sound");
        assert!(!load(&env).await.belongs());
    });
}

#[test]
fn only_one_founder_is_ever_named_whenever_the_machine_stops() {
    const OPERATIONS: [Operation; 6] = [
        Operation::Create,
        Operation::Write,
        Operation::Sync,
        Operation::Rename,
        Operation::SyncFolder,
        Operation::Remove,
    ];
    let mut told = 0;
    for seed in 0..SEEDS {
        Runtime::with_seed_and_config(seed, madsim::Config::default()).block_on(async {
            let disk = SimDisk::new(DiskOptions::draw());
            let mut env = SimEnv::new(&disk);
            // Who was told to found, in any life.
            let named = Rc::new(RefCell::new(None));
            for life in 0..4 {
                let operation = OPERATIONS[thread_rng().gen_range(0..OPERATIONS.len())];
                let sprung = disk.trap(Trap { after: &[], operation, prefix: "", skip: thread_rng().gen_range(0..4) });
                let (life_env, life_named) = (env.clone(), named.clone());
                let lived = madsim::task::spawn_local(async move {
                    let directory = Directory::load(&life_env).await?;
                    directory.learn(life, &members(&["a", "b"])).await;
                    let founder = directory.designate(member(&format!("founder-{life}"))).await?;
                    let before = life_named.borrow_mut().get_or_insert_with(|| founder.clone()).clone();
                    assert_eq!(founder, before, "seed {seed}");
                    directory.learn(life + 10, &members(&["a", "b", "c"])).await;
                    Ok::<_, io::Error>(())
                });
                // It ends by itself, fails, or hangs in the trap.
                let _ = sleep::timeout(Duration::from_secs(60), lived).await;
                drop(sprung);
                if thread_rng().gen_bool(0.5) {
                    // Else the process alone ends.
                    disk.crash();
                }
                env = env.next_life(&disk);
            }
            disk.crash();
            env = env.next_life(&disk);
            let founder = named.borrow().clone();
            if let Some(founder) = founder {
                assert_eq!(load(&env).await.founder(), Some(founder), "seed {seed}");
                told += 1;
            }
        });
    }
    assert!(told > SEEDS / 2, "{told} of {SEEDS} named one");
}
