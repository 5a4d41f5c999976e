// Three curves over time, drawn by uPlot; colours follow the theme.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const percent = (value) => (value == null ? "–" : `${(value * 100).toFixed(1)} %`);
const plain = (value) => (value == null ? "–" : value.toLocaleString(undefined, { maximumFractionDigits: 2 }));

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour12: false });

function axes(more) {
  const look = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  const space = (_, __, first, last) => (last - first > 240 ? 42 : 72); // of a label: without seconds, with
  const times = (_, ticks) => ticks.map((tick) => (ticks.every((each) => each % 60 === 0) ? clock(tick).slice(0, 5) : clock(tick)));
  return [{ ...look, space, values: times }, ...more.map((axis) => ({ ...look, size: 58, ...axis }))];
}

const shares = { scale: "%", values: (_, ticks) => ticks.map((tick) => `${Math.round(tick * 100)} %`) };

function layouts() {
  return {
    "chart-rate": {
      columns: ["rate", "errors"],
      axes: axes([{}, { ...shares, side: 1, grid: { show: false } }]),
      scales: { "%": { range: (_, low, high) => [0, Math.max(0.05, high || 0)] }, y: { range: (_, low, high) => [0, high || 1] } },
      series: [
        { label: "requests/s", stroke: colour("--accent"), width: 2, fill: `${colour("--accent")}22`, value: (_, v) => plain(v) },
        { label: "errors", stroke: colour("--bad"), width: 2, scale: "%", value: (_, v) => percent(v) },
      ],
    },
    "chart-latency": {
      columns: ["p50", "p95", "p99"],
      axes: axes([{}]),
      scales: { y: { range: (_, low, high) => [0, high || 1] } },
      series: [["p50", "--blue"], ["p95", "--accent"], ["p99", "--warn"]].map(([label, name]) => (
        { label, stroke: colour(name), width: 2, spanGaps: true, value: (_, v) => plain(v) }
      )),
    },
    "chart-hits": {
      columns: ["hitRate"],
      axes: axes([shares]),
      scales: { "%": { range: [0, 1] } },
      series: [{ label: "hit rate", stroke: colour("--accent"), width: 2, scale: "%", spanGaps: true, value: (_, v) => percent(v) }],
    },
  };
}

const drawn = new Map();

export function draw(curves) {
  for (const [id, layout] of Object.entries(layouts())) {
    const place = document.getElementById(id);
    const data = [curves.at, ...layout.columns.map((column) => curves[column])];
    const known = drawn.get(id);
    if (known) {
      known.setData(data);
      continue;
    }
    const options = {
      width: place.clientWidth, height: 190, padding: [null, 24, null, null], axes: layout.axes, scales: layout.scales,
      series: [{ label: "time", value: (_, at) => (at == null ? "–" : clock(at)) }, ...layout.series], cursor: { drag: { x: false, y: false } },
    };
    const chart = new uPlot(options, data, place);
    chart.root.querySelector("canvas").setAttribute("aria-hidden", "true"); // the table below says the same
    drawn.set(id, chart);
  }
}

export function forget() {
  for (const chart of drawn.values()) chart.destroy();
  drawn.clear();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", forget);
new ResizeObserver(() => {
  for (const [id, chart] of drawn) {
    const width = document.getElementById(id).clientWidth;
    if (width && width !== chart.width) chart.setSize({ width, height: 190 });
  }
}).observe(document.documentElement);
