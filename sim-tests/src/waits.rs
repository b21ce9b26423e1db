//! A client that writes, has counted who has it (`WAIT`), and looks whether so many have it.

use std::time::Duration;

use madsim::rand::Rng;
use mneme_kernel::resp::Value;
use mneme_runtime_sim::sleep::sleep;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::workload;

/// The database of what is written here; no other client writes there, but some empty it.
const DATABASE: &str = "14";
const KEY: &str = "counted";
/// How often it writes at most.
const TURNS: u32 = 12;
/// How long an answer at `EVENTUAL` may take: a Core that is not there now does not matter.
const LOOK: Duration = Duration::from_millis(300);

pub async fn run(cluster: Cluster) {
    let options = &cluster.world().options;
    let mut dice = Dice::new(options.seed, 3_000);
    let mut client = Client::new(cluster.clone(), dice.gen_range(0..8), options.clients.patience);
    for number in 1..=TURNS {
        if cluster.world().is_over() {
            return;
        }
        sleep((options.duration / TURNS).mul_f64(dice.gen_range(0.0..2.0))).await;
        workload::lag(&cluster, &mut dice);
        let others = cluster.cores().count() - 1;
        if let Some(counted) = count(&mut client, &mut dice, number, others).await {
            cluster.world().count("waits counted", counted.min(1));
            let behind = cores_behind(&cluster, number).await;
            let what = || format!("WAIT counted {counted} of {others} other Cores, and {behind} did not have it");
            // What was written at `EVENTUAL` may be lost with its primary: then nobody is counted.
            let found = if counted > 0 && counted + behind > others as u64 { Err(what()) } else { Ok(()) };
            cluster.world().check("wait", found);
        }
    }
}

/// Writes a number; if that is acknowledged, how many other Cores are said to have it.
async fn count(client: &mut Client, dice: &mut Dice, number: u32, others: usize) -> Option<u64> {
    let patience = dice.gen_range(1..800).to_string();
    let replicas = dice.gen_range(0..=others).to_string();
    let ok = Value::Simple("OK".into());
    let number = number.to_string();
    let weakly = ["CONSISTENCY", "EVENTUAL", "SET", KEY, &number];
    let set = if dice.chance(0.5) { &weakly[..] } else { &weakly[2..] };
    for command in [&["SELECT", DATABASE][..], set] {
        if client.ask(command).await.ok()? != ok {
            return None;
        }
    }
    if dice.chance(0.3) {
        sleep(dice.millis(1.0..=2_000.0)).await;
    }
    match client.ask_where_it_was(&["WAIT", &replicas, &patience]).await.ok()? {
        Value::Int(counted) => u64::try_from(counted).ok(),
        _ => None,
    }
}

/// How many Cores answer with an older number.
async fn cores_behind(cluster: &Cluster, number: u32) -> u64 {
    let mut behind = 0;
    for machine in cluster.cores() {
        let mut reader = Client::new(cluster.clone(), 0, LOOK).staying_at(machine.number());
        if reader.ask(&["SELECT", DATABASE]).await.is_err() {
            continue;
        }
        if let Ok(Value::Bulk(found)) = reader.ask_where_it_was(&["CONSISTENCY", "EVENTUAL", "GET", KEY]).await {
            let found: u32 = String::from_utf8_lossy(&found).parse().unwrap_or(u32::MAX);
            behind += u64::from(found < number);
        }
    }
    behind
}
