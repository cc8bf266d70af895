/** The curl commands that do what a panel does, each with a button that copies it. */

import { key } from "./api.js";
import { el } from "./dom.js";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** One command; a body is JSON, and `flags` stand before the URL. */
export function curl(method, where, body, flags = "") {
  const verb = method === "GET" || (method === "POST" && body !== undefined) ? "" : ` -X ${method}`;
  const data = body === undefined ? "" : ` \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(body))}`;
  const allowed = key() ? ' -H "Authorization: Bearer $LIKELY_KEY"' : ""; // never the key itself
  return `curl${flags}${verb}${allowed} ${quoted(location.origin + where)}${data}`;
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = el("textarea", { class: "offscreen", "aria-hidden": "true" }); // pages that came over plain HTTP
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("not copied");
}

/** Show the commands in a panel's place for them. */
export function showCurl(place, ...commands) {
  const text = commands.join("\n");
  const said = el("span", { role: "status" });
  const press = async () => {
    said.textContent = await copy(text).then(() => "copied", () => "select the text and copy it");
  };
  place.replaceChildren(
    el("div", { class: "curl-head" },
      el("span", { class: "curl-title" }, "The same with curl"),
      said,
      el("button", { type: "button", class: "copy quiet", click: press }, "Copy")),
    el("pre", { tabindex: 0, role: "group", "aria-label": "curl command" }, el("code", {}, text)));
}
