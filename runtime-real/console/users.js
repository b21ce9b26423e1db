// Users, what they may, and whether one could run a command.

import { h, replace } from "./dom.js";
import { ask, batch, isError, plain, text } from "./api.js";
import { badge, button, head, load, table } from "./page.js";
import { split } from "./words.js";

export const title = "Users and rights";

export function show(holder) {
  const [listed, detail] = [h("div"), h("div", { class: "detail" })];
  const who = h("select", { "aria-label": "User", name: "user" });
  const what = h("input", { class: "mono grow", placeholder: "GET some:key", "aria-label": "Command", spellcheck: "false", autocomplete: "off", "data-search": true });
  const where = h("input", { class: "narrow", value: "0", "aria-label": "Database", inputmode: "numeric" });
  const verdict = h("p", { class: "verdict", role: "status" });
  const form = h("form", { class: "question", onsubmit: check }, h("span", null, "Can"), who, h("span", null, "run"), what, h("span", null, "on database"), where, h("button", { class: "accent" }, "Ask"));

  async function check(event) {
    event.preventDefault();
    const words = split(what.value);
    if (!words.length) return what.focus();
    const [selected, reply] = await batch([["SELECT", where.value], ["ACL", "DRYRUN", who.value, ...words]]).catch((error) => [null, { error: error.message }]);
    const wrong = isError(selected) ? selected.error : isError(reply) ? reply.error : null;
    verdict.className = `verdict ${wrong ? "warn" : reply === "OK" ? "good" : "bad"}`;
    verdict.textContent = wrong ? `That cannot be asked: ${wrong}` : reply === "OK" ? `Yes: ${who.value} may run ${what.value}.` : `No: ${text(reply)}.`;
  }

  const columns = [
    { name: "User", of: (user) => button(user.name, () => inspect(user.name), { class: "link" }) },
    { name: "Role", of: (user) => badge(user.role, user.role === "admin" ? "accent" : "") },
    { name: "Databases", of: (user) => (user.databases[0] === "*" ? "all" : user.databases.join(", ") || "none") },
    { name: "Level", of: (user) => user.consistency ?? "the database's" },
  ];

  async function inspect(name) {
    who.value = name;
    verdict.textContent = "";
    await load(detail, "the user's rights", async () => {
      const user = plain(await ask("ACL", "GETUSER", name));
      const rules = [user, ...user.selectors].map(({ commands, keys, channels }) => [commands, keys || "no keys", channels || "no channels"]);
      const columns = ["Commands", "Keys", "Channels"].map((column, i) => ({ name: column, of: (row) => text(row[i]), kind: "mono long" }));
      return [h("h2", null, `What ${name} may`), h("p", { class: "sub" }, `${user.flags.join(", ") || "no flags"}; ${user.passwords.length} password${user.passwords.length === 1 ? "" : "s"}. Rules only restrict what the role allows.`), table(`Rules of ${name}`, columns, rules)];
    });
  }

  replace(holder, head("Users and rights", "Can somebody do something? The node answers as it would decide, and runs nothing."), h("section", { class: "card" }, form, verdict), listed, detail);
  load(listed, "users", async () => {
    const users = plain(await ask("USER", "LIST"));
    replace(who, users.map((user) => h("option", { value: user.name }, user.name)));
    return table("Users", columns, users);
  }).then(() => {
    // Without users to choose from there is nothing to ask.
    form.parentElement.hidden = who.options.length === 0;
  });
}
