// Turns the server's figures into tables and lists. Text goes in as text only, never as markup.

export const $ = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.map((child) => (child == null ? "" : child)));
  return element;
}

// A bar beside its number, for the eye only: parts are [look, share of the whole].
function meter(...parts) {
  return make("span", { class: "meter", "aria-hidden": "true" }, ...parts.map(([look, part]) => {
    const drawn = make("i", { class: look });
    drawn.style.width = `${Math.min(part * 100, 100)}%`;
    return drawn;
  }));
}

const number = (value, digits = 1) =>
  value == null ? "–" : value.toLocaleString(undefined, { maximumFractionDigits: digits });
const ms = (value) => (value == null ? "–" : `${number(value, value < 0.1 ? 3 : value < 10 ? 2 : 0)} ms`);
const share = (value) => `${number(value * 100, 2)} %`;
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour12: false });
const when = (text) => (text ? clock(Date.parse(text) / 1000) : "never");

function table(id, caption, columns, rows, empty) {
  const head = make("tr", {}, ...columns.map(([title]) => make("th", { scope: "col" }, title)));
  const body = rows.map((row) => make("tr", {}, ...columns.map(([, cell], index) => {
    const [text, look] = [cell(row)].flat();
    return index ? make("td", { class: look || "" }, text) : make("th", { scope: "row", class: look || "" }, text);
  })));
  if (!rows.length) body.push(make("tr", {}, make("td", { colspan: columns.length, class: "soft" }, empty)));
  $(id).replaceChildren(make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...body));
}

export function showTiles(p) {
  const pool = Object.fromEntries(p.database.poolStats.map(({ state, count }) => [state, count]));
  const tiles = [
    ["requests a second", number(p.requestRate)],
    ["requests", number(p.totalRequests, 0)],
    ["p50", ms(p.p50)],
    ["p95", ms(p.p95)],
    ["p99", ms(p.p99)],
    ["errors", share(p.errorRate), p.errorRate > 0.01 ? "bad" : ""],
    ["over their target", number(p.slowRequests, 0), p.slowRequests ? "warn" : ""],
    ["cache hits", p.cache.families.length ? share(p.cache.hitRate) : "–"],
    ["cache server's memory", p.cache.connected ? p.cache.usedMemory.replace("M", " MB") : "away", p.cache.connected ? "" : "bad"],
    ["connections in use / idle", `${pool.active} / ${pool.idle}`, pool.waiting ? "warn" : ""],
    ["a write is known everywhere, p95", ms((p.cache.invalidationLag.own_bump || p.cache.invalidationLag.bump_to_process || {}).p95)],
    [`memory of ${p.processes.length} process${p.processes.length === 1 ? "" : "es"}`, `${number(p.memory.rss / 1048576, 0)} MB`],
  ];
  $("tiles").replaceChildren(...tiles.map(([name, value, look]) =>
    make("div", {}, make("dt", {}, name), make("dd", { class: look || "" }, value))));
}

export function showTables(p, curves) {
  const verdicts = { met: ["met", "good"], missed: ["missed", "bad"] };
  const timing = [
    ["count", (row) => number(row.count, 0)],
    ["avg", (row) => ms(row.avg)],
    ["p50", (row) => ms(row.p50)],
    ["p95", (row) => ms(row.p95)],
    ["p99", (row) => ms(row.p99)],
    ["max", (row) => ms(row.max)],
    ["errors", (row) => [share(row.errorRate), row.errorRate > 0 ? "bad" : ""]],
    ["target p95", (row) => ms(row.target)],
    ["p95 of target", (row) => {
      if (row.target == null) return ["–", "soft"];
      const part = row.p95 / row.target;
      return [meter([part > 1 ? "missed" : part > 0.8 ? "near" : "met", part])];
    }],
    ["verdict", (row) => verdicts[row.verdict] || ["–", "soft"]],
  ];
  const named = (title) => [[title, (row) => row.operation], ...timing];
  table("operations", `${p.timeWindow}, all processes of this node`, named("operation"), p.operations, "no requests yet");
  table("queries", "named queries, without the wait for a connection", named("query"), p.database.queries, "no queries yet");
  table("families", "reads by outcome", [
    ["family", (row) => row.family],
    ["reads", (row) => number(row.reads, 0)],
    ["hit rate", (row) => [share(row.hitRate), row.hitRate < 0.85 ? "warn" : "good"]],
    ["spread", (row) => [meter(...Object.entries(row.outcomes).map(([name, count]) => [name, count / row.reads]))]],
    ["right within 1 s", (row) => (row.agreement.samples ? [share(row.agreement.within1Second), row.agreement.within1Second < 1 ? "bad" : "good"] : ["–", "soft"])],
    ["outcomes", (row) => Object.entries(row.outcomes).map(([name, count]) => `${name} ${number(count, 0)}`).join(", ")],
    ["loads", (row) => number(row.loads, 0)],
    ["readers a load", (row) => number(row.coalescing, 2)],
    ["load p95", (row) => ms(row.loadP95)],
  ], p.cache.families, "no cached reads yet");
  table("jobs", "last and next run by the database's word", [
    ["job", (row) => row.name],
    ["last run", (row) => when(row.lastRun)],
    ["took", (row) => ms(row.durationMs)],
    ["next run", (row) => when(row.nextRun)],
    ["failures", (row) => [number(row.failures, 0), row.failures ? "bad" : ""]],
    ["last error", (row) => row.lastError || "–"],
  ], p.backgroundJobs, "no jobs are declared");
  const points = curves.at.map((at, i) => ({ at, i })).reverse().slice(0, 60);
  table("curves", "the latest 60 points, newest first", [
    ["time", ({ at }) => clock(at)],
    ["requests/s", ({ i }) => number(curves.rate[i])],
    ["errors", ({ i }) => (curves.errors[i] == null ? "–" : share(curves.errors[i]))],
    ["p50", ({ i }) => ms(curves.p50[i])],
    ["p95", ({ i }) => ms(curves.p95[i])],
    ["p99", ({ i }) => ms(curves.p99[i])],
    ["hit rate", ({ i }) => (curves.hitRate[i] == null ? "–" : share(curves.hitRate[i]))],
  ], points, "nothing yet");
}

let alertsShown = "";

export function showAlerts(alerts) {
  const shown = JSON.stringify(alerts.map(({ id, status }) => [id, status]));
  if (shown === alertsShown) return; // said again, a screen reader would read it again
  alertsShown = shown;
  const items = alerts.slice(0, 12).map((alert) => make("li", { class: alert.status === "firing" ? "firing" : "" },
    make("b", { class: alert.status === "firing" ? "bad" : "soft" }, alert.status === "firing" ? "Firing" : "Resolved"),
    ` since ${clock(alert.startedAt)}: ${alert.summary} (${alert.value}; ${alert.limit})`));
  $("alerts").replaceChildren(...(items.length ? items : [make("li", { class: "calm" }, "Nothing fires.")]));
}

let slowShown = "";

export function showSlow(reports) {
  const shown = JSON.stringify(reports.map(({ query, kind, occurrences, plan, status }) => [query, kind, occurrences, plan, status]));
  if (shown === slowShown) return; // keeps what is unfolded and where the focus is
  slowShown = shown;
  const open = new Set([...document.querySelectorAll("#slow details[open]")].map((item) => item.dataset.key));
  $("slow").replaceChildren(...reports.map((r) => {
    const key = `${r.kind}:${r.query}`;
    const facts = [
      ["cause", r.cause], ["route", `${r.operation} ${r.route}`], ["called at", r.callSite || "–"],
      ["took", `${ms(r.durationMs)} (pool ${ms(r.poolWaitMs)}, lock ${ms(r.lockWaitMs)}, execution ${ms(r.executionMs)})`],
      ["usually", `p95 ${ms(r.usualP95Ms)}, target ${ms(r.targetMs)}`], ["seen", `${r.occurrences} × in five minutes`],
      ["trace", r.traceId], ["fingerprint", r.fingerprint],
    ];
    const title = r.kind === "n_plus_one" ? `ran ${r.times} times in one request` : ms(r.durationMs);
    const item = make("details", { "data-key": key },
      make("summary", {}, make("b", {}, r.query), ` ${title} – ${r.cause}`),
      make("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
      make("pre", { tabindex: "0", "aria-label": "statement" }, r.statement),
      make("pre", { tabindex: "0", "aria-label": "generic plan" }, r.plan.join("\n") || "The plan is not known yet."));
    item.open = open.has(key);
    return item;
  }));
  if (!reports.length) $("slow").replaceChildren(make("p", { class: "soft" }, "No query was slow lately."));
}

let picked = null;
let tracesShown = "";

export function showTraces(traces) {
  const shown = traces.map((trace) => trace.traceId).join();
  if (shown === tracesShown) return;
  tracesShown = shown;
  if (!traces.length) {
    $("traces").replaceChildren(make("li", { class: "soft" }, "None lately."));
    $("waterfall").replaceChildren();
    return;
  }
  if (!traces.some((trace) => trace.traceId === picked)) {
    picked = traces.reduce((slowest, trace) => (trace.ms > slowest.ms ? trace : slowest)).traceId;
  }
  const focused = document.activeElement?.dataset?.trace;
  $("traces").replaceChildren(...traces.map((trace) => make("li", {}, make("button", {
    type: "button", "data-trace": trace.traceId, "aria-pressed": String(trace.traceId === picked),
    onclick: () => {
      picked = trace.traceId;
      for (const button of $("traces").querySelectorAll("button")) {
        button.setAttribute("aria-pressed", String(button.dataset.trace === picked));
      }
      waterfall(trace);
    },
  }, make("span", {}, trace.operation || "(unmatched)"),
  make("span", { class: trace.kind === "failed_request" ? "bad" : "soft" }, `${trace.status} ${ms(trace.ms)}`)))));
  if (focused) $("traces").querySelector(`[data-trace="${focused}"]`)?.focus();
  waterfall(traces.find((trace) => trace.traceId === picked));
}

function waterfall(trace) {
  const total = Math.max(trace.ms, 0.001);
  const bar = (kind, name, at, length, code) => {
    const drawn = make("span", { class: `bar ${kind}` });
    drawn.style.left = `${Math.min(Math.max((at / total) * 100, 0), 99.5)}%`; // by the CSSOM, which the content policy allows
    drawn.style.width = `${Math.min((length / total) * 100, 100)}%`;
    const label = [kind.replace("_", " "), name, code].filter(Boolean).join(" ");
    return make("li", {}, make("span", { class: "name", title: label }, label),
      make("span", { class: "track", "aria-hidden": "true" }, drawn), make("span", { class: "ms" }, ms(length)));
  };
  $("waterfall").replaceChildren(
    make("p", {}, make("b", {}, trace.operation || "(unmatched)"), ` ${trace.route} – ${trace.status} ${trace.error} at ${clock(trace.at)}, trace `, make("code", {}, trace.traceId)),
    make("ol", {}, bar("whole", "request", 0, trace.ms, ""), ...trace.steps.map((s) => bar(s.kind, s.name, s.at, s.ms, s.code))));
}
