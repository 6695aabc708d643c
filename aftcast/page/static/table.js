// The table under a chart: the same figures for screen readers, and for whoever wants the digits.

import { h, replace } from "./element.js";

const MOST_ROWS = 300;

// `rows` gives [header cells, rows of texts] when it is open.
export function tableOf(about, rows) {
  const place = h("div", { class: "scroll", role: "region", "aria-label": `Table: ${about}`, tabindex: "0" });
  const details = h("details", { class: "table" }, h("summary", {}, "Table"), place);
  const fill = () => {
    if (!details.open) return;
    const [head, body] = rows();
    replace(place, grid(head, body.slice(-MOST_ROWS)));
  };
  details.addEventListener("toggle", fill);
  return { root: details, update: fill };
}

export function grid(head, rows, caption = null) {
  return h("table", {},
    caption === null ? null : h("caption", {}, caption),
    h("thead", {}, h("tr", {}, head.map((cell) => h("th", { scope: "col" }, cell)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, i) =>
      i === 0 ? h("th", { scope: "row" }, cell) : h("td", {}, cell))))));
}
