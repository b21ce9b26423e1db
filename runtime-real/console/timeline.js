// What has changed while somebody watched, newest first.

import { h, replace } from "./dom.js";
import { stream } from "./stream.js";
import { events } from "./health.js";
import { time } from "./format.js";

export function timeline(most) {
  const list = h("ol", { class: "timeline", role: "log", "aria-live": "polite", "aria-label": "What happened" });
  const off = new AbortController();
  const update = () => {
    const shown = events.slice(0, most).map(({ at, kind, text }) => h("li", { class: kind }, h("time", null, time(at)), h("span", null, text)));
    replace(list, shown.length ? shown : h("li", { class: "quiet" }, "Nothing has changed yet."));
  };
  update();
  stream.addEventListener("event", update, { signal: off.signal });
  return { element: list, end: () => off.abort() };
}
