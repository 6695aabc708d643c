// How labels arrive: the share of answers whose label came by each age, over mature panes.

import { chart } from "./chart.js";
import { seriesColour } from "./colours.js";
import { h, replace } from "./element.js";
import { duration, share } from "./format.js";
import { empty, section } from "./parts.js";

const ALONG = {
  title: "age of the label",
  x: duration,
  axis: { values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : duration(tick))), space: 60 },
  scale: { time: false, distr: 3, log: 2 },
};

export function delaysSection(answers) {
  const { root, body } = section("How labels arrive", () => [answers().delays, answers().states]);
  const drawing = chart("Share of answers with a label, by its age", { format: (value) => share(value, 0), zero: true, along: ALONG, height: 200 });
  const note = h("div");
  body.append(note, drawing.root);

  function update() {
    const { delays, states } = answers();
    if (delays === undefined) return;
    const ages = [...new Set(delays.items.map((row) => row.age_s))].sort((a, b) => a - b);
    const versions = [...new Set(delays.items.map((row) => row.model_version))];
    replace(note, ages.length > 0 ? [] : [empty(states?.items.some((state) => state.maturity === "learning")
      ? "The delay of this model's labels is still being learnt; until then no window is called mature."
      : "No mature panes in this time yet. Labels are sent to the topic label-events, with the prediction's id as key:", "aftcast check")]);
    drawing.root.hidden = ages.length < 2;
    if (ages.length < 2) return;
    const lines = versions.map((version, i) => {
      const at = new Map(delays.items.filter((row) => row.model_version === version).map((row) => [row.age_s, row.share]));
      let last = 0;
      return { label: version, legend: version, values: ages.map((age) => (last = at.get(age) ?? last)), stroke: seriesColour(i), paths: uPlot.paths.stepped({ align: 1 }) };
    });
    const marks = (states?.items ?? []).filter((state) => state.horizon_s !== null && versions.includes(state.model_version)).slice(0, 1)
      .map((state) => ({ at: state.horizon_s, kind: "event", text: `horizon ${duration(state.horizon_s)}` }));
    const reach = Math.max(ages.at(-1), ...marks.map((mark) => mark.at)) * 1.3;
    drawing.update({ x: ages, range: [Math.max(1, ages[0]), reach], lines, marks, summary: `${share(lines[0].values.at(-1))} of answers have a label in the end.` });
  }
  return { root, update, close: () => drawing.close() };
}
