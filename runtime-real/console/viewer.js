// What a key holds, by its type; of long ones a piece.

import { h, replace } from "./dom.js";
import { batch, bytes, isBinary, isError, plain, text, Refused } from "./api.js";
import { badge, button, empty, table } from "./page.js";
import { count, seconds, size } from "./format.js";

const PIECE = 100;
const MOST_BYTES = 64 << 10;

export async function viewer(database, key) {
  const [selected, type, ttl, encoding, memory] = await batch([["SELECT", database], ["TYPE", key], ["PTTL", key], ["OBJECT", "ENCODING", key], ["MEMORY", "USAGE", key]]);
  const wrong = [selected, type].find(isError);
  if (wrong) throw new Refused(wrong.error);
  if (type === "none") return empty("The key is gone.", "It was deleted, or its time was over.");
  const asked = VIEWERS[type];
  const facts = [badge(type, `type-${type}`), !isError(encoding) && encoding && badge(text(encoding)), !isError(memory) && memory && badge(size(memory)), ttl >= 0 && badge(`expires in ${seconds(ttl / 1000)}`, "warn")];
  const body = asked ? await asked(database, key) : empty(`There is no viewer for ${type}.`, "The command box reads it.");
  return [h("h2", { class: "mono key" }, text(key)), h("p", { class: "badges" }, facts.filter(Boolean)), body];
}

// The replies to questions about a database's key.
async function read(database, ...commands) {
  const [, ...replies] = await batch([["SELECT", database], ...commands]);
  const wrong = replies.find(isError);
  if (wrong) throw new Refused(wrong.error);
  return replies;
}

const VIEWERS = { string, list, hash, set, zset, stream, "ReJSON-RL": json };

async function string(database, key) {
  const [length, value] = await read(database, ["STRLEN", key], ["GETRANGE", key, "0", String(MOST_BYTES - 1)]);
  const ways = { Text: () => text(value), Hex: () => hex(bytes(value)) };
  const parsed = isBinary(value) ? null : pretty(value);
  if (parsed) ways.JSON = () => parsed;
  const [shown, tabs] = [h("pre", { class: "value" }), h("div", { class: "tabs", role: "group", "aria-label": "Shown as" })];
  const choose = (name) => {
    replace(shown, ways[name]());
    for (const tab of tabs.children) tab.setAttribute("aria-pressed", String(tab.textContent === name));
  };
  replace(tabs, Object.keys(ways).map((name) => button(name, () => choose(name), { class: "small" })));
  choose(parsed ? "JSON" : isBinary(value) ? "Hex" : "Text");
  const cut = length > MOST_BYTES ? `The first ${size(MOST_BYTES)} of ${size(length)}.` : size(length);
  return [h("div", { class: "row" }, tabs, h("span", { class: "quiet" }, cut)), shown];
}

function pretty(value) {
  if (!/^\s*[[{]/.test(value)) return null;
  try {
    return JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return null;
  }
}

function hex(all) {
  const lines = [];
  for (let at = 0; at < all.length; at += 16) {
    const row = Array.from(all.subarray(at, at + 16));
    const digits = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const letters = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${digits.padEnd(47)}  ${letters}`);
  }
  return lines.join("\n");
}

// Rows that are read piece by piece; `next(state)` gives rows and the state to go on with, `null` at the end.
async function pieces(caption, columns, total, what, next) {
  let [rows, state] = await next(undefined);
  const holder = h("div");
  const draw = () => {
    const told = `${count(rows.length)} of ${count(total)} ${what}`;
    const go = state !== null && button("More", async () => {
      const [further, after] = await next(state);
      [rows, state] = [[...rows, ...further], after];
      draw();
    });
    replace(holder, table(caption, columns, rows), h("div", { class: "more" }, h("span", { class: "quiet" }, told), go));
  };
  draw();
  return holder;
}

const long = (name, of) => ({ name, of: (row) => text(of(row)), kind: "mono long" });

async function list(database, key) {
  const [length] = await read(database, ["LLEN", key]);
  return pieces("Elements", [{ name: "Index", of: ([i]) => i, kind: "number" }, long("Element", ([, element]) => element)], length, "elements", async (from = 0) => {
    const [found] = await read(database, ["LRANGE", key, String(from), String(from + PIECE - 1)]);
    return [found.map((element, i) => [from + i, element]), from + found.length < length ? from + found.length : null];
  });
}

async function hash(database, key) {
  const [length] = await read(database, ["HLEN", key]);
  return pieces("Fields", [long("Field", ([field]) => field), long("Value", ([, value]) => value)], length, "fields", scanned(database, "HSCAN", key, 2));
}

async function set(database, key) {
  const [length] = await read(database, ["SCARD", key]);
  return pieces("Members", [long("Member", ([member]) => member)], length, "members", scanned(database, "SSCAN", key, 1));
}

// What a SCAN of a key gives, in rows of so many.
const scanned = (database, name, key, width) => async (cursor = "0") => {
  const [[next, flat]] = await read(database, [name, key, cursor, "COUNT", String(PIECE)]);
  const rows = [];
  for (let i = 0; i < flat.length; i += width) rows.push(flat.slice(i, i + width));
  return [rows, text(next) === "0" ? null : text(next)];
};

async function zset(database, key) {
  const [length] = await read(database, ["ZCARD", key]);
  return pieces("Members by score", [{ name: "Score", of: ([, score]) => (typeof score === "object" ? score.number : score), kind: "number" }, long("Member", ([member]) => member)], length, "members", async (from = 0) => {
    const [found] = await read(database, ["ZRANGE", key, String(from), String(from + PIECE - 1), "WITHSCORES"]);
    return [found, from + found.length < length ? from + found.length : null];
  });
}

async function stream(database, key) {
  const [length, groups] = await read(database, ["XLEN", key], ["XINFO", "GROUPS", key]);
  const fields = (flat) => flat.map((word, i) => (i % 2 ? `${text(word)}  ` : `${text(word)}=`)).join("");
  const entries = await pieces("Entries, newest first", [{ name: "Id", of: ([id]) => id, kind: "mono" }, { name: "Fields", of: ([, flat]) => fields(flat), kind: "mono long" }], length, "entries", async (to = "+") => {
    const [found] = await read(database, ["XREVRANGE", key, to, "-", "COUNT", String(PIECE)]);
    return [found, found.length === PIECE ? `(${found.at(-1)[0]}` : null];
  });
  const columns = ["name", "consumers", "pending", "last-delivered-id", "lag"].map((name) => ({ name, of: (group) => text(group[name]) || "–" }));
  return [entries, groups.length > 0 && [h("h3", null, "Groups"), table("Groups", columns, plain(groups))]];
}

async function json(database, key) {
  const [document] = await read(database, ["JSON.GET", key, "INDENT", "  ", "NEWLINE", "\n", "SPACE", " "]);
  const shown = text(document);
  return h("pre", { class: "value" }, shown.length > MOST_BYTES ? `${shown.slice(0, MOST_BYTES)}…` : shown);
}
