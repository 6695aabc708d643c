// Small parts that several sections share: a section with its heading, badges, a curve without axes, marks.

import { h, svg } from "./element.js";
import { seconds } from "./format.js";
import { sqlButton } from "./sql.js";

let sections = 0;

export function section(title, answers, ...controls) {
  const id = `section-${++sections}`;
  const body = h("div", { class: "body" });
  const root = h("section", { class: "card", "aria-labelledby": id },
    h("header", {}, h("h2", { id }, title), h("div", { class: "controls" }, controls, sqlButton(title, answers))),
    body);
  return { root, body };
}

export const badge = (text, kind = "plain") => h("span", { class: `badge ${kind}` }, text);

export function empty(text, command = null) {
  return h("p", { class: "empty" }, text, command === null ? null : [" ", h("code", {}, command)]);
}

export function choice(label, name, options, onchange) {
  const select = h("select", { name });
  const fill = (next, chosen) => {
    const now = JSON.stringify([next, chosen]);
    if (select.filledWith === now) return;
    select.filledWith = now;
    select.replaceChildren(...next.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  };
  fill(options, options[0]?.[0]);
  select.addEventListener("change", () => onchange(select.value));
  return { root: h("label", { class: "choice" }, h("span", {}, label), select), fill };
}

const KINDS = { ready: "good", learning: "plain", labels_late: "warn" };
const WORDS = { ready: "labels on time", learning: "learning its labels' delay", labels_late: "labels are late" };
export const stateBadge = (state) =>
  state === undefined ? badge("new", "plain") : badge(WORDS[state.maturity] ?? state.maturity, KINDS[state.maturity] ?? "plain");

// A curve the size of a word: mature full, provisional dashed.
export function spark(points, about, width = 180, height = 40) {
  const known = points.filter((point) => point.y !== null);
  const box = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "spark", role: "img", "aria-label": about, preserveAspectRatio: "none" });
  if (known.length < 2) return box;
  const low = Math.min(...known.map((point) => point.y));
  const high = Math.max(...known.map((point) => point.y));
  const from = points[0].x;
  const until = points.at(-1).x;
  const place = ({ x, y }) =>
    `${(((x - from) / (until - from || 1)) * (width - 4) + 2).toFixed(1)},${(height - 3 - ((y - low) / (high - low || 1)) * (height - 6)).toFixed(1)}`;
  const firm = known.filter((point) => point.firm);
  const loose = known.filter((point, i) => !point.firm || !(known[i + 1]?.firm ?? true));
  for (const [some, name] of [[firm, "firm"], [loose, "loose"]]) {
    if (some.length > 1) box.append(svg("polyline", { points: some.map(place).join(" "), class: name }));
  }
  return box;
}

// What is marked on every chart of time: lifecycle events, alerts that began, and maintenance as a shade.
export function marksOf(lifecycle, alerts, end) {
  const events = [...(lifecycle?.items ?? [])].reverse();
  const marks = events
    .filter((event) => !event.kind.startsWith("maintenance_"))
    .map((event) => ({ at: seconds(event.timestamp), kind: "event", text: `${event.kind.replaceAll("_", " ")} ${event.model_version}`.trim() }));
  for (const alert of alerts?.items ?? []) {
    if (alert.status === "firing") marks.push({ at: seconds(alert.started_at), kind: "alarm", text: alert.rule });
  }
  const places = [];
  for (const event of events) {
    const at = seconds(event.timestamp);
    const last = places.at(-1);
    if (event.kind === "maintenance_started" && (last === undefined || last.until !== end)) places.push({ from: at, until: end });
    else if (event.kind === "maintenance_ended" && last?.until === end) last.until = at;
    else if (event.kind === "maintenance_ended" && last === undefined) places.push({ from: 0, until: at });
  }
  return { marks: marks.sort((a, b) => a.at - b.at), places };
}

// What is chosen, without the part before there was anything.
export function rangeOf(answer, times) {
  const start = times.length === 0 ? answer.start : times[0];
  return [Math.max(seconds(answer.start), seconds(start)), seconds(answer.end)];
}

export const modelPath = (model) => `#/model/${encodeURIComponent(model)}`;
