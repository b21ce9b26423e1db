//! CLUSTER as Redis Cluster answers it, and ASKING: one shard with all slots. The primary is its master, the other Cores its
//! replicas. Only there with [`Facade::cluster`](crate::facade::Facade).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::containers::Subcommand;
use super::{Access, Command, CommandError, Keys, integer, keyspace, lossy};
use crate::call::Call;
use crate::core::Core;
use crate::facade::{SLOTS, Shown, id_of, slot};

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "asking",
    arity: 1,
    access: Access::Connection,
    keys: Keys::NONE,
    flags: &["fast"],
    summary: "Does nothing: no slot is ever on its way elsewhere.",
    run: |call| {
        call.reply.ok();
        Ok(())
    },
}];

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("count-failure-reports", 3, Access::Connection, |call| {
        call.reply.integer(0);
        Ok(())
    }),
    ("countkeysinslot", 3, Access::Read, |call| {
        let slot = slot_of(integer(call.args.at(2))?).ok_or(CommandError::Other("Invalid slot"))?;
        let keys = keys_in(call, slot, usize::MAX);
        call.reply.integer(keys.len() as i64);
        Ok(())
    }),
    ("getkeysinslot", 4, Access::Read, |call| {
        let (slot, most) = (integer(call.args.at(2))?, integer(call.args.at(3))?);
        let refusal = CommandError::Other("Invalid slot or number of keys");
        let (Some(slot), Ok(most)) = (slot_of(slot), usize::try_from(most)) else { return Err(refusal) };
        let keys = keys_in(call, slot, most);
        call.reply.array(keys.len());
        keys.iter().for_each(|key| call.reply.bulk(key));
        Ok(())
    }),
    ("info", 2, Access::Connection, info),
    ("keyslot", 3, Access::Connection, |call| {
        call.reply.integer(slot(call.args.at(2)).into());
        Ok(())
    }),
    // Of links by which slots are negotiated there are none.
    ("links", 2, Access::Connection, |call| {
        call.reply.array(0);
        Ok(())
    }),
    ("myid", 2, Access::Connection, |call| {
        call.reply.bulk(id_of("node", &call.core.config.node).as_bytes());
        Ok(())
    }),
    ("myshardid", 2, Access::Connection, |call| {
        call.reply.bulk(id_of("shard", "").as_bytes());
        Ok(())
    }),
    ("nodes", 2, Access::Connection, |call| {
        let nodes = call.core.shown();
        let text: String = nodes.iter().map(|node| line(call.core, node, &nodes[0]) + "\n").collect();
        call.reply.verbatim(&text);
        Ok(())
    }),
    ("replicas", 3, Access::Connection, replicas),
    ("shards", 2, Access::Connection, shards),
    ("slaves", 3, Access::Connection, replicas),
    ("slots", 2, Access::Connection, slots),
];

pub(super) const HELP: &[&str] = &[
    "COUNTKEYSINSLOT <slot>",
    "    Return the number of keys in <slot>.",
    "GETKEYSINSLOT <slot> <count>",
    "    Return key names stored by current node in a slot.",
    "INFO",
    "    Return information about the cluster.",
    "KEYSLOT <key>",
    "    Return the hash slot for <key>.",
    "MYID",
    "    Return the node id.",
    "MYSHARDID",
    "    Return the node's shard id.",
    "NODES",
    "    Return cluster configuration seen by node.",
    "REPLICAS <node-id>",
    "    Return <node-id> replicas.",
    "SLOTS",
    "    Return information about slots range mappings.",
    "SHARDS",
    "    Return information about slot range mappings and the nodes associated with them.",
];

fn slot_of(number: i64) -> Option<u16> {
    u16::try_from(number).ok().filter(|slot| *slot < SLOTS)
}

/// At most so many keys of a slot. Keys are not kept by slots: all are looked at, as by KEYS.
fn keys_in(call: &mut Call<'_>, wanted: u16, most: usize) -> Vec<alloc::boxed::Box<[u8]>> {
    let db = call.db();
    let mut keys = Vec::new();
    call.core.store.database(db).scan(0, usize::MAX, |key, _| {
        if slot(key) == wanted {
            keys.push(key.into());
        }
    });
    let mut keys = keyspace::alive(call, db, keys);
    keys.truncate(most);
    keys
}

fn info(call: &mut Call<'_>) -> Result<(), CommandError> {
    let core = &*call.core;
    let (nodes, epoch) = (core.shown().len(), core.epoch());
    let state = if core.primary().is_some() { "ok" } else { "fail" };
    let text = format!(
        "cluster_state:{state}\r\n\
         cluster_slots_assigned:{SLOTS}\r\n\
         cluster_slots_ok:{SLOTS}\r\n\
         cluster_slots_pfail:0\r\n\
         cluster_slots_fail:0\r\n\
         cluster_known_nodes:{nodes}\r\n\
         cluster_size:1\r\n\
         cluster_current_epoch:{epoch}\r\n\
         cluster_my_epoch:{epoch}\r\n\
         cluster_stats_messages_sent:0\r\n\
         cluster_stats_messages_received:0\r\n\
         total_cluster_links_buffer_limit_exceeded:0\r\n"
    );
    call.reply.verbatim(&text);
    Ok(())
}

/// A node as `CLUSTER NODES` and `CLUSTER REPLICAS` describe it.
fn line(core: &Core, node: &Shown<'_>, master: &Shown<'_>) -> String {
    let Shown { id, reach, .. } = node;
    let mut flags = String::from(if node.is_own { "myself," } else { "" });
    flags.push_str(if node.is_master { "master" } else { "slave" });
    flags.push_str(if node.answers { "" } else { ",fail" });
    let of = if node.is_master { "-" } else { &master.id };
    let link = if node.answers { "connected" } else { "disconnected" };
    let slots = if node.is_master { format!(" 0-{}", SLOTS - 1) } else { String::new() };
    // The port of Redis's nodes among themselves is not one of clients here, and none of theirs dials it.
    let bus = reach.main.port.checked_add(10_000).unwrap_or(0);
    format!("{id} {}@{bus} {flags} {of} 0 0 {} {link}{slots}", reach.main, core.epoch())
}

fn replicas(call: &mut Call<'_>) -> Result<(), CommandError> {
    let core = &*call.core;
    let nodes = core.shown();
    let asked = nodes.iter().find(|node| call.args.at(2).eq_ignore_ascii_case(node.id.as_bytes()));
    match asked {
        None => return Err(CommandError::Text(format!("Unknown node {}", lossy(call.args.at(2))))),
        Some(node) if !node.is_master => return Err(CommandError::Other("The specified node is not a master")),
        Some(_) => {}
    }
    let lines: Vec<String> = nodes[1..].iter().map(|node| line(core, node, &nodes[0])).collect();
    call.reply.array(lines.len());
    lines.iter().for_each(|line| call.reply.bulk(line.as_bytes()));
    Ok(())
}

fn slots(call: &mut Call<'_>) -> Result<(), CommandError> {
    // As in Redis, a replica that does not answer is left out: clients would dial it.
    let nodes: Vec<Shown<'_>> = call.core.shown().into_iter().filter(|node| node.answers).collect();
    let reply = &mut *call.reply;
    reply.array(1);
    reply.array(2 + nodes.len());
    reply.integer(0);
    reply.integer((SLOTS - 1).into());
    for node in &nodes {
        reply.array(4);
        reply.bulk(node.reach.main.host.as_bytes());
        reply.integer(node.reach.main.port.into());
        reply.bulk(node.id.as_bytes());
        reply.array(0);
    }
    Ok(())
}

fn shards(call: &mut Call<'_>) -> Result<(), CommandError> {
    let core = &*call.core;
    let nodes = core.shown();
    let reply = &mut *call.reply;
    reply.array(1);
    reply.map(2);
    reply.bulk(b"slots");
    reply.array(2);
    reply.integer(0);
    reply.integer((SLOTS - 1).into());
    reply.bulk(b"nodes");
    reply.array(nodes.len());
    for node in &nodes {
        let host = &*node.reach.main.host;
        let (role, health) =
            (if node.is_master { "master" } else { "replica" }, if node.answers { "online" } else { "fail" });
        reply.map(7);
        for (name, text) in [("id", &*node.id), ("ip", host), ("endpoint", host), ("role", role), ("health", health)] {
            reply.bulk(name.as_bytes());
            reply.bulk(text.as_bytes());
        }
        for (name, number) in [("tls-port", node.reach.main.port.into()), ("replication-offset", node.offset(core))] {
            reply.bulk(name.as_bytes());
            reply.integer(number as i64);
        }
    }
    Ok(())
}
