// Join health: what became of predictions, and what never found its partner.

import { chart } from "./chart.js";
import { colour } from "./colours.js";
import { h, replace } from "./element.js";
import { count, seconds, share } from "./format.js";
import { marksOf, rangeOf, section } from "./parts.js";

const PARTS = [
  ["matched", "matched", "Predictions that have their label."],
  ["waiting", "waiting", "Answers of windows whose labels are still coming."],
  ["without_label", "without label", "Answers of mature windows that have none: some never get one."],
  ["failures", "failed", "Calls that gave no answer; they wait for nothing."],
];

export function joinsSection(answers, model) {
  const { root, body } = section("Join health", () =>
    [answers().joins, answers().quality, answers().dead_letters, answers().orphans, answers().cold]);
  const bar = h("div", { class: "stack", "aria-hidden": "true" });
  const parts = PARTS.map(([name]) => bar.appendChild(h("span", { class: `part ${name}` })));
  const numbers = h("dl", { class: "numbers" });
  const lost = h("div");
  const drawing = model === null ? null : chart("Answers and labels by window", { format: count, zero: true, height: 140 });
  body.append(bar, numbers, ...(drawing === null ? [] : [drawing.root]), lost);
  let shown = "";

  function update() {
    const { joins, dead_letters, orphans, cold, quality } = answers();
    if (joins === undefined) return;
    const total = (name) => joins.items.reduce((sum, row) => sum + row[name], 0);
    const all = total("predictions");
    PARTS.forEach(([name], i) => { parts[i].style.flexGrow = String(total(name)); });
    const dead = dead_letters?.items.reduce((sum, row) => sum + row.letters, 0);
    const orphaned = orphans?.items.filter((row) => model === null || row.model === model || row.model === "");
    const late = cold?.items.reduce((sum, row) => sum + row.panes_waiting, 0);
    const facts = [
      ...PARTS.map(([name, text, why]) => [text, count(total(name)), all > 0 ? share(total(name) / all) : "", why, name]),
      ["orphan labels", orphaned === undefined ? "…" : count(orphaned.reduce((sum, row) => sum + row.labels, 0)), "",
        "Labels whose prediction was never seen."],
      ["dead letters", dead === undefined ? "…" : count(dead), "", "Records that could not be used, of all models."],
      ["panes for the cold join", late === undefined ? "…" : count(late), "", "Older than memory holds: joined again in ClickHouse."],
    ];
    const now = JSON.stringify([facts, orphaned]);
    if (now !== shown) {
      shown = now;
      replace(numbers, facts.map(([name, value, part, why, key]) => h("div", { title: why },
        h("dt", {}, key === undefined ? null : h("span", { class: `dot ${key}`, "aria-hidden": "true" }), name),
        h("dd", {}, value, h("span", { class: "muted" }, ` ${part}`)))));
      replace(lost, ...orphansOf(orphaned));
    }
    if (drawing !== null && quality !== undefined) drawing.update(linesOf(answers()));
  }
  return { root, update, close: () => drawing?.close() };
}

function orphansOf(rows) {
  const found = (rows ?? []).filter((row) => row.examples.length > 0);
  if (found.length === 0) return [];
  return [h("p", { class: "muted" }, `Labels without prediction, for example: ${found.flatMap((row) => row.examples).slice(0, 3).join(", ")}`)];
}

function linesOf({ quality, lifecycle, alerts }) {
  const byTime = new Map();
  for (const row of quality.items) {
    const one = byTime.get(row.window_start) ?? byTime.set(row.window_start, { answered: 0, labelled: 0 }).get(row.window_start);
    one.answered += row.predictions - row.failures;
    one.labelled += row.labelled;
  }
  const times = [...byTime.keys()].sort();
  const range = rangeOf(quality, times);
  return {
    x: times.map(seconds),
    range,
    ...marksOf(lifecycle, alerts, range[1]),
    lines: [
      { label: "answers", legend: "answers", values: times.map((time) => byTime.get(time).answered), stroke: colour("series-5"), band: 1, fill: colour("series-5") },
      { label: "with a label", legend: "with a label", values: times.map((time) => byTime.get(time).labelled), stroke: colour("series-1") },
    ],
  };
}
