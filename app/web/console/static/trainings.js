/** Trainings that were: their list, one with its pictures, two beside each other, and which one serves. */

import { attempt } from "./alerts.js";
import { get, getBlob, key, path, query, request } from "./api.js";
import { curl, showCurl } from "./curl.js";
import { Curve } from "./curve.js";
import { byId, el, shown, table } from "./dom.js";

const PAGE = 8;
const MEASURES = ["log_loss", "brier", "calibration_error", "accuracy", "auc", "ndcg_at_10", "recall_at_10"];
const compared = new Curve(byId("compare-curve"));
let catalog, page, pages, chosen;

/** List a catalog's trainings, the newest first, and return the newest. */
export async function openTrainings(summary, { reread = false } = {}) {
  if (catalog?.catalog !== summary.catalog || !reread) [pages, chosen] = [[], []];
  catalog = reread ? await get(path`/v1/catalogs/${summary.catalog}`) : summary;
  byId("pictures").hidden = true;
  tellCatalog();
  await list();
  return page.items;
}

/** Whoever shows the catalog hears what it is now: a training may serve that did not. */
const tellCatalog = () => document.dispatchEvent(new CustomEvent("catalog", { detail: catalog }));

async function list() {
  page = await get(path`/v1/catalogs/${catalog.catalog}/trainings` + query({ limit: PAGE, after: pages.at(-1) }));
  const rows = page.items.map((one) => [
    String(one.id), one.trainer.replaceAll("_", " "), one.status,
    `${one.steps_done}`, shown(one.loss, 4), shown(one.metrics?.held_out?.log_loss, 4), catalog.serving === one.id ? "✓ serves" : "",
    el("div", { class: "actions" }, actionsOf(one))]);
  byId("trainings").replaceChildren(...table("Trainings, the newest first",
    ["id", "trainer", "status", "steps", "loss", "held-out log loss", "serving", "do"], rows).childNodes);
  byId("trainings-pager").hidden = pages.length === 0 && page.next === null;
  byId("trainings-pager").replaceChildren(
    pageButton("← newer", pages.length === 0, () => pages.pop()),
    pageButton("older →", page.next === null, () => pages.push(page.next)));
  await compare();
}

const pageButton = (words, disabled, move) =>
  el("button", { type: "button", class: "quiet", disabled, click: () => attempt(() => list(move())) }, words);

function actionsOf(training) {
  const { id, status } = training;
  const compares = el("label", { class: "check" }, el("input", {
    type: "checkbox", checked: chosen.some((one) => one.id === id), "aria-label": `compare training ${id}`,
    change: () => choose(training) }), "compare");
  if (status !== "succeeded") return [compares];
  return [compares,
    el("button", { type: "button", class: "quiet", "aria-label": `show training ${id}`, click: () => attempt(() => showTraining(training)) }, "show"),
    el("button", { type: "button", class: "quiet promote", "data-training": id, "aria-label": `let training ${id} serve`,
      disabled: catalog.serving === id, click: () => attempt(() => promote(id)) }, "promote")];
}

async function promote(id) {
  const where = path`/v1/catalogs/${catalog.catalog}/serving`;
  catalog = await request("PUT", where, { training: id });
  byId("status").textContent = `training ${id} serves`;
  tellCatalog();
  showCurl(byId("trainings-curl"), curl("PUT", where, { training: id }));
  await list();
}

function choose(training) {
  const others = chosen.filter(({ id }) => id !== training.id);
  chosen = others.length < chosen.length ? others : [...others, training].slice(-2);
  attempt(list);
}

/** Show two trainings beside each other: what they were asked, how they ended, both curves in one drawing. */
async function compare() {
  byId("compare").hidden = chosen.length < 2;
  if (chosen.length < 2) return;
  const [one, other] = chosen;
  const options = [...new Set(chosen.flatMap((each) => Object.keys(each.options)))];
  const line = (name, read) => [name, read(one), read(other)];
  byId("compare-table").replaceChildren(table(`Trainings ${one.id} and ${other.id}`,
    ["of each", `training ${one.id}`, `training ${other.id}`], [
      line("trainer", ({ trainer }) => trainer.replaceAll("_", " ")),
      ...options.map((name) => line(name.replaceAll("_", " "), (each) => String(each.options[name] ?? "–"))),
      line("seed", ({ seed }) => String(seed)),
      line("steps", ({ steps_done: steps }) => String(steps)),
      line("loss", ({ loss }) => shown(loss, 4)),
      line("ended", ({ metrics, status }) => metrics?.status ?? status),
      ...MEASURES.map((name) => line(`held-out ${name.replaceAll("_", " ")}`, ({ metrics }) => shown(metrics?.held_out?.[name], 4)))]));
  const curves = await Promise.all(chosen.map(({ id }) => get(path`/v1/catalogs/${catalog.catalog}/trainings/${id}/losses.json`)));
  compared.show(curves.map(({ training, losses }) =>
    ({ name: `training ${training}`, points: losses.map(({ step, loss }) => [step, loss]) })));
}

/** Show the pictures that the service draws of a training. */
export async function showTraining(training) {
  const plots = path`/v1/catalogs/${catalog.catalog}/plots`;
  const own = path`/v1/catalogs/${catalog.catalog}/trainings/${training.id}`;
  const [{ id }, { dimensions }] = [training, catalog];
  byId("pictures").hidden = false;
  byId("pictures-title").textContent = `What training ${id} learned`;
  const scatter = el("div");
  const figures = [
    picture(`${own}/losses.svg`, "Loss by step"),
    ...(dimensions.length ? [picture(`${plots}/heatmap.svg${query({ training: id })}`, "Heatmap of the users' embeddings and the movies' vectors")] : []),
    picture(`${plots}/scores.svg${query({ training: id })}`, "Like-scores, with the responses")];
  if (dimensions.length > 1) {
    const axes = [0, 1].map((at) => axis(["x", "y"][at], dimensions, dimensions[at], () => draw()));
    const draw = () => scatter.replaceChildren(picture(
      plots + "/scatter.svg" + query({ x: axes[0].value, y: axes[1].value, training: id }),
      `Users and movies by ${axes[0].value} and ${axes[1].value}`));
    draw();
    const labelled = axes.map((select) => el("label", {}, `${select.name} axis `, select));
    figures.push(el("div", {}, el("div", { class: "axes" }, labelled), scatter));
  }
  const reliable = "Reliability: how often people liked what was scored so, on responses held out";
  if (training.holdout) figures.push(picture(`${own}/reliability.svg`, reliable));
  byId("pictures-body").replaceChildren(...figures);
  showCurl(byId("trainings-curl"), curl("GET", `${plots}/scores.txt${query({ training: id })}`), curl("GET", `${own}/losses.csv`));
}

const axis = (name, dimensions, value, change) =>
  el("select", { name, change }, dimensions.map((one) => el("option", { value: one, selected: one === value }, one)));

/** A picture with what it shows; where there is none, the service's words why. */
function picture(source, words) {
  const caption = el("figcaption", {}, words);
  const release = () => (key() ? (link.href = image.src) : URL.revokeObjectURL(image.src)); // a link sends no key
  const explain = (why) => {
    release();
    link.remove();
    caption.textContent = `${words}. No picture: ${why}`;
  };
  const image = el("img", { alt: words, load: release, error: () => explain("it cannot be shown here") });
  const link = el("a", { href: source, target: "_blank" }, image);
  // A browser shows an address as it did before, and does not ask again: fetch asks whether the picture is another one.
  getBlob(source).then((drawn) => (image.src = URL.createObjectURL(drawn)), (problem) => explain(problem.message));
  return el("figure", {}, link, caption);
}
