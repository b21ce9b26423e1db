// Keys that go somewhere. Nothing is taken from who types into a field.

import { h } from "./dom.js";

const HELP = [
  ["g o", "Overview"], ["g n", "Nodes"], ["g k", "Keys"], ["g c", "Clients"], ["g l", "Slow log"], ["g u", "Users and rights"],
  ["g s", "Settings"], ["g x", "Command"], ["/", "Search on this page"], ["t", "Light or dark"], ["?", "This help"], ["Esc", "Leave a field, close this"],
];

// `pages`: by letter, where `g` and the letter go.
export function listen(pages, toggleTheme) {
  let since = 0;
  const dialog = help();
  document.body.append(dialog);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isTyping = event.target.closest("input, textarea, select");
    if (event.key === "Escape" && isTyping) return event.target.blur();
    if (isTyping || dialog.open) return;
    const isSecond = Date.now() - since < 1500;
    since = 0;
    if (isSecond && pages[event.key]) location.hash = pages[event.key];
    else if (event.key === "g") since = Date.now();
    else if (event.key === "/") document.querySelector("[data-search]")?.focus();
    else if (event.key === "?") dialog.showModal();
    else if (event.key === "t") toggleTheme();
    else return;
    event.preventDefault();
  });
  return () => dialog.showModal();
}

function help() {
  const close = h("button", { type: "button", onclick: (event) => event.target.closest("dialog").close() }, "Close");
  const rows = HELP.map(([keys, what]) => h("div", null, h("dt", null, keys.split(" ").map((key) => h("kbd", null, key))), h("dd", null, what)));
  return h("dialog", { class: "help", "aria-label": "Keyboard" }, h("h2", null, "Keyboard"), h("dl", null, rows), close);
}
