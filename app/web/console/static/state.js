/** What the page shows, in the part of its URL behind #: a reload or a shared link shows the same. */

let parameters = new URLSearchParams(location.hash.slice(1));

export const state = (name) => parameters.get(name);

/** Remember values; null and "" forget. A `step` is one that the browser's Back undoes. */
export function remember(values, { step = false } = {}) {
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === "") parameters.delete(name);
    else parameters.set(name, value);
  }
  const hash = `#${parameters}`;
  if (hash === location.hash) return;
  history[step ? "pushState" : "replaceState"](null, "", hash);
}

/** Call `show` when the URL says something else: Back, Forward, or an address typed by hand. */
export function onOtherState(show) {
  window.addEventListener("popstate", () => {
    parameters = new URLSearchParams(location.hash.slice(1));
    show();
  });
}
