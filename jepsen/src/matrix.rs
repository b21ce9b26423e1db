//! Many runs, one after the other, and a table of what came of them.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::hosts::Hosts;
use crate::nemesis::Kind;
use crate::options::{self, Options as Test, Topology};
use crate::workload::Workload;

#[derive(Args, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    pub test: Test,
    /// Only these workloads
    #[arg(long, value_enum, value_delimiter = ',')]
    workloads: Vec<Workload>,
    /// Only these nemeses, one at a time
    #[arg(long, value_enum, value_delimiter = ',')]
    nemeses: Vec<Kind>,
    /// Each workload once, against a nemesis that suits it
    #[arg(long)]
    short: bool,
}

/// Does them all, each in a process of its own. Whether every check of every run is content.
///
/// # Errors
/// If one cannot be done.
pub fn run(options: Options) -> anyhow::Result<bool> {
    let mut rows = Vec::new();
    let has_network = !options.test.loopback && !options.test.compose && Hosts::new(0, false)?.switch().is_some();
    for (workload, nemesis, topology) in runs(&options) {
        let why = match options.test.compose {
            true if !nemesis.works_in_compose() => Some("it cannot be done to containers"),
            false if nemesis.needs_network() && !has_network => Some("there are no network namespaces"),
            _ => None,
        };
        if let Some(why) = why {
            println!("{} against {}: left out, {why}", options::name(&workload), options::name(&nemesis));
            continue;
        }
        let row = one(&options.test, workload, nemesis, topology)?;
        println!("{row}");
        rows.push(row);
    }
    let heading = "| workload | nemesis | nodes | operations | answered | unknown | longest gap, s | verdict |\n|---|---|---|---|---|---|---|---|";
    let table = format!("{heading}\n{}\n", rows.join("\n"));
    println!("\n{table}");
    fs::write(options.test.out.join("matrix.md"), &table)?;
    Ok(rows.iter().all(|row| row.ends_with("| ok |")))
}

fn runs(options: &Options) -> Vec<(Workload, Kind, Topology)> {
    let all = |given: &[Workload]| if given.is_empty() { Workload::value_variants().to_vec() } else { given.to_vec() };
    let workloads = all(&options.workloads);
    if options.short {
        let kinds = [
            Kind::KillPrimary,
            Kind::PartitionPrimary,
            Kind::KillAll,
            Kind::PausePrimary,
            Kind::Transfer,
            Kind::Clock,
            Kind::DataLost,
            Kind::Flapping,
            Kind::PartitionRing,
            Kind::PartitionHalves,
            Kind::KillPrimary,
        ];
        return workloads
            .into_iter()
            .zip(kinds)
            .map(|(workload, kind)| (workload, kind, options.test.topology))
            .collect();
    }
    let kinds = if options.nemeses.is_empty() { Kind::usual() } else { options.nemeses.clone() };
    let pairs = workloads.iter().flat_map(|workload| kinds.iter().map(move |kind| (*workload, *kind)));
    pairs.map(|(workload, kind)| (workload, kind, topology(kind, options.test.topology))).collect()
}

/// Some faults are only themselves with certain nodes.
fn topology(kind: Kind, usual: Topology) -> Topology {
    match kind {
        Kind::PartitionRing | Kind::PartitionBridge => Topology::Ha5,
        Kind::PartitionCores => Topology::ThreeAndThree,
        _ => usual,
    }
}

fn one(test: &Test, workload: Workload, nemesis: Kind, topology: Topology) -> anyhow::Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    let names = [options::name(&workload), options::name(&nemesis), options::name(&topology)];
    let [workload_name, nemesis_name, topology_name] = &names;
    // A register that is written at full speed with large texts is a test of the network.
    let rate = if workload == Workload::Large { test.rate.min(60.0) } else { test.rate };
    let seconds = |duration: Duration| duration.as_secs_f64().to_string();
    command.args(["test", "--workload", workload_name, "--nemesis", nemesis_name, "--topology", topology_name]);
    command.args(["--time", &seconds(test.time), "--rate", &rate.to_string(), "--clients", &test.clients.to_string()]);
    command.args(["--interval", &seconds(test.interval), "--patience", &seconds(test.patience)]);
    command.arg("--bin-dir").arg(&test.bin_dir).arg("--out").arg(&test.out);
    if let Some(seed) = test.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    if test.loopback {
        command.arg("--loopback");
    }
    if test.compose {
        command.arg("--compose");
    }
    let output = command.output().context("starting a run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let folder = text.lines().next().and_then(|line| line.split(';').next()).unwrap_or_default().to_owned();
    let results = fs::read_to_string(format!("{folder}/results.json")).ok();
    let results: Value = results.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let [mut answered, mut unknown, mut gap] = [0.0, 0.0, 0.0_f64];
    for service in results["service"].as_object().into_iter().flat_map(|services| services.values()) {
        let number = |name: &str| service[name].as_f64().unwrap_or_default();
        answered += number("ok");
        unknown += number("unknown");
        gap = gap.max(number("longest_gap"));
    }
    let failed: Vec<&String> = results["checks"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(check, wrong)| (!wrong.is_null()).then_some(check))
        .collect();
    let verdict = match output.status.code() {
        Some(0) => "ok".to_owned(),
        Some(1) => format!("{failed:?}: {folder}"),
        _ => format!("not done: {}", String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default()),
    };
    let operations = results["operations"].as_u64().unwrap_or_default();
    Ok(format!("| {} | {operations} | {answered} | {unknown} | {gap:.1} | {verdict} |", names.join(" | ")))
}
