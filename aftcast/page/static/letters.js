// Dead letters: what could not be used, by the rule that it broke, with the newest of each.

import { h, replace } from "./element.js";
import { count, moment } from "./format.js";
import { empty, section } from "./parts.js";
import { grid } from "./table.js";

export function lettersSection(answer) {
  const { root, body } = section("Dead letters", () => [answer()]);
  root.classList.add("wide");
  let shown = "";
  const update = () => {
    const text = JSON.stringify(answer().rows);
    if (text === shown) return;
    shown = text;
    const rows = answer().items.map((row) => {
      const [field, value, reason] = row.example;
      return [row.rule.replaceAll("_", " "), row.topic, count(row.letters), moment(row.newest), reason.split(": ").slice(1).join(": ") || field, value];
    });
    replace(body, rows.length === 0
      ? empty("None in this time. In a terminal, with their places in Kafka:", "aftcast dead-letters")
      : h("div", { class: "scroll letters", role: "region", tabindex: "0", "aria-label": "Dead letters by reason" },
          grid(["reason", "topic", "records", "newest", "which rule", "what came"], rows, "Records of all models that could not be used")));
  };
  return { root, update };
}
