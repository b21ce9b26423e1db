// Settings: the value of each, and who has given it.

import { h, replace } from "./dom.js";
import { ask, plain } from "./api.js";
import { badge, button, empty, head, load, search, table } from "./page.js";

export const title = "Settings";

const COLUMNS = [
  { name: "Setting", of: ([name]) => name, kind: "mono" },
  { name: "Value", of: ([, [value]]) => value || "–", kind: "mono long" },
  { name: "Given by", of: ([, [, origin]]) => (origin === "default" ? h("span", { class: "quiet" }, "default") : badge(origin, origin === "CONFIG SET" ? "warn" : "accent")) },
];

export function show(holder) {
  const listed = h("div");
  let [all, wanted, isChangedOnly] = [[], "", false];
  const draw = () => {
    const rows = all.filter(([name, [value, origin]]) => `${name} ${value} ${origin}`.includes(wanted) && !(isChangedOnly && origin === "default"));
    return rows.length ? table("Settings", COLUMNS, rows) : empty(all.length && !wanted ? "All settings have their defaults." : "No setting matches.");
  };
  const again = () => all.length && replace(listed, draw());
  const refresh = () =>
    load(listed, "settings", async () => {
      all = Object.entries(plain(await ask("CONFIG", "ORIGIN")));
      return draw();
    });
  const only = h("label", { class: "check" }, h("input", { type: "checkbox", onchange: (event) => ((isChangedOnly = event.target.checked), again()) }), "only what somebody gave");
  const sub = "Later wins: file, environment, flag. CONFIG SET holds until the next start, and says so. Secrets are not shown.";
  replace(holder, head("Settings", sub, only, search("Filter settings", (value) => ((wanted = value.toLowerCase()), again())), button("Read again", refresh)), listed);
  refresh();
}
