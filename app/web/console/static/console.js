/** The console: the catalog that is chosen, the tab that is open, and what is in the URL of both. */

import { attempt } from "./alerts.js";
import { get, path, query } from "./api.js";
import { openCompute } from "./compute.js";
import { byId, el } from "./dom.js";
import { openScores } from "./scores.js";
import { onOtherState, remember, state } from "./state.js";
import { openTraining } from "./training.js";
import { openWhoami } from "./whoami.js";

const PANELS = { scores: openScores, training: openTraining, whoami: openWhoami, compute: openCompute };
const names = Object.keys(PANELS);
const present = () => (names.includes(state("tab")) ? state("tab") : "scores");

function showTab(name) {
  for (const one of names) {
    const tab = byId(`tab-${one}`);
    tab.setAttribute("aria-selected", String(one === name));
    tab.tabIndex = one === name ? 0 : -1;
    byId(`panel-${one}`).hidden = one !== name;
  }
  byId(`tab-${name}`).scrollIntoView({ block: "nearest", inline: "nearest" });
}

let opened = 0;
let shown = null; // the catalog whose panels may be seen

/** Show the tab that the URL names, for the catalog that it names; the last one asked for, whichever answer comes last. */
async function open() {
  const mine = ++opened;
  const name = present();
  byId("grid").replaceChildren(); // scores may be others now, and nobody answers in one catalog and means another
  showTab(name);
  byId("nothing").hidden = true;
  await attempt(async () => {
    if (name === "compute") return void await openCompute();
    const catalog = state("catalog");
    byId("nothing").hidden = Boolean(catalog);
    byId(`panel-${name}`).hidden = !catalog || catalog !== shown;
    [shown, byId("facts").textContent] = [null, ""];
    if (!catalog) return;
    const summary = await get(path`/v1/catalogs/${catalog}`);
    if (mine !== opened) return;
    shown = catalog;
    byId(`panel-${name}`).hidden = false;
    showFacts(summary);
    await PANELS[name](summary);
  });
}

function showFacts({ movies, users, responses, dimensions, serving }) {
  const counts = [[movies, "movies"], [users, "users"], [responses, "responses"], [dimensions.length, "dimensions"]];
  const said = counts.map(([count, what]) => `${count.toLocaleString("en")} ${count === 1 ? what.slice(0, -1) : what}`);
  byId("facts").textContent = `${said.join(" · ")} · ${serving ? `training ${serving} serves` : "nothing trained yet"}`;
}

async function listCatalogs(search) {
  const found = await get(`/v1/catalogs${query({ limit: 100, search })}`);
  const chosen = state("catalog");
  const items = found.items.map(({ catalog, title }) => ({ catalog, title }));
  if (chosen && !search && !items.some(({ catalog }) => catalog === chosen)) items.unshift({ catalog: chosen, title: chosen });
  const said = ({ catalog, title }) => (title === catalog ? catalog : `${title} (${catalog})`);
  byId("catalog").replaceChildren(...items.map((one) => el("option", { value: one.catalog }, said(one))));
  if (found.next !== null) byId("catalog-search").hidden = false;
  const next = items.some(({ catalog }) => catalog === chosen) ? chosen : items[0]?.catalog;
  if (next) byId("catalog").value = next;
  return next ?? null;
}

function chooseCatalog(catalog) {
  if (catalog === state("catalog")) return;
  remember({ catalog, users: null, movies: null, "user-search": null, "movie-search": null }, { step: true });
  open();
}

function choose(name) {
  remember({ tab: name }, { step: true });
  open();
}

for (const name of names) byId(`tab-${name}`).addEventListener("click", () => choose(name));
byId("tabs").addEventListener("keydown", (event) => {
  const at = names.indexOf(present());
  const next = { ArrowRight: at + 1, ArrowLeft: at - 1 + names.length, Home: 0, End: names.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  choose(names[next % names.length]);
  byId(`tab-${present()}`).focus();
});
byId("catalog").addEventListener("change", (event) => chooseCatalog(event.target.value));
byId("catalog-search").addEventListener("change", (event) =>
  attempt(async () => chooseCatalog(await listCatalogs(event.target.value))));
byId("key").addEventListener("change", ({ target }) => {
  sessionStorage.setItem("key", target.value.trim());
  begin();
});
document.addEventListener("catalog", ({ detail }) => showFacts(detail));
const begin = () => attempt(async () => {
  showTab(present());
  await listCatalogs().then((catalog) => remember({ catalog }), (refusal) => { if (refusal.status !== 403 || present() !== "compute") throw refusal; });
  await open();
});
onOtherState(begin);
begin();
