/** Who am I? Three answers to questions that the service chooses, then recommendations; nothing is stored. */

import { attempt } from "./alerts.js";
import { get, isUncertain, path, query, request } from "./api.js";
import { curl, showCurl } from "./curl.js";
import { byId, el, shown, sign } from "./dom.js";

const QUESTIONS = 3;
// What was said last: {catalog, uncertain, openers, given, skipped, focused}; openers are asked about where no question
// is chosen. An answer makes another and leaves this one: what the service says to an older one is dropped.
let latest;

/** Begin anew; `focused` is whether the keyboard goes to the first question. */
export async function openWhoami(catalog, focused = false) {
  const mine = (latest = { catalog, focused, openers: [], given: [], skipped: [] });
  for (const id of ["whoami", "whoami-curl"]) byId(id).replaceChildren(); // nobody answers in one catalog and means another
  if (catalog.serving === null) return tell(mine, "Nothing is trained yet: start a training in the tab Training.");
  mine.uncertain = await isUncertain(catalog);
  if (mine !== latest) return;
  if (!mine.uncertain) {
    const where = path`/v1/catalogs/${catalog.catalog}/movies` + query({ limit: 10 * QUESTIONS });
    showCurl(byId("whoami-curl"), curl("GET", where));
    mine.openers = (await get(where)).items;
  }
  if (mine === latest) await ask(mine);
}

function tell({ focused }, ...nodes) {
  byId("whoami").replaceChildren(...nodes);
  if (focused) byId("question")?.focus();
}

async function preview({ catalog, given, skipped }, more) {
  const where = path`/v1/catalogs/${catalog.catalog}/scores:preview`;
  const responses = Object.fromEntries(given.map(({ movie, response }) => [movie, response]));
  const body = { responses, ...more, ...(skipped.length ? { exclude: skipped } : {}) };
  showCurl(byId("whoami-curl"), curl("POST", where, body));
  return request("POST", where, body);
}

/** The next question: the service's, or the next movie where the model cannot say what it does not know. */
async function nextQuestion(mine) {
  if (mine.uncertain) return (await preview(mine, { limit: 1, include: ["next_question"] })).next_question;
  const known = [...mine.given.map(({ movie }) => movie), ...mine.skipped];
  return mine.openers.find(({ movie }) => !known.includes(movie));
}

async function ask(mine) {
  latest = mine;
  const { catalog, given, skipped, uncertain } = mine;
  const question = given.length < QUESTIONS ? await nextQuestion(mine) : undefined;
  if (mine !== latest) return;
  if (!question) return showRecommendations(mine);
  const why = uncertain
    ? `Of all movies this one teaches most: ${shown(100 * question.expected_reduction, 0)} % of what is uncertain. Now it is scored ${shown(question.score, 2)}.`
    : `Training ${catalog.serving} is of gradient descent, which cannot say what it does not know: these are the first movies. A mixed effects training chooses questions.`;
  const button = (value, words, said) => el("button", { type: "button", class: "choice", "data-answer": value,
    click: () => attempt(() => ask({ ...mine, focused: true, ...said })) }, words);
  const answer = (response, words) => button(response, words, { given: [...given, { ...question, response }] });
  tell(mine,
    el("p", { class: "step" }, `Question ${given.length + 1} of ${QUESTIONS}`),
    heading(`Do you like ${question.title}?`, { "data-movie": question.movie }),
    el("p", { class: "help" }, why),
    el("div", { class: "choices" }, answer(1, "♥ yes"), answer(0, "✕ no"),
      button("", "I do not know it", { skipped: [...skipped, question.movie] })));
}

async function showRecommendations(mine) {
  const { catalog, given, uncertain } = mine;
  const again = el("button", { type: "button", class: "primary", click: () => attempt(() => openWhoami(catalog, true)) }, "Ask me again");
  if (given.length === 0) return tell(mine, heading("No movie is left to ask about."), again);
  const include = uncertain ? { include: ["interval"] } : {};
  let { scores } = await preview(mine, { limit: 10, ...include });
  const all = scores.length === 0; // whoever answered all movies gets the scores of these
  if (all && mine === latest) ({ scores } = await preview({ ...mine, skipped: [] }, { movies: given.map(({ movie }) => movie), ...include }));
  if (mine !== latest) return;
  const lines = [...scores].sort((one, other) => other.score - one.score).map(({ title, score, interval }) => {
    const meter = el("span", { class: "meter", "aria-hidden": "true" });
    meter.style.setProperty("--score", score);
    const between = interval && `${shown(interval.lower, 2)} to ${shown(interval.upper, 2)}`;
    return el("li", {}, el("span", { class: "title" }, title), meter, el("strong", {}, shown(score, 2)), el("span", { class: "help" }, between));
  });
  tell(mine,
    heading(all ? "No other movie is left; your answers are scored" : "You may like"),
    el("p", { class: "help" }, `By your answers: ${given.map(({ response, title }) => `${sign(response)} ${title}`).join(", ")}. Nothing was stored.`),
    el("ol", { id: "recommendations" }, lines), again);
}

const heading = (words, attributes = {}) => el("h3", { id: "question", tabindex: -1, ...attributes }, words);
