// The demo's switches: a drift, labels held back, bad messages; and what the simulated world does now.

import { h, setText } from "./element.js";
import { moment } from "./format.js";
import { post, watch } from "./live.js";

export function demoPanel(place) {
  const story = h("p", { class: "story", "aria-live": "polite" });
  const when = h("p", { class: "muted" });
  const buttons = h("div", { class: "switches" });
  const trouble = h("p", { role: "alert", class: "trouble", hidden: true });
  place.append(h("section", { class: "card demo wide", "aria-labelledby": "demo-title" },
    h("header", {}, h("h2", { id: "demo-title" }, "Make something happen"), when), buttons, story, trouble));
  const known = new Map();

  function show(answer) {
    setText(story, answer.story);
    setText(when, `simulated time ${moment(answer.time)} UTC, ${Math.round(answer.speed)} times faster`);
    for (const [name, { on, label, hint }] of Object.entries(answer.switches)) {
      let button = known.get(name);
      if (button === undefined) {
        button = h("button", { type: "button", class: "switch", title: hint }, h("span", { class: "lamp", "aria-hidden": "true" }), h("span", {}, label));
        button.addEventListener("click", () => turn(name, button.getAttribute("aria-pressed") !== "true"));
        known.set(name, button);
        buttons.append(button);
      }
      button.setAttribute("aria-pressed", String(on));
    }
  }
  async function turn(name, on) {
    try {
      show(await post("api/switches", { switch: name, on }));
      trouble.hidden = true;
    } catch (error) {
      setText(trouble, error.message);
      trouble.hidden = false;
    }
  }
  watch("switches", null, 1000, show, "api/switches");
}
