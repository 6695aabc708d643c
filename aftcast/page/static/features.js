// Drift by feature: how far each is from its reference, and both distributions of the one that is chosen.

import { chart } from "./chart.js";
import { seriesColour } from "./colours.js";
import { h, keyed, replace, setText } from "./element.js";
import { clock, count, moment, seconds, share, significant } from "./format.js";
import { badge, empty, marksOf, rangeOf, section, spark } from "./parts.js";

export function featuresSection(answers, chosen) {
  const { root, body } = section("Features against their reference", () => [answers().features, answers().distribution]);
  root.classList.add("wide");
  const nothing = h("div");
  const list = h("tbody");
  const table = h("table", { class: "features" },
    h("caption", {}, "Newest window of each feature that all values have come for"),
    h("thead", {}, h("tr", {}, ["feature", "version", "drifted", "PSI", "course", "missing", "values"].map((name) => h("th", { scope: "col" }, name)))),
    list);
  const scroll = h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Features" }, table);
  const title = h("h3", {});
  const when = h("p", { class: "muted" });
  const cells = h("div", { class: "cells" });
  const course = chart("Population stability index", { format: significant, zero: true, height: 140 });
  const detail = h("div", { class: "detail", hidden: true }, title, when, cells, h("h3", {}, "Distance from the reference (PSI)"), course.root);
  body.append(nothing, scroll, detail);

  function update() {
    const { features, distribution, lifecycle, alerts } = answers();
    if (features === undefined) return;
    const rows = newestOf(features);
    scroll.hidden = rows.length === 0;
    replace(nothing, rows.length > 0 ? [] : [empty("No feature was counted in this time. Send features with predictions; references come from the first day of traffic, or from a recording:", "aftcast profile")]);
    if (rows.length > 0 && !rows.some((row) => row.feature === chosen.feature && row.model_version === chosen.version)) {
      const first = rows.find((row) => row.drifted) ?? rows[0];
      chosen.change({ feature: first.feature, version: first.model_version });
    }
    keyed(list, rows, (row) => JSON.stringify([row.feature, row.model_version]), () => featureRow(chosen));
    detail.hidden = rows.length === 0;
    setText(title, `${chosen.feature}, version ${chosen.version}: now and in the reference`);
    if (distribution !== undefined) {
      setText(when, `${moment(distribution.full_start)} to ${clock(distribution.full_end)} UTC; the mark is the reference's share.`);
      replace(cells, distribution.items.length === 0
        ? empty("This feature has no reference yet: it is frozen from the first day of traffic, or made of a recording with", "aftcast profile")
        : distributionTable(distribution.items));
    }
    const own = features.items.filter((row) => row.feature === chosen.feature && row.model_version === chosen.version && row.psi !== null);
    const range = rangeOf(features, own.map((row) => row.window_start));
    course.update({
      x: own.map((row) => seconds(row.window_start)),
      range,
      ...marksOf(lifecycle, alerts, range[1]),
      lines: [{ label: "PSI", values: own.map((row) => row.psi), stroke: seriesColour(0), points: true }],
    }, "There is no distance without a reference.");
  }
  return { root, update, close: () => course.close() };
}

function newestOf(features) {
  const newest = new Map();
  for (const row of features.items) {
    const key = JSON.stringify([row.feature, row.model_version]);
    const one = newest.get(key) ?? newest.set(key, { ...row, course: [] }).get(key);
    one.course.push({ x: seconds(row.window_start), y: row.psi, firm: true });
    Object.assign(one, row);
  }
  return [...newest.values()].sort((a, b) =>
    Number(Boolean(b.drifted)) - Number(Boolean(a.drifted)) || a.feature.localeCompare(b.feature) || a.model_version.localeCompare(b.model_version));
}

function featureRow(chosen) {
  let row = null;
  const name = h("button", { type: "button", class: "link" });
  name.addEventListener("click", () => chosen.change({ feature: row.feature, version: row.model_version }));
  const cells = [0, 1, 2, 3, 4, 5].map(() => h("td"));
  const root = h("tr", {}, h("th", { scope: "row" }, name), cells);
  let shown = "";
  return {
    root,
    update: (next) => {
      row = next;
      const is = row.feature === chosen.feature && row.model_version === chosen.version;
      name.setAttribute("aria-pressed", String(is));
      const text = JSON.stringify(row);
      if (text === shown) return;
      shown = text;
      setText(name, row.feature);
      setText(cells[0], row.model_version);
      replace(cells[1], row.drifted === null ? badge("no reference") : row.drifted ? badge("drifted", "bad") : badge("stable", "good"));
      setText(cells[2], significant(row.psi));
      replace(cells[3], spark(row.course, `PSI of ${row.feature}, ${row.course.length} windows`, 120, 24));
      setText(cells[4], share(row.missing_share));
      setText(cells[5], count(row.n));
    },
  };
}

// Bars that are a table: every cell of the reference, its share now, and its share then.
function distributionTable(items) {
  const most = Math.max(...items.flatMap((item) => [item.now ?? 0, item.reference ?? 0])) || 1;
  return h("table", { class: "distribution" },
    h("caption", { class: "hidden" }, "Share of values by cell of the reference"),
    h("thead", {}, h("tr", {}, ["value about", "now", "", "reference"].map((name) => name === "" ? h("td") : h("th", { scope: "col" }, name)))),
    h("tbody", {}, items.map((item) => {
      const fill = h("span", { class: "fill" });
      fill.style.width = `${((item.now ?? 0) / most) * 100}%`;
      const tick = h("span", { class: "tick" });
      tick.style.left = `${((item.reference ?? 0) / most) * 100}%`;
      return h("tr", {}, h("th", { scope: "row" }, numberOr(item.bin)), h("td", {}, share(item.now)),
        h("td", { class: "bars", "aria-hidden": "true" }, h("span", { class: "lane" }, fill, tick)), h("td", {}, share(item.reference)));
    })));
}

const numberOr = (text) => (/^-?[\d.]+(e[+-]?\d+)?$/.test(text) ? significant(Number(text)) : text);
