/** Curves on a canvas, drawn at most once a frame however many points come in between. */

const PAD = { left: 66, right: 14, top: 14, bottom: 26 };
const DASHES = [[], [6, 4], [2, 3]];
const INKS = ["--accent", "--second", "--muted"];

export class Curve {
  /** `canvas` is labelled by what the curves are of; its `data-steps` counts the points that are drawn. */
  constructor(canvas) {
    Object.assign(this, { canvas, series: [], marks: [], waiting: false });
    this.painted = () => {}; // called after each frame that was drawn
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Show these series, each {name, points: [[x, y], …]}; `marks` are points that stand out. */
  show(series, marks = []) {
    Object.assign(this, { series, marks });
    this.draw();
  }

  /** Draw in the next frame. */
  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
      this.painted();
    });
  }

  paint() {
    const { canvas, series } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    const scale = devicePixelRatio;
    if (canvas.width !== width * scale) canvas.width = width * scale;
    if (canvas.height !== height * scale) canvas.height = height * scale;
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const ink = (name) => style.getPropertyValue(name);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.setLineDash([]);
    pen.font = `12px ${style.fontFamily}`;
    canvas.dataset.steps = series[0]?.points.length ?? 0;
    const box = boundsOf([...series.map(({ points }) => points), this.marks]);
    if (!box) return;
    const x = (value) => PAD.left + (value - box.left) / (box.right - box.left || 1) * (width - PAD.left - PAD.right);
    const y = (value) => height - PAD.bottom - (value - box.low) / (box.high - box.low || 1) * (height - PAD.top - PAD.bottom);
    drawAxes(pen, { box, x, y, width, line: ink("--line"), muted: ink("--muted") });
    series.forEach(({ points }, at) => {
      const stride = Math.ceil(points.length / (2 * width)); // no more points than can be seen
      const seen = points.filter(([, py], index) => (index % stride === 0 || index === points.length - 1) && py !== null);
      drawLine(pen, ink, at, seen.map(([px, py]) => [x(px), y(py)]));
    });
    pen.fillStyle = ink("--second");
    for (const [px, py] of this.marks) {
      pen.beginPath();
      pen.arc(x(px), y(py), 5, 0, 2 * Math.PI);
      pen.fill();
    }
    drawNames(pen, series, width, ink);
  }
}

function boundsOf(series) {
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const points of series) {
    for (const [x, y] of points) {
      if (y === null) continue;
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < low) low = y;
      if (y > high) high = y;
    }
  }
  return left <= right ? { left, right, low, high } : null;
}

function drawAxes(pen, { box, x, y, width, line, muted }) {
  pen.strokeStyle = line;
  pen.fillStyle = muted;
  pen.lineWidth = 1;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const value of new Set([box.low, (box.low + box.high) / 2, box.high])) {
    pen.beginPath();
    pen.moveTo(PAD.left, y(value));
    pen.lineTo(width - PAD.right, y(value));
    pen.stroke();
    const text = String(Number(value.toPrecision(3)));
    pen.fillText((text.length > 7 ? value.toExponential(1) : text).replaceAll("-", "−"), PAD.left - 8, y(value));
  }
  pen.textBaseline = "top";
  for (const [value, align] of [[box.left, "left"], [box.right, "right"]]) {
    pen.textAlign = align;
    pen.fillText(Number(value.toPrecision(6)).toLocaleString("en"), x(value), y(box.low) + 8);
  }
}

/** The line of a series by its number: told from others by its dashes, and not by its colour alone. */
function drawLine(pen, ink, at, points) {
  pen.setLineDash(DASHES[at % DASHES.length]);
  pen.strokeStyle = ink(INKS[at % INKS.length]);
  pen.lineWidth = 2;
  pen.beginPath();
  for (const [x, y] of points) pen.lineTo(x, y);
  pen.stroke();
}

function drawNames(pen, series, width, ink) {
  if (series.length < 2) return;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  series.forEach(({ name }, at) => {
    const height = PAD.top + 10 + 18 * at;
    drawLine(pen, ink, at, [[width - PAD.right - 30, height], [width - PAD.right - 4, height]]);
    pen.fillStyle = ink("--text");
    pen.fillText(name, width - PAD.right - 38, height);
  });
}
