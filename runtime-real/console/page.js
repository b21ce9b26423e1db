// What the pages have in common: a head, tables, and what is said where there is nothing to show.

import { h, replace } from "./dom.js";
import { Refused, SignedOut, text } from "./api.js";

export function head(title, sub, ...tools) {
  return h("header", { class: "page-head" }, h("div", null, h("h1", { tabindex: "-1" }, title), sub && h("p", { class: "sub" }, sub)), h("div", { class: "tools" }, tools));
}

export function empty(title, more) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), more && h("p", null, more));
}

// What is said instead, for a user without the right or a node without an answer.
export function trouble(error, what) {
  if (error instanceof SignedOut) return null;
  if (error instanceof Refused && error.isForbidden) {
    return empty(`Your user may not see ${what}.`, `The node says: ${error.message}. Sign in as a user who may, such as an admin.`);
  }
  return empty(`${what[0].toUpperCase()}${what.slice(1)} could not be read.`, error.message);
}

// Shows what `load` gives, or why there is nothing.
export async function load(holder, what, make) {
  holder.setAttribute("aria-busy", "true");
  try {
    replace(holder, await make());
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    replace(holder, trouble(error, what));
  }
  holder.removeAttribute("aria-busy");
}

// `columns`: `{ name, of: row => text or element, kind }`.
export function table(caption, columns, rows, options = {}) {
  const cell = (row) => (column) => {
    const content = column.of(row);
    return h("td", { class: column.kind }, content instanceof Node || Array.isArray(content) ? content : text(content));
  };
  const body = rows.map((row) => h("tr", { class: options.kind?.(row) }, columns.map(cell(row))));
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", null, h("caption", { class: "aside" }, caption), h("thead", null, h("tr", null, columns.map((column) => h("th", { scope: "col", class: column.kind }, column.name)))), h("tbody", null, body)),
  );
}

export function search(placeholder, changed) {
  return h("input", { type: "search", class: "search", placeholder, "aria-label": placeholder, "data-search": true, oninput: (event) => changed(event.target.value), spellcheck: "false", autocomplete: "off" });
}

export const button = (name, onclick, attributes) => h("button", { type: "button", onclick, ...attributes }, name);
export const badge = (name, kind = "") => h("span", { class: `badge ${kind}` }, name);
