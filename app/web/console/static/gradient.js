/** A gradient: value, derivatives, and the graph that backward goes through, drawn layer by layer. */

import { request } from "./api.js";
import { el, listed, scrolling, shown, svg, table } from "./dom.js";

const [WIDE, HIGH] = [120, 78];

export async function showGradient(body, answer) {
  const { value, gradients, hessian, check, graph } = await request("POST", "/v1/compute/gradient", body);
  const rows = Object.entries(gradients).map(([name, gradient]) => [`∂/∂${name}`, listed(gradient),
    ...(check ? [listed(check.gradients[name])] : [])]);
  const seconds = Object.entries(hessian ?? {}).flatMap(([one, others]) =>
    Object.entries(others).map(([other, second]) => [`∂²/∂${one} ∂${other}`, listed(second)]));
  const notes = check ? el("p", {}, `largest disagreement with central differences: ${shown(check.largest_disagreement)}`) : "";
  answer.replaceChildren(
    el("p", {}, "value ", el("strong", { class: "value" }, shown(value))),
    scrolling("gradients", table("Gradients", ["by", "derivative", ...(check ? ["by differences"] : [])], rows)),
    seconds.length ? scrolling("second derivatives", table("Hessian", ["by", "second derivative"], seconds)) : "",
    notes,
    ...(graph ? drawGraph(graph) : []));
}

/** The layer of each node: one below the lowest of those that it gets a gradient from. */
function layersOf({ nodes, edges }) {
  const depth = nodes.map(() => 0);
  const order = [...edges].sort((one, other) => one.source - other.source);
  for (let moved = true; moved;) { // a graph without circles: this ends after as many rounds as it has layers
    moved = false;
    for (const { source, target } of order) {
      if (depth[target] > depth[source]) continue;
      depth[target] = depth[source] + 1;
      moved = true;
    }
  }
  const layers = Array.from({ length: Math.max(0, ...depth) + 1 }, () => []);
  nodes.forEach(({ number }) => layers[depth[number]].push(number));
  return layers;
}

function drawGraph(graph) {
  const layers = layersOf(graph);
  const width = WIDE * Math.max(...layers.map((layer) => layer.length));
  const places = new Map(layers.flatMap((layer, depth) =>
    layer.map((number, at) => [number, [width * (at + 0.5) / layer.length, HIGH * (depth + 0.5)]])));
  const line = ({ source, target }) => {
    const [[x, y], [tx, ty]] = [places.get(source), places.get(target)];
    const [from, to] = [y + 19, ty - 23];
    return svg("path", { class: "edge", d: `M${x} ${from}C${x} ${from + 26} ${tx} ${to - 26} ${tx} ${to}`, "marker-end": "url(#arrow)" });
  };
  const box = ({ number, kind, operation, shape }) => {
    const [x, y] = places.get(number);
    return svg("g", { class: `node ${kind}` },
      svg("rect", { x: x - 48, y: y - 19, width: 96, height: 38, rx: kind === "variable" ? 19 : 6 }),
      svg("text", { x, y: y + (shape.length ? -2 : 5) }, `${number}: ${operation}`),
      shape.length ? svg("text", { class: "shape", x, y: y + 13 }, `[${shape.join(", ")}]`) : null);
  };
  const arrow = svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
    svg("path", { class: "head", d: "M0 0L8 4L0 8z" }));
  const name = ({ number, operation }) => `${number} ${operation}`;
  const said = graph.nodes.map((node) => {
    const targets = graph.edges.filter(({ source }) => source === node.number).map(({ target }) => name(graph.nodes[target]));
    return el("li", {}, `${name(node)}${targets.length ? ` → ${targets.join(", ")}` : ""}`);
  });
  const height = HIGH * layers.length;
  return [
    el("h4", {}, "How backward goes"),
    scrolling("graph of the backward pass", svg("svg", { class: "graph", viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
      "aria-label": `Graph of the backward pass: ${graph.nodes.length} nodes, ${graph.edges.length} edges, listed below` },
    svg("defs", {}, arrow), graph.edges.map(line), graph.nodes.map(box))),
    el("details", {}, el("summary", {}, "The graph in words"), el("ul", {}, said))];
}
