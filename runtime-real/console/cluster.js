// What CLUSTER STATUS says, put in order for people: nodes with their Cores and Keepers, and how each one is.

// Raft's leader hears each Keeper every 50 ms; elections begin after some 300.
const SILENT = 1000;
const BEHIND = 2000;

// Nodes by name. `state`: "well", "behind", "silent", or "unseen" where only another node could tell.
export function nodesOf(status, leaderSince, leaderSilent, at) {
  const nodes = new Map();
  const node = (name, address) => {
    if (!nodes.has(name)) nodes.set(name, { name, address, core: null, keeper: null, isThis: name === status.node });
    return nodes.get(name);
  };
  status.cores.forEach((core) => (node(core.name, core.address).core = core));
  const last = Math.max(...status.keepers.map((keeper) => keeper.matched ?? 0), 0);
  status.keepers.forEach((keeper) => {
    const mine = node(keeper.name, keeper.address);
    const lag = keeper.matched === null ? null : last - keeper.matched;
    mine.keeper = { ...keeper, lag, leads: keeper.leader === 1, state: keeperState(keeper, lag, status, leaderSilent > 1, at - leaderSince) };
  });
  const all = [...nodes.values()].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  all.forEach((one) => (one.state = nodeState(one, status)));
  return all;
}

function keeperState(keeper, lag, status, isLeaderSilent, led) {
  if (isLeaderSilent && keeper.leader === 1 && keeper.name !== status.node) return "silent";
  if (!status.sees) return "unseen";
  // A leader that was not there a second ago has not heard everybody yet.
  if (keeper.heard === null || keeper.heard === undefined) return led > 0.8 * SILENT ? "silent" : "unseen";
  if (keeper.heard > SILENT) return "silent";
  return lag !== null && lag > BEHIND ? "behind" : "well";
}

function nodeState(node, status) {
  if (node.isThis) return status.lag > BEHIND ? "behind" : "well";
  if (node.keeper && node.keeper.state !== "unseen") return node.keeper.state;
  // Whoever is primary has proved it: its lease stands in the log.
  return node.name === status.primary ? "well" : "unseen";
}

// How a node is, in a few words.
export function words(node, status) {
  const { keeper, silentFor } = node;
  if (node.state === "silent") return silentFor > 1000 ? `no answer for ${Math.round(silentFor / 1000)} s` : "no answer";
  const lag = node.isThis ? status.lag : keeper?.lag;
  if (node.state === "unseen") return status.sees ? "not heard yet" : "not seen from here";
  return lag > 50 ? `${lag.toLocaleString("en")} behind` : "up to date";
}

export const leaderOf = (status) => status.keepers.find((keeper) => keeper.leader === 1)?.name ?? "";
