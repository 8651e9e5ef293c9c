/* The report's stacks, and what all its figures share; drawn from the numbers embedded in the page. What they show is decided by `state`
   (report.js); every function here only reads it. */
async function unpacked(id) {
  const packed = Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}
const numbers = await unpacked("numbers");
const element = (id) => document.getElementById(id);
const SEPARATOR = "\u001f";
const RATIO_RANGE = [0.4, 1.6];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "cross"];
const WORKING_POINTS = { loose: 0.1, medium: 0.01, tight: 0.001 };
const USABLE = "ok";
const SCALE_FACTOR_COLOURS = [[0, "#2166ac"], [0.25, "#92c5de"], [0.5, "#f7f7f7"], [0.75, "#f4a582"], [1, "#b2182b"]];
const CONFIG = { displaylogo: false, displayModeBar: false, responsive: true };
const keys = (list) => list.map((item) => item.key);
const nameOf = (list, key) => (list.find((item) => item.key === key) || { name: key }).name;
const trainings = keys(numbers.taggers);
const last = (list) => list[list.length - 1];
const epochsOf = (training) => (numbers.taggers.find((item) => item.key === training) || { epochs: [] }).epochs;
const nearest = (epochs, epoch) =>
  epochs.reduce((best, each) => (Math.abs(each - epoch) < Math.abs(best - epoch) ? each : best), epochs[0]);

// ---- colours and layout -----------------------------------------------------------------------------------
const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const lineColour = (training) => variable(`--line-${Math.max(trainings.indexOf(training), 0) % 6}`);
const styleIndex = (variant) => Math.max(keys(numbers.variants).indexOf(variant), 0) % DASHES.length;

function axis(extra) {
  return {
    gridcolor: variable("--grid"), linecolor: variable("--muted"), zeroline: false, ticks: "outside",
    tickcolor: variable("--muted"), showline: true, automargin: true, ...extra,
  };
}

function layout(extra) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 58, r: 12, t: 12, b: 44 },
    font: { family: "system-ui, sans-serif", size: 13, color: variable("--ink") },
    legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom", x: 0, font: { size: 12 } },
    hoverlabel: { bgcolor: variable("--panel"), bordercolor: variable("--rule"), font: { color: variable("--ink") } },
    ...extra,
  };
}

const shown = (value, digits = 3) =>
  value === null || !Number.isFinite(value) ? "–" : value.toLocaleString("en", { maximumSignificantDigits: digits });
const plain = (text) => String(text).replace(/[<>&]/g, (sign) => ({ "<": "&lt;", ">": "&gt;", "&": "&amp;" })[sign]);

// ---- one stack --------------------------------------------------------------------------------------------
const views = () => (numbers.selections.find((item) => item.key === state.selection) || { views: [] }).views;

/* One stored view of the signs, null where it was not processed. */
function storedStack(training, epoch, view) {
  const key = [state.selection, state.score, training, epoch];
  const data = numbers.data[[...key, view].join(SEPARATOR)];
  const mc = numbers.mc[[...key, state.variant, view].join(SEPARATOR)];
  return data && mc ? { data: data.n, variance: data.v || null, groups: mc.n, error: mc.e, factor: mc.f } : null;
}

function stackOf(training, epoch) {
  const view = state.view || (views()[0] || {}).key;
  const stack = view === "OS-SS"
    ? subtracted(storedStack(training, epoch, "OS"), storedStack(training, epoch, "SS")) : storedStack(training, epoch, view);
  if (!stack) return null;
  const total = stack.data.map((_, bin) => stack.groups.reduce((sum, group) => sum + group[bin], 0));
  const ends = stack.data.map((content, bin) => interval(content, stack.variance ? stack.variance[bin] : null));
  return { ...stack, total, low: ends.map((pair) => pair[0]), high: ends.map((pair) => pair[1]) };
}

/* OS - SS: contents are subtracted, variances added. */
function subtracted(os, ss) {
  if (!os || !ss) return null;
  const minus = (a, b) => a.map((value, bin) => value - b[bin]);
  return {
    data: minus(os.data, ss.data), variance: os.data.map((value, bin) => (os.variance || os.data)[bin] + (ss.variance || ss.data)[bin]),
    groups: os.groups.map((group, i) => minus(group, ss.groups[i])), error: os.error.map((value, bin) => Math.hypot(value, ss.error[bin])),
    factor: os.factor,
  };
}

/* The ends of a data point's error bar: Garwood for counts, else -+ sqrt(variance). */
function interval(content, variance) {
  if (variance !== null || content < 0) {
    const error = Math.sqrt(Math.max(variance || 0, 0));
    return [content - error, content + error];
  }
  if (Number.isInteger(content) && content < numbers.garwood.length) return numbers.garwood[content];
  const above = content + 1;
  return [
    content * (1 - 1 / (9 * content) - 1 / (3 * Math.sqrt(content))) ** 3,
    above * (1 - 1 / (9 * above) + 1 / (3 * Math.sqrt(above))) ** 3,
  ];
}

const binWidth = (bin) => numbers.edges[bin + 1] - numbers.edges[bin];
const centres = numbers.edges.slice(1).map((edge, bin) => (edge + numbers.edges[bin]) / 2);

/* One range for both stacks, in coarse steps so that the axis seldom moves under the slider. */
const STEPS = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10];
function rounded(value) {
  if (!value) return 0;
  const power = 10 ** Math.floor(Math.log10(Math.abs(value)));
  return Math.sign(value) * power * STEPS.find((step) => step * power >= Math.abs(value) * 0.9999);
}

function stackRange() {
  const stacks = [state.training, state.compare].filter(Boolean).map((training) => stackOf(training, state.epoch)).filter(Boolean);
  const top = rounded(1.05 * Math.max(1, ...stacks.flatMap((stack) => [...stack.high, ...stack.total])));
  const bottom = rounded(1.05 * Math.min(0, ...stacks.flatMap((stack) => [...stack.low, ...stack.total])));
  if (!state.log) return { range: [bottom, top], floor: 0 };
  const smallest = Math.min(top, ...stacks.flatMap((stack) => stack.total.filter((value) => value > 0)));
  const floor = Math.max(smallest / 2, top * 1e-4);
  return { range: [Math.log10(floor), Math.log10(2 * top)], floor };
}

function stackTraces(stack, floor) {
  const width = centres.map((_, bin) => binWidth(bin));
  const raised = (values) => (state.log ? values.map((value) => Math.max(value, floor)) : values);
  let below = centres.map(() => 0);
  const bars = stack.groups.map((values, group) => {
    const above = below.map((value, bin) => value + values[bin]);
    const [base, end] = [raised(below), raised(above)];
    below = above;
    return {
      type: "bar", x: centres, width, base, y: end.map((value, bin) => value - base[bin]), hoverinfo: "skip",
      name: plain(numbers.groups[group].name), marker: { color: numbers.groups[group].colour, line: { width: 0 } },
    };
  });
  const lower = raised(stack.total.map((value, bin) => value - stack.error[bin]));
  const upper = raised(stack.total.map((value, bin) => value + stack.error[bin]));
  bars.push({
    type: "bar", x: centres, width, base: lower, y: upper.map((value, bin) => value - lower[bin]), hoverinfo: "skip",
    name: "MC stat.", marker: hatch(),
  });
  return [...bars, dataPoints(stack), ...ratioTraces(stack, width)];
}

const hatch = () => ({
  color: "rgba(0,0,0,0)", line: { width: 0 },
  pattern: { shape: "/", fgcolor: variable("--ink"), bgcolor: "rgba(0,0,0,0)", size: 5, solidity: 0.18, fillmode: "overlay" },
});

function dataPoints(stack) {
  const seen = stack.data.map((value, bin) => (value !== 0 || stack.total[bin] !== 0 ? value : null));
  return {
    type: "scatter", mode: "markers", x: centres, y: seen, name: numbers.dataName, marker: { color: variable("--ink"), size: 5 },
    error_y: bars(stack.data, stack.low, stack.high), text: centres.map((_, bin) => binText(stack, bin)),
    hovertemplate: "%{text}<extra></extra>",
  };
}

const bars = (values, low, high) => ({
  type: "data", symmetric: false, thickness: 1.2, width: 0, color: variable("--ink"),
  array: values.map((value, bin) => high[bin] - value), arrayminus: values.map((value, bin) => value - low[bin]),
});

function binText(stack, bin) {
  const groups = numbers.groups.map((group, i) => `${plain(group.name)}: ${shown(stack.groups[i][bin])}`);
  const ratio = stack.total[bin] > 0 ? stack.data[bin] / stack.total[bin] : null;
  return [
    `<b>${shown(numbers.edges[bin], 4)} to ${shown(numbers.edges[bin + 1], 4)}</b>`,
    `Data: ${shown(stack.data[bin], 5)} [${shown(stack.low[bin])}, ${shown(stack.high[bin])}]`, ...groups,
    `MC: ${shown(stack.total[bin], 4)} ± ${shown(stack.error[bin], 2)}`, `Data / MC: ${shown(ratio)}`,
  ].join("<br>");
}

function ratioTraces(stack, width) {
  const over = (values) => values.map((value, bin) => (stack.total[bin] > 0 ? value / stack.total[bin] : null));
  const [ratio, low, high, error] = [over(stack.data), over(stack.low), over(stack.high), over(stack.error)];
  const seen = ratio.map((value, bin) => (stack.data[bin] === 0 && !stack.total[bin] ? null : value));
  const outside = seen.map((value) => (value !== null && (value > RATIO_RANGE[1] || value < RATIO_RANGE[0]) ? value : null));
  return [
    {
      type: "bar", x: centres, width, base: error.map((value) => 1 - (value || 0)), y: error.map((value) => 2 * (value || 0)),
      hoverinfo: "skip", showlegend: false, yaxis: "y2", marker: hatch(),
    },
    {
      type: "scatter", mode: "markers", x: centres, y: seen, yaxis: "y2", showlegend: false, hoverinfo: "skip",
      marker: { color: variable("--ink"), size: 4 }, error_y: bars(ratio, low, high),
    },
    {
      type: "scatter", mode: "markers", x: centres, yaxis: "y2", showlegend: false, hoverinfo: "skip", cliponaxis: false,
      y: outside.map((value) => (value === null ? null : value > 1 ? RATIO_RANGE[1] : RATIO_RANGE[0])),
      marker: { color: variable("--ink"), size: 7, symbol: outside.map((value) => (value > 1 ? "triangle-up" : "triangle-down")) },
    },
  ];
}

/* The view in words, where it is not the selection's own. */
const viewText = () => (state.view && state.view !== (views()[0] || {}).key ? ` ${nameOf(views(), state.view)}` : "");

function drawStack(place, training) {
  const chart = element(`stack-${place}`);
  const stack = stackOf(training, state.epoch);
  element("stacks").hidden = !Object.keys(numbers.mc).length;
  element(`stack-${place}-title`).textContent =
    `${training}, epoch ${state.epoch}: ${nameOf(numbers.selections, state.selection)}${viewText()}, ${nameOf(numbers.variants, state.variant)}` + (stack ? "" : ": no histogram");
  if (!stack) { Plotly.purge(chart); return; }
  const { range, floor } = stackRange();
  Plotly.react(chart, stackTraces(stack, floor), layout({
    barmode: "overlay", bargap: 0, hovermode: "x", dragmode: "zoom",
    xaxis: axis({ anchor: "y2", title: { text: nameOf(numbers.scores, state.score) }, range: [numbers.edges[0], last(numbers.edges)] }),
    yaxis: axis({ domain: [0.3, 1], title: { text: "Jets / bin" }, range, type: state.log ? "log" : "linear", zeroline: !state.log, zerolinecolor: variable("--muted"), exponentformat: "power" }),
    yaxis2: axis({ domain: [0, 0.25], title: { text: "Data / MC" }, range: RATIO_RANGE, nticks: 5 }),
    shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, yref: "y2", y0: 1, y1: 1, line: { color: variable("--muted"), width: 1 } }],
  }), CONFIG);
}
