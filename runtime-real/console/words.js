// A line as words, in redis-cli's way: quotes hold spaces, double ones know escapes. Bytes that are no text become base64.

const NAMED = { n: "\n", r: "\r", t: "\t", b: "\b", a: "\x07" };

export function split(line) {
  const words = [];
  let at = 0;
  while (at < line.length) {
    if (/\s/.test(line[at])) {
      at += 1;
      continue;
    }
    const quote = line[at] === '"' || line[at] === "'" ? line[at] : "";
    if (quote) at += 1;
    let [word, isBinary] = ["", false];
    for (;;) {
      if (at >= line.length) {
        if (quote) throw new Error("A quote is not closed.");
        break;
      }
      const c = line[at];
      if (quote ? c === quote : /\s/.test(c)) break;
      const hex = quote === '"' && /^\\x[0-9a-f]{2}/i.exec(line.slice(at, at + 4));
      if (hex) {
        const code = parseInt(hex[0].slice(2), 16);
        isBinary ||= code > 127;
        word += String.fromCharCode(code);
        at += 4;
      } else if (c === "\\" && quote && at + 1 < line.length) {
        const next = line[at + 1];
        word += quote === '"' ? NAMED[next] ?? next : next === "'" ? "'" : `\\${next}`;
        at += 2;
      } else {
        word += c;
        at += 1;
      }
    }
    if (quote) {
      at += 1;
      if (at < line.length && !/\s/.test(line[at])) throw new Error("A closing quote is followed by neither a space nor the end.");
    }
    words.push(isBinary ? { base64: btoa(word) } : word);
  }
  return words;
}
