/** The API, asked with fetch; every failure is a Problem with the service's own words. */

import { byId } from "./dom.js";

export class Problem extends Error {
  constructor({ detail, errors = [], status = 0 }) {
    super(detail);
    this.errors = errors;
    this.status = status;
  }
}

/** A path whose values are encoded: path`/v1/catalogs/${catalog}`. */
export const path = (texts, ...values) =>
  String.raw({ raw: texts }, ...values.map((value) => encodeURIComponent(value)));

/** A query; lists repeat their name, and what is null or empty is left out. */
export function query(parameters) {
  const pairs = Object.entries(parameters).flatMap(([name, value]) =>
    [value].flat().filter((one) => one !== null && one !== undefined && one !== "").map((one) => [name, one]));
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
}

/** The API key that was typed in this tab; one that cannot be a header is for the service to refuse. */
export const key = () => encodeURIComponent(sessionStorage.getItem("key") ?? "");

async function send(method, where, body, { signal, ...more } = {}) {
  const headers = { ...(body !== undefined && { "Content-Type": "application/json" }), ...more };
  if (key()) headers.Authorization = `Bearer ${key()}`;
  const answer = await fetch(where, { method, headers, signal, body: JSON.stringify(body) }).catch(() => {
    throw new Problem({ detail: `the service does not answer (${method} ${where})` });
  });
  if (answer.ok) return answer;
  if (answer.status === 401 || answer.status === 403) byId("key").hidden = false;
  const said = await answer.json().catch(() => ({}));
  throw new Problem({ detail: `${answer.status} ${answer.statusText}`, ...said });
}

export async function request(method, where, body) {
  const answer = await send(method, where, body);
  return answer.status === 204 ? null : answer.json();
}

export const get = (where) => request("GET", where);
export const getBlob = async (where) => (await send("GET", where)).blob();

/** Ask for server-sent events with a body or a key, which EventSource cannot; `hear(event, data, id)` gets each. */
export async function stream(method, where, body, hear, more) {
  const answer = await send(method, where, body, more);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (text + value).split(/\r?\n\r?\n/);
    text = blocks.pop();
    for (const block of blocks) {
      const field = (name) => new RegExp(`^${name}: ?(.*)$`, "m").exec(block)?.[1];
      if (field("data") !== undefined) hear(field("event") ?? "message", JSON.parse(field("data")), field("id"));
    }
  }
}

/** Hear numbered events until `signal`; where the connection breaks it is made again, and nothing is missed. */
export async function follow(where, hear, signal) {
  for (let last = 0; !signal.aborted; await new Promise((again) => setTimeout(again, 1000))) {
    const note = (event, data, id = last) => hear(event, data, (last = id));
    await stream("GET", where, undefined, note, { signal, "Last-Event-ID": last }).catch((problem) => problem.status && Promise.reject(problem));
  }
}

/** The service's description of itself, which forms are built from. */
let described = null;
export const openapi = () => (described ??= get("/openapi.json"));

/** Whether what serves knows how sure it is: only then are there intervals, questions, and scores of strangers. */
export async function isUncertain(catalog) {
  if (catalog.serving === null) return false;
  const training = await get(path`/v1/catalogs/${catalog.catalog}/trainings/${catalog.serving}`);
  return training.trainer !== "gradient_descent";
}
