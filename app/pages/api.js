/** The API, asked with fetch; every failure is a Problem with the service's own words. */

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

async function send(method, where, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  const answer = await fetch(where, { method, headers, body: JSON.stringify(body) }).catch(() => {
    throw new Problem({ detail: `the service does not answer (${method} ${where})` });
  });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Problem({ detail: `${answer.status} ${answer.statusText}`, ...said });
}

export async function request(method, where, body) {
  const answer = await send(method, where, body);
  return answer.status === 204 ? null : answer.json();
}

export const get = (where) => request("GET", where);
export const getBlob = async (where) => (await send("GET", where)).blob();

/** Ask with POST for server-sent events, which EventSource cannot; `hear(event, data)` gets each. */
export async function stream(where, body, hear) {
  const answer = await send("POST", where, body);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (text + value).split(/\r?\n\r?\n/);
    text = blocks.pop();
    for (const block of blocks) {
      const field = (name) => new RegExp(`^${name}: ?(.*)$`, "m").exec(block)?.[1];
      if (field("data") !== undefined) hear(field("event") ?? "message", JSON.parse(field("data")));
    }
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
