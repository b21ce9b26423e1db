// The overview: the cluster, and how much is done here.

import { h, replace } from "./dom.js";
import { head } from "./page.js";
import { stream, live } from "./stream.js";
import { picture } from "./picture.js";
import { chart } from "./chart.js";
import { timeline } from "./timeline.js";
import { count, micros, percent, seconds, size } from "./format.js";

export const title = "Overview";

export function show(holder) {
  const cluster = picture();
  const facts = h("dl", { class: "facts" });
  const happened = timeline(8);
  const charts = [
    chart("Operations a second", [{ of: (point) => point.rates?.operations ?? NaN, kind: "one" }], count, { note: (_, now) => now?.info && `${count(Number(now.info.total_commands_processed))} in all` }),
    chart("Latency", [{ of: (point) => point.latency?.p99 ?? NaN, kind: "two" }, { of: (point) => point.latency?.p50 ?? NaN, kind: "one" }], micros, { note: ([, half]) => (Number.isFinite(half) ? `of 99 %; of half ${micros(half)}` : "too few replies to tell") }),
    chart("Hit rate", [{ of: (point) => point.rates?.hits ?? NaN, kind: "one" }], percent, { most: 1, note: ([now]) => (Number.isFinite(now) ? "of reads find their key" : "nothing is read") }),
    chart("Memory", [{ of: (point) => Number(point.info.used_memory), kind: "one" }], size, { note: (_, now) => now?.info && memory(now.info) }),
    chart("Clients", [{ of: (point) => Number(point.info.connected_clients), kind: "one" }], count, { note: (_, now) => now?.info && `of ${count(Number(now.info.maxclients))}, the console's among them` }),
    chart("Traffic", [{ of: (point) => (point.rates?.input ?? NaN) + (point.rates?.output ?? NaN), kind: "one" }], (bytes) => (Number.isFinite(bytes) ? `${size(bytes)}/s` : "–"), { note: () => "in and out, without TLS" }),
  ];
  replace(
    holder,
    head("Overview"),
    facts,
    h("div", { class: "split" }, h("section", { class: "card wide", "aria-label": "The cluster" }, cluster.element), h("section", { class: "card", "aria-label": "What happened" }, h("h3", null, "While you watched"), happened.element)),
    h("div", { class: "charts" }, charts.map((one) => one.element)),
  );
  const update = () => {
    cluster.update();
    charts.forEach((one) => one.update());
    replace(facts, factsOf(live.now));
  };
  update();
  const off = new AbortController();
  for (const kind of ["told", "silent", "answering"]) stream.addEventListener(kind, update, { signal: off.signal });
  return () => (off.abort(), happened.end());
}

function memory(info) {
  const most = Number(info.maxmemory);
  return most ? `of ${size(most)}, ${info.maxmemory_policy}` : "no limit is set";
}

function factsOf(now) {
  if (!now?.status) return [];
  const { status, info } = now;
  const keys = Object.entries(info).filter(([name]) => /^db\d+$/.test(name)).map(([, value]) => Number(/keys=(\d+)/.exec(value)[1]));
  const facts = [
    ["Primary", status.primary || "none", !status.primary && "bad"],
    ["Epoch", status.epoch],
    ["This node", `${status.node}, ${status.role}`],
    ["Keys", count(keys.reduce((sum, n) => sum + n, 0))],
    ["Applied", status.applied.toLocaleString("en")],
    ["Up for", seconds(Number(info.uptime_in_seconds))],
    ["Version", info.mneme_version],
  ];
  return facts.map(([name, value, kind]) => h("div", null, h("dt", null, name), h("dd", { class: kind || null }, String(value))));
}
