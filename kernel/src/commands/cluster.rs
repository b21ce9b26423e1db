//! CLUSTER: who the nodes are, and handing over. Redis's own cluster has slots; here there are none.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Access, Command, CommandError, Keys, is_word};
use crate::call::Call;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "cluster",
    arity: -2,
    access: Access::Connection,
    keys: Keys::NONE,
    flags: &["noscript", "loading", "stale"],
    summary: "A container for cluster commands.",
    run: cluster,
}];

const HELP: &[&str] = &[
    "CLUSTER <subcommand>. Subcommands are:",
    "STATUS",
    "    Show who is primary, the Cores and the Keepers, as this node knows them.",
    "TRANSFER",
    "    Have the primary hand over to another Core; to be sent to the primary.",
    "HELP",
    "    Print this help.",
];

fn cluster(call: &mut Call<'_>) -> Result<(), CommandError> {
    let is = |name: &str| is_word(call.args.at(1), name) && call.args.len() == 2;
    if is("help") {
        call.reply.help(HELP);
        return Ok(());
    }
    if is("status") {
        status(call);
        return Ok(());
    }
    if is("transfer") {
        call.check_access(Access::Admin, "cluster")?;
        if !call.core.is_primary() {
            return Err(CommandError::Other(
                "this node is not the primary: send TRANSFER to the one of CLUSTER STATUS",
            ));
        }
        if !call.core.has_other_cores() {
            return Err(CommandError::Other("there is no other Core to hand over to"));
        }
        call.core.hand_over();
        call.reply.ok();
        return Ok(());
    }
    // What clients ask a Redis that is no cluster.
    Err(CommandError::Other("This instance has cluster support disabled"))
}

/// A map of facts, then a list of Cores and one of Keepers.
fn status(call: &mut Call<'_>) {
    let core = &*call.core;
    let primary = core.primary().map(|(name, _)| String::from(name));
    let verdicts = core.verdicts();
    let cores: Vec<(String, String, u64, &str)> = core
        .cores()
        .iter()
        .map(|(name, known)| {
            let role = match () {
                () if name == core.config.node => core.role_name(),
                () if primary.as_deref() == Some(name) => "primary",
                () => "standby",
            };
            (name.into(), known.address.clone(), known.incarnation.0, role)
        })
        .collect();
    let members = core.members().clone();
    let votes = |id: u64| members.voters.iter().any(|set| set.contains(&id));
    let (node, role) = (core.config.node.clone(), core.role_name());
    let numbers = [
        ("epoch", verdicts.epoch.0),
        ("applied", core.applied().0),
        ("voters", core.voters() as u64),
        ("forwarded", core.forwarded_waiting() as u64),
    ];
    let reply = &mut *call.reply;
    reply.map(3 + numbers.len() + 2);
    let texts = [("node", &*node), ("role", role), ("primary", primary.as_deref().unwrap_or_default())];
    for (name, text) in texts {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.integer(number as i64);
    }
    reply.bulk(b"cores");
    reply.array(cores.len());
    for (name, address, incarnation, role) in &cores {
        reply.map(4);
        for (field, text) in [("name", &**name), ("address", &**address), ("role", *role)] {
            reply.bulk(field.as_bytes());
            reply.bulk(text.as_bytes());
        }
        reply.bulk(b"incarnation");
        reply.integer(*incarnation as i64);
    }
    reply.bulk(b"keepers");
    reply.array(members.members.len());
    for (id, member) in &members.members {
        reply.map(4);
        let role = if votes(*id) { "voter" } else { "learner" };
        for (field, text) in [("name", &*member.name), ("address", &*member.address), ("role", role)] {
            reply.bulk(field.as_bytes());
            reply.bulk(text.as_bytes());
        }
        reply.bulk(b"id");
        reply.bulk(alloc::format!("{id:016x}").as_bytes());
    }
}
