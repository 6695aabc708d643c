// Models at a glance: state, newest mature figure, coverage, traffic, open alerts.

import { alertsSection } from "./alerts.js";
import { h, keyed, replace, setText } from "./element.js";
import { count, duration, figure, moment, nameOf, seconds, share } from "./format.js";
import { joinsSection } from "./joins.js";
import { lettersSection } from "./letters.js";
import { lifecycleSection } from "./lifecycle.js";
import { watch } from "./live.js";
import { badge, empty, modelPath, section, spark, stateBadge } from "./parts.js";

export function overview(place, chosen) {
  const answers = {};
  const models = section("Models", () => [answers.overview, answers.states, answers.alerts]);
  models.root.classList.add("wide");
  const list = h("ul", { class: "models" });
  const nothing = h("div", { hidden: true });
  models.body.append(nothing, list);
  const alerts = alertsSection(() => answers.alerts, null);
  const joins = joinsSection(() => answers, null);
  const lifecycle = lifecycleSection(() => answers.lifecycle);
  const letters = lettersSection(() => answers.dead_letters);
  const heading = h("h1", { class: "hidden", tabindex: "-1" }, "Models at a glance");
  place.append(heading, models.root, alerts.root, h("div", { class: "column" }, joins.root, lifecycle.root), letters.root);

  function draw() {
    if (answers.overview === undefined) return;
    const cards = cardsOf(answers);
    nothing.hidden = cards.length > 0;
    if (cards.length === 0) replace(nothing, noModels(answers.overview));
    keyed(list, cards, (card) => card.model, modelCard);
  }
  const said = () => ({ span: chosen.span });
  const keep = (name, more) => (answer) => {
    answers[name] = answer;
    more();
  };
  watch("overview", said, 2000, keep("overview", draw));
  watch("states", said, 3000, keep("states", draw));
  watch("alerts", said, 2000, keep("alerts", () => { draw(); alerts.update(); }));
  watch("lifecycle", said, 5000, keep("lifecycle", lifecycle.update));
  for (const name of ["joins", "cold"]) watch(name, said, 3000, keep(name, joins.update));
  watch("orphans", said, 20000, keep("orphans", joins.update));
  watch("dead_letters", said, 3000, keep("dead_letters", () => { joins.update(); letters.update(); }));
}

function noModels(answer) {
  return answer.newest === null
    ? [empty("No predictions have been counted yet. Send simulated ones with", "aftcast simulate"),
       empty("or see where the stream stands with", "aftcast state")]
    : empty(`Nothing in this time; the newest predictions are of ${moment(answer.newest)} UTC. Choose a longer time above.`);
}

function cardsOf(answers) {
  const byModel = new Map();
  for (const window of answers.overview.items) {
    const versions = byModel.get(window.model) ?? byModel.set(window.model, new Map()).get(window.model);
    (versions.get(window.model_version) ?? versions.set(window.model_version, []).get(window.model_version)).push(window);
  }
  const states = new Map((answers.states?.items ?? []).map((state) => [JSON.stringify([state.model, state.model_version]), state]));
  const open = new Map();
  for (const alert of answers.alerts?.items ?? []) {
    if (alert.is_open) (open.get(alert.model) ?? open.set(alert.model, new Set()).get(alert.model)).add(alert.fingerprint);
  }
  const span_s = seconds(answers.overview.end) - seconds(answers.overview.start);
  return [...byModel].map(([model, versions]) => ({
    model,
    open: open.get(model)?.size ?? 0,
    versions: [...versions].map(([version, windows]) =>
      ({ version, state: states.get(JSON.stringify([model, version])), span_s, ...summed(windows) }))
      .sort((a, b) => b.predictions - a.predictions),
  }));
}

function summed(windows) {
  const total = (name) => windows.reduce((sum, window) => sum + window[name], 0);
  const name = windows.some((window) => window.accuracy !== null) ? "accuracy" : windows.some((window) => window.mape !== null) ? "mape" : "mae";
  const mature = windows.filter((window) => window.is_mature && window[name] !== null).at(-1);
  const newest = windows.filter((window) => window[name] !== null).at(-1);
  const answered = total("predictions") - total("failures");
  return {
    name, mature, newest, windows,
    predictions: total("predictions"),
    coverage: answered > 0 ? total("labelled") / answered : null,
  };
}

function modelCard() {
  const link = h("a", {});
  const alarm = h("span", {});
  const rows = h("ul", { class: "versions" });
  return {
    root: h("li", { class: "model" }, h("header", {}, h("h3", {}, link), alarm), rows),
    update: (card) => {
      setText(link, card.model);
      link.setAttribute("href", modelPath(card.model));
      const told = card.open === 0 ? "no alerts" : `${card.open} ${card.open === 1 ? "alert" : "alerts"} open`;
      if (alarm.textContent !== told) replace(alarm, badge(told, card.open === 0 ? "good" : "bad"));
      keyed(rows, card.versions, (version) => version.version, versionRow);
    },
  };
}

function versionRow() {
  const root = h("li", { class: "version" });
  let shown = "";
  return {
    root,
    update: (row) => {
      const text = JSON.stringify(row);
      if (text === shown) return;
      shown = text;
      const points = row.windows.map((window) => ({ x: seconds(window.window_start), y: window[row.name], firm: Boolean(window.is_mature) }));
      replace(root,
        h("div", { class: "what" }, h("span", { class: "name" }, row.version === "" ? "(no version)" : row.version), stateBadge(row.state)),
        h("div", { class: "headline" },
          h("span", { class: "figure" }, figure(row.name, row.mature?.[row.name])),
          h("span", { class: "muted" }, row.mature === undefined ? `${nameOf(row.name)}: nothing mature yet` : `${nameOf(row.name)}, mature`)),
        spark(points, `${nameOf(row.name)} of ${row.version}, ${points.length} windows`),
        h("dl", {},
          pair("newest", row.newest === undefined ? "–" : `${row.newest.is_mature ? "" : "~"}${figure(row.name, row.newest[row.name])}`),
          pair("labelled", share(row.coverage, 0)),
          pair("predictions", count(row.predictions)),
          pair("horizon", duration(row.state?.horizon_s))));
    },
  };
}

const pair = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
