//! What a run is asked to be.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::nemesis::Kind;
use crate::workload::Workload;

#[derive(Args, Clone, Debug)]
pub struct Options {
    /// What clients do
    #[arg(long, short, value_enum, default_value = "register")]
    pub workload: Workload,
    /// What goes wrong, at the same time; `--help` of `nemeses` tells what each does
    #[arg(long, short, value_enum, value_delimiter = ',')]
    pub nemesis: Vec<Kind>,
    #[arg(long, short, value_enum, default_value = "ha3")]
    pub topology: Topology,
    #[arg(long, value_enum, default_value = "mneme")]
    pub system: System,
    /// How long clients and faults go on, in seconds
    #[arg(long, default_value = "60", value_parser = seconds)]
    pub time: Duration,
    /// Commands a second, of all clients together; fewer if they have to wait
    #[arg(long, default_value_t = 500.0)]
    pub rate: f64,
    /// Clients, each with a connection of its own
    #[arg(long, default_value_t = 12)]
    pub clients: usize,
    /// How long a client waits for a reply, in seconds
    #[arg(long, default_value = "6", value_parser = seconds)]
    pub patience: Duration,
    /// How long it stays quiet between two faults of a nemesis at most, in seconds
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub interval: Duration,
    /// Decides what clients ask for and which faults come; not when threads run [default: by the clock]
    #[arg(long)]
    pub seed: Option<u64>,
    /// The folder with mneme-core and mneme-keeper
    #[arg(long, env = "MNEME_BIN_DIR", default_value = "target/release")]
    pub bin_dir: PathBuf,
    /// Where a folder for this run is made
    #[arg(long, default_value = "target/jepsen")]
    pub out: PathBuf,
    /// Keep the nodes' data even if all is well
    #[arg(long)]
    pub keep: bool,
    /// On loopback, even where namespaces can be made
    #[arg(long)]
    pub loopback: bool,
    /// The profile `ha` of compose.yaml, from the images that `just images` makes, where a container engine answers
    #[arg(long, conflicts_with_all = ["loopback", "server_flag"])]
    pub compose: bool,
    /// Further flags for every mneme-core: --server-flag=--reads=quorum-check
    #[arg(long, allow_hyphen_values = true)]
    pub server_flag: Vec<String>,
}

/// Which nodes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Topology {
    /// Three Cores with their Keepers inside
    Ha3,
    /// Five of them
    Ha5,
    /// A Core and three Keepers
    #[value(name = "1+3")]
    OneAndThree,
    /// Three Cores, three Keepers and a Replica
    #[value(name = "3+3")]
    ThreeAndThree,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum System {
    Mneme,
    /// One redis-server that keeps nothing on disk: it must be found out
    Redis,
}

/// A name as the command line has it.
pub fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds is wanted")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
