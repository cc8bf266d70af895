/** Training: a form out of the API's schema, and the loss curve as it comes, step by step. */

import { attempt, showProblem } from "./alerts.js";
import { follow, openapi, path, Problem, request } from "./api.js";
import { curl, showCurl } from "./curl.js";
import { Curve } from "./curve.js";
import { byId, el, shown } from "./dom.js";
import { bodyOf, field, propertiesOf } from "./fields.js";
import { openTrainings, showTraining } from "./trainings.js";

const POSTED = "/v1/catalogs/{catalog}/trainings";
const curve = new Curve(byId("curve"));
let catalog, running; // running: {id, stop}

export async function openTraining(summary) {
  const other = catalog?.catalog !== summary.catalog;
  catalog = summary;
  if (byId("trainer").options.length === 0) await buildForm();
  if (other) stopWatching();
  showCommands();
  const newest = await openTrainings(summary);
  const unfinished = newest.find(({ ended_at: ended }) => ended === null);
  if (unfinished && !running) watch(unfinished); // started before this page was loaded, or by somebody else
}

/** The trainers and their bodies' schemas, as the API describes them. */
async function trainers() {
  const { schema } = (await openapi()).paths[POSTED].post.requestBody.content["application/json"];
  return Object.entries(schema.discriminator.mapping).map(([name, where]) => [name, where.split("/").at(-1)]);
}

async function buildForm() {
  const named = await trainers();
  byId("trainer").replaceChildren(...named.map(([name]) => el("option", { value: name }, name.replaceAll("_", " "))));
  byId("trainer").addEventListener("change", () => attempt(buildOptions));
  byId("train").addEventListener("change", showCommands);
  byId("train").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(start, byId("train"));
  });
  byId("cancel").addEventListener("click", () => attempt(cancel));
  await buildOptions();
}

async function buildOptions() {
  const schema = Object.fromEntries(await trainers())[byId("trainer").value];
  const { options, seed, serve, holdout } = await propertiesOf(schema);
  const fields = (prefix, properties) =>
    Object.entries(properties).map(([name, one]) => field("train", `${prefix}/${name}`, one));
  byId("train-about").textContent = (await openapi()).components.schemas[schema].description;
  byId("train-options").replaceChildren(...fields("/options", options.properties));
  byId("train-common").replaceChildren(...fields("", { seed, serve }));
  byId("train-holdout").replaceChildren(...fields("/holdout", holdout.properties));
  showCommands();
}

const wanted = () => ({ trainer: byId("trainer").value, ...bodyOf(byId("train")) });
const trainingsPath = () => path`/v1/catalogs/${catalog.catalog}/trainings`;

function showCommands() {
  try {
    const watched = `${trainingsPath()}/${running?.id ?? "1"}/events`;
    showCurl(byId("training-curl"), curl("POST", trainingsPath(), wanted()), curl("GET", watched, undefined, " -N"));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem; // a field that cannot be read yet
  }
}

async function start() {
  watch(await request("POST", trainingsPath(), wanted()));
  showCommands();
}

function stopWatching() {
  running?.stop.abort();
  running = undefined;
  [byId("start").disabled, byId("cancel").disabled] = [false, true];
}

/** Follow a training: points are collected as they come and drawn once a frame. */
function watch(training) {
  stopWatching();
  const { id, steps_total: total } = training;
  const [loss, data] = [{ name: "loss", points: [] }, { name: "data loss", points: [] }];
  const stop = new AbortController();
  running = { id, stop };
  [byId("start").disabled, byId("cancel").disabled] = [true, false];
  [byId("progress").max, byId("progress").value] = [total, 0];
  byId("status").textContent = `training ${id} is queued`;
  byId("steps").textContent = "";
  curve.show([loss, data]);
  curve.painted = () => {
    if (loss.points.length === 0) return;
    const [step, value] = loss.points.at(-1);
    byId("progress").value = step;
    byId("steps").textContent = `step ${step} of at most ${total}, loss ${shown(value, 4)}`;
  };
  byId("curve").scrollIntoView({ block: "nearest" });
  const hear = (event, row) => {
    if (event !== "step") return void attempt(() => end(row, id, event));
    if (loss.points.length === 0) byId("status").textContent = `training ${id} is running`;
    loss.points.push([row.step, row.loss]);
    data.points.push([row.step, row.data_loss]);
    curve.draw();
  };
  follow(`${trainingsPath()}/${id}/events`, hear, stop.signal).catch((problem) => {
    stopWatching();
    showProblem(problem);
  });
}

async function end(training, id, status) {
  stopWatching();
  byId("status").textContent = `training ${id} ${status === "cancelled" ? "was cancelled" : status}`
    + (training?.metrics ? `: ${training.metrics.status}` : "") + (training?.error ? `: ${training.error}` : "");
  if (status === "succeeded") byId("progress").max = training.steps_done; // it may end before the most steps
  await openTrainings({ ...catalog }, { reread: true });
  if (status === "succeeded") await showTraining(training);
}

async function cancel() {
  if (running) await request("POST", `${trainingsPath()}/${running.id}:cancel`);
}
