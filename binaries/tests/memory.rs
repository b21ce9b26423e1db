//! The memory of a real process: what was given back is used again, or goes back to the system.

mod support;

use std::time::{Duration, Instant};

use mneme_kernel::resp::Value;

use support::{Client, Folder, Node, PATIENCE};

const MIB: usize = 1 << 20;
/// Data of each round.
const DATA: usize = 24 * MIB;
/// What the process takes beside the data: the log's newest entries, and what the allocator keeps for a while.
const BESIDE: usize = 32 * MIB;

/// Bytes of the process that are resident, as `/metrics` tells them.
fn resident(node: &Node) -> usize {
    let (_, page) = node.admin_page("/metrics");
    let line = page.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    line.expect("it is there").parse::<f64>().expect("a number") as usize
}

/// Waits until no more than so much is resident. At once there may be more: batches on their way to the disk, and pages that the
/// allocator gives back after some seconds.
fn settles(node: &Node, most: usize, when: &str) {
    let end = Instant::now() + PATIENCE;
    while resident(node) > most {
        let now = resident(node);
        assert!(Instant::now() < end, "{when}: {} MiB stay resident, not {} MiB", now / MIB, most / MIB);
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A number of `INFO`.
fn info(client: &mut Client, name: &str) -> usize {
    let Ok(Value::Bulk(text)) = client.ask(&["INFO", "everything"]) else { panic!("no INFO") };
    let text = String::from_utf8(text).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.expect("it is there").trim().parse().expect("a number")
}

/// Sets keys with values of `size` bytes and up to half as many more, until so much data was sent.
fn grow(client: &mut Client, round: usize, size: usize) -> usize {
    let value = "v".repeat(size * 3 / 2);
    let (mut sent, mut keys) = (0, 0);
    while sent < DATA {
        let names: Vec<String> = (keys..keys + 100).map(|i| format!("round:{round}:{i}")).collect();
        let mut command = vec!["MSET"];
        for (i, name) in names.iter().enumerate() {
            let len = size + (i * 7919) % (size / 2);
            command.extend([name.as_str(), &value[..len]]);
            sent += len;
        }
        assert_eq!(client.ask(&command).expect("a reply"), Value::Simple("OK".into()));
        keys += 100;
    }
    keys
}

/// Deletes all but every tenth key of a round, which then stand alone in the allocator's pages.
fn thin(client: &mut Client, round: usize, keys: usize) {
    for start in (0..keys).step_by(100) {
        let names: Vec<String> =
            (start..start + 100).filter(|i| i % 10 != 0).map(|i| format!("round:{round}:{i}")).collect();
        let mut command = vec!["DEL"];
        command.extend(names.iter().map(String::as_str));
        client.ask(&command).expect("a reply");
    }
}

fn connect(node: &Node) -> Client {
    let mut client = node.client().expect("it is ready");
    client.ask(&["CLIENT", "CONSISTENCY", "EVENTUAL"]).expect("a reply");
    client
}

#[test]
fn memory_that_was_given_back_is_used_again_and_leaves_in_the_end() {
    let folder = Folder::new("memory-churn");
    let node = Node::start(&folder.0.join("data"), &folder.0.join("socket"), &[]);
    let mut client = connect(&node);
    let before = resident(&node);
    let mut most = 0;
    for cycle in 0..3 {
        for (round, size) in [1000, 60, 3000, 300].into_iter().enumerate() {
            let keys = grow(&mut client, round, size);
            // What stands alone keeps its page, so the first cycle takes more than there is of data; those behind it find room there.
            if cycle == 0 {
                most = most.max(resident(&node));
            } else {
                settles(&node, most * 11 / 10, &format!("cycle {cycle}, round {round}"));
            }
            thin(&mut client, round, keys);
        }
    }
    client.ask(&["FLUSHALL"]).expect("a reply");
    assert_eq!(info(&mut client, "used_memory_dataset"), 0);
    settles(&node, before + BESIDE, "all is deleted");
    node.stop();
}

#[test]
fn the_limit_of_a_cache_is_one_of_the_process_too() {
    let folder = Folder::new("memory-limit");
    let limit = (DATA / 2).to_string();
    let options = ["--maxmemory", &limit, "--maxmemory-policy", "allkeys-lru"];
    let node = Node::start(&folder.0.join("data"), &folder.0.join("socket"), &options);
    let mut client = connect(&node);
    let before = resident(&node);
    for (round, size) in [200, 2000, 100, 8000].into_iter().enumerate() {
        grow(&mut client, round, size);
        let data = info(&mut client, "used_memory_dataset");
        // One command brings a few hundred kilobytes.
        assert!(data < DATA / 2 + 2 * MIB, "round {round}: {data} of {limit}");
        settles(&node, before + DATA / 2 * 14 / 10 + BESIDE, &format!("round {round}"));
    }
    assert!(info(&mut client, "evicted_keys") > 10_000);
    node.stop();
}
