// What the pages ask of the node.

export class SignedOut extends Error {}
// The node does not answer, or not in time.
export class Unanswered extends Error {}

let onSignedOut = () => {};
export function whenSignedOut(then) {
  onSignedOut = then;
}

async function call(path, body) {
  let response;
  try {
    const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    response = await fetch(path, { ...options, headers: { "X-Mneme-Console": "1", "Content-Type": "application/json" } });
  } catch {
    throw new Unanswered("This node does not answer.");
  }
  const answer = response.status === 204 ? {} : await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const why = answer.error ?? `The node answers ${response.status}.`;
  if (response.status !== 401) throw new Unanswered(why);
  if (path !== "/api/login") onSignedOut();
  throw new SignedOut(why);
}

export const who = () => call("/api/node");
export const signIn = (user, password) => call("/api/login", { user, password });
export const signOut = () => call("/api/logout", {});

// A command as the user has typed it: on a connection of its own.
export const command = async (words) => (await call("/api/command", words)).reply;

// What a page asks: all replies in order, errors among them.
export const batch = async (commands) => (commands.length ? (await call("/api/batch", commands)).replies : []);

// One of them. An error is thrown.
export async function ask(...words) {
  const [reply] = await batch([words]);
  if (isError(reply)) throw new Refused(reply.error);
  return reply;
}

// An error reply.
export class Refused extends Error {
  get isForbidden() {
    return this.message.startsWith("NOPERM");
  }
}

export const isError = (reply) => typeof reply === "object" && reply !== null && "error" in reply;

// A map with keys of text as an object, and those in it.
export function plain(reply) {
  if (Array.isArray(reply)) return reply.map(plain);
  if (typeof reply !== "object" || reply === null) return reply;
  if ("map" in reply) return Object.fromEntries(reply.map.map(([key, value]) => [text(key), plain(value)]));
  if ("number" in reply) return Number(reply.number);
  return reply;
}

export const isBinary = (reply) => typeof reply === "object" && reply !== null && "base64" in reply;

export function bytes(reply) {
  if (isBinary(reply)) return Uint8Array.from(atob(reply.base64), (c) => c.charCodeAt(0));
  return new TextEncoder().encode(String(reply));
}

// As redis-cli writes what is no text.
export function text(reply) {
  if (reply === null || reply === undefined) return "";
  if (!isBinary(reply)) return typeof reply === "object" ? JSON.stringify(reply) : String(reply);
  const shown = (byte) => (byte >= 32 && byte < 127 && byte !== 92 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`);
  return Array.from(bytes(reply), shown).join("");
}

// The text of INFO as an object.
export function facts(info) {
  const lines = text(info).split("\r\n").filter((line) => line.includes(":") && !line.startsWith("#"));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]));
}
