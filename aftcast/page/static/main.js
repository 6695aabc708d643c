// Where everything starts: the address decides what is shown, the header says how fresh it is.

import { onScheme } from "./colours.js";
import { demoPanel } from "./demo.js";
import { setText } from "./element.js";
import { get, onState, settled, stopAll } from "./live.js";
import { modelPage } from "./model.js";
import { overview } from "./overview.js";
import { addDialog } from "./sql.js";

const main = document.querySelector("main");
const spans = document.querySelector("#span");
const status = document.querySelector("#status");
const trouble = document.querySelector("#trouble");
const chosen = { span: "24h" };
const SHOWN_AFTER_MS = 1200;
let settings = null;
let close = null;
let turn = 0;

// What is asked comes piece by piece, and each piece moves what stands below it: shown when all of it is there.
async function route(focus = false) {
  close?.();
  stopAll();
  close = null;
  main.replaceChildren();
  main.toggleAttribute("data-waiting", true);
  if (settings.has_switches) demoPanel(main);
  const found = /^#\/model\/(.+)$/.exec(location.hash);
  if (found) {
    const model = decoded(found[1]);
    document.title = `${model} – aftcast`;
    close = modelPage(main, model, chosen, settings);
  } else {
    document.title = "aftcast";
    overview(main, chosen);
  }
  const mine = (turn += 1);
  await settled(SHOWN_AFTER_MS);
  if (mine !== turn) return; // something else is shown by now
  main.toggleAttribute("data-waiting", false);
  if (focus) (main.querySelector("h1") ?? main).focus();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

let state = null;
onState((now) => {
  if (now.needsLogin) location.assign("login");
  state = now;
  if (state.trouble === null) trouble.hidden = true;
  else {
    trouble.hidden = false;
    const since = state.goodAt === null ? "" : ` Figures below are of ${new Date(state.goodAt).toLocaleTimeString()}.`;
    setText(trouble, `${state.trouble}.${since} Tried again every few seconds.`);
  }
  tick();
});

function tick() {
  if (state === null || state.goodAt === null) return setText(status, state?.trouble ? "no figures" : "loading");
  const age = Math.round((Date.now() - state.goodAt) / 1000);
  status.dataset.fresh = String(age < 10);
  setText(status, age < 3 ? "live" : `${age} s old`);
}

async function start() {
  try {
    settings = await get("api/settings");
  } catch (error) {
    if (error.status === 401) return location.assign("login");
    trouble.hidden = false;
    setText(trouble, `${error.message}; trying again`);
    return setTimeout(start, 3000);
  }
  trouble.hidden = true;
  chosen.span = settings.default_span;
  spans.replaceChildren(...settings.spans.map((name) => new Option(name, name, false, name === chosen.span)));
  spans.addEventListener("change", () => {
    chosen.span = spans.value;
    route();
  });
  addEventListener("hashchange", () => route(true));
  onScheme(() => route());
  setInterval(tick, 1000);
  addDialog();
  route();
}

start();
