//! An operator: snapshots, digests, hand-overs and looks, while everything else goes on.

use madsim::rand::Rng;
use mneme_kernel::resp::Value;
use mneme_runtime_sim::sleep::sleep;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::dice::Dice;

/// How often one asks for something, at most.
const TURNS: u32 = 20;

/// What one asks for, how often each, and what it is counted as.
const WISHES: [(u32, (&str, &[&str])); 9] = [
    (4, ("handed over", &["CLUSTER", "TRANSFER"])),
    (4, ("digests asked", &["DEBUG", "DIGEST"])),
    (3, ("saved", &["SAVE"])),
    (3, ("saved in the background", &["BGSAVE"])),
    (2, ("looked", &["INFO"])),
    (1, ("looked", &["CLUSTER", "STATUS"])),
    (1, ("looked", &["CLIENT", "LIST"])),
    (1, ("looked", &["SLOWLOG", "GET"])),
    (1, ("statistics reset", &["CONFIG", "RESETSTAT"])),
];

pub async fn run(cluster: Cluster) {
    let options = &cluster.world().options;
    let mut dice = Dice::new(options.seed, 6_000);
    let mut client = Client::new(cluster.clone(), dice.gen_range(0..8), options.clients.patience);
    for _ in 0..TURNS {
        if cluster.world().is_over() {
            return;
        }
        sleep((options.duration / TURNS).mul_f64(dice.gen_range(0.0..2.0))).await;
        let (counted, wish) = dice.weighted(&WISHES);
        // It may be refused, or never answered: then nothing is promised.
        if let Ok(answer) = client.ask(wish).await
            && !matches!(answer, Value::Error(_))
        {
            cluster.world().count(counted, 1);
        }
    }
}
