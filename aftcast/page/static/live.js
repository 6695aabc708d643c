// Asks again and again for what is on the screen, while it is looked at; says how old it is, and why.

const RETRY_MS = 3000;
const watching = new Set();
const listeners = new Set();
const state = { goodAt: null, trouble: null, needsLogin: false };

export function onState(listener) {
  listeners.add(listener);
  listener(state);
}

export async function ask(name, said = {}) {
  const query = new URLSearchParams(said);
  const response = await fetch(`api/${name}?${query}`, { headers: { Accept: "application/json" } });
  const answer = await read(response);
  const columns = answer.columns ?? [];
  answer.items = (answer.rows ?? []).map((row) => Object.fromEntries(columns.map((column, i) => [column, row[i]])));
  return answer;
}

export async function get(path) {
  return read(await fetch(path, { headers: { Accept: "application/json" } }));
}

export async function post(path, document) {
  return read(await fetch(path, { method: "POST", body: JSON.stringify(document) }));
}

async function read(response) {
  let answer = {};
  try {
    answer = await response.json();
  } catch {
    answer = {};
  }
  if (response.ok) return answer;
  const error = new Error(answer.error ?? `the page's server answered ${response.status}`);
  error.status = response.status;
  error.kind = answer.kind ?? "server";
  throw error;
}

export function watch(name, said, everyMs, show, path = null) {
  const one = { name, timer: null, running: false, stopped: false, answered: false };
  one.first = new Promise((done) => { one.tellFirst = done; });
  one.run = async () => {
    clearTimeout(one.timer);
    if (one.running || one.stopped || document.hidden) return;
    one.running = true;
    let next = everyMs;
    const began = performance.now();
    try {
      const answer = path === null ? await ask(name, said()) : await get(path);
      if (one.stopped) return;
      show(answer);
      note(null);
      next = Math.max(everyMs, 4 * (performance.now() - began)); // a busy machine is asked less often
    } catch (error) {
      if (one.stopped) return;
      next = Math.max(RETRY_MS, everyMs);
      note(error);
    } finally {
      one.running = false;
      one.answered = true;
      one.tellFirst();
      if (!one.stopped) one.timer = setTimeout(one.run, next);
    }
  };
  one.stop = () => {
    one.stopped = true;
    clearTimeout(one.timer);
    watching.delete(one);
  };
  watching.add(one);
  one.run();
  return one;
}

function note(error) {
  if (error === null) {
    state.goodAt = Date.now();
    state.trouble = null;
  } else if (error.status === 401) {
    state.needsLogin = true;
  } else {
    state.trouble = error.status === undefined
      ? "the page's own server does not answer; is `aftcast` still running?"
      : error.message;
  }
  for (const listener of listeners) listener(state);
}

// Done when all that is watched has been answered once, or has failed, or after `withinMs`.
export async function settled(withinMs) {
  const late = new Promise((done) => setTimeout(done, withinMs, true));
  for (;;) {
    const left = [...watching].filter((one) => !one.answered);
    if (left.length === 0) return;
    if (await Promise.race([late, Promise.all(left.map((one) => one.first)).then(() => false)])) return;
  }
}

export function stopAll() {
  for (const one of [...watching]) one.stop();
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) for (const one of watching) one.run();
});
