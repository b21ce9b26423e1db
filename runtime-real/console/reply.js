// A reply as redis-cli shows it.

import { h } from "./dom.js";
import { isBinary, isError, text } from "./api.js";

const MAX_SHOWN = 500;

export function shown(reply) {
  return h("pre", { class: isError(reply) ? "bad" : null }, lines(reply).join("\n"));
}

function lines(reply) {
  if (reply === null) return ["(nothing)"];
  if (isError(reply)) return [`(error) ${reply.error}`];
  if (Array.isArray(reply)) return reply.length ? numbered(reply, lines) : ["(empty)"];
  if (typeof reply === "object" && "map" in reply) {
    return reply.map.length ? numbered(reply.map, ([key, value]) => pair(text(key), lines(value))) : ["(empty)"];
  }
  if (typeof reply === "object" && "number" in reply) return [reply.number];
  if (isBinary(reply)) return [`"${text(reply)}"`];
  return text(reply).trimEnd().split(/\r?\n/);
}

function pair(key, value) {
  return value.length === 1 ? [`${key}: ${value[0]}`] : [`${key}:`, ...value.map((line) => `  ${line}`)];
}

function numbered(items, of) {
  const width = String(items.length).length;
  const all = items.slice(0, MAX_SHOWN).flatMap((item, i) => {
    const head = `${String(i + 1).padStart(width)}) `;
    return of(item).map((line, n) => (n ? " ".repeat(head.length) : head) + line);
  });
  return items.length > MAX_SHOWN ? [...all, `… and ${items.length - MAX_SHOWN} more`] : all;
}
