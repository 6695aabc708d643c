// Figures, times and durations as people read them; times are UTC, as in ClickHouse.

const SHARES = new Set([
  "accuracy", "precision", "recall", "f1", "mape", "coverage", "success_rate", "interval_coverage",
  "estimated_accuracy", "share", "missing_share",
]);
const UNITS = [["_ms", " ms"], ["_s", " s"]];
const NAMES = {
  f1: "F1", auc: "AUC", log_loss: "log loss", brier: "Brier score", ece: "calibration error",
  mae: "mean absolute error", rmse: "root mean square error", mape: "relative error", r2: "R²",
  interval_coverage: "interval coverage", success_rate: "success rate", latency_p50_ms: "latency, median",
  latency_p95_ms: "latency, 95th percentile", latency_p99_ms: "latency, 99th percentile",
  label_delay_p50_s: "label delay, median", label_delay_p95_s: "label delay, 95th percentile",
  predictions_per_s: "predictions per second", cost_per_1000: "cost per 1,000",
  estimated_accuracy: "accuracy estimated from scores", coverage: "labelled share",
};

export const nameOf = (figure) => NAMES[figure] ?? figure;
export const isShare = (figure) => SHARES.has(figure);

export function count(value) {
  return value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en");
}

export function share(value, digits = 1) {
  return value === null || value === undefined ? "–" : `${(value * 100).toFixed(digits)}%`;
}

export function figure(name, value) {
  if (value === null || value === undefined) return "–";
  if (isShare(name)) return share(value);
  for (const [ending, unit] of UNITS) {
    if (name.endsWith(ending) && !name.endsWith("per_s")) return significant(value) + unit;
  }
  return significant(value);
}

export function significant(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && size < 0.001) return value.toExponential(1);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

const two = (number) => String(number).padStart(2, "0");

export function clock(text) {
  const at = new Date(text);
  return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
}

export function moment(text) {
  if (!text) return "–";
  const at = new Date(text);
  return `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())} ${clock(text)}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 90) return `${significant(Math.round(seconds * 10) / 10)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${significant(Math.round(seconds / 360) / 10)} h`;
  return `${significant(Math.round(seconds / 8640) / 10)} d`;
}

export const seconds = (text) => Date.parse(text) / 1000;
