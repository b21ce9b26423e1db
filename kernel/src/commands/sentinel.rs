//! SENTINEL, as one answers that watches the primary: every node does, each at its ordinary ports. Clients find the primary
//! so, and those who want reads from replicas the read ports of the standbys. Only there with
//! [`Facade::sentinel`](crate::facade::Facade).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::containers::{self, Subcommand};
use super::{Access, Command, CommandError, Keys, cluster};
use crate::call::Call;
use crate::core::Core;
use crate::facade::{Endpoint, Shown, id_of};
use crate::limits;
use crate::resp::Reply;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "sentinel",
    arity: -2,
    access: Access::Connection,
    keys: Keys::NONE,
    flags: &["noscript", "loading", "stale"],
    summary: "A container for Sentinel commands.",
    run: |call| containers::run(call, SUBCOMMANDS, "SENTINEL"),
}];

pub(super) const SUBCOMMANDS: &[Subcommand] = &[
    ("ckquorum", 3, Access::Connection, ckquorum),
    ("failover", 3, Access::Admin, |call| {
        check_name(call)?;
        cluster::transfer(call)
    }),
    ("get-master-addr-by-name", 3, Access::Connection, |call| {
        if check_name(call).is_err() {
            call.reply.null_array();
            return Ok(());
        }
        let master = master(call);
        call.reply.array(2);
        call.reply.bulk(master.host.as_bytes());
        call.reply.bulk(master.port.to_string().as_bytes());
        Ok(())
    }),
    ("help", 2, Access::Connection, |call| {
        call.reply.help(HELP);
        Ok(())
    }),
    ("master", 3, Access::Connection, |call| {
        check_name(call)?;
        show_master(call);
        Ok(())
    }),
    ("masters", 2, Access::Connection, |call| {
        call.reply.array(1);
        show_master(call);
        Ok(())
    }),
    ("myid", 2, Access::Connection, |call| {
        call.reply.bulk(id_of("node", &call.core.config.node).as_bytes());
        Ok(())
    }),
    ("replicas", 3, Access::Connection, replicas),
    ("sentinels", 3, Access::Connection, sentinels),
    ("slaves", 3, Access::Connection, replicas),
];

const HELP: &[&str] = &[
    "SENTINEL <subcommand>. Subcommands are:",
    "CKQUORUM <master-name>",
    "    Check whether a majority of the Cores answers and one of them is primary.",
    "FAILOVER <master-name>",
    "    Have the primary hand over to another Core; to be sent to the primary.",
    "GET-MASTER-ADDR-BY-NAME <master-name>",
    "    Return the address at which clients reach the primary.",
    "MASTER <master-name>",
    "    Show the primary.",
    "MASTERS",
    "    Show a list with the primary.",
    "MYID",
    "    Return the id of this node.",
    "REPLICAS <master-name>",
    "    Show the read ports of the other Cores.",
    "SENTINELS <master-name>",
    "    Show the other Cores.",
    "HELP",
    "    Print this help.",
];

fn check_name(call: &Call<'_>) -> Result<(), CommandError> {
    let known = call.core.config.facade.sentinel.as_deref().unwrap_or_default();
    match call.args.at(2) == known.as_bytes() {
        true => Ok(()),
        false => Err(CommandError::Other("No such master with that name")),
    }
}

fn master(call: &Call<'_>) -> Endpoint {
    call.core.shown()[0].reach.main.clone()
}

/// Of all Cores, also of those of which is not known where they are.
fn majority(core: &Core) -> usize {
    core.cores().iter().count() / 2 + 1
}

fn ckquorum(call: &mut Call<'_>) -> Result<(), CommandError> {
    check_name(call)?;
    let usable = call.core.shown().iter().filter(|node| node.answers).count();
    if call.core.primary().is_none() || usable < majority(call.core) {
        return Err(CommandError::NoSentinels(usable));
    }
    let text = format!("OK {usable} usable Sentinels. Quorum and failover authorization can be reached");
    call.reply.simple(&text);
    Ok(())
}

/// What is said of a node in Redis's order, the most of which clients convert to numbers: what it is comes behind.
fn show(reply: &mut Reply, name: &str, at: &Endpoint, flags: &str, node: &Shown<'_>, more: &[(&str, String)]) {
    let lease = limits::LEASE.as_millis().to_string();
    let since_answer = if node.answers { "0" } else { &*lease };
    let port = at.port.to_string();
    let all = [
        ("name", name),
        ("ip", &at.host),
        ("port", &port),
        ("runid", &node.id),
        ("flags", flags),
        ("link-pending-commands", "0"),
        ("link-refcount", "1"),
        ("last-ping-sent", "0"),
        ("last-ok-ping-reply", since_answer),
        ("last-ping-reply", since_answer),
        ("down-after-milliseconds", &lease),
    ];
    reply.map(all.len() + more.len());
    let more = more.iter().map(|(field, text)| (*field, &**text));
    for (field, text) in all.into_iter().chain(more) {
        reply.bulk(field.as_bytes());
        reply.bulk(text.as_bytes());
    }
}

fn show_master(call: &mut Call<'_>) {
    let core = &*call.core;
    let name = core.config.facade.sentinel.as_deref().unwrap_or_default();
    let nodes = core.shown();
    let others = nodes.len() - 1;
    let more = [
        ("info-refresh", "0".to_string()),
        ("role-reported", "master".into()),
        ("role-reported-time", "0".into()),
        ("config-epoch", core.epoch().to_string()),
        ("num-slaves", others.to_string()),
        ("num-other-sentinels", others.to_string()),
        ("quorum", majority(core).to_string()),
        ("failover-timeout", core.config.park_timeout.as_millis().to_string()),
        ("parallel-syncs", "1".into()),
    ];
    show(call.reply, name, &nodes[0].reach.main, "master", &nodes[0], &more);
}

fn replicas(call: &mut Call<'_>) -> Result<(), CommandError> {
    check_name(call)?;
    let core = &*call.core;
    let nodes = core.shown();
    let (master, replicas) = (&nodes[0].reach.main, &nodes[1..]);
    call.reply.array(replicas.len());
    for node in replicas {
        let more = [
            ("info-refresh", "0".to_string()),
            ("role-reported", "slave".into()),
            ("role-reported-time", "0".into()),
            ("master-link-down-time", "0".into()),
            ("master-link-status", if node.answers { "ok" } else { "err" }.into()),
            ("master-host", master.host.clone()),
            ("master-port", master.port.to_string()),
            ("slave-priority", "100".into()),
            ("slave-repl-offset", node.offset(core).to_string()),
            ("replica-announced", "1".into()),
        ];
        let flags = if node.answers { "slave" } else { "s_down,slave,disconnected" };
        show(call.reply, &node.reach.read.to_string(), &node.reach.read, flags, node, &more);
    }
    Ok(())
}

fn sentinels(call: &mut Call<'_>) -> Result<(), CommandError> {
    check_name(call)?;
    let nodes = call.core.shown();
    let others: Vec<&Shown<'_>> = nodes.iter().filter(|node| !node.is_own).collect();
    call.reply.array(others.len());
    for node in others {
        let more =
            [("last-hello-message", "0".to_string()), ("voted-leader", "?".into()), ("voted-leader-epoch", "0".into())];
        let flags = if node.answers { "sentinel" } else { "s_down,sentinel,disconnected" };
        show(call.reply, &node.id, &node.reach.main, flags, node, &more);
    }
    Ok(())
}
