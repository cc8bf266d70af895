/** What went wrong, in the service's words: in the alert, and at the field of a form that it is about. */

import { byId, el } from "./dom.js";

export function clearProblem(form) {
  if (!form || form.id === byId("alert").dataset.form) byId("alert").replaceChildren(); // else it is about another
  for (const note of form?.querySelectorAll(".mistake") ?? []) note.remove();
  for (const input of form?.querySelectorAll("[aria-invalid]") ?? []) {
    input.removeAttribute("aria-invalid");
    input.setAttribute("aria-describedby", input.dataset.help ?? "");
  }
}

/** Show a failure; its places are shown at the fields of `form` that their pointers name. */
export function showProblem(problem, form) {
  clearProblem(form);
  if (!(problem.errors instanceof Array)) console.error(problem); // a mistake of this page, not an answer
  const close = el("button", { type: "button", class: "quiet", click: () => clearProblem(form) }, "Close");
  byId("alert").replaceChildren(el("p", {}, problem.message), close);
  byId("alert").dataset.form = form?.id ?? "";
  for (const { pointer, detail } of form ? (problem.errors ?? []) : []) mark(form, pointer ?? "", detail);
  form?.querySelector("[aria-invalid]")?.focus();
}

function mark(form, pointer, detail) {
  const fields = [...form.querySelectorAll("[data-pointer]")];
  const input = fields.find((one) => pointer === one.dataset.pointer || pointer.startsWith(`${one.dataset.pointer}/`))
    ?? fields.find((one) => pointer && one.dataset.pointer.startsWith(`${pointer}/`));
  if (!input || input.hasAttribute("aria-invalid")) return;
  const note = el("p", { class: "mistake", id: `${input.id}-mistake` }, detail);
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", `${note.id} ${input.dataset.help ?? ""}`);
  input.closest(".field").append(note);
}

/** Run what a person asked for; a failure is shown, and the value is then undefined. */
export async function attempt(work, form) {
  clearProblem(form);
  try {
    return await work();
  } catch (problem) {
    showProblem(problem, form);
    return undefined;
  }
}
