// What the node tells each second; what was told is kept for two minutes of charts. Comes back by itself.

import { facts, plain, isError, who } from "./api.js";

const KEPT = 120;
// Without a word for so long, the node does not answer.
const SILENCE = 3500;
const AGAIN = 1000;

export const stream = new EventTarget();
// Points of time with what was told, oldest first; one of silence has no facts.
export const history = [];
// `leaderSilent`: how often in a row the Keepers' leader did not answer this node.
export const live = { now: null, leaderSilent: 0, isAnswering: false, since: Date.now() };

let source = null;
let heard = 0;
let wanted = false;
let onSignedOut = () => {};

export function start(signedOut) {
  onSignedOut = signedOut;
  wanted = true;
  heard = Date.now();
  connect();
}

export function stop() {
  wanted = false;
  source?.close();
  source = null;
  // Whoever signs in next sees nothing that was true before.
  history.length = 0;
  Object.assign(live, { now: null, leaderSilent: 0, isAnswering: false, since: Date.now() });
}

function connect() {
  source?.close();
  if (document.hidden) return;
  source = new EventSource("/api/events");
  source.onmessage = (event) => tell(JSON.parse(event.data));
  // It has a connection, and no answer in time.
  source.addEventListener("late", () => (heard = Date.now()));
  source.onerror = () => source.readyState === EventSource.CLOSED && setTimeout(look, AGAIN);
}

// The stream was refused: the session has ended, or the node is just coming back.
async function look() {
  if (!wanted) return;
  try {
    const answer = await who();
    if (answer.state === "core" && answer.user) return connect();
    if (answer.state !== "starting") return onSignedOut();
  } catch {
    // It does not answer yet.
  }
  setTimeout(look, AGAIN);
}

function tell(told) {
  heard = Date.now();
  const now = { at: heard, ready: told.ready, status: isError(told.status) ? null : plain(told.status), info: facts(told.info), latency: told.latency };
  see(now.status, told.outlook);
  const before = history.findLast((point) => point.info);
  now.rates = rates(before, now);
  keep(now);
  Object.assign(live, { now });
  answering(true);
  stream.dispatchEvent(new CustomEvent("told", { detail: now }));
}

// What only the leader of the Keepers knows, where that is another node's.
function see(status, outlook) {
  live.leaderSilent = outlook && outlook[0] === null ? live.leaderSilent + 1 : 0;
  if (!status) return;
  status.sees = outlook?.[0] != null || status.keepers.some((keeper) => keeper.matched !== null);
  for (const keeper of status.keepers) Object.assign(keeper, outlook?.[0]?.[keeper.id]);
}

function keep(point) {
  history.push(point);
  if (history.length > KEPT) history.shift();
}

function answering(is) {
  if (live.isAnswering === is) return;
  Object.assign(live, { isAnswering: is, since: Date.now() });
  stream.dispatchEvent(new CustomEvent("answering", { detail: is }));
}

// What INFO counts, a second.
function rates(before, now) {
  const passed = (now.at - before?.at) / 1000;
  if (!(passed > 0) || before.info.run_id !== now.info.run_id) return {};
  const grown = (name) => Math.max(0, Number(now.info[name]) - Number(before.info[name])) / passed;
  const [hits, misses] = [grown("keyspace_hits"), grown("keyspace_misses")];
  return {
    operations: grown("total_commands_processed"),
    hits: hits + misses > 0 ? hits / (hits + misses) : NaN,
    input: grown("total_net_input_bytes"),
    output: grown("total_net_output_bytes"),
  };
}

// A page that nobody sees is told nothing: browsers have few connections for all pages of a host.
document.addEventListener("visibilitychange", () => {
  if (!wanted) return;
  if (document.hidden) return source?.close();
  heard = Date.now();
  connect();
});

setInterval(() => {
  if (!wanted || document.hidden || Date.now() - heard < SILENCE) return;
  keep({ at: Date.now() });
  answering(false);
  stream.dispatchEvent(new CustomEvent("silent"));
  // A browser waits long for a dead connection.
  if (source?.readyState === EventSource.OPEN) connect();
}, 1000);
