// The console: who is there, who is signed in, which page is shown.

import { h, replace, say } from "./dom.js";
import { signIn, signOut, whenSignedOut, who } from "./api.js";
import * as stream from "./stream.js";
import { verdict } from "./health.js";
import { apply, isDark, toggle } from "./theme.js";
import { listen } from "./keyboard.js";
import * as overview from "./overview.js";
import * as nodes from "./nodes.js";
import * as keys from "./keys.js";
import * as clients from "./clients.js";
import * as slowlog from "./slowlog.js";
import * as users from "./users.js";
import * as settings from "./settings.js";
import * as command from "./command.js";

const PAGES = { overview, nodes, keys, clients, slowlog, users, settings, command };
const LETTERS = { o: "overview", n: "nodes", k: "keys", c: "clients", l: "slowlog", u: "users", s: "settings", x: "command" };
const AGAIN = 1000;

const app = document.getElementById("app");
let leave = null;
let shell = null;
// Somebody wants to sign out.
let isLeaving = false;

apply();
whenSignedOut(() => shell && begin("The session has ended. Sign in again."));
const showHelp = listen(Object.fromEntries(Object.entries(LETTERS).map(([letter, page]) => [letter, `#/${page}`])), changeTheme);
addEventListener("hashchange", () => shell && route());
for (const kind of ["told", "silent", "answering", "event"]) stream.stream.addEventListener(kind, tellHealth);
begin("");

function changeTheme() {
  toggle();
  shell?.theme.setAttribute("aria-pressed", String(isDark()));
}

// Shows what there is: a node that starts, a Keeper, a form to sign in, or the pages.
async function begin(said) {
  leave?.();
  stream.stop();
  [leave, shell] = [null, null];
  let node;
  try {
    // Until the node has heard it, nobody has signed out.
    if (isLeaving) await signOut();
    isLeaving = false;
    node = await who();
  } catch {
    plain("This node does not answer", "It is tried again each second.");
    return setTimeout(() => begin(said), AGAIN);
  }
  document.title = `${node.node} · Mneme`;
  if (node.state === "starting") {
    plain(`${node.node} is starting`, "It does not belong to a cluster yet: its log says what it waits for. This page goes on by itself.");
    return setTimeout(() => begin(said), AGAIN);
  }
  if (node.state === "keeper") {
    return plain(`${node.node} is a Keeper alone`, "It keeps the log and votes, and has no data, no users and no sessions. Open the console of a Core of this cluster, on its admin port; mneme-cli cluster status lists them. Of this node there are /metrics and /readyz here.");
  }
  if (!node.user) return form(node, said);
  build(node);
}

function brand() {
  return h("div", { class: "brand" }, h("img", { src: "/console/icon.svg", alt: "", width: 26, height: 26 }), h("span", null, "Mneme"));
}

function plain(title, more) {
  replace(app, h("main", { class: "plain" }, brand(), h("h1", null, title), h("p", { role: "status" }, more)));
}

function form(node, said) {
  const user = h("input", { name: "user", autocomplete: "username", required: true, value: "admin", spellcheck: "false", autocapitalize: "off" });
  const password = h("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  const wrong = h("p", { class: "wrong", role: "alert" }, said);
  const button = h("button", { class: "accent" }, "Sign in");
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await signIn(user.value, password.value);
      return begin("");
    } catch (error) {
      wrong.textContent = error.message.replace(/^WRONGPASS invalid username-password pair.*/, "This user and password are not known, or the user is off.");
      password.select();
    }
    button.disabled = false;
  };
  const fields = [h("label", null, "User", user), h("label", null, "Password", password)];
  replace(app, h("main", { class: "plain" }, brand(), h("h1", null, `Sign in to ${node.node}`), h("form", { onsubmit: submit }, fields, wrong, button), h("p", { class: "quiet" }, `As a user of the store: you see what its role allows. Mneme ${node.version}.`)));
  password.focus();
}

function build(node) {
  const links = Object.entries(LETTERS).map(([letter, page]) => h("a", { href: `#/${page}`, "data-page": page }, PAGES[page].title, h("kbd", { "aria-hidden": "true" }, `g ${letter}`)));
  const theme = h("button", { type: "button", class: "quiet-button", onclick: changeTheme, "aria-pressed": String(isDark()), title: "Light or dark (t)" }, "Dark");
  const health = h("div", { class: "health" }, h("span", { class: "dot" }), h("div", { role: "status", "aria-live": "polite" }, h("strong"), h("span", { class: "why" })));
  const page = h("main", { id: "page", tabindex: "-1" });
  const leaveSession = () => ((isLeaving = true), begin(""));
  const who = h("div", { class: "who" }, h("span", { class: "user" }, node.user), theme, h("button", { type: "button", class: "quiet-button", onclick: showHelp, title: "Keyboard (?)" }, "Help"), h("button", { type: "button", class: "quiet-button", onclick: leaveSession }, "Sign out"));
  const skip = h("a", { class: "skip", href: "#page", onclick: (event) => (event.preventDefault(), page.focus()) }, "To the page");
  replace(app, skip, h("aside", { class: "side" }, brand(), h("nav", { "aria-label": "Pages" }, links), h("p", { class: "quiet at" }, node.node, h("br"), `Mneme ${node.version}`)), h("div", { class: "body" }, h("header", { class: "top" }, health, who), page));
  shell = { health, page, theme, links };
  stream.start(() => begin("The session has ended, or the node has begun anew. Sign in again."));
  tellHealth();
  route();
}

function tellHealth() {
  if (!shell) return;
  const { kind, text, more } = verdict();
  shell.health.className = `health ${kind}`;
  say(shell.health.querySelector("strong"), text);
  say(shell.health.querySelector(".why"), more);
  document.body.classList.toggle("unanswered", !stream.live.isAnswering && stream.live.now !== null);
}

function route() {
  const wanted = location.hash.slice(2);
  const name = wanted in PAGES ? wanted : "overview";
  leave?.();
  for (const link of shell.links) {
    if (link.dataset.page === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${PAGES[name].title} · Mneme`;
  leave = PAGES[name].show(shell.page) ?? null;
  if (name !== "command") shell.page.querySelector("h1")?.focus({ preventScroll: true });
  scrollTo(0, 0);
}
