// A chart of lines over time (or another number), with marks, a readout for mouse and keys, and its table.

import { colour, faint } from "./colours.js";
import { h, keyed, replace, setText } from "./element.js";
import { moment } from "./format.js";
import { tableOf } from "./table.js";

const HEIGHT = 220;
const ROOM_FOR_NAMES = 180; // lower charts show marks without their names
const inUtc = (second) => uPlot.tzDate(new Date(second * 1000), "Etc/UTC");
const DAY = 86400;
// For each distance of ticks: the usual text, and what is added where a year or a day begins.
const TICKS = [
  [365 * DAY, "{YYYY}", null, null, null, null, null, null, 1],
  [28 * DAY, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [DAY, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
];
const TIME = { x: (second) => moment(second * 1000), axis: { values: TICKS }, scale: { time: true } };

// update({ x, lines: [{ label, values, stroke, dash, width, band }], range, marks, places })
// A line's `band` is the index of the line down to which it is filled.
export function chart(about, { format, along = TIME, zero = false, height = HEIGHT }) {
  const plot = h("div", { class: "plot", tabindex: "0", role: "group" });
  const legend = h("ul", { class: "legend" });
  const readout = h("output", { class: "readout" }, " ");
  const empty = h("p", { class: "empty", hidden: true });
  let drawn = null;
  let shape = "";
  let data = null;

  const table = tableOf(about, () => {
    const lines = data.lines.filter((line) => !line.silent);
    return [
      [along.title ?? "time (UTC)", ...lines.map((line) => line.label)],
      data.x.map((x, i) => [along.x(x), ...lines.map((line) => format(line.values[i]))]),
    ];
  });
  const root = h("div", { class: "chart" }, empty, h("div", { class: "above" }, legend, readout), plot, table.root);

  function make() {
    drawn?.destroy();
    const ink = colour("muted");
    const axis = { stroke: ink, grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    drawn = new uPlot(
      {
        width: plot.clientWidth || 600,
        height,
        tzDate: inUtc,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
        scales: {
          x: { ...along.scale, range: () => data.range ?? [data.x[0], data.x.at(-1)] },
          y: { range: (_, low, high) => bounds(low, high, zero) },
        },
        axes: [
          { ...axis, ...along.axis },
          { ...axis, size: 54, values: (_, ticks) => ticks.map(format) },
        ],
        series: [{}, ...data.lines.map((line) => ({
          label: line.label, stroke: line.stroke, width: line.width ?? 1.5, dash: line.dash,
          points: { show: line.points ?? false, size: 4 }, spanGaps: line.spanGaps ?? false, paths: line.paths,
        }))],
        bands: data.lines.flatMap((line, i) =>
          line.band === undefined ? [] : [{ series: [i + 1, line.band + 1], fill: faint(line.fill, 0.16) }]),
        hooks: { drawClear: [(u) => shade(u, data.places ?? [])], draw: [(u) => flag(u, data.marks ?? [], height >= ROOM_FOR_NAMES)], setCursor: [read] },
      },
      table_of(data),
      plot,
    );
  }

  function read(u) {
    const i = u.cursor.idx;
    if (i === null || i === undefined || data === null) return setText(readout, " ");
    const told = data.lines.filter((line) => !line.silent && line.values[i] !== null && line.values[i] !== undefined);
    setText(readout, [along.x(data.x[i]), ...told.map((line) => `${line.label} ${format(line.values[i])}`)].join("   "));
  }

  function update(next, nothing = "Nothing to draw yet.") {
    data = next;
    const none = next.x.length === 0;
    empty.hidden = !none;
    for (const part of [plot, readout, legend, table.root]) part.hidden = none;
    if (none) return replace(empty, nothing);
    const now = JSON.stringify(next.lines.map((line) => [line.label, line.stroke, line.dash, line.band]));
    if (now !== shape || drawn === null) {
      shape = now;
      make();
    } else {
      drawn.setData(table_of(next));
    }
    plot.setAttribute("aria-label", `${about}. ${next.summary ?? ""} Left and right arrow keys read single values.`);
    keyed(legend, next.lines.filter((line) => line.legend !== undefined), (line) => line.label, legendEntry);
    table.update();
  }

  plot.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined || data === null || drawn === null) return;
    event.preventDefault();
    const last = data.x.length - 1;
    const i = Math.min(last, Math.max(0, (drawn.cursor.idx ?? last + (step < 0 ? 1 : 0)) + step));
    drawn.setCursor({ left: drawn.valToPos(data.x[i], "x"), top: 10 });
  });
  const sizes = new ResizeObserver(() => {
    if (drawn !== null && plot.clientWidth > 0 && plot.clientWidth !== drawn.width) drawn.setSize({ width: plot.clientWidth, height });
  });
  sizes.observe(plot);
  return {
    root,
    update,
    close: () => {
      sizes.disconnect();
      drawn?.destroy();
    },
  };
}

const table_of = (data) => [data.x, ...data.lines.map((line) => line.values)];

function bounds(low, high, zero) {
  if (low === null || high === null) return [0, 1];
  if (zero) return [Math.min(0, low), high <= 0 ? 1 : high * 1.08];
  const room = (high - low) * 0.1 || Math.abs(high) * 0.05 || 0.5;
  return [low - room, high + room];
}

function legendEntry() {
  const key = h("span", { class: "key", "aria-hidden": "true" });
  const text = h("span", {});
  return {
    root: h("li", {}, key, text),
    update: (line) => {
      key.style.borderTopColor = line.stroke;
      key.style.borderTopStyle = line.dash === undefined ? "solid" : line.width < 1.5 ? "dotted" : "dashed";
      key.style.backgroundColor = line.fill === undefined ? "transparent" : faint(line.fill, 0.16);
      setText(text, line.legend);
    },
  };
}

// Maintenance: a shade behind the lines.
function shade(u, places) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.fillStyle = colour("shade");
  for (const place of places) {
    const left = Math.max(bbox.left, u.valToPos(place.from, "x", true));
    const right = Math.min(bbox.left + bbox.width, u.valToPos(place.until, "x", true));
    if (right > left) ctx.fillRect(left, bbox.top, right - left, bbox.height);
  }
  ctx.restore();
}

// Deployments and alerts: a line each, with its name where there is room.
function flag(u, marks, named) {
  const { ctx, bbox } = u;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.font = `${11 * scale}px system-ui`;
  ctx.textBaseline = "top";
  ctx.textAlign = "left";
  let free = -Infinity;
  for (const mark of marks) {
    const at = Math.round(u.valToPos(mark.at, "x", true));
    if (at < bbox.left || at > bbox.left + bbox.width) continue;
    ctx.strokeStyle = ctx.fillStyle = colour(mark.kind);
    ctx.lineWidth = scale;
    ctx.setLineDash(mark.kind === "alarm" ? [3 * scale, 3 * scale] : []);
    ctx.beginPath();
    ctx.moveTo(at, bbox.top);
    ctx.lineTo(at, bbox.top + bbox.height);
    ctx.stroke();
    const text = mark.text.length > 28 ? `${mark.text.slice(0, 27)}…` : mark.text;
    const wide = ctx.measureText(text).width + 8 * scale;
    const left = at + wide > bbox.left + bbox.width ? at - wide : at + 4 * scale;
    if (named && left > free) {
      ctx.fillText(text, left, bbox.top + 2 * scale);
      free = left + wide;
    }
  }
  ctx.restore();
}
