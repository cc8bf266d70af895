/** Nodes of the page, built one by one: what somebody typed becomes text and is never read as markup. */

const SVG = "http://www.w3.org/2000/svg";

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** An element; attributes that are functions listen to the event of that name. */
export const el = (tag, attributes = {}, ...children) =>
  build(document.createElement(tag), attributes, children);

export const svg = (tag, attributes = {}, ...children) =>
  build(document.createElementNS(SVG, tag), attributes, children);

export const byId = (id) => document.getElementById(id);

/** A table of texts and nodes; the first cell of a row is its header. */
export function table(caption, heads, rows, attributes = {}) {
  const line = (cells) => cells.map((cell, at) => (at ? el("td", {}, cell) : el("th", { scope: "row" }, cell)));
  const body = el("tbody", {}, rows.map((cells) => el("tr", {}, line(cells))));
  const head = el("tr", {}, heads.map((name) => el("th", { scope: "col" }, name)));
  return el("table", attributes, el("caption", {}, caption), el("thead", {}, head), body);
}

/** Something wide, which scrolls by itself and by keyboard, so that the page does not. */
export const scrolling = (label, ...children) =>
  el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": label }, children);

/** A number with a real minus, of so many decimals or of seven digits; null, JSON's word for no number, as a dash. */
export function shown(value, digits) {
  if (value === null || value === undefined) return "–";
  if (digits === undefined) return String(Number(value.toPrecision(7))).replace("-", "−");
  const small = digits > 2 && value !== 0 && Math.abs(value) < 10 ** -digits;
  const text = small || Math.abs(value) >= 1e9 ? value.toExponential(2) : value.toFixed(digits);
  return text.replace("-", "−");
}

/** Nested lists of numbers as text. */
export const listed = (value, digits) =>
  Array.isArray(value) ? `[${value.map((one) => listed(one, digits)).join(", ")}]` : shown(value, digits);

/** A response as a sign, and as words for who does not see it. */
export const sign = (value) => (value === null ? "·" : value === 1 ? "♥" : value === 0 ? "✕" : shown(value, 2));
export const worded = (value) =>
  value === null ? "no answer" : value === 1 ? "likes it" : value === 0 ? "dislikes it" : `answers ${shown(value, 2)}`;
