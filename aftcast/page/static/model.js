// One model: quality, joins, delays, features, alerts, and what was done to it.

import { alertsSection } from "./alerts.js";
import { delaysSection } from "./delays.js";
import { driftsSection } from "./drifts.js";
import { h, replace } from "./element.js";
import { featuresSection } from "./features.js";
import { duration, moment, share } from "./format.js";
import { joinsSection } from "./joins.js";
import { lettersSection } from "./letters.js";
import { lifecycleSection } from "./lifecycle.js";
import { watch } from "./live.js";
import { empty, section, stateBadge } from "./parts.js";
import { qualitySection } from "./quality.js";

export function modelPage(place, model, view, settings) {
  const answers = {};
  const chosen = { figure: null, segment: "", feature: null, version: null, change: null };
  const heading = h("h1", { tabindex: "-1" }, model);
  const back = h("nav", { "aria-label": "Way back" }, h("a", { href: "#/" }, "All models"));
  const states = section("State", () => [answers.states]);
  const quality = qualitySection(() => answers, chosen, settings.figures);
  const features = featuresSection(() => answers, chosen);
  const drifts = driftsSection(() => answers.drifts);
  const delays = delaysSection(() => answers);
  const joins = joinsSection(() => answers, model);
  const alerts = alertsSection(() => answers.alerts, model);
  const lifecycle = lifecycleSection(() => answers.lifecycle);
  const letters = lettersSection(() => answers.dead_letters);
  place.append(h("header", { class: "title wide" }, back, heading), quality.root, alerts.root,
    h("div", { class: "column" }, states.root, lifecycle.root), drifts.root, features.root, delays.root, joins.root, letters.root);

  const said = () => ({ span: view.span, model, segment: chosen.segment });
  const keep = (name, ...shown) => (answer) => {
    answers[name] = answer;
    for (const one of shown) one();
  };
  const charts = [quality.update, joins.update];
  const ofQuality = watchLater("quality", () => ({ ...said(), figure: chosen.figure }), 2000, keep("quality", ...charts));
  const ofDistribution = watchLater("distribution", () => ({ ...said(), feature: chosen.feature, version: chosen.version }), 5000, keep("distribution", features.update));
  const ofFeatures = watchLater("features", said, 5000, keep("features", features.update));
  const ofDelays = watchLater("delays", said, 5000, keep("delays", delays.update));

  chosen.change = (next) => {
    Object.assign(chosen, next);
    if ("figure" in next || "segment" in next) ofQuality();
    if ("segment" in next) { ofFeatures(); ofDelays(); }
    if ("feature" in next || "segment" in next) {
      delete answers.distribution;
      if (chosen.feature !== null) ofDistribution();
      features.update();
    }
  };
  watch("states", said, 3000, keep("states", () => {
    if (chosen.figure === null) {
      const isNumber = answers.states.items.some((state) => state.task === "regression");
      chosen.change({ figure: isNumber ? "mape" : "accuracy" });
    }
    replace(states.body, stateTable(answers.states));
    delays.update();
  }));
  ofFeatures();
  ofDelays();
  watch("alerts", said, 2000, keep("alerts", alerts.update, ...charts));
  watch("lifecycle", said, 4000, keep("lifecycle", lifecycle.update, ...charts));
  watch("segments", said, 15000, keep("segments", quality.update));
  for (const name of ["joins", "cold"]) watch(name, said, 3000, keep(name, joins.update));
  watch("dead_letters", said, 3000, keep("dead_letters", () => { joins.update(); letters.update(); }));
  watch("orphans", said, 20000, keep("orphans", joins.update));
  watch("drifts", said, 5000, keep("drifts", drifts.update));
  return () => { for (const one of [quality, features, delays, joins]) one.close(); };
}

// A question that begins when it can be put, and is put again at once when it changes.
function watchLater(name, said, everyMs, show) {
  let one = null;
  return () => {
    one?.stop();
    one = watch(name, said, everyMs, show);
  };
}

function stateTable(answer) {
  if (answer.items.length === 0) return empty("Nothing is known of this model yet: its task is told from its first thousand predictions. Where the stream stands:", "aftcast state");
  return h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "State of each version" }, h("table", {},
    h("thead", {}, h("tr", {}, ["version", "labels", "task", "mature until", "horizon", "labelled in the end", "provable in a day"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, answer.items.map((state) => h("tr", {}, h("th", { scope: "row" }, state.model_version || "(no version)"), h("td", {}, stateBadge(state)),
      h("td", {}, state.task || "–"), h("td", {}, moment(state.mature_until)), h("td", {}, duration(state.horizon_s)),
      h("td", {}, share(state.expected_coverage)), h("td", { title: "The smallest rise of the error rate that a day of labels can prove" }, share(state.provable_change)))))));
}
