// Alerts: a time line of firing and resolved, and each with its evidence.

import { h, keyed, replace, setText } from "./element.js";
import { moment, seconds, significant } from "./format.js";
import { badge, empty, section } from "./parts.js";
import { grid } from "./table.js";

const MOST = 40;

export function alertsSection(answer, model) {
  const { root, body } = section("Alerts", () => [answer()]);
  root.classList.add("alerts");
  const nothing = h("div");
  const legend = h("p", { class: "muted axis" });
  const list = h("ul", { class: "alert-list" });
  const told = h("p", { class: "hidden", "aria-live": "polite" });
  body.append(nothing, legend, list, told);
  let open = null;
  const update = () => {
    const alerts = storiesOf(answer());
    replace(nothing, alerts.length > 0 ? [] : [
      empty(`Nothing fired in this time${model === null ? "" : " for this model"}. Drift and silence are watched without being asked; a threshold of your own is a [[rules]] table of aftcast.toml. To follow alerts in a terminal:`, "aftcast alerts")]);
    legend.hidden = alerts.length === 0;
    setText(legend, `Bars: from firing to resolved, ${moment(answer().start)} to ${moment(answer().end)} UTC`);
    keyed(list, alerts.slice(0, MOST), (alert) => alert.fingerprint, alertRow);
    const firing = alerts.filter((alert) => alert.isOpen);
    if (open !== null && firing.length !== open) setText(told, `${firing.length} alerts are firing${firing.length > 0 ? `: ${firing[0].newest.summary}` : ""}`);
    open = firing.length;
  };
  return { root, update };
}

function storiesOf(answer) {
  const stories = new Map();
  for (const event of answer.items) {
    (stories.get(event.fingerprint) ?? stories.set(event.fingerprint, []).get(event.fingerprint)).push(event);
  }
  const start = seconds(answer.start);
  const end = seconds(answer.end);
  return [...stories].map(([fingerprint, newestFirst]) => {
    const events = [...newestFirst].reverse();
    const bars = [];
    for (const event of events) {
      const at = seconds(event.timestamp);
      const last = bars.at(-1);
      if (event.status === "firing") bars.push({ from: at, until: null });
      else if (event.status !== "corrected") {
        if (last === undefined || last.until !== null) bars.push({ from: seconds(event.started_at), until: at });
        else last.until = at;
      }
    }
    const place = (at) => Math.min(1, Math.max(0, (at - start) / (end - start || 1)));
    return {
      fingerprint,
      events: newestFirst,
      newest: newestFirst.find((event) => event.status !== "corrected") ?? newestFirst[0],
      isOpen: Boolean(newestFirst[0].is_open),
      bars: bars.map((bar) => [place(bar.from), place(bar.until ?? Infinity), bar.until === null]),
    };
  }).sort((a, b) => Number(b.isOpen) - Number(a.isOpen) || seconds(b.newest.timestamp) - seconds(a.newest.timestamp));
}

const KINDS = { firing: "bad", resolved: "good", corrected: "warn", retracted: "warn" };

function alertRow() {
  const state = h("span", {});
  const title = h("span", { class: "summary" });
  const when = h("span", { class: "muted" });
  const track = h("div", { class: "track", "aria-hidden": "true" });
  const evidence = h("div", { class: "evidence" });
  let shown = "";
  return {
    root: h("li", {}, h("details", {}, h("summary", {}, state, title, when), evidence), track),
    update: (alert) => {
      const text = JSON.stringify(alert);
      if (text === shown) return;
      shown = text;
      replace(state, badge(alert.isOpen ? "firing" : alert.newest.status, KINDS[alert.isOpen ? "firing" : alert.newest.status] ?? "plain"),
        badge(alert.newest.severity));
      setText(title, alert.newest.summary);
      setText(when, moment(alert.newest.timestamp));
      replace(track, alert.bars.map(([from, until, open]) => {
        const bar = h("span", { class: open ? "bar open" : "bar" });
        bar.style.left = `${from * 100}%`;
        bar.style.width = `${Math.max(0.4, (until - from) * 100)}%`;
        return bar;
      }));
      replace(evidence, evidenceOf(alert));
    },
  };
}

function evidenceOf(alert) {
  const { newest } = alert;
  const facts = Object.entries(newest.evidence).map(([name, value]) => [name.replaceAll("_", " "), plain(value)]);
  const about = [["rule", newest.rule], ["kind", newest.kind], ["model", `${newest.model} ${newest.model_version}`.trim()],
    ["segment", newest.segment], ["feature", newest.feature], ["metric", newest.metric], ["value", significant(newest.value)],
    ["threshold", significant(newest.threshold)], ["window", `${moment(newest.window_start)} to ${moment(newest.window_end)}`]]
    .filter(([, value]) => value !== "" && value !== "–");
  return [
    h("div", { class: "two" }, facing("What it is about", about), facing("Evidence", facts)),
    grid(["time (UTC)", "status", "what was said"], alert.events.map((event) => [moment(event.timestamp), event.status, event.summary]), "Its life"),
    h("p", { class: "muted" }, "More: ", h("code", {}, `aftcast explain ${newest.fingerprint.slice(0, 8)}`),
      /^https?:\/\//.test(newest.runbook_url) ? [" ", h("a", { href: newest.runbook_url, rel: "noreferrer noopener", target: "_blank" }, "runbook")] : null),
  ];
}

const facing = (caption, facts) => h("table", { class: "facts" }, h("caption", {}, caption),
  h("tbody", {}, facts.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value)))));

// Values of evidence are JSON scalars; some are texts that hold JSON again.
function plain(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "string" ? unfolded(value) : part(value);
  } catch {
    return text;
  }
}

const EARLIEST_MS = 946684800000; // 2000: no count of anything is as large, and every time is

function part(value) {
  if (Array.isArray(value)) return value.map(part).join(", ");
  if (typeof value === "object" && value !== null) return Object.entries(value).map(([name, one]) => `${name.replaceAll("_", " ")} ${part(one)}`).join(", ");
  if (typeof value !== "number") return String(value);
  return value > EARLIEST_MS ? moment(value) : Number.isInteger(value) ? String(value) : significant(value);
}

function unfolded(text) {
  if (!/^[[{]/.test(text)) return text;
  try {
    const value = JSON.parse(text);
    return Array.isArray(value) ? value.map(part).join("; ") : part(value);
  } catch {
    return text;
  }
}
