// The cluster as a picture: nodes side by side in an order that never changes, so that what moves has a meaning. From above
// comes a write and goes to the primary; below runs the log, from the Keeper that leads to the others.

import { h, svg, replace } from "./dom.js";
import { words } from "./cluster.js";
import { live } from "./stream.js";
import { deposed, lacksMajority, nodes, seen } from "./health.js";

const CARD = { width: 196, height: 158, gap: 56, top: 128 };
const MARGIN = 40;
const BELOW = 104;

export function picture() {
  const holder = h("div", { class: "picture" });
  let drawn = "";
  return {
    element: holder,
    update() {
      const { now } = live;
      const all = nodes(now);
      if (!all.length) return replace(holder, h("p", { class: "empty" }, "Nothing is known of the cluster yet."));
      const state = { all, status: now.status, isAnswering: live.isAnswering, leader: seen.leader, parked: now.status.forwarded, was: deposed() };
      // Drawn anew only when it shows something else: what is animated goes on.
      const key = JSON.stringify(state);
      if (key !== drawn) replace(holder, draw(state));
      drawn = key;
    },
  };
}

function draw({ all, status, isAnswering, leader, parked, was }) {
  const width = 2 * MARGIN + all.length * CARD.width + (all.length - 1) * CARD.gap;
  const height = CARD.top + CARD.height + BELOW;
  const x = (i) => MARGIN + i * (CARD.width + CARD.gap);
  const middle = (i) => x(i) + CARD.width / 2;
  const find = (name) => all.findIndex((node) => node.name === name);
  const [here, primary, leading] = [find(status.node), find(status.primary), find(leader)];
  const isReached = primary >= 0 && all[primary].state !== "silent" && (status.sees || primary === here);
  const place = { x, middle, bottom: CARD.top + CARD.height, here, primary, leading, isReached, isStuck: lacksMajority(all) };
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": described(all, status, isAnswering), class: isAnswering ? null : "stale" },
    svg("defs", null, arrow("write"), arrow("log"), arrow("wait")),
    writes(place, parked, width),
    log(all, place),
    all.map((node, i) => card(node, x(i), { status, isPrimary: i === primary, isAnswering, was })),
  );
}

function arrow(kind) {
  const path = svg("path", { d: "M0 0 8 4 0 8z", class: `head ${kind}` });
  return svg("marker", { id: `head-${kind}`, viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto-start-reverse", markerUnits: "userSpaceOnUse" }, path);
}

function line(kind, d, head = true) {
  return [svg("path", { d, class: `way ${kind}` }), svg("path", { d, class: `flow ${kind}`, "marker-end": head ? `url(#head-${kind})` : null })];
}

// Where a write goes that comes to this node.
function writes({ middle, here, primary, isReached, isStuck }, parked, width) {
  if (here < 0) return null;
  const [x, top] = [middle(here), CARD.top];
  const pill = svg("g", { class: "clients" }, svg("rect", { x: x - 84, y: 8, width: 168, height: 30, rx: 15 }), label(x, 28, "clients of this node"));
  if (primary < 0) {
    const text = parked > 0 ? `${parked} ${parked === 1 ? "command waits" : "commands wait"} for a primary` : "writes wait for a primary";
    return [pill, line("wait", `M${x} 40V${top - 8}`), beside(x, 82, text, "wait", width)];
  }
  if (here === primary && isStuck) return [pill, line("wait", `M${x} 40V${top - 6}`), beside(x, 82, "writes wait for Keepers", "wait", width)];
  if (here === primary) return [pill, line("write", `M${x} 40V${top - 6}`), beside(x, 82, "writes are executed here", "write", width)];
  const to = middle(primary);
  const side = to > x ? 1 : -1;
  const from = x + side * 30;
  const arc = `M${from} ${top}C${from + side * 40} ${top - 66} ${to - side * 70} ${top - 66} ${to - side * 14} ${top - 7}`;
  const [kind, text] = isReached ? ["write", "writes are passed on"] : ["wait", "writes wait for the primary"];
  return [pill, line(kind, `M${x} 40V${top - 6}`), line(kind, arc), label((x + to) / 2 + side * 20, top - 62, text, `way-label ${kind}`)];
}

// The log, from the Keeper that leads to each of the others.
function log(all, { middle, bottom, leading, primary }) {
  if (leading < 0) {
    const text = "no Keeper leads: nothing becomes durable";
    return all.some((node) => node.keeper) ? label(middle(0) + (middle(all.length - 1) - middle(0)) / 2, bottom + 56, text, "way-label down") : null;
  }
  const others = all.map((node, i) => ({ node, i })).filter(({ node, i }) => node.keeper && i !== leading);
  const parts = others.map(({ node, i }) => link(node, middle(leading), middle(i), bottom));
  // A primary without the leading Keeper beside it hands its entries over.
  if (primary >= 0 && primary !== leading && !all[primary].keeper) parts.push(link({ keeper: { state: "well", lag: 0 } }, middle(primary), middle(leading), bottom));
  return parts;
}

function link(node, from, to, bottom) {
  const { state, lag } = node.keeper;
  const side = to > from ? 1 : -1;
  const steps = Math.round(Math.abs(to - from) / (CARD.width + CARD.gap));
  const depth = bottom + 34 + Math.min(steps, 3) * 22;
  const [x1, x2] = [from + side * (18 + 8 * steps), to - side * (10 + 8 * steps)];
  const d = `M${x1} ${bottom + 2}C${x1} ${depth} ${x2} ${depth} ${x2} ${bottom + 8}`;
  // A point of the curve, by its share of the way.
  const at = (share) => [x1 + (x2 - x1) * share * share * (3 - 2 * share), bottom + 2 + (depth - bottom - 2) * 3 * share * (1 - share)];
  if (state === "silent") {
    const [x, y] = at(0.5);
    const cross = svg("g", { class: "cross", transform: `translate(${x} ${y})` }, svg("circle", { r: 11 }), svg("path", { d: "M-4-4 4 4M4-4-4 4" }));
    return [svg("path", { d, class: "way down" }), cross, label(x, y + 28, "no link", "way-label down")];
  }
  if (state === "unseen") return [svg("path", { d, class: "way unseen" })];
  const text = lag > 50 ? `log, ${lag.toLocaleString("en")} behind` : "log";
  const kind = state === "behind" ? "wait" : "log";
  const [x, y] = at(0.5);
  return [line(kind, d), label(x, y - 8, text, `way-label ${kind}`)];
}

function card(node, x, { status, isPrimary, isAnswering, was }) {
  const { top: y, width, height } = CARD;
  const state = node.isThis && !isAnswering ? "silent" : node.state;
  const kind = `node ${state}${isPrimary ? " primary" : ""}`;
  const role = isPrimary ? "PRIMARY" : state === "silent" ? "NO ANSWER" : state === "unseen" && node.name === was ? "WAS PRIMARY" : node.core ? node.core.role.toUpperCase() : "KEEPER";
  const pill = 20 + role.length * 7.4;
  const keeper = node.keeper && `${node.keeper.role === "voter" ? "Keeper, votes" : "Keeper, learns"}${node.keeper.leads ? ", leads" : ""}`;
  return svg(
    "g",
    { class: kind, transform: `translate(${x} ${y})` },
    svg("rect", { class: "box", width, height, rx: 12 }),
    svg("circle", { class: "dot", cx: 20, cy: 27, r: 5 }),
    label(34, 33, clip(node.name, 14), "name"),
    node.isThis && label(width - 16, 32, "this node", "tag"),
    svg("rect", { class: "pill", x: 16, y: 47, width: pill, height: 22, rx: 11 }),
    label(16 + pill / 2, 62, role, "pill-text"),
    label(16, 93, state === "silent" && node.isThis ? "no answer" : words(node, status), "fact state"),
    label(16, 113, keeper || (node.core ? "a Core without a Keeper" : ""), "fact"),
    label(16, 140, clip(node.address, 26), "address"),
  );
}

const clip = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const label = (x, y, text, kind) => svg("text", { x, y, class: kind }, text);

// A label on the side of a line where there is room for it.
function beside(x, y, text, kind, width) {
  const isLeft = x > width / 2;
  return svg("text", { x: isLeft ? x - 12 : x + 12, y, class: `way-label ${kind} ${isLeft ? "ends" : "starts"}` }, text);
}

function described(all, status, isAnswering) {
  if (!isAnswering) return "The cluster as it was known last: this node does not answer.";
  const each = all.map((node) => `${node.name} is ${node.name === status.primary ? "primary" : node.core?.role ?? "a Keeper"}, ${words(node, status)}`);
  return `${status.primary ? "" : "There is no primary. "}${each.join("; ")}.`;
}
