// The live page: signs in, follows the stream, shows what comes, and says when nothing comes any more.

import { draw, forget } from "./charts.js";
import { follow, Refused } from "./stream.js";
import { $, showAlerts, showSlow, showTables, showTiles, showTraces } from "./view.js";

const KEY = "cito-token";
const RETRY_MS = 2000;
let following = null;
let paused = false;

function show(data) {
  if (paused) return;
  const { performance, curves, alerts, slowQueries, traces, now } = data;
  showTiles(performance);
  showTables(performance, curves);
  showAlerts(alerts);
  showSlow(slowQueries);
  showTraces(traces);
  draw(curves);
  state(`Live, ${new Date(now * 1000).toLocaleTimeString([], { hour12: false })}`);
  document.documentElement.dataset.updates = Number(document.documentElement.dataset.updates || 0) + 1;
}

function state(text) {
  // A change of the clock alone is no news for a screen reader.
  $("state").setAttribute("aria-live", text.startsWith("Live") ? "off" : "polite");
  $("state").textContent = text;
}

async function run() {
  following?.abort();
  const mine = (following = new AbortController());
  const token = sessionStorage.getItem(KEY);
  if (!token) return signedOut("");
  $("login").hidden = true;
  $("figures").hidden = $("tools").hidden = false;
  state("Connecting");
  while (!mine.signal.aborted) {
    try {
      await follow(`/api/admin/performance/live?window=${$("window").value}`, token, show, mine.signal);
    } catch (error) {
      if (mine.signal.aborted) return;
      if (error instanceof Refused) return signedOut(error.message);
      state("Not connected: the figures below are old. Trying again.");
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

function signedOut(why) {
  following?.abort();
  sessionStorage.removeItem(KEY);
  forget();
  $("figures").hidden = $("tools").hidden = true;
  $("login").hidden = false;
  $("refused").textContent = why;
  state("Signed out");
  $("token").focus();
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $("token").value.trim());
  $("token").value = "";
  run();
});
$("leave").addEventListener("click", () => signedOut(""));
$("window").addEventListener("change", run);
$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  state(paused ? "Paused" : "Live");
});
run();
