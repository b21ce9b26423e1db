// Nodes as a table: what CLUSTER STATUS says of each.

import { h, replace } from "./dom.js";
import { badge, empty, head, table } from "./page.js";
import { stream, live } from "./stream.js";
import { nodes } from "./health.js";
import { words } from "./cluster.js";
import { picture } from "./picture.js";
import { timeline } from "./timeline.js";
import { size } from "./format.js";

export const title = "Nodes";

const KINDS = { well: "good", behind: "warn", silent: "bad", unseen: "" };
const COLUMNS = [
  { name: "Node", of: (node) => [node.name, node.isThis && badge("this node")].filter(Boolean) },
  { name: "Core", of: (node) => (node.core ? (node.core.role === "primary" ? badge("primary", "accent") : node.core.role) : "–") },
  { name: "Keeper", of: (node) => (node.keeper ? `${node.keeper.role}${node.keeper.leads ? ", leads" : ""}` : "–") },
  { name: "State", of: (node) => badge(words(node, live.now.status), KINDS[node.state]) },
  { name: "Last entry", of: (node) => (node.keeper?.matched ?? (node.isThis ? live.now.status.applied : null))?.toLocaleString("en") ?? "–", kind: "number" },
  { name: "Address", of: (node) => node.address, kind: "mono" },
  { name: "Keeper's id", of: (node) => node.keeper?.id ?? "–", kind: "mono" },
  { name: "Life", of: (node) => node.core?.incarnation ?? "–", kind: "number" },
];

export function show(holder) {
  const [cluster, happened] = [picture(), timeline(20)];
  const [listed, disk] = [h("div"), h("dl", { class: "facts" })];
  replace(
    holder,
    head("Nodes", "As this node knows them. Which Keepers answer, and how far they are, it is told by the one that leads."),
    h("section", { class: "card", "aria-label": "The cluster" }, cluster.element),
    listed,
    h("h2", null, "This node's log"),
    disk,
    h("h2", null, "While you watched"),
    h("section", { class: "card" }, happened.element),
  );
  const update = () => {
    cluster.update();
    const all = nodes();
    replace(listed, all.length ? table("Nodes of the cluster", COLUMNS, all) : empty("No node is known yet.", "The node tells once a second."));
    if (live.now?.info) replace(disk, diskOf(live.now));
  };
  update();
  const off = new AbortController();
  for (const kind of ["told", "silent", "answering"]) stream.addEventListener(kind, update, { signal: off.signal });
  return () => (off.abort(), happened.end());
}

function diskOf({ info, status }) {
  const facts = [
    ["Committed", status?.committed?.toLocaleString("en")],
    ["Batches in flight", info.batches_in_flight],
    ["Log since the snapshot", size(Number(info.log_bytes))],
    ["Snapshot", size(Number(info.snapshot_bytes))],
    ["Last snapshot", info.rdb_last_bgsave_status],
    ["Disk", info.disk_full === "1" ? "full" : "has space"],
    ["Format", status?.format],
  ];
  return facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", { class: value === "full" || value === "err" ? "bad" : null }, String(value ?? "–"))));
}
