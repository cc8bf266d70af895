/** Who am I? Three answers to questions that the service chooses, then recommendations; nothing is stored. */

import { attempt } from "./alerts.js";
import { get, isUncertain, path, query, request } from "./api.js";
import { curl, showCurl } from "./curl.js";
import { byId, el, shown, sign } from "./dom.js";

const QUESTIONS = 3;
let catalog, uncertain, answers, titles, skipped, openers; // openers: what is asked where no question is chosen

export async function openWhoami(summary) {
  catalog = summary;
  [answers, titles, skipped, openers] = [{}, {}, [], []];
  if (summary.serving === null) return tell("Nothing is trained yet: start a training in the tab Training.");
  uncertain = await isUncertain(summary);
  if (!uncertain) {
    const { items } = await get(path`/v1/catalogs/${summary.catalog}/movies` + query({ limit: 10 * QUESTIONS }));
    openers = items;
  }
  await ask();
}

const tell = (...nodes) => byId("whoami").replaceChildren(...nodes);

async function preview(body) {
  const where = path`/v1/catalogs/${catalog.catalog}/scores:preview`;
  showCurl(byId("whoami-curl"), curl("POST", where, body));
  return request("POST", where, body);
}

const excluded = () => (skipped.length ? { exclude: skipped } : {});

/** The next question: the service's, or the next movie where the model cannot say what it does not know. */
async function nextQuestion() {
  const left = openers.find(({ movie }) => !(movie in answers) && !skipped.includes(movie));
  if (!uncertain) return left && { movie: left.movie, title: left.title };
  const body = { responses: answers, limit: 1, ...excluded(), include: ["next_question"] };
  return (await preview(body)).next_question;
}

async function ask() {
  const question = Object.keys(answers).length < QUESTIONS ? await nextQuestion() : undefined;
  if (!question) return showRecommendations();
  const answer = (value) => () => attempt(async () => {
    if (value === null) skipped.push(question.movie);
    else [answers[question.movie], titles[question.movie]] = [value, question.title];
    await ask();
  });
  const number = Object.keys(answers).length + 1;
  const why = uncertain
    ? `Of all movies this one teaches most: ${shown(100 * question.expected_reduction, 0)} % of what is uncertain. Now it is scored ${shown(question.score, 2)}.`
    : `Training ${catalog.serving} is of gradient descent, which cannot say what it does not know: these are the first movies. A mixed effects training chooses questions.`;
  const button = (value, words) => el("button", { type: "button", class: "choice", "data-answer": value ?? "", click: answer(value) }, words);
  tell(
    el("p", { class: "step" }, `Question ${number} of ${QUESTIONS}`),
    el("h3", { id: "question", tabindex: -1, "data-movie": question.movie }, `Do you like ${question.title}?`),
    el("p", { class: "help" }, why),
    el("div", { class: "choices" }, button(1, "♥ yes"), button(0, "✕ no"), button(null, "I do not know it")));
  if (number + skipped.length > 1) byId("question").focus();
}

async function showRecommendations() {
  const given = Object.keys(answers);
  if (given.length === 0 && !uncertain) return tell(el("p", {}, "No movie is left to ask about."), again());
  const include = uncertain ? { include: ["interval"] } : {};
  let { scores } = await preview({ responses: answers, limit: 10, ...excluded(), ...include });
  const all = scores.length === 0; // whoever answered all movies gets the scores of these
  if (all) ({ scores } = await preview({ responses: answers, movies: given, ...include }));
  const lines = [...scores].sort((one, other) => other.score - one.score).map(({ title, score, interval }) => {
    const meter = el("span", { class: "meter", "aria-hidden": "true" });
    meter.style.setProperty("--score", score);
    const between = interval && `${shown(interval.lower, 2)} to ${shown(interval.upper, 2)}`;
    return el("li", {}, el("span", { class: "title" }, title), meter, el("strong", {}, shown(score, 2)), el("span", { class: "help" }, between));
  });
  tell(
    el("h3", { id: "question", tabindex: -1 }, all ? "No other movie is left; your answers are scored" : "You may like"),
    el("p", { class: "help" }, `By your answers: ${given.map((movie) => `${sign(answers[movie])} ${titles[movie]}`).join(", ") || "none"}. Nothing was stored.`),
    el("ol", { id: "recommendations" }, lines), again());
  byId("question").focus();
}

const again = () =>
  el("button", { type: "button", class: "primary", click: () => attempt(() => openWhoami(catalog)) }, "Ask me again");
