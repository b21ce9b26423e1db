// One sentence about the cluster as this node sees it, and what has changed while somebody watched.

import { stream, live } from "./stream.js";
import { nodesOf, leaderOf } from "./cluster.js";
import { list, many, seconds, time } from "./format.js";

const MAX_EVENTS = 50;
// A change of primary is told for so long.
const FRESH = 20_000;

// What has happened, newest first: `{ at, kind, text }`.
export const events = [];
export const seen = { leader: null, leaderSince: 0, primary: null, lastPrimary: null, without: 0, change: null, states: new Map(), silentSince: new Map() };

// All nodes as they are now; those that are silent with how long, in milliseconds.
export function nodes(now = live.now) {
  if (!now?.status) return [];
  const all = nodesOf(now.status, seen.leaderSince, live.leaderSilent, now.at);
  for (const node of all.filter((one) => one.state === "silent")) {
    node.silentFor = node.keeper?.heard ?? now.at - (seen.silentSince.get(node.name) ?? now.at);
  }
  return all;
}

const majorityOf = (voters) => Math.floor(voters / 2) + 1;

// Whether as many Keepers are silent as leave no majority.
export function lacksMajority(all) {
  const voters = all.filter((node) => node.keeper?.role === "voter");
  return voters.filter((node) => node.keeper.state !== "silent").length < majorityOf(voters.length);
}

// Who was primary until a moment ago.
export function deposed(now = live.now) {
  return seen.change && now && now.at - seen.change.at < FRESH ? seen.change.from : null;
}

function note(at, kind, text) {
  events.unshift({ at, kind, text });
  events.length = Math.min(events.length, MAX_EVENTS);
  stream.dispatchEvent(new CustomEvent("event"));
}

stream.addEventListener("answering", ({ detail }) => note(Date.now(), detail ? "good" : "bad", detail ? "This node answers." : "This node does not answer any more."));

stream.addEventListener("told", ({ detail: now }) => {
  if (!now.status) return;
  const { at, status } = now;
  const leader = leaderOf(status);
  if (leader !== seen.leader) Object.assign(seen, { leader, leaderSince: at });
  notePrimary(at, status);
  for (const node of nodes(now)) {
    const before = seen.states.get(node.name);
    if (node.state !== "silent") seen.silentSince.delete(node.name);
    else if (!seen.silentSince.has(node.name)) seen.silentSince.set(node.name, at);
    seen.states.set(node.name, node.state === "unseen" ? before : node.state);
    if (!before || node.state === before || node.state === "unseen") continue;
    if (node.state === "silent") note(at, "bad", `${node.name} does not answer any more.`);
    else if (node.state === "behind") note(at, "warn", `${node.name} has fallen behind.`);
    else note(at, "good", before === "silent" ? `${node.name} answers again.` : `${node.name} has caught up.`);
  }
});

function notePrimary(at, { primary, epoch }) {
  if (primary === seen.primary && epoch === seen.epoch) return;
  const isFirst = seen.primary === null;
  if (!primary && seen.primary) {
    Object.assign(seen, { without: at });
    note(at, "bad", `There is no primary: ${seen.primary} is none any more. Writes wait.`);
  } else if (primary && !isFirst && primary !== seen.lastPrimary) {
    note(at, "warn", `${primary} took over${seen.lastPrimary ? ` from ${seen.lastPrimary}` : ""}, epoch ${epoch}.`);
    seen.change = { at, from: seen.lastPrimary, to: primary };
  } else if (primary && !isFirst) {
    note(at, "good", `${primary} is primary again, epoch ${epoch}.`);
  }
  Object.assign(seen, { primary, epoch, lastPrimary: primary || seen.lastPrimary });
}

// `{ kind, text, more }`: kind is "good", "warn" or "bad".
export function verdict() {
  const { now } = live;
  if (!live.isAnswering) {
    const text = now ? `This node does not answer, since ${time(live.since)}.` : "Waiting for this node.";
    return { kind: now ? "bad" : "warn", text, more: "It is tried again each second. What is shown below is what was known last." };
  }
  const { status, ready } = now;
  if (!status) return { kind: "bad", text: "This node does not say how its cluster is.", more: "" };
  if (!status.primary) {
    const waited = seen.without ? ` for ${seconds((now.at - seen.without) / 1000)}` : "";
    const parked = status.forwarded > 0 ? ` ${many(status.forwarded, "command waits", "commands wait")} here.` : "";
    return { kind: "bad", text: `No primary${waited}: writes wait until a Core takes over.${parked}`, more: "A failover takes half a second. If it lasts: no majority of Keepers answers." };
  }
  if (ready !== "ok") return { kind: "warn", text: `This node is not ready: ${ready}.`, more: "" };
  return ofNodes(now, status);
}

function ofNodes(now, status) {
  const all = nodes(now);
  if (live.leaderSilent === 1) return { kind: "warn", text: `The Keeper that leads did not answer just now; ${status.primary} was primary last.`, more: "If it is down, another one leads within a second." };
  const silent = all.filter((node) => node.state === "silent").map((node) => node.name);
  const behind = all.filter((node) => node.state === "behind").map((node) => node.name);
  const voters = all.filter((node) => node.keeper?.role === "voter");
  const alive = voters.filter((node) => node.keeper.state !== "silent").length;
  const { change } = seen;
  const isFresh = change && change.to === status.primary && now.at - change.at < FRESH;
  const isPrimary = `${status.primary} is primary`;
  if (silent.includes(status.primary)) {
    return { kind: "bad", text: `${status.primary}, the primary, does not answer this node.`, more: "Writes that come here wait. If nobody takes over, no majority of Keepers answers." };
  }
  const takeover = isFresh ? `${change.to} took over${change.from ? ` from ${change.from}` : ""} at ${time(change.at)}` : isPrimary;
  if (silent.length) {
    const spare = alive - majorityOf(voters.length);
    if (status.sees && spare < 0) return { kind: "bad", text: `Writes wait: ${list(silent)} do not answer.`, more: `${alive} of ${voters.length} Keepers ${alive === 1 ? "answers" : "answer"}; a majority is needed.` };
    const more = !status.sees ? "Which of the other Keepers answer is not known here; without a majority writes wait." : spare > 0 ? `${alive} of ${voters.length} Keepers answer: ${many(spare, "more")} may fail.`.replace("1 more", "one more") : `${alive} of ${voters.length} Keepers answer: no more may fail, or writes wait.`;
    const verb = silent.length > 1 ? "do" : "does";
    return { kind: "warn", text: `${takeover}; ${list(silent)} ${verb} not answer.`, more };
  }
  if (behind.length) return { kind: "warn", text: `${isPrimary}; ${list(behind)} ${behind.length > 1 ? "are" : "is"} behind.`, more: "Reads at EVENTUAL there are old by as much." };
  if (isFresh) return { kind: "warn", text: `${takeover}.`, more: "What was acknowledged is there. Commands that waited are answered by now." };
  if (all.length === 1) return { kind: "good", text: `All is well: ${status.node} serves alone.`, more: "One node has no other to take over." };
  if (!status.sees) return { kind: "warn", text: `${status.primary} was primary last, as far as this node knows.`, more: "Who answers is not known here." };
  const keepers = voters.length === 1 ? "the Keeper answers" : `all ${voters.length} Keepers answer`;
  return { kind: "good", text: `All is well: ${isPrimary}, ${keepers}.`, more: "" };
}
