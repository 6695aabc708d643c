// Quality over time: mature figures as full lines, provisional ones dashed, the nowcast with its interval.

import { chart } from "./chart.js";
import { seriesColour } from "./colours.js";
import { h, setText } from "./element.js";
import { figure, nameOf, seconds, share } from "./format.js";
import { choice, marksOf, rangeOf, section } from "./parts.js";

const MOST_VERSIONS = 4;

export function qualitySection(answers, chosen, figures) {
  const figureChoice = choice("Figure", "figure", figures.map((name) => [name, nameOf(name)]), (value) => chosen.change({ figure: value }));
  const segmentChoice = choice("Segment", "segment", [["", "all traffic"]], (value) => chosen.change({ segment: value }));
  const { root, body } = section("Quality over time", () => [answers().quality, answers().states], figureChoice.root, segmentChoice.root);
  root.classList.add("wide");
  const reason = h("p", { class: "muted" });
  const main = chart("Quality over time", { format: (value) => figure(chosen.figure, value), height: 260 });
  const coverage = chart("Labelled share of answers", { format: (value) => share(value, 0), zero: true, height: 120 });
  body.append(main.root, reason, h("h3", {}, "Labelled share of answers"), coverage.root);

  function update() {
    const { quality, lifecycle, alerts, segments } = answers();
    figureChoice.fill(figures.map((name) => [name, nameOf(name)]), chosen.figure);
    const known = segments?.items.map((row) => row.segment).filter((name) => name !== "") ?? [];
    segmentChoice.fill(["", ...known].map((name) => [name, name === "" ? "all traffic" : name]), chosen.segment);
    if (quality === undefined) return;
    const versions = versionsOf(quality);
    const times = [...new Set(quality.items.map((row) => row.window_start))].sort();
    const range = rangeOf(quality, times);
    const common = { x: times.map(seconds), range, ...marksOf(lifecycle, alerts, range[1]) };
    const lines = [];
    const shares = [];
    versions.forEach(([version, rows], i) => {
      const stroke = seriesColour(i);
      const name = version === "" ? "(no version)" : version;
      const at = new Map(rows.map((row) => [row.window_start, row]));
      const values = (pick) => times.map((time) => (at.has(time) ? pick(at.get(time)) : null));
      if (rows.some((row) => !row.is_mature && row.low !== null && row.low !== undefined)) {
        const likely = (pick) => values((row) => (row.is_mature ? null : pick(row)));
        lines.push({ label: `${name} highest likely`, silent: true, values: likely((row) => row.high), stroke: "transparent", band: lines.length + 1, fill: stroke });
        lines.push({ label: `${name} lowest likely`, silent: true, values: likely((row) => row.low), stroke: "transparent" });
        lines.push({ label: `${name} nowcast`, legend: `${name} nowcast, 95 %`, values: likely((row) => row.nowcast), stroke, width: 1.25, dash: [2, 3], fill: stroke });
      }
      lines.push({ label: `${name} provisional`, legend: `${name} provisional`, values: provisional(times, at), stroke, dash: [6, 4] });
      lines.push({ label: `${name} mature`, legend: `${name} mature`, values: values((row) => (row.is_mature ? row.figure : null)), stroke, width: 2 });
      shares.push({ label: name, legend: name, values: values((row) => row.coverage), stroke });
    });
    const newest = versions.map(([version, rows]) => [version, rows.filter((row) => row.is_mature && row.figure !== null).at(-1)])
      .filter(([, row]) => row !== undefined)
      .map(([version, row]) => `Newest mature ${nameOf(chosen.figure)} of ${version}: ${figure(chosen.figure, row.figure)}.`);
    const none = `No ${nameOf(chosen.figure)} in this time: choose another figure, or a longer time.`;
    const has = quality.items.some((row) => row.figure !== null);
    main.update({ ...common, x: has ? common.x : [], lines, summary: newest.join(" ") }, none);
    coverage.update({ ...common, lines: shares }, none);
    const why = quality.items.filter((row) => row.nowcast_reason).at(-1)?.nowcast_reason;
    setText(reason, why === undefined ? "" : `No nowcast for some windows: ${why}.`);
    reason.hidden = why === undefined;
  }
  return { root, update, close: () => { main.close(); coverage.close(); } };
}

export function versionsOf(quality) {
  const versions = new Map();
  for (const row of quality.items) (versions.get(row.model_version) ?? versions.set(row.model_version, []).get(row.model_version)).push(row);
  const traffic = ([, rows]) => rows.reduce((sum, row) => sum + row.predictions, 0);
  return [...versions].sort((a, b) => traffic(b) - traffic(a)).slice(0, MOST_VERSIONS);
}

// From the last mature window on, so that the dashes begin where the full line ends.
function provisional(times, at) {
  return times.map((time, i) => {
    const row = at.get(time);
    if (row === undefined) return null;
    const next = at.get(times[i + 1]);
    return !row.is_mature || (next !== undefined && !next.is_mature) ? row.figure : null;
  });
}
