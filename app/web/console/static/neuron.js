/** A neuron that learns: every epoch of its trace, step by step, as the class writes it. */

import { request } from "./api.js";
import { Curve } from "./curve.js";
import { el, scrolling, shown, table } from "./dom.js";
import { remember, state } from "./state.js";

export async function showNeuron(body, answer, whole) {
  const { trace, losses, output, weights } = await request("POST", "/v1/compute/neuron", body);
  const canvas = el("canvas", { class: "curve", role: "img", "aria-label": `Loss of ${losses.length} epochs, from ${shown(losses[0])} to ${shown(losses.at(-1))}` });
  const curve = new Curve(canvas);
  const points = losses.map((loss, at) => [at + 1, loss]);
  const epoch = el("div", { "aria-live": "polite" });
  const slider = el("input", { type: "range", min: 1, max: trace.length, id: "neuron-epoch", value: 1 });
  const show = () => {
    const at = Number(slider.value) - 1;
    epoch.replaceChildren(...drawEpoch(whole, trace[at], trace[at - 1]?.weights ?? body.weights));
    curve.show([{ name: "loss", points }], [points[at]]);
  };
  const keep = () => {
    show();
    remember({ "neuron.epoch": slider.value === "1" ? null : slider.value });
  };
  const step = (by, words) => el("button", { type: "button", class: "quiet", "aria-label": words, click: () => {
    slider.value = Number(slider.value) + by;
    keep();
  } }, by < 0 ? "←" : "→");
  slider.value = state("neuron.epoch") ?? 1;
  slider.addEventListener("input", show);
  slider.addEventListener("change", keep);
  answer.replaceChildren(
    el("p", {}, "output after the last step ", el("strong", { class: "value" }, shown(output)), `, weights [${weights.map((one) => shown(one)).join(", ")}]`),
    canvas,
    el("div", { class: "stepper" }, step(-1, "epoch before"), el("label", { for: "neuron-epoch" }, "epoch"), slider, step(1, "epoch after")),
    epoch);
  show();
}

function drawEpoch({ inputs, target, learning_rate: rate }, { epoch, weights, gradient, output, loss }, before) {
  const rows = inputs.map((input, at) => [`x${at + 1}`, shown(input), shown(before[at]), shown(gradient[at]), shown(weights[at])]);
  return [
    el("p", { class: "formula" }, `epoch ${epoch}: σ(w · x) = ${shown(output)}, loss = (${shown(output)} − ${shown(target)})² = ${shown(loss)}`),
    scrolling("the step of this epoch", table(`w ← w − ${shown(rate)} × ∂loss/∂w`, ["input", "x", "w before", "∂loss/∂w", "w after"], rows))];
}
