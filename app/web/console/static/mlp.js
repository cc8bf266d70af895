/** A network that learns: its loss while it trains, its errors, and its surface over two inputs. */

import { Problem, stream } from "./api.js";
import { Curve } from "./curve.js";
import { el, listed, scrolling, shown, table } from "./dom.js";

const SIDE = 25; // points of the surface along each axis
const COLOURS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]; // told apart without hue

export async function showMlp(body, answer) {
  const canvas = el("canvas", { class: "curve", role: "img", "aria-label": "Loss of each epoch" });
  const status = el("p", { role: "status" }, "training");
  const curve = new Curve(canvas);
  const loss = { name: "loss", points: [] };
  answer.replaceChildren(status, canvas);
  curve.show([loss]);
  const box = body.layers?.[0] === 2 && body.layers.at(-1) === 1 && boxOf(body.inputs);
  let trained;
  await stream("POST", "/v1/compute/mlp", box ? { ...body, evaluate: gridOf(box) } : body, (event, data) => {
    if (event === "succeeded") trained = data;
    if (event === "failed") throw new Problem(data);
    if (event !== "epoch") return;
    loss.points.push([data.epoch, data.loss]);
    curve.draw();
  });
  if (!trained) throw new Problem({ detail: "the stream of losses ended too early" });
  status.textContent = `after ${loss.points.length} epochs the largest error is ${shown(trained.max_error, 4)}: `
    + `${trained.within_tolerance ? "within" : "not within"} the tolerance (${trained.optimizer}, learning rate ${shown(trained.learning_rate)})`;
  canvas.setAttribute("aria-label", `Loss of ${loss.points.length} epochs, at the end ${shown(loss.points.at(-1)[1])}`);
  answer.append(
    scrolling("predictions", table("The points", ["point", "wanted", "network"],
      body.inputs.map((point, at) => [listed(point), listed(trained.targets[at]), listed(trained.predictions[at], 4)]))),
    ...(box ? drawSurface(box, trained.evaluations, body.inputs) : []));
}

/** The bounds of the points, with a margin. */
function boxOf(points) {
  if (!Array.isArray(points) || points.some((point) => point?.length !== 2)) return null; // the service says why
  return [0, 1].map((axis) => {
    const values = points.map((point) => point[axis]);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const margin = (high - low || 2) / 4;
    return [low - margin, high + margin];
  });
}

const at = ([low, high], index) => Number((low + (high - low) * index / (SIDE - 1)).toFixed(4));
const gridOf = ([x, y]) => Array.from({ length: SIDE * SIDE }, (_, index) => [at(x, index % SIDE), at(y, Math.floor(index / SIDE))]);

function colour(share) {
  const place = share * (COLOURS.length - 1);
  const below = Math.min(COLOURS.length - 2, Math.floor(place));
  return `rgb(${COLOURS[below].map((from, part) => Math.round(from + (place - below) * (COLOURS[below + 1][part] - from))).join(" ")})`;
}

function drawSurface(box, evaluations, points) {
  const values = evaluations.map(({ output }) => output[0]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const canvas = el("canvas", { class: "surface", width: 500, height: 500, role: "img",
    "aria-label": `The network over x1 and x2, from ${shown(low, 2)} to ${shown(high, 2)}; the numbers are in the table below` });
  const [pen, size] = [canvas.getContext("2d"), 500 / SIDE];
  values.forEach((value, index) => {
    pen.fillStyle = colour((value - low) / (high - low || 1));
    pen.fillRect(size * (index % SIDE), 500 - size * (1 + Math.floor(index / SIDE)), size + 1, size + 1);
  });
  pen.lineWidth = 3;
  for (const point of points) {
    const [x, y] = point.map((value, axis) => size / 2 + (500 - size) * (value - box[axis][0]) / (box[axis][1] - box[axis][0]));
    pen.beginPath();
    pen.arc(x, 500 - y, 9, 0, 2 * Math.PI);
    pen.fillStyle = "white";
    pen.fill();
    pen.stroke();
  }
  const every = Array.from({ length: 7 }, (_, index) => index * 4);
  const rows = every.map((row) => [shown(at(box[1], row), 2), ...every.map((column) => shown(values[row * SIDE + column], 2))]).reverse();
  const legend = el("div", { class: "legend" }, el("span", {}, shown(low, 2)), el("span", { class: "ramp" }), el("span", {}, shown(high, 2)));
  return [
    el("h4", {}, "Its surface"),
    el("figure", {}, canvas, legend, el("figcaption", {},
      `x1 from ${shown(box[0][0], 2)} to ${shown(box[0][1], 2)} to the right, x2 from ${shown(box[1][0], 2)} to ${shown(box[1][1], 2)} upwards; circles are the training points. `
      + `The page adds ${SIDE * SIDE} points as "evaluate" to the request below.`)),
    el("details", {}, el("summary", {}, "The surface in numbers"),
      scrolling("the surface", table("Rows are x2, columns x1", ["x2 \\ x1", ...every.map((column) => shown(at(box[0], column), 2))], rows)))];
}
