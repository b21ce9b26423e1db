//! A run before it is run: all that makes it up, as data that can be taken apart, kept and read again.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::nemesis::Schedule;
use crate::options::Options;

/// What a run is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub options: Options,
    pub schedule: Schedule,
}

impl Plan {
    /// What a seed draws.
    pub fn from_seed(seed: u64) -> Plan {
        let options = Options::from_seed(seed);
        let schedule = Schedule::draw(&options);
        Plan { options, schedule }
    }
}

/// A plan that somebody keeps, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The check that failed.
    pub check: String,
    /// What it said.
    pub what: String,
    /// The mistake that was made on purpose, if one was.
    pub mutant: Option<String>,
    /// How many faults the seed draws, of which the plan has some.
    pub drawn_faults: usize,
    pub plan: Plan,
}

impl Kept {
    /// Reads a plan. What the file does not name, because it is older than that, is as the plan's seed draws it.
    ///
    /// # Errors
    /// If there is no such file, or it is no plan.
    pub fn read(path: &Path) -> anyhow::Result<Kept> {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Kept::parse(&text).with_context(|| format!("{} is no plan", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Kept> {
        let mut kept: Value = serde_json::from_str(text)?;
        let seed = kept.pointer("/plan/options/seed").and_then(Value::as_u64).context("it names no seed")?;
        add_missing(&mut kept["plan"], serde_json::to_value(Plan::from_seed(seed))?);
        Ok(serde_json::from_value(kept)?)
    }

    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }
}

/// Takes over what objects lack.
fn add_missing(into: &mut Value, from: Value) {
    let (Value::Object(into), Value::Object(from)) = (into, from) else { return };
    for (name, value) in from {
        match into.get_mut(&name) {
            Some(known) => add_missing(known, value),
            None => {
                into.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(plan: &Plan) -> String {
        format!("{plan:?}")
    }

    fn kept(seed: u64) -> Kept {
        let plan = Plan::from_seed(seed);
        Kept { check: "durable".into(), what: String::new(), mutant: None, drawn_faults: plan.schedule.0.len(), plan }
    }

    #[test]
    fn a_plan_that_was_kept_is_the_same_plan() {
        for seed in 0..500 {
            let kept = kept(seed);
            let again = Kept::parse(&serde_json::to_string(&kept).expect("it is data")).expect("it was just written");
            assert_eq!(text(&kept.plan), text(&again.plan), "seed {seed}");
        }
    }

    #[test]
    fn what_an_older_file_does_not_name_is_drawn() {
        let kept = kept(7);
        let mut older = serde_json::to_value(&kept).expect("it is data");
        let clients =
            older.pointer_mut("/plan/options/clients").and_then(Value::as_object_mut).expect("it has clients");
        clients.remove("pipeline");
        clients.insert("commands".into(), 3.into());
        let read = Kept::parse(&older.to_string()).expect("a plan");
        assert_eq!(read.plan.options.clients.pipeline, kept.plan.options.clients.pipeline);
        assert_eq!(read.plan.options.clients.commands, 3);
    }
}
