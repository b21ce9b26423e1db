// A line of the last two minutes, with the value under the pointer.

import { h, svg, replace, say } from "./dom.js";
import { history } from "./stream.js";
import { time } from "./format.js";

const [WIDTH, HEIGHT, POINTS] = [300, 64, 120];

// `lines`: `{ of: point => number, kind }`; `shown` writes a number.
export function chart(title, lines, shown, options = {}) {
  const value = h("span", { class: "value" }, "–");
  const note = h("span", { class: "note" });
  const plot = h("div", { class: "plot" });
  const element = h("section", { class: "chart card", "aria-label": title }, h("h3", null, title), h("div", { class: "row" }, value, note), plot);
  let pointed = null;
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    pointed = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    update();
  });
  plot.addEventListener("pointerleave", () => ((pointed = null), update()));

  function update() {
    const series = lines.map(({ of }) => history.map((point) => (point.info ? of(point) : NaN)));
    const known = series.flat().filter(Number.isFinite);
    const most = Math.max(options.most ?? 0, ...known) || 1;
    const x = (i) => ((POINTS - history.length + i) / (POINTS - 1)) * WIDTH;
    const y = (number) => HEIGHT - 3 - (number / most) * (HEIGHT - 10);
    const at = pointed === null ? history.length - 1 : Math.round(pointed * (POINTS - 1)) - (POINTS - history.length);
    const shownAt = series.map((numbers) => numbers[at]);
    say(value, at < 0 ? "–" : shown(shownAt[0]));
    say(note, pointed === null || at < 0 ? options.note?.(shownAt, history.at(-1)) ?? "" : time(history[at].at));
    replace(
      plot,
      svg(
        "svg",
        { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
        svg("path", { class: "grid", d: `M0 ${HEIGHT - 3}H${WIDTH}M0 ${y(most)}H${WIDTH}` }),
        lines.map(({ kind }, n) => curve(series[n], x, y, kind)),
        pointed !== null && at >= 0 && svg("path", { class: "cursor", d: `M${x(at)} 0V${HEIGHT}` }),
      ),
      h("span", { class: "most" }, known.length ? shown(most) : ""),
    );
  }
  return { element, update };
}

// Where nothing is known there is a gap.
function curve(numbers, x, y, kind) {
  let [path, area, run] = ["", "", []];
  const end = () => {
    if (run.length) {
      const points = run.map(([i, number]) => `${x(i).toFixed(1)} ${y(number).toFixed(1)}`).join("L");
      path += `M${points}`;
      if (run.length === 1) path += "h0.1";
      area += `M${x(run[0][0]).toFixed(1)} ${HEIGHT - 3}L${points}L${x(run.at(-1)[0]).toFixed(1)} ${HEIGHT - 3}z`;
    }
    run = [];
  };
  numbers.forEach((number, i) => (Number.isFinite(number) ? run.push([i, number]) : end()));
  end();
  return [svg("path", { class: `area ${kind}`, d: area }), svg("path", { class: `curve ${kind}`, d: path })];
}
