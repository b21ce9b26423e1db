// Numbers as people read them.

export function count(number) {
  if (!Number.isFinite(number)) return "–";
  if (number < 10_000) return number.toLocaleString("en", { maximumFractionDigits: number < 10 ? 1 : 0 });
  const [unit, scale] = number < 1e6 ? ["k", 1e3] : number < 1e9 ? ["M", 1e6] : ["G", 1e9];
  return `${(number / scale).toLocaleString("en", { maximumSignificantDigits: 3 })}${unit}`;
}

export function size(bytes) {
  if (!Number.isFinite(bytes)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) [bytes, unit] = [bytes / 1024, unit + 1];
  return `${bytes.toLocaleString("en", { maximumSignificantDigits: 3, useGrouping: false })} ${units[unit]}`;
}

export function percent(share) {
  return Number.isFinite(share) ? `${(100 * share).toFixed(share > 0.995 && share < 1 ? 2 : 1)} %` : "–";
}

export function micros(number) {
  if (!Number.isFinite(number)) return "–";
  if (number < 1000) return `${Math.round(number)} µs`;
  return number < 1e6 ? `${(number / 1000).toLocaleString("en", { maximumSignificantDigits: 3 })} ms` : `${(number / 1e6).toFixed(1)} s`;
}

export function seconds(number) {
  if (!Number.isFinite(number)) return "–";
  number = Math.floor(number);
  if (number < 60) return `${number} s`;
  if (number < 3600) return `${Math.floor(number / 60)} min ${number % 60} s`;
  if (number < 86400) return `${Math.floor(number / 3600)} h ${Math.floor((number % 3600) / 60)} min`;
  return `${Math.floor(number / 86400)} d ${Math.floor((number % 86400) / 3600)} h`;
}

export function time(at) {
  return new Date(at).toLocaleTimeString("en-GB");
}

export const many = (n, one, more = `${one}s`) => `${n} ${n === 1 ? one : more}`;

export function list(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
