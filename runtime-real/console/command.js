// A box for commands: each is run as the user who is signed in.

import { h, replace } from "./dom.js";
import { batch, command, isError, plain } from "./api.js";
import { head } from "./page.js";
import { split } from "./words.js";
import { shown } from "./reply.js";
import { micros } from "./format.js";

export const title = "Command";

const MAX_KEPT = 100;
// What cannot be taken back.
const GRAVE = ["flushall", "flushdb", "shutdown", "load", "debug"];
// Kept while the page is open, and nowhere else.
const typed = [];
let docs = null;

export function show(holder) {
  const [output, hint] = [h("div", { class: "output", role: "log", "aria-live": "polite", tabindex: "0", "aria-label": "Replies" }), h("p", { class: "hint" })];
  const input = h("input", { class: "mono grow", placeholder: "GET some:key", "aria-label": "Command", spellcheck: "false", autocomplete: "off", autocapitalize: "off", "data-search": true, list: "commands", oninput: explain, onkeydown: recall });
  const known = h("datalist", { id: "commands" });
  const form = h("form", { class: "prompt", onsubmit: run }, h("span", { class: "mono", "aria-hidden": "true" }, "›"), input, h("button", { class: "accent" }, "Run"));
  let at = typed.length;

  function recall(event) {
    if (event.key === "ArrowUp" && at > 0) at -= 1;
    else if (event.key === "ArrowDown" && at < typed.length) at += 1;
    else return;
    event.preventDefault();
    input.value = typed[at] ?? "";
    explain();
  }

  function explain() {
    const doc = docs?.[input.value.trim().split(/\s/)[0].toLowerCase()];
    hint.textContent = doc ? doc.summary : "";
  }

  async function run(event) {
    event.preventDefault();
    const line = input.value.trim();
    if (!line) return;
    let words;
    try {
      words = split(line);
    } catch (error) {
      hint.textContent = error.message;
      return;
    }
    if (GRAVE.includes(String(words[0]).toLowerCase()) && !confirm(`${String(words[0]).toUpperCase()} cannot be taken back. Run it on this node?`)) return;
    // Passwords are not kept.
    if (!/\bpassword\b|setuser/i.test(line)) typed.push(line);
    if (typed.length > MAX_KEPT) typed.shift();
    at = typed.length;
    input.value = "";
    hint.textContent = "";
    const begun = performance.now();
    const reply = await command(words).catch((error) => ({ error: error.message }));
    const took = micros(1000 * (performance.now() - begun));
    output.append(h("article", { class: isError(reply) ? "wrong" : null }, h("header", null, h("code", null, line), h("span", { class: "quiet" }, took)), shown(reply)));
    while (output.children.length > MAX_KEPT) output.firstElementChild.remove();
    output.scrollTop = output.scrollHeight;
  }

  replace(holder, head("Command", "Run as you, on a connection of its own: SELECT and MULTI last. The arrows bring back what was typed."), output, form, hint, known);
  input.focus();
  batch([["COMMAND", "DOCS"]])
    .then(([reply]) => {
      docs = isError(reply) ? {} : plain(reply);
      replace(known, Object.keys(docs).sort().map((name) => h("option", { value: name.toUpperCase() })));
    })
    .catch(() => {});
}
