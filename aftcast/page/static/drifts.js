// Changes that detectors found: of which signal, from what to what, since when.

import { h, replace } from "./element.js";
import { moment, significant } from "./format.js";
import { empty, section } from "./parts.js";
import { grid } from "./table.js";

export function driftsSection(answer) {
  const { root, body } = section("Changes that detectors found", () => [answer()]);
  root.classList.add("wide");
  let shown = "";
  const update = () => {
    const text = JSON.stringify(answer().rows);
    if (text === shown) return;
    shown = text;
    const rows = answer().items.map((row) => [
      [row.signal.replaceAll("_", " "), row.feature].filter(Boolean).join(" "), row.model_version, row.segment || "all traffic",
      `${significant(row.before)} → ${significant(row.after)}`, moment(row.change_start), moment(row.detected_at), row.detector,
    ]);
    replace(body, rows.length === 0
      ? empty("None in this time. Error, scores, predictions, features, missing values, latency and label delay are watched; what thin traffic can prove stands under State.")
      : h("div", { class: "scroll changes", role: "region", tabindex: "0", "aria-label": "Table: changes, the newest first" },
          grid(["signal", "version", "segment", "before → after", "began about", "found", "by"], rows)));
  };
  return { root, update };
}
