// "Show the SQL": the statements behind a section, as they ran, to be pasted anywhere.

import { h, replace } from "./element.js";

const body = h("div", { class: "statements" });
const dialog = h(
  "dialog",
  { class: "sql", "aria-labelledby": "sql-title" },
  h("header", {},
    h("h2", { id: "sql-title" }, "The SQL behind these figures"),
    h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Close")),
  h("p", { class: "muted" }, "This very text ran. It also runs in ", h("code", {}, "aftcast sql"),
    ", ClickHouse's own client, or Grafana."),
  body,
);

export function addDialog() {
  document.body.append(dialog);
}

// `answers` gives the newest answers when the button is pressed.
export function sqlButton(about, answers) {
  const show = () => {
    const shown = answers().filter((answer) => answer?.sql);
    replace(body, shown.length === 0
      ? h("p", {}, "Nothing has been asked yet.")
      : shown.map(statement));
    dialog.showModal();
  };
  return h("button", { type: "button", class: "quiet sql", "aria-label": `Show the SQL: ${about}`, onclick: show }, "SQL");
}

function statement(answer) {
  const text = h("pre", { tabindex: "0", "aria-label": `Statement ${answer.name}` }, answer.sql);
  const copy = h("button", { type: "button", class: "quiet" }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(answer.sql);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text);
      copy.textContent = "Selected: press Ctrl-C";
    }
  });
  return h("section", {},
    h("header", {}, h("h3", {}, answer.name.replaceAll("_", " ")),
      h("span", { class: "muted" }, `${answer.rows.length} rows, ${answer.took_ms} ms${answer.cut ? ", cut here" : ""}`), copy),
    text);
}
