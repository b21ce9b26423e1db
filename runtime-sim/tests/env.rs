//! A node's clocks, randomness and end.

use std::time::Duration;

use madsim::runtime::{Handle, Runtime};
use mneme_driver::env::{Disk, Env, File, Source};
use mneme_kernel::password::{Credentials, Form, Password, PasswordCheck};
use mneme_runtime_sim::{DiskOptions, SimDisk, SimEnv, Skew};

fn env() -> SimEnv {
    SimEnv::new(&SimDisk::new(DiskOptions::default()))
}

#[test]
fn clocks_run_together_and_the_wall_clock_can_be_off() {
    Runtime::new().block_on(async {
        let env = env();
        let (monotonic, wall) = (env.monotonic(), env.wall());
        env.sleep(Duration::from_secs(5)).await;
        assert_eq!((env.monotonic() - monotonic).as_secs(), 5);
        assert_eq!((env.wall().0 - wall.0) / 1000, 5);
        let other = SimEnv::new(env.disk());
        for offset in [3_600_000, -3_600_000] {
            env.set_wall_offset(offset);
            assert_eq!(env.wall().0 as i64 - other.wall().0 as i64, offset);
            assert_eq!(env.next_life(env.disk()).wall(), env.wall());
        }
    });
}

#[test]
fn a_fast_clock_counts_more_time_and_sleeps_less() {
    Runtime::new().block_on(async {
        let (right, fast) = (env(), env());
        fast.set_skew(Skew { monotonic: Duration::from_secs(7_000), rate: 10_000, ..Skew::default() });
        let (right_before, fast_before) = (right.monotonic(), fast.monotonic());
        assert!(fast_before - right_before >= Duration::from_secs(7_000));
        fast.sleep(Duration::from_secs(101)).await;
        let ([right, fast], [slept, counted]) =
            ([right.monotonic() - right_before, fast.monotonic() - fast_before], [100, 101].map(Duration::from_secs));
        let close = |a: Duration, b: Duration| a.abs_diff(b) < Duration::from_millis(2);
        assert!(close(right, slept) && close(fast, counted), "{right:?} and {fast:?}");
        assert!(fast >= counted, "a sleep is never too short by its own clock");
    });
}

#[test]
fn a_seed_repeats_the_randomness() {
    let draw = |seed| {
        Runtime::with_seed_and_config(seed, madsim::Config::default())
            .block_on(async { [env().random(), env().random()] })
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    assert_ne!(draw(1)[0], draw(1)[1]);
}

#[test]
fn only_the_password_that_was_hashed_is_right() {
    Runtime::new().block_on(async {
        let env = env();
        let secret = Password { text: b"secret".to_vec(), form: Form::Plain, known: Vec::new() };
        let hash = env.hash_password(secret.clone()).await;
        assert_ne!(env.hash_password(secret.clone()).await, hash, "salted");
        let known = vec!["another".to_owned(), hash.clone()];
        assert_eq!(env.hash_password(Password { known, ..secret }).await, hash, "recognised");
        for (password, hash, right) in [
            ("secret", Some(hash.clone()), true),
            ("Secret", Some(hash), false),
            ("secret", Some("no hash".to_owned()), false),
            ("secret", None, false),
        ] {
            let start = env.monotonic();
            let credentials =
                Credentials { user: "admin".to_owned(), password: password.into(), hashes: hash.into_iter().collect() };
            let check = env.check_password(credentials, Source::Machine).await;
            assert_eq!(check == PasswordCheck::Right(0), right);
            assert!(env.monotonic() - start >= Duration::from_millis(20), "as long whatever the answer");
        }
    });
}

#[test]
fn a_fatal_error_ends_the_node_and_the_next_life_finds_its_disk() {
    Runtime::new().block_on(async {
        let world = Handle::current();
        let node = world.create_node().name("keeper").build();
        let first = env();

        let env = first.clone();
        node.spawn(async move {
            let other = env.clone();
            env.spawn("other", async move {
                other.sleep(Duration::from_millis(500)).await;
                unreachable!("the node is dead");
            });
            let file = env.disk().create("file").await.expect("a new disk");
            file.write_at(0, b"content").await.expect("a sound disk");
            env.fatal("the sync failed".to_owned()).await;
            unreachable!("nothing follows a fatal error");
        });
        madsim::time::sleep(Duration::from_secs(1)).await;
        assert!(world.is_exit(node.id()));
        assert_eq!(first.fatal_reason().as_deref(), Some("the sync failed"));

        world.restart(node.id());
        let second = first.next_life(first.disk());
        assert_eq!(second.fatal_reason(), None);
        assert!(first.disk().open("file").await.is_err());
        let file = second.disk().open("file").await.expect("only the process ended");
        assert_eq!(file.read_at(0, 7).await.expect("a sound disk"), b"content");
    });
}

#[test]
fn spawned_tasks_run_on_the_node_of_their_caller() {
    Runtime::new().block_on(async {
        let node = Handle::current().create_node().build();
        let env = env();
        let (sender, receiver) = futures::channel::oneshot::channel();
        node.spawn(async move {
            env.spawn_thread("task", async move {
                sender.send(madsim::plugin::node()).expect("the test waits");
            });
        });
        assert_eq!(receiver.await, Ok(node.id()));
    });
}
