/** Forms out of the API's own schemas: kinds, choices, defaults, bounds and help texts are the schema's. */

import { openapi, Problem } from "./api.js";
import { el } from "./dom.js";

/** The schema of this name, with its properties as they are meant: references followed, null left out. */
export async function propertiesOf(name) {
  const { schemas } = (await openapi()).components;
  const follow = (schema) => {
    const referred = schema.$ref ? { ...schemas[schema.$ref.split("/").at(-1)], ...schema } : schema;
    const branches = (referred.anyOf ?? []).filter(({ type }) => type !== "null");
    return branches.length === 1 ? { ...follow(branches[0]), ...referred, anyOf: undefined } : referred;
  };
  const properties = (schema) => Object.fromEntries(
    Object.entries(schema.properties).map(([key, value]) => [key, nested(follow(value))]));
  const nested = (schema) => (schema.properties ? { ...schema, properties: properties(schema) } : schema);
  return properties(schemas[name]);
}

const spoken = (name) => (name[0].toUpperCase() + name.slice(1)).replaceAll("_", " ");

function choicesOf({ type, enum: named, anyOf }) {
  if (named) return named;
  if (type === "boolean") return [true, false];
  return anyOf?.flatMap((one) => (one.const !== undefined ? [one.const] : (choicesOf(one) ?? [])));
}

function help(schema) {
  const { description, minimum, exclusiveMinimum, maximum } = schema;
  const from = minimum !== undefined ? `from ${minimum.toLocaleString("en")} ` : exclusiveMinimum !== undefined ? `above ${exclusiveMinimum} ` : "";
  const bounds = maximum === undefined || maximum > 2 ** 50 ? "" : `${from}to ${maximum.toLocaleString("en")}`;
  return [description, bounds].filter(Boolean).join("; ");
}

function inputOf(schema, attributes, value) {
  const choices = choicesOf(schema);
  if (choices?.length) {
    const options = choices.map((one) => el("option", { value: JSON.stringify(one) }, String(one).replaceAll("_", " ")));
    const select = el("select", { ...attributes, "data-kind": "json" }, options);
    select.value = JSON.stringify(value);
    return select;
  }
  const text = value === undefined || value === null ? "" : schema.type === "string" ? value : JSON.stringify(value).replace(/([,:])/g, "$1 ");
  if (schema.type === "integer" || schema.type === "number") {
    const { minimum: min, maximum: max } = schema;
    return el("input", { ...attributes, "data-kind": "number", type: "number", min, max, step: schema.type === "integer" ? 1 : "any", value: text });
  }
  const kind = schema.type === "string" ? "text" : "json";
  return el("textarea", { ...attributes, "data-kind": kind, rows: 1 + (text.match(/\n/g)?.length ?? 0), spellcheck: "false" }, text);
}

/** A field with its label and its help; `value` is what it begins with, the default where nothing is said. */
export function field(form, pointer, schema, value = schema.default) {
  const id = `${form}${pointer.replaceAll("/", "-")}`;
  const words = help(schema);
  const input = inputOf(schema, {
    id,
    "data-pointer": pointer,
    "data-default": JSON.stringify(schema.default ?? null),
    "data-help": words ? `${id}-help` : "",
    "aria-describedby": words ? `${id}-help` : null,
  }, value);
  return el("div", { class: "field" },
    el("label", { for: id }, spoken(pointer.split("/").at(-1))), input,
    words ? el("p", { class: "help", id: `${id}-help` }, words) : null);
}

/** What one field says; undefined where it is empty. Raises a Problem that names it when it cannot be read. */
function valueOf(input) {
  const { kind, pointer } = input.dataset;
  const wrong = (detail) => new Problem({ detail: `${pointer}: ${detail}`, errors: [{ pointer, detail }] });
  if (input.validity.badInput) throw wrong("a number is expected");
  if (input.value.trim() === "") return undefined;
  if (kind === "text") return input.value;
  try {
    return JSON.parse(input.value);
  } catch {
    throw wrong("JSON is expected, such as [1.0, 2.0]");
  }
}

/** The body that a form's fields make; what has its default is left out, and the service fills it in. */
export function bodyOf(form) {
  const body = {};
  for (const input of form.querySelectorAll("[data-pointer]")) {
    const value = valueOf(input);
    if (value === undefined || JSON.stringify(value) === input.dataset.default) continue;
    const parts = input.dataset.pointer.slice(1).split("/");
    const last = parts.pop();
    parts.reduce((object, part) => (object[part] ??= {}), body)[last] = value;
  }
  return body;
}
