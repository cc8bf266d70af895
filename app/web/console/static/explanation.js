/** Why a score is what it is: terms that add up to its logit, its interval, and the responses that moved it. */

import { get, path, query } from "./api.js";
import { curl, showCurl } from "./curl.js";
import { byId, el, scrolling, shown, sign, table, worded } from "./dom.js";

const MOST = 12; // terms that have a line of their own; the small rest is one more

export async function openExplanation({ catalog, uncertain, user, movie, title }) {
  const include = ["explanation", "influences", ...(uncertain ? ["interval"] : [])];
  const where = path`/v1/catalogs/${catalog}/users/${user}/scores` + query({ movie, include });
  const { training, responses, basis, scores: [score] } = await get(where);
  byId("explanation-title").textContent = `${shown(score.score, 2)} for ${title}`;
  byId("explanation-body").replaceChildren(
    el("p", {}, `The probability that user ${user} likes ${title}, says training ${training}: σ(${shown(score.logit, 4)}) = `
      + `${shown(score.score, 4)}. ${restsOn(basis, responses)}`),
    score.interval ? drawInterval(score) : "",
    scrolling("terms of the logit", drawSum(score)),
    drawInfluences(score.influences));
  showCurl(byId("explanation-curl"), curl("GET", where));
  byId("explanation").showModal();
}

const restsOn = (basis, responses) =>
  (basis === "population" ? "Nothing is known of this user: people in general are scored so."
    : `It rests on ${responses} ${responses === 1 ? "response" : "responses"} of theirs.`);

/** Place a bar within its track, in percent: the page's policy lets a script do this, and no style in the text. */
function place(bar, left, width) {
  bar.style.left = `${left}%`;
  bar.style.width = `${width}%`;
  return bar;
}

function drawInterval({ score, interval: { level, lower, upper } }) {
  return el("div", { class: "interval" },
    el("p", {}, `With ${Math.round(100 * level)} % it lies between ${shown(lower, 2)} and ${shown(upper, 2)}.`),
    el("div", { class: "track", "aria-hidden": "true" },
      place(el("span", { class: "span" }), 100 * lower, 100 * (upper - lower)),
      place(el("span", { class: "point" }), 100 * score, 0)));
}

/** The terms, the large ones first; the small ones are one term more, so that the sum stays the logit. */
function termsOf({ appeal, offset, dimensions, learned, damping }) {
  const named = dimensions
    .map(({ dimension, weight, value, contribution }) => [dimension,
      `${shown(weight, 3)} × ${shown(value, 3)}${damping === 1 ? "" : ` × ${shown(damping, 3)}`}`, contribution])
    .filter(([, , term]) => term !== 0)
    .sort((one, other) => Math.abs(other[2]) - Math.abs(one[2]));
  const most = named.length <= MOST + 1 ? named.length : MOST; // one term would take the line that it saves
  const rest = named.slice(most);
  const others = [["the movie's appeal", "", appeal], ["the user's offset", "", offset], ["learned dimensions", "", learned]];
  return [...named.slice(0, most),
    ...(rest.length ? [[`${rest.length} other dimensions`, "", rest.reduce((sum, [, , term]) => sum + term, 0)]] : []),
    ...others.filter(([, , term]) => term !== 0)];
}

/** Each bar begins where the one above ended; the last one is the logit. */
function drawSum({ logit, explanation }) {
  const terms = termsOf(explanation);
  const ends = terms.reduce((sums, [, , term]) => [...sums, sums.at(-1) + term], [0]);
  const low = Math.min(0, logit, ...ends);
  const scale = 100 / (Math.max(0, logit, ...ends) - low || 1);
  const bar = (from, to, kind) => {
    const span = place(el("span", { class: kind }), scale * (Math.min(from, to) - low), scale * Math.abs(to - from));
    return el("div", { class: "track", "aria-hidden": "true" }, place(el("span", { class: "zero" }), -scale * low, 0), span);
  };
  const lines = terms.map(([name, product, term], at) =>
    [el("span", {}, name, product && el("small", {}, product)), shown(term, 4), bar(ends[at], ends[at + 1], term < 0 ? "against" : "toward")]);
  const total = [el("strong", {}, "logit"), el("strong", {}, shown(logit, 4)), bar(0, logit, "total")];
  return table("The logit as a sum", ["term: weight × value", "adds", "from left to right"], [...lines, total], { class: "sum" });
}

function drawInfluences(influences) {
  if (influences.length === 0) return el("p", {}, "No response of theirs moved it: there is none.");
  const lines = influences.map(({ title, response, score_without: without, change }) =>
    [title, el("span", {}, el("span", { "aria-hidden": "true" }, `${sign(response)} `), worded(response)),
      `${change < 0 ? "▼" : "▲"} ${shown(change, 3)}`, shown(without, 3)]);
  return scrolling("responses that moved the score",
    table("The responses that moved it most", ["movie", "response", "moved it by", "score without"], lines));
}

byId("explanation-close").addEventListener("click", () => byId("explanation").close());
