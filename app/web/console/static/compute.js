/** The compute tab: three forms out of the API's schemas, whose fields are kept in the URL. */

import { attempt } from "./alerts.js";
import { curl, showCurl } from "./curl.js";
import { byId } from "./dom.js";
import { bodyOf, field, propertiesOf } from "./fields.js";
import { showGradient } from "./gradient.js";
import { showMlp } from "./mlp.js";
import { showNeuron } from "./neuron.js";
import { remember, state } from "./state.js";

const FORMS = {
  gradient: {
    schema: "GradientProblem",
    first: { expression: "w**3 + w**2", variables: { w: 2 } },
    fields: ["expression", "variables", "order", "check", "wrt", "seed", "dtype"],
    always: { graph: true },
    show: showGradient,
  },
  neuron: {
    schema: "NeuronProblem",
    first: { inputs: [2, -1, 3], weights: [4, 2, -1] },
    fields: ["inputs", "weights", "target", "learning_rate", "epochs", "layer"],
    always: { trace: "all" },
    show: showNeuron,
  },
  mlp: {
    schema: "MlpBody",
    first: { layers: [2, 4, 4, 1], inputs: [[1, 1], [0, 0], [2, -1], [-1, 0.5], [-0.5, -2]], target_expression: "x1 * x2 + 1" },
    fields: ["layers", "inputs", "target_expression", "targets", "activation", "optimizer", "learning_rate", "epochs", "seed", "tolerance"],
    always: { stream: true },
    show: showMlp,
  },
};

export async function openCompute() {
  for (const [name, form] of Object.entries(FORMS)) await openForm(name, form);
}

/** Build a form, or fill it anew, as the URL has it; one that had been run is run. */
async function openForm(name, { schema, first, fields, always, show }) {
  const form = byId(name);
  const properties = await propertiesOf(schema);
  form.querySelector(".fields").replaceChildren(...fields.map((each) => field(name, `/${each}`, properties[each], first[each])));
  const inputs = [...form.querySelectorAll("[data-pointer]")];
  const key = (input) => `${name}.${input.dataset.pointer.slice(1)}`;
  const beginnings = new Map(inputs.map((input) => [input, input.value]));
  for (const input of inputs) input.value = state(key(input)) ?? input.value;
  const body = () => ({ ...bodyOf(form), ...always });
  const command = () => showCurl(byId(`${name}-curl`), curl("POST", `/v1/compute/${name}`, body(), always.stream ? " -N" : ""));
  const run = () => attempt(async () => {
    remember({ [`${name}.run`]: 1 });
    const button = form.querySelector(".run");
    button.disabled = true;
    const whole = { ...Object.fromEntries(fields.map((each) => [each, properties[each].default])), ...body() };
    await show(body(), form.querySelector(".answer"), whole).finally(() => (button.disabled = false));
  }, form);
  form.onchange = ({ target }) => {
    if (!target.matches("[data-pointer]")) return;
    const value = target.value === beginnings.get(target) ? null : target.value;
    remember({ [key(target)]: value });
    attempt(command, form);
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    run();
  };
  form.querySelector(".run").disabled = false;
  await attempt(command, form);
  if (state(`${name}.run`)) await run();
}
