// Who is connected to this node.

import { h, replace } from "./dom.js";
import { ask, command, isError, text } from "./api.js";
import { button, empty, head, load, search, table } from "./page.js";
import { seconds, size } from "./format.js";

export const title = "Clients";

function parse(line) {
  return Object.fromEntries(line.split(" ").map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
}

export function show(holder) {
  const [listed, said] = [h("div"), h("p", { class: "said", role: "status" })];
  let [all, wanted] = [[], ""];
  const columns = [
    { name: "Id", of: (client) => client.id, kind: "number" },
    { name: "User", of: (client) => client.user },
    { name: "Name", of: (client) => client.name || client["lib-name"] || "–" },
    { name: "From", of: (client) => client.addr, kind: "mono" },
    { name: "Database", of: (client) => client.db, kind: "number" },
    { name: "Last command", of: (client) => client.cmd || "–", kind: "mono" },
    { name: "Connected for", of: (client) => seconds(Number(client.age)), kind: "number" },
    { name: "Idle for", of: (client) => seconds(Number(client.idle)), kind: "number" },
    { name: "Replies waiting", of: (client) => size(Number(client.omem)), kind: "number" },
    { name: "", of: (client) => button("Close", () => close(client), { class: "small danger", "aria-label": `Close client ${client.id}` }) },
  ];
  const draw = () => {
    const rows = all.filter((client) => Object.values(client).some((value) => value.includes(wanted)));
    return rows.length ? table("Clients", columns, rows) : empty(wanted ? "No client matches." : "Nobody is connected.", wanted && "Filter by any of what is shown.");
  };
  const refresh = () =>
    load(listed, "clients", async () => {
      all = text(await ask("CLIENT", "LIST")).trim().split("\n").map(parse);
      return draw();
    });
  async function close(client) {
    if (!confirm(`Close the connection of client ${client.id}, ${client.user || "nobody"} from ${client.addr}?`)) return;
    const reply = await command(["CLIENT", "KILL", "ID", client.id]);
    said.textContent = isError(reply) ? reply.error : `Client ${client.id} is closed.`;
    refresh();
  }
  const filter = search("Filter clients", (value) => ((wanted = value), all.length && replace(listed, draw())));
  replace(holder, head("Clients", "Connections to this node, the console's among them.", filter, button("Read again", refresh)), said, listed);
  refresh();
}
