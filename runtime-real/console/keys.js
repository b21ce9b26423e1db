// A browser of keys: by SCAN, a piece at a time, never all at once.

import { h, replace } from "./dom.js";
import { ask, batch, isError, plain, text } from "./api.js";
import { badge, button, empty, head, load, search, table } from "./page.js";
import { viewer } from "./viewer.js";
import { seconds } from "./format.js";

export const title = "Keys";

// Keys that one step of SCAN looks at, and steps until at least some are found.
const STEP = 200;
const STEPS = 20;
const ENOUGH = 50;
const TYPES = ["string", "list", "hash", "set", "zset", "stream", "ReJSON-RL"];

export function show(holder) {
  const [listed, seen, more] = [h("div"), h("div", { class: "viewer card" }), h("div", { class: "more" })];
  const databases = h("select", { "aria-label": "Database", onchange: begin }, h("option", { value: "0" }, "database 0"));
  const types = h("select", { "aria-label": "Type", onchange: begin }, h("option", { value: "" }, "every type"), TYPES.map((type) => h("option", { value: type }, type)));
  let [rows, cursor, pattern, timer, turn] = [[], "0", "", 0, 0];
  const filter = search("Pattern, such as user:*", (value) => {
    pattern = value;
    clearTimeout(timer);
    timer = setTimeout(begin, 250);
  });

  const columns = [
    { name: "Key", of: (row) => button(text(row.key) || '""', () => inspect(row), { class: "link mono", "aria-pressed": "false" }) },
    { name: "Type", of: (row) => badge(row.type, `type-${row.type}`) },
    { name: "Expires", of: (row) => (row.ttl >= 0 ? `in ${seconds(row.ttl / 1000)}` : "–"), kind: "number" },
  ];

  function begin() {
    [rows, cursor] = [[], "0"];
    replace(seen, empty("No key is chosen.", "Choose one to see what it holds."));
    return further();
  }

  // Goes on with SCAN until something was found, or all was seen.
  function further() {
    const mine = ++turn;
    return load(listed, "keys", async () => {
      const [before, database] = [rows.length, databases.value];
      for (let step = 0; step < STEPS && rows.length - before < ENOUGH; step++) {
        const options = [...(pattern ? ["MATCH", /[*?[\\]/.test(pattern) ? pattern : `*${pattern}*`] : []), "COUNT", String(STEP), ...(types.value ? ["TYPE", types.value] : [])];
        const [selected, scanned] = await batch([["SELECT", database], ["SCAN", cursor, ...options]]);
        if (isError(selected) || isError(scanned)) return empty("Keys of this database cannot be read.", (selected.error ?? scanned.error) + ".");
        if (mine !== turn) return null;
        cursor = text(scanned[0]);
        rows.push(...(await described(database, scanned[1])));
        if (cursor === "0") break;
      }
      const isAll = cursor === "0";
      const told = isAll ? `${rows.length.toLocaleString("en")} keys, all that match.` : `${rows.length.toLocaleString("en")} keys so far.`;
      replace(more, rows.length > 0 && h("span", { class: "quiet" }, told), !isAll && button("Look further", further));
      if (rows.length) return table("Keys", columns, rows);
      if (!isAll) return empty("Nothing found so far.", "There is more to look at.");
      return pattern || types.value ? empty("No key matches.", "Patterns are those of SCAN: user:*, page:?, [ab]*.") : empty("This database is empty.", "SET greeting hello, in the command box, makes a key.");
    });
  }

  // A key may appear twice in SCAN, and may be gone by now.
  async function described(database, keys) {
    const known = new Set(rows.map((row) => JSON.stringify(row.key)));
    const fresh = keys.filter((key) => !known.has(JSON.stringify(key)) && known.add(JSON.stringify(key)));
    const [, ...replies] = await batch([["SELECT", database], ...fresh.flatMap((key) => [["TYPE", key], ["PTTL", key]])]);
    const row = (key, i) => ({ key, type: isError(replies[2 * i]) ? "?" : text(replies[2 * i]), ttl: Number(replies[2 * i + 1]) });
    return fresh.map(row).filter((one) => one.type !== "none");
  }

  function inspect(row) {
    for (const link of listed.querySelectorAll("button.link")) link.setAttribute("aria-pressed", String(link.textContent === text(row.key)));
    load(seen, "the key", () => viewer(databases.value, row.key));
  }

  replace(holder, head("Keys", "Read by SCAN from this node's memory, at EVENTUAL.", databases, types, filter, button("Read again", begin)), h("div", { class: "split even" }, h("div", null, listed, more), seen));
  begin();
  ask("DATABASE", "LIST")
    .then((reply) => {
      const chosen = databases.value;
      const shown = plain(reply).filter((database) => database.keys > 0 || database.name || database.number === 0);
      replace(databases, shown.map((database) => h("option", { value: database.number }, `${database.name ? text(database.name) : `database ${database.number}`} (${database.keys.toLocaleString("en")})`)));
      databases.value = chosen;
    })
    .catch(() => {});
  return () => clearTimeout(timer);
}
