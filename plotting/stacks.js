/* The report's stacks: data over simulation by flavour or process, before or after the scale factors, and their ratio. */
const RATIO_RANGE = [0.4, 1.6];

// ---- one stack --------------------------------------------------------------------------------------------
const views = () => (numbers.selections.find((item) => item.key === state.selection) || { views: [] }).views;

/* What is stacked, from below: flavours, or processes from the smallest to the largest. */
const stacked = () => (state.by === "process" ? numbers.processes[state.selection] || [] : numbers.groups);

const joined = (...parts) => parts.join(SEPARATOR);
const storedView = () => (state.view === "OS-SS" ? "OS" : state.view);
const hasAfter = (training, epoch) =>
  joined(state.selection, state.score, training, epoch, state.variant, storedView()) in numbers.after;
const showsAfter = (training, epoch) => state.fit === "after" && hasAfter(training, epoch);

/* One stored view of the signs, null where it was not processed. After the scale factors bins are those of the fit. */
function storedStack(training, epoch, view) {
  const after = showsAfter(training, epoch);
  const key = [state.selection, state.score, training, epoch];
  const data = numbers.data[joined(...key, view)];
  const mc = (after ? numbers.after : numbers.mc)[joined(...key, state.variant, view)];
  if (!data || !mc) return null;
  const edges = after ? numbers.afterEdges[state.score] : numbers.edges;
  const binned = (values) => (after ? rebinned(values, edges) : values);
  return {
    after, edges, data: binned(data.n), variance: data.v ? binned(data.v) : null,
    flavours: mc.n, groups: state.by === "process" ? mc.p : mc.n, error: mc.e, factor: mc.f,
  };
}

/* Sums of bins: the fit's are coarser, and its first holds all jets without a score. */
function rebinned(values, edges) {
  const sums = edges.slice(1).map(() => 0);
  values.forEach((value, bin) => {
    const centre = (numbers.edges[bin] + numbers.edges[bin + 1]) / 2;
    sums[Math.max(edges.findLastIndex((edge) => edge <= centre), 0)] += value;
  });
  return sums;
}

function stackOf(training, epoch) {
  const view = state.view || (views()[0] || {}).key;
  const stack = view === "OS-SS"
    ? subtracted(storedStack(training, epoch, "OS"), storedStack(training, epoch, "SS")) : storedStack(training, epoch, view);
  if (!stack) return null;
  const { edges } = stack;
  const total = stack.data.map((_, bin) => stack.flavours.reduce((sum, group) => sum + group[bin], 0));
  const ends = stack.data.map((content, bin) => interval(content, stack.variance ? stack.variance[bin] : null));
  const band = (stack.after ? numbers.afterBands : numbers.bands)[joined(state.selection, state.score, training, epoch, state.variant, view)];
  return {
    ...stack, total, low: ends.map((pair) => pair[0]), high: ends.map((pair) => pair[1]),
    centres: edges.slice(1).map((edge, bin) => (edge + edges[bin]) / 2), width: edges.slice(1).map((edge, bin) => edge - edges[bin]),
    band: band ? { down: band[0], up: last(band) } : null,
  };
}

/* OS - SS: contents are subtracted, variances added. */
function subtracted(os, ss) {
  if (!os || !ss) return null;
  const minus = (a, b) => a.map((value, bin) => value - b[bin]);
  const both = (name) => os[name].map((group, i) => minus(group, ss[name][i]));
  return {
    ...os, data: minus(os.data, ss.data), variance: os.data.map((value, bin) => (os.variance || os.data)[bin] + (ss.variance || ss.data)[bin]),
    flavours: both("flavours"), groups: both("groups"), error: os.error.map((value, bin) => Math.hypot(value, ss.error[bin])),
  };
}

/* The agreement of a stack: chi2 over the bins that have an error, statistics of both. */
function chiSquared(stack) {
  const terms = stack.data.map((content, bin) => {
    const variance = (stack.variance || stack.data)[bin] + stack.error[bin] ** 2;
    return variance > 0 ? (content - stack.total[bin]) ** 2 / variance : null;
  }).filter((term) => term !== null);
  return { value: terms.reduce((sum, term) => sum + term, 0), bins: terms.length };
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

/* One range for both stacks, in coarse steps so that the axis seldom moves under the slider. */
const STEPS = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10];
function rounded(value) {
  if (!value) return 0;
  const power = 10 ** Math.floor(Math.log10(Math.abs(value)));
  return Math.sign(value) * power * STEPS.find((step) => step * power >= Math.abs(value) * 0.9999);
}

function stackRange() {
  const stacks = [state.training, state.compare].filter(Boolean).map((training) => stackOf(training, epochAt(training))).filter(Boolean);
  const top = rounded(1.05 * Math.max(1, ...stacks.flatMap((stack) => [...stack.high, ...stack.total])));
  const bottom = rounded(1.05 * Math.min(0, ...stacks.flatMap((stack) => [...stack.low, ...stack.total])));
  if (!state.log) return { range: [bottom, top], floor: 0 };
  const smallest = Math.min(top, ...stacks.flatMap((stack) => stack.total.filter((value) => value > 0)));
  const floor = Math.max(smallest / 2, top * 1e-4);
  return { range: [Math.log10(floor), Math.log10(2 * top)], floor };
}

function stackTraces(stack, floor) {
  const { centres: x, width } = stack;
  const raised = (values) => (state.log ? values.map((value) => Math.max(value, floor)) : values);
  let below = x.map(() => 0);
  const traces = stack.groups.map((values, group) => {
    const above = below.map((value, bin) => value + values[bin]);
    const [base, end] = [raised(below), raised(above)];
    below = above;
    return {
      type: "bar", x, width, base, y: end.map((value, bin) => value - base[bin]), hoverinfo: "skip",
      name: plain(stacked()[group].name), marker: { color: stacked()[group].colour, line: { width: 0 } },
    };
  });
  const around = (down, up) => {
    const lower = raised(stack.total.map((value, bin) => value - down[bin]));
    const upper = raised(stack.total.map((value, bin) => value + up[bin]));
    return { type: "bar", x, width, base: lower, y: upper.map((value, bin) => value - lower[bin]), hoverinfo: "skip" };
  };
  const [down, up] = wideBand(stack);
  if (stack.band) traces.push({ ...around(down, up), name: bandName(stack), marker: shade() });
  traces.push({ ...around(stack.error, stack.error), name: "MC stat.", marker: hatch() });
  return [...traces, dataPoints(stack), ...ratioTraces(stack)];
}

/* Statistics and the band beside it, in quadrature. */
const wideBand = (stack) => (stack.band
  ? [stack.band.down, stack.band.up].map((side) => side.map((value, bin) => Math.hypot(value, stack.error[bin]))) : [null, null]);
const bandName = (stack) => (stack.after ? "MC stat. + scale factors" : "MC stat. + syst.");
const shade = () => ({ color: `${variable("--muted")}66`, line: { width: 0 } });

const hatch = () => ({
  color: "rgba(0,0,0,0)", line: { width: 0 },
  pattern: { shape: "/", fgcolor: variable("--ink"), bgcolor: "rgba(0,0,0,0)", size: 5, solidity: 0.18, fillmode: "overlay" },
});

function dataPoints(stack) {
  const seen = stack.data.map((value, bin) => (value !== 0 || stack.total[bin] !== 0 ? value : null));
  return {
    type: "scatter", mode: "markers", x: stack.centres, y: seen, name: numbers.dataName, marker: { color: variable("--ink"), size: 5 },
    error_y: bars(stack.data, stack.low, stack.high), text: stack.centres.map((_, bin) => binText(stack, bin)),
    hovertemplate: "%{text}<extra></extra>",
  };
}

const bars = (values, low, high) => ({
  type: "data", symmetric: false, thickness: 1.2, width: 0, color: variable("--ink"),
  array: values.map((value, bin) => high[bin] - value), arrayminus: values.map((value, bin) => value - low[bin]),
});

function binText(stack, bin) {
  const groups = stacked().map((group, i) => `${plain(group.name)}: ${shown(stack.groups[i][bin])}`);
  const ratio = stack.total[bin] > 0 ? stack.data[bin] / stack.total[bin] : null;
  const band = stack.band ? `, ${stack.after ? "scale factors" : "syst."} −${shown(stack.band.down[bin], 2)} +${shown(stack.band.up[bin], 2)}` : "";
  return [
    `<b>${shown(stack.edges[bin], 4)} to ${shown(stack.edges[bin + 1], 4)}</b>`,
    `Data: ${shown(stack.data[bin], 5)} [${shown(stack.low[bin])}, ${shown(stack.high[bin])}]`, ...groups,
    `MC: ${shown(stack.total[bin], 4)} ± ${shown(stack.error[bin], 2)}${band}`, `Data / MC: ${shown(ratio)}`,
  ].join("<br>");
}

function ratioTraces(stack) {
  const { centres: x, width } = stack;
  const over = (values) => values.map((value, bin) => (stack.total[bin] > 0 ? value / stack.total[bin] : null));
  const [ratio, low, high, error] = [over(stack.data), over(stack.low), over(stack.high), over(stack.error)];
  const seen = ratio.map((value, bin) => (stack.data[bin] === 0 && !stack.total[bin] ? null : value));
  const outside = seen.map((value) => (value !== null && (value > RATIO_RANGE[1] || value < RATIO_RANGE[0]) ? value : null));
  const common = { x, yaxis: "y2", showlegend: false, hoverinfo: "skip" };
  const around = (down, up, marker) => ({
    ...common, type: "bar", width, base: down.map((value) => 1 - (value || 0)), y: down.map((value, bin) => (value || 0) + (up[bin] || 0)), marker,
  });
  const [down, up] = wideBand(stack);
  return [
    ...(stack.band ? [around(over(down), over(up), shade())] : []),
    around(error, error, hatch()),
    { ...common, type: "scatter", mode: "markers", y: seen, marker: { color: variable("--ink"), size: 4 }, error_y: bars(ratio, low, high) },
    {
      ...common, type: "scatter", mode: "markers", cliponaxis: false,
      y: outside.map((value) => (value === null ? null : value > 1 ? RATIO_RANGE[1] : RATIO_RANGE[0])),
      marker: { color: variable("--ink"), size: 7, symbol: outside.map((value) => (value > 1 ? "triangle-up" : "triangle-down")) },
    },
  ];
}

/* The view in words, where it is not the selection's own. */
const viewText = () => (state.view && state.view !== (views()[0] || {}).key ? ` ${nameOf(views(), state.view)}` : "");

function stackTitle(training, stack) {
  const place = `${training}, epoch ${epochAt(training)}: ${nameOf(numbers.selections, state.selection)}${viewText()}, ${nameOf(numbers.variants, state.variant)}`;
  if (!stack) return `${place}: no histogram`;
  const { value, bins: n } = chiSquared(stack);
  return `${place}${stack.after ? ", after scale factors" : ""}; χ²\u00a0=\u00a0${shown(value)} in\u00a0${n}\u00a0bins`;
}

/* Scale factors are fitted in the plane of CvsL and CvsB: what cannot be shown with them is told. */
function showFitChoice() {
  const shownNow = [state.training, state.compare].filter(Boolean);
  const missing = shownNow.filter((training) => !hasAfter(training, epochAt(training)));
  const fitted = Object.keys(numbers.after).length > 0;
  element("fit-choice").hidden = !fitted;
  document.querySelector("input[name=fit][value=after]").disabled = missing.length === shownNow.length;
  const reason = !(state.score in numbers.afterEdges) ? "Scale factors are fitted in CvsL and CvsB: choose one of these scores to see stacks with them."
    : missing.length ? `No scale factors of ${missing.map((training) => `${training} at epoch ${epochAt(training)}`).join(" and ")}, ${nameOf(numbers.variants, state.variant)}.` : "";
  element("fit-note").textContent = fitted && shownNow.length ? reason : "";
}

function drawStack(place, training) {
  const chart = element(`stack-${place}`);
  const stack = stackOf(training, epochAt(training));
  element("stacks").hidden = !Object.keys(numbers.mc).length;
  element("stack-choices").hidden = element("stacks").hidden;
  element(`stack-${place}-title`).textContent = stackTitle(training, stack);
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
