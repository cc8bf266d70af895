/** Responses and scores: a grid of users × movies; a response that is clicked changes its row's scores at once. */

import { attempt } from "./alerts.js";
import { get, isUncertain, path, query, request } from "./api.js";
import { curl, showCurl } from "./curl.js";
import { byId, el, shown, sign, worded } from "./dom.js";
import { openExplanation } from "./explanation.js";
import { remember, state } from "./state.js";

const [ROWS, COLUMNS] = [25, 25];
const AFTER = { null: 1, 1: 0, 0: null };

let catalog, uncertain, movies, rows; // rows: user → {user, count, known, responses, scores, cells, work}
let loading = 0;
const before = { users: [], movies: [] }; // the pages that one came from, for the way back

export async function openScores(summary) {
  if (catalog?.catalog !== summary.catalog) [before.users, before.movies] = [[], []];
  catalog = summary;
  await load();
}

/** Load the page of the grid that the URL names. */
async function load() {
  const mine = ++loading;
  const searched = (list) => state(`${list.slice(0, -1)}-search`);
  for (const list of ["user", "movie"]) byId(`${list}-search`).value = state(`${list}-search`) ?? "";
  const [users, shownMovies, sure] = await Promise.all([
    get(path`/v1/catalogs/${catalog.catalog}/users` + query({ limit: ROWS, after: state("users"), search: searched("users") })),
    get(path`/v1/catalogs/${catalog.catalog}/movies` + query({ limit: COLUMNS, after: state("movies"), search: searched("movies") })),
    isUncertain(catalog),
  ]);
  if (mine !== loading) return;
  uncertain = sure;
  movies = shownMovies.items;
  rows = new Map(users.items.map(({ user, responses }) => [user, newRow(user, responses)]));
  showPager("users", users);
  showPager("movies", shownMovies);
  drawGrid();
  showCommands([...rows.keys()][0] ?? "somebody");
  await Promise.all([loadScores([...rows.values()]), ...[...rows.values()].map(loadResponses)]);
}

const newRow = (user, count) =>
  ({ user, count, known: false, responses: new Map(), scores: new Map(), cells: new Map(), work: Promise.resolve() });

/** Whether the service has scores for a user: strangers have some only of a model that knows people in general. */
const isScored = (row) => catalog.serving !== null && movies.length > 0 && (row.count > 0 || uncertain);

async function loadResponses(row) {
  const searched = Boolean(state("movie-search"));
  const where = path`/v1/catalogs/${catalog.catalog}/users/${row.user}/responses`;
  // Without a search the movies are the next ones behind a mark, so the first responses behind it are enough.
  let after = searched ? null : state("movies");
  let more = row.count > 0;
  while (more) {
    const found = await get(where + query({ limit: searched ? 1000 : COLUMNS, after }));
    for (const { movie, response } of found.items) row.responses.set(movie, response);
    after = searched ? found.next : null;
    more = after !== null;
  }
  row.known = true;
  paint(row);
}

/** Load the scores of many rows with one request. */
async function loadScores(asked) {
  const scored = asked.filter(isScored);
  const known = scored.filter((row) => row.count > 0);
  const pairs = known.flatMap((row) => movies.map(({ movie }) => [row.user, movie]));
  const strangers = scored.filter((row) => row.count === 0).map(loadRowScores);
  if (pairs.length > 0) {
    const { scores } = await request("POST", path`/v1/catalogs/${catalog.catalog}/scores`, { pairs });
    known.forEach((row, at) => {
      row.scores = new Map(movies.map(({ movie }, column) => [movie, scores[at * movies.length + column]]));
      paint(row);
    });
  }
  await Promise.all(strangers);
}

const scoresPath = (user) =>
  path`/v1/catalogs/${catalog.catalog}/users/${user}/scores` + query({ movie: movies.map(({ movie }) => movie) });
const responsePath = (user, movie) => path`/v1/catalogs/${catalog.catalog}/users/${user}/responses/${movie}`;

async function loadRowScores(row) {
  const { scores } = isScored(row) ? await get(scoresPath(row.user)) : { scores: [] };
  row.scores = new Map(scores.map(({ movie, score }) => [movie, score]));
  paint(row);
}

/** Answer for a user: shown before it is stored, and taken back if it cannot be. */
function answer(row, movie) {
  if (!row.known) return; // what is there already has not come yet
  const old = row.responses.get(movie) ?? null;
  const value = old in AFTER ? AFTER[old] : 1;
  setResponse(row, movie, value);
  const where = responsePath(row.user, movie); // now: another catalog may be shown when its turn has come
  const mine = (row.work = row.work.then(() => attempt(async () => {
    try {
      await (value === null ? request("DELETE", where) : request("PUT", where, { response: value }));
    } catch (problem) {
      setResponse(row, movie, old);
      throw problem;
    }
    if (rows.get(row.user) !== row) return; // no longer shown
    showCommands(row.user, movie, value);
    if (row.work === mine) await loadRowScores(row); // not when another answer waits behind this one
    byId("grid-status").textContent =
      `user ${row.user} ${worded(value)}: ${movie}; score ${shown(row.scores.get(movie), 2)}`;
  })));
}

function setResponse(row, movie, value) {
  const had = row.responses.has(movie);
  if (value === null) row.responses.delete(movie);
  else row.responses.set(movie, value);
  row.count += Number(row.responses.has(movie)) - Number(had);
  paint(row);
}

function showCommands(user, movie = movies[0]?.movie ?? "some-movie", value = 1) {
  const [method, body] = value === null ? ["DELETE"] : ["PUT", { response: value }];
  showCurl(byId("scores-curl"), curl(method, responsePath(user, movie), body), curl("GET", scoresPath(user)));
}

function drawGrid() {
  const empty = rows.size === 0 ? "No user here yet: add one." : "No movie here.";
  byId("grid-note").textContent = rows.size === 0 || movies.length === 0 ? empty : "";
  const head = movies.map(({ movie, title }) =>
    el("th", { scope: "col", title: `${title} (${movie})` }, el("span", { class: "title" }, title),
      title === movie ? null : el("span", { class: "id" }, movie)));
  byId("grid").replaceChildren(
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "user"), head)),
    el("tbody", {}, [...rows.values()].map(drawRow)));
  byId("grid").querySelector("tbody button")?.setAttribute("tabindex", "0");
}

function drawRow(row) {
  const cells = movies.map(({ movie, title }) => {
    const data = { type: "button", tabindex: -1, "data-user": row.user, "data-movie": movie };
    const response = el("button", { ...data, class: "response", click: () => answer(row, movie) });
    const score = el("button", { ...data, class: "score", click: () => explain(row, movie, title) });
    row.cells.set(movie, { response, score, title });
    return el("td", {}, el("div", { class: "pair" }, response, score));
  });
  paint(row);
  return el("tr", {}, el("th", { scope: "row", title: row.user }, row.user), cells);
}

function paint(row) {
  for (const [movie, { response, score, title }] of row.cells) {
    const value = row.responses.get(movie) ?? null;
    const number = shown(row.scores.get(movie), 2);
    const name = title === movie ? movie : `${movie} ${title}`;
    response.dataset.response = value ?? "";
    response.textContent = sign(value);
    response.setAttribute("aria-label", `${name}: user ${row.user} ${worded(value)}, score ${number}`);
    score.setAttribute("aria-label", `${number}: why user ${row.user} has this score for ${name}`);
    response.setAttribute("aria-disabled", String(!row.known));
    score.setAttribute("aria-disabled", String(!row.scores.has(movie)));
    score.style.setProperty("--score", row.scores.get(movie) ?? 0);
    if (score.textContent === number) continue;
    score.classList.toggle("changed", score.textContent !== "" && score.textContent !== "–");
    score.textContent = number;
  }
}

function explain(row, movie, title) {
  if (row.scores.has(movie)) attempt(() => openExplanation({ catalog: catalog.catalog, uncertain, user: row.user, movie, title }));
}

/** Arrow keys move between the buttons; Tab enters the grid where one left it. */
function move(event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
    Home: [0, -Infinity], End: [0, Infinity] }[event.key];
  const lines = [...byId("grid").querySelectorAll("tbody tr")].map((line) => [...line.querySelectorAll("button")]);
  const at = lines.findIndex((line) => line.includes(event.target));
  if (!step || at < 0) return;
  event.preventDefault();
  const line = lines[Math.min(lines.length - 1, Math.max(0, at + step[0]))];
  const column = lines[at].indexOf(event.target) + step[1];
  line[Math.min(line.length - 1, Math.max(0, column))].focus();
}

function rove(event) {
  if (!event.target.matches("tbody button")) return;
  for (const one of byId("grid").querySelectorAll('tbody [tabindex="0"]')) one.tabIndex = -1;
  event.target.tabIndex = 0;
}

function showPager(list, { items, next }) {
  const here = state(list);
  const go = (to) => {
    remember({ [list]: to }, { step: true });
    attempt(load);
  };
  const back = () => go(before[list].pop() ?? null);
  const on = () => go(next, before[list].push(here));
  const key = list.slice(0, -1);
  const range = items.length ? `${items[0][key]} to ${items.at(-1)[key]}` : "none";
  byId(`${list}-pager`).hidden = !here && next === null;
  byId(`${list}-pager`).replaceChildren(
    el("button", { type: "button", class: "quiet", disabled: !here, click: back, "aria-label": `${list} before these` }, "←"),
    el("span", { class: "range" }, `${list} ${range}`),
    el("button", { type: "button", class: "quiet", disabled: next === null, click: on, "aria-label": `${list} after these` }, "→"));
}

/** Add a row for an id; a user whom the service does not know is stored with their first response. */
async function addUser(user) {
  const { items } = await get(path`/v1/catalogs/${catalog.catalog}/users` + query({ limit: 1000, search: user }));
  const row = newRow(user, items.find((one) => one.user === user)?.responses ?? 0);
  rows.delete(user);
  rows = new Map([[user, row], ...rows]);
  drawGrid();
  await Promise.all([loadResponses(row), loadRowScores(row)]);
  row.cells.values().next().value?.response.focus();
}

byId("grid").addEventListener("keydown", move);
byId("grid").addEventListener("focusin", rove);
for (const list of ["user", "movie"]) {
  byId(`${list}-search`).addEventListener("change", (event) => {
    before[`${list}s`] = [];
    remember({ [`${list}-search`]: event.target.value.trim(), [`${list}s`]: null }, { step: true });
    attempt(load);
  });
}
byId("add-user").addEventListener("submit", (event) => {
  event.preventDefault();
  const user = byId("new-user").value.trim();
  if (user) attempt(() => addUser(user));
  byId("new-user").value = "";
});
