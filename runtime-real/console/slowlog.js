// What was slow on this node.

import { h, replace } from "./dom.js";
import { ask, batch, isError, plain, text } from "./api.js";
import { button, empty, head, load, table } from "./page.js";
import { micros, time } from "./format.js";

export const title = "Slow log";

const COLUMNS = [
  { name: "When", of: ([, at]) => h("time", { title: new Date(at * 1000).toISOString() }, `${new Date(at * 1000).toLocaleDateString("en-CA")} ${time(at * 1000)}`) },
  { name: "Took", of: ([, , took]) => micros(took), kind: "number" },
  { name: "Command", of: ([, , , words]) => words.map(text).join(" "), kind: "mono long" },
  { name: "Client", of: ([, , , , address, name]) => (name ? `${text(name)}, ${text(address)}` : text(address)), kind: "mono" },
];

export function show(holder) {
  const [slow, spikes, sub] = [h("div"), h("div"), h("p", { class: "sub" })];
  const refresh = () => {
    load(slow, "the slow log", async () => {
      const entries = await ask("SLOWLOG", "GET", "128");
      const [limit] = await batch([["CONFIG", "GET", "slowlog-log-slower-than"]]);
      if (!isError(limit)) sub.textContent = `Commands that ran for ${micros(Number(Object.values(plain(limit))[0]))} or longer. CONFIG SET slowlog-log-slower-than changes that.`;
      return entries.length ? table("Slow commands", COLUMNS, entries) : empty("No command was slow.", "What takes longer than slowlog-log-slower-than is written down here.");
    });
    load(spikes, "latency spikes", async () => {
      const latest = await ask("LATENCY", "LATEST");
      const columns = [
        { name: "Event", of: ([event]) => event },
        { name: "Last", of: ([, at]) => time(at * 1000) },
        { name: "Last took", of: ([, , last]) => `${last} ms`, kind: "number" },
        { name: "Longest", of: ([, , , most]) => `${most} ms`, kind: "number" },
      ];
      return latest.length ? table("Latency spikes", columns, latest) : empty("No spike was seen.", "CONFIG SET latency-monitor-threshold says from how many milliseconds on they are noted; 0 is never.");
    });
  };
  replace(holder, head("Slow log", null, button("Read again", refresh)), sub, slow, h("h2", null, "Latency spikes"), spikes);
  refresh();
}
