//! CLUSTER: who the nodes are, handing over, and removing one. What Redis's own cluster answers about slots stands in
//! [`slots`].

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::containers::Subcommand;
use super::{Access, Command, CommandError, Keys, is_word, lossy, slots};
use crate::call::{Call, Then};
use crate::core::Core;
use crate::members::Member;
use crate::removal::Departure;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "cluster",
    arity: -2,
    access: Access::Connection,
    keys: Keys::NONE,
    // What takes its time and other nodes cannot be a part of a transaction.
    flags: &["noscript", "loading", "stale", "no_multi"],
    summary: "A container for cluster commands.",
    run: cluster,
}];

const HELP: &[&str] = &[
    "CLUSTER <subcommand>. Subcommands are:",
    "STATUS",
    "    Show who is primary, the Cores and the Keepers, as this node knows them, and how far it is.",
    "REMOVE <node> [KEEPER]",
    "    Remove a node from the cluster, or only its Keeper; to be sent to another node.",
    "ROTATE-CERTS",
    "    Have every node get a new certificate.",
    "TRANSFER",
    "    Have the primary hand over to another Core; to be sent to the primary.",
    "HELP",
    "    Print this help.",
];

/// Those of Mneme. Those of Redis come with [`slots`].
pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("help", 2, Access::Connection, |call| {
        let facade = if call.core.config.facade.cluster { slots::HELP } else { &[] };
        let (head, rest) = HELP.split_at(1);
        call.reply.help(&[head, facade, rest].concat());
        Ok(())
    }),
    ("remove", -2, Access::Admin, remove),
    ("rotate-certs", 2, Access::Admin, |call| {
        // Else it knows neither who is an admin nor all nodes.
        if !call.core.is_hot() {
            return Err(CommandError::Loading);
        }
        call.then = Then::RotateCertificates;
        Ok(())
    }),
    ("status", 2, Access::Connection, |call| {
        status(call);
        Ok(())
    }),
    ("transfer", 2, Access::Admin, transfer),
];

fn cluster(call: &mut Call<'_>) -> Result<(), CommandError> {
    let facade = if call.core.config.facade.cluster { slots::SUBCOMMANDS } else { &[] };
    let named = |(name, arity, ..): &&Subcommand| {
        is_word(call.args.at(1), name) && (*arity < 0 || call.args.len() as i64 == i64::from(*arity))
    };
    match SUBCOMMANDS.iter().chain(facade).find(named) {
        Some((.., run)) => run(call),
        // What clients ask a Redis that is no cluster.
        None => Err(CommandError::Other("This instance has cluster support disabled")),
    }
}

pub(super) fn transfer(call: &mut Call<'_>) -> Result<(), CommandError> {
    if !call.core.is_primary() {
        return Err(CommandError::Other("this node is not the primary: send TRANSFER to the one of CLUSTER STATUS"));
    }
    if !call.core.has_other_cores() {
        return Err(CommandError::Other("there is no other Core to hand over to"));
    }
    call.core.hand_over();
    call.reply.ok();
    Ok(())
}

fn remove(call: &mut Call<'_>) -> Result<(), CommandError> {
    let keeper_only = match call.args.len() {
        3 => false,
        4 if is_word(call.args.at(3), "keeper") => true,
        _ => return Err(CommandError::Other("CLUSTER REMOVE takes a node's name, and KEEPER if its Core is to stay")),
    };
    let departure = Departure { node: lossy(call.args.at(2)), keeper_only };
    call.core.check_departure(&departure).map_err(CommandError::Text)?;
    call.then = Then::Remove(departure);
    Ok(())
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
    let keepers = keepers(core);
    let (node, role) = (core.config.node.clone(), core.role_name());
    let committed = core.known() + core.lag();
    let numbers = [
        ("epoch", verdicts.epoch.0),
        ("format", u64::from(core.agreed().format)),
        ("applied", core.applied().0),
        ("committed", committed.saturating_sub(1)),
        ("lag", core.lag()),
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
    reply.array(keepers.len());
    for keeper in &keepers {
        reply.map(7);
        for (field, text) in [("name", &*keeper.name), ("address", &*keeper.address), ("role", keeper.role)] {
            reply.bulk(field.as_bytes());
            reply.bulk(text.as_bytes());
        }
        reply.bulk(b"id");
        reply.bulk(alloc::format!("{:016x}", keeper.id).as_bytes());
        reply.bulk(b"leader");
        reply.integer(i64::from(keeper.leads));
        let heard = keeper.heard.map(|ago| ago.as_millis() as u64);
        for (field, number) in [("matched", keeper.matched), ("heard", heard)] {
            reply.bulk(field.as_bytes());
            match number {
                Some(number) => reply.integer(number as i64),
                None => reply.null(),
            }
        }
    }
}

/// A member of the Raft group as this node knows it.
struct Keeper {
    id: u64,
    name: String,
    address: String,
    role: &'static str,
    leads: bool,
    /// The last entry that it is known to have: `None` unless the leader is in this process.
    matched: Option<u64>,
    /// How long ago it has answered the leader, likewise.
    heard: Option<Duration>,
}

fn keepers(core: &Core) -> Vec<Keeper> {
    fn of<T: Copy>(id: &u64, known: &[(u64, T)]) -> Option<T> {
        known.iter().find(|(known, _)| known == id).map(|(_, what)| *what)
    }
    let (members, group) = (core.members(), core.group());
    let keeper = |(id, member): &(u64, Member)| {
        let votes = members.voters.iter().any(|set| set.contains(id));
        Keeper {
            id: *id,
            name: member.name.clone(),
            address: member.address.clone(),
            role: if votes { "voter" } else { "learner" },
            leads: votes && group.leader.as_ref() == Some(&member.address),
            matched: of(id, &group.matched),
            heard: of(id, &group.heard),
        }
    };
    members.members.iter().map(keeper).collect()
}
