// What was done to models: deployments, roll-backs, maintenance; the same that is marked on every chart.

import { h, replace } from "./element.js";
import { moment } from "./format.js";
import { badge, empty, section } from "./parts.js";

export function lifecycleSection(answer) {
  const { root, body } = section("Deployments and maintenance", () => [answer()]);
  let shown = "";
  const update = () => {
    const text = JSON.stringify(answer().rows);
    if (text === shown) return;
    shown = text;
    const items = answer().items;
    replace(body, items.length === 0
      ? empty("Nothing in this time. Events on the topic lifecycle-events are marked on every chart, and named in alerts that begin near them.")
      : h("ol", { class: "events" }, items.slice(0, 30).map((event) => h("li", {},
          h("time", { datetime: event.timestamp }, moment(event.timestamp)),
          badge(event.kind.replaceAll("_", " "), "event"),
          h("span", {}, `${event.model} ${event.model_version}`.trim()),
          h("span", { class: "muted" }, [event.message, event.actor].filter(Boolean).join(", "))))));
  };
  return { root, update };
}
