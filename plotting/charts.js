"use strict";
/* The report's figures, drawn from the numbers embedded in the page. What they show is decided by `state`
   (report.js); every function here only reads it. */
const numbers = JSON.parse(document.getElementById("numbers").textContent);
const element = (id) => document.getElementById(id);
const SEPARATOR = "\u001f";
const RATIO_RANGE = [0.4, 1.6];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "cross"];
const WORKING_POINTS = { loose: 0.1, medium: 0.01, tight: 0.001 };
const USABLE = "ok";
const SCALE_FACTOR_COLOURS = [[0, "#2166ac"], [0.25, "#92c5de"], [0.5, "#f7f7f7"], [0.75, "#f4a582"], [1, "#b2182b"]];
const SAVE_SVG = {
  name: "Save as SVG", icon: Plotly.Icons.disk,
  click: (chart) => Plotly.downloadImage(chart, { format: "svg", filename: chart.id }),
};
const MODEBAR = {
  displaylogo: false, displayModeBar: true, responsive: true, modeBarButtons: [["toImage", SAVE_SVG, "resetScale2d"]],
  toImageButtonOptions: { format: "png", scale: 2 },
};
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
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 58, r: 12, t: 36, b: 44 },
    font: { family: "system-ui, sans-serif", size: 13, color: variable("--ink") },
    legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom", x: 0, font: { size: 12 } },
    hoverlabel: { bgcolor: variable("--panel"), bordercolor: variable("--rule"), font: { color: variable("--ink") } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: variable("--muted"), activecolor: variable("--accent") }, ...extra,
  };
}

const shown = (value, digits = 3) =>
  value === null || !Number.isFinite(value) ? "–" : value.toLocaleString("en", { maximumSignificantDigits: digits });
const plain = (text) => String(text).replace(/[<>&]/g, (sign) => ({ "<": "&lt;", ">": "&gt;", "&": "&amp;" })[sign]);

// ---- one stack --------------------------------------------------------------------------------------------
function stackOf(training, epoch) {
  const key = [state.selection, state.score, training, epoch];
  const data = numbers.data[key.join(SEPARATOR)];
  const mc = numbers.mc[[...key, state.variant].join(SEPARATOR)];
  if (!data || !mc) return null;
  const total = data.n.map((_, bin) => mc.n.reduce((sum, group) => sum + group[bin], 0));
  const ends = data.n.map((content, bin) => interval(content, data.v ? data.v[bin] : null));
  return { data: data.n, low: ends.map((pair) => pair[0]), high: ends.map((pair) => pair[1]), groups: mc.n, total, error: mc.e, factor: mc.f };
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

/* The highest and lowest point over all epochs of what is shown, so that the axis stands still under the slider. */
function stackRange() {
  let top = 1, bottom = 0, smallest = Infinity;
  for (const training of [state.training, state.compare].filter(Boolean)) {
    for (const epoch of epochsOf(training)) {
      const stack = stackOf(training, epoch);
      if (!stack) continue;
      top = Math.max(top, ...stack.high, ...stack.total);
      bottom = Math.min(bottom, ...stack.low, ...stack.total);
      smallest = Math.min(smallest, ...stack.total.filter((value) => value > 0));
    }
  }
  if (!state.log) return { range: [1.08 * bottom, 1.08 * top], floor: 0 };
  const floor = Math.max(Math.min(smallest, top) / 2, top * 1e-4);
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

function drawStack(place, training) {
  const chart = element(`stack-${place}`);
  const stack = stackOf(training, state.epoch);
  element("stacks").hidden = !Object.keys(numbers.mc).length;
  element(`stack-${place}-title`).textContent =
    `${training}, epoch ${state.epoch}, ${nameOf(numbers.variants, state.variant)}` + (stack ? "" : ": no histogram");
  if (!stack) { Plotly.purge(chart); return; }
  const { range, floor } = stackRange();
  Plotly.react(chart, stackTraces(stack, floor), layout({
    barmode: "overlay", bargap: 0, hovermode: "x", dragmode: "zoom",
    xaxis: axis({ anchor: "y2", title: { text: nameOf(numbers.scores, state.score) }, range: [numbers.edges[0], last(numbers.edges)] }),
    yaxis: axis({ domain: [0.3, 1], title: { text: "Jets / bin" }, range, type: state.log ? "log" : "linear", zeroline: !state.log, zerolinecolor: variable("--muted"), exponentformat: "power" }),
    yaxis2: axis({ domain: [0, 0.25], title: { text: "Data / MC" }, range: RATIO_RANGE, nticks: 5 }),
    shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, yref: "y2", y0: 1, y1: 1, line: { color: variable("--muted"), width: 1 } }],
  }), MODEBAR);
}

// ---- lines over the epochs --------------------------------------------------------------------------------
const DIVERGENCE_COLUMNS = ["selection", "score", "training", "epoch", "variant", "kl", "low", "high", "offset", "chi2", "n_degrees", "dropped_fraction", "n_replaced"];
const [SELECTION, SCORE, TRAINING, EPOCH, VARIANT, KL, LOW, HIGH, OFFSET, CHI2, DEGREES, DROPPED, REPLACED] = DIVERGENCE_COLUMNS.keys();

function divergenceRow(training) {
  return numbers.divergence.find((row) => row[SELECTION] === state.selection && row[SCORE] === state.score &&
    row[TRAINING] === training && row[EPOCH] === state.epoch && row[VARIANT] === state.variant);
}

/* One line per training and variant; with `low` and `high`, its band. `points`: {training, variant, epoch, y, low, high}. */
function epochLines(points) {
  const traces = [];
  for (const training of trainings) {
    for (const variant of keys(numbers.variants)) {
      const line = points.filter((p) => p.training === training && p.variant === variant).sort((a, b) => a.epoch - b.epoch);
      if (!line.length) continue;
      const colour = lineColour(training);
      const active = variant === state.variant && (training === state.training || training === state.compare);
      const banded = line.filter((p) => Number.isFinite(p.low) && p.low !== null && p.high !== null);
      if (banded.length) {
        traces.push({
          type: "scatter", mode: "lines", fill: "toself", fillcolor: colour, opacity: active ? 0.22 : 0.09, line: { width: 0 },
          x: [...banded.map((p) => p.epoch), ...banded.map((p) => p.epoch).reverse()],
          y: [...banded.map((p) => p.high), ...banded.map((p) => p.low).reverse()],
          hoverinfo: "skip", showlegend: false, legendgroup: `${training}|${variant}`,
        });
      }
      traces.push({
        type: "scatter", mode: "lines+markers", x: line.map((p) => p.epoch), y: line.map((p) => p.y),
        name: `${plain(training)}, ${plain(nameOf(numbers.variants, variant))}`, legendgroup: `${training}|${variant}`,
        opacity: active ? 1 : 0.8, line: { color: colour, width: active ? 2.8 : 1.5, dash: DASHES[styleIndex(variant)] },
        marker: {
          color: colour, symbol: SYMBOLS[styleIndex(variant)],
          size: line.map((p) => (active && p.epoch === state.epoch ? 13 : 6)),
        },
        customdata: line.map((p) => [training, variant, p.low, p.high]),
        hovertemplate: banded.length ? "%{y:.5f} [%{customdata[2]:.5f}, %{customdata[3]:.5f}]" : "%{y:.5f}",
      });
    }
  }
  return traces;
}

const epochMark = () => ({
  type: "line", yref: "paper", y0: 0, y1: 1, x0: state.epoch, x1: state.epoch, layer: "below",
  line: { color: variable("--muted"), width: 1, dash: "dot" },
});

function drawEpochChart(id, points, title, more = []) {
  const whole = [...new Set(points.map((p) => p.epoch))].sort((a, b) => a - b);
  Plotly.react(element(id), [...more, ...epochLines(points)], layout({
    hovermode: "x unified", shapes: [epochMark()],
    xaxis: axis({ title: { text: "Epoch" }, ...(whole.length <= 20 ? { tickvals: whole } : {}) }),
    yaxis: axis({ title: { text: title }, ...(id === "kl" ? { rangemode: "tozero", type: state.log ? "log" : "linear" } : {}) }),
  }), MODEBAR);
  listen(element(id));
}

function listen(chart) {
  chart.removeAllListeners("plotly_click");
  chart.on("plotly_click", (event) => {
    const point = event.points.find((each) => each.customdata);
    if (!point) return;
    [state.training, state.variant] = point.customdata;
    state.epoch = point.x;
    if (state.compare === state.training) state.compare = trainings.find((name) => name !== state.training) || "";
    update();
  });
}

function drawDivergence() {
  element("kl-title").textContent =
    `KL(Data ‖ MC) over the epochs: ${nameOf(numbers.selections, state.selection)}, ${nameOf(numbers.scores, state.score)}`;
  element("kl").closest("figure").hidden = !numbers.divergence.length;
  const rows = numbers.divergence.filter((row) => row[SELECTION] === state.selection && row[SCORE] === state.score);
  drawEpochChart("kl", rows.map((row) => ({
    training: row[TRAINING], variant: row[VARIANT], epoch: row[EPOCH], y: row[KL], low: row[LOW], high: row[HIGH],
  })), "KL [nats]", [state.training, state.compare].filter(Boolean).map((training) => offsetLine(training, rows)));
}

/* What statistics alone give: the part of KL that says nothing about the simulation. */
function offsetLine(training, rows) {
  const line = rows.filter((row) => row[TRAINING] === training && row[VARIANT] === state.variant).sort((a, b) => a[EPOCH] - b[EPOCH]);
  return {
    type: "scatter", mode: "lines", x: line.map((row) => row[EPOCH]), y: line.map((row) => row[OFFSET]), showlegend: false,
    name: `${plain(training)}, statistics alone`, line: { color: lineColour(training), width: 1.5, dash: "1px,4px" }, hovertemplate: "%{y:.5f}",
  };
}

// ---- performance ------------------------------------------------------------------------------------------
function drawPerformance() {
  if (!element("auc")) return;
  const score = nameOf(numbers.scores, state.score);
  element("auc-title").textContent = `AUC of ${score} over the epochs`;
  drawEpochChart("auc", numbers.auc.filter((row) => row[3] === state.score)
    .map(([training, epoch, variant, , auc]) => ({ training, epoch, variant, y: auc, low: NaN, high: NaN })), "AUC");
  const curves = numbers.roc.filter((curve) => curve.score === state.score);
  element("roc-figure").hidden = !curves.length;
  if (!curves.length) return;
  const epoch = nearest(curves.map((curve) => curve.epoch), state.epoch);
  element("roc-title").textContent = `ROC of ${score}, epoch ${epoch}`;
  Plotly.react(element("roc"), curves.filter((curve) => curve.epoch === epoch).map(rocTrace), layout({
    hovermode: "closest",
    xaxis: axis({ title: { text: "Signal efficiency" }, range: [0, 1] }),
    yaxis: axis({ title: { text: "Mistag rate" }, type: "log", range: [-4, 0], exponentformat: "power", dtick: 1 }),
    shapes: Object.values(WORKING_POINTS).map((y) => ({
      type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, layer: "below", line: { color: variable("--muted"), width: 1, dash: "dot" },
    })),
    annotations: Object.entries(WORKING_POINTS).map(([name, y]) => ({
      text: name, x: 0.99, xref: "paper", y: Math.log10(y), yanchor: "bottom", xanchor: "right", showarrow: false, font: { size: 11, color: variable("--muted") },
    })),
  }), MODEBAR);
}

const rocTrace = (curve) => ({
  type: "scatter", mode: "lines", x: curve.efficiency, y: curve.mistag.map((rate) => (rate > 0 ? rate : null)),
  name: `${plain(curve.tagger)}, ${plain(nameOf(numbers.variants, curve.variant))}`,
  line: { color: lineColour(curve.tagger), width: 2, dash: DASHES[styleIndex(curve.variant)] },
  hovertemplate: "efficiency %{x:.3f}, mistag %{y:.2e}",
});

// ---- scale factors ----------------------------------------------------------------------------------------
function drawPlanes() {
  const holder = element("planes");
  if (!holder) return;
  const fitting = numbers.planes.filter((plane) => plane.tagger === state.training && plane.variant === state.variant);
  const epoch = fitting.length ? nearest(fitting.map((plane) => plane.epoch), state.epoch) : null;
  const plane = fitting.find((each) => each.epoch === epoch);
  element("plane-caption").textContent = plane
    ? `${plane.tagger}, epoch ${plane.epoch}, ${nameOf(numbers.variants, plane.variant)}. Jets with default scores: ${defaultText(plane)}.`
    : `No scale factors were fitted for ${state.training}, ${nameOf(numbers.variants, state.variant)}.`;
  holder.hidden = !plane;
  if (!plane) return;
  plane.flavours.forEach((flavour, i) => drawPlane(planeFigure(holder, i, flavour.name), plane, flavour));
}

function planeFigure(holder, i, name) {
  let figure = holder.children[i];
  if (!figure) {
    figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const chart = document.createElement("div");
    caption.id = `plane-${i}-title`;
    chart.id = `plane-${i}`;
    chart.className = "chart";
    chart.setAttribute("role", "group");
    chart.setAttribute("aria-labelledby", caption.id);
    figure.append(caption, chart);
    holder.append(figure);
  }
  figure.firstChild.textContent = `${state.plane === "error" ? "σ(SF)" : "SF"}, ${name}`;
  return figure.lastChild;
}

/* The cells are rectangles of different widths: they are spread over the finest grid that has all their edges. */
function gridOf(plane) {
  const inside = plane.cells.map((_, cell) => cell).filter((cell) => !plane.isDefault.includes(cell));
  const edges = (low, high) => [...new Set(inside.flatMap((cell) => [plane.cells[cell][low], plane.cells[cell][high]]))].sort((a, b) => a - b);
  const middles = (list) => list.slice(1).map((edge, i) => (edge + list[i]) / 2);
  const [x, y] = [edges(0, 1), edges(2, 3)];
  const cellAt = (h, v) => inside.find((cell) => {
    const [left, right, bottom, top] = plane.cells[cell];
    return left <= h && h < right && bottom <= v && v < top;
  });
  return { x, y, cells: middles(y).map((v) => middles(x).map((h) => cellAt(h, v) ?? null)) };
}

function drawPlane(chart, plane, flavour) {
  plane.grid ??= gridOf(plane);
  const status = (cell) => plane.statuses[flavour.status[cell]];
  const text = plane.cells.map((bounds, cell) => [
    `CvsL ${shown(bounds[0])} to ${shown(bounds[1])}, CvsB ${shown(bounds[2])} to ${shown(bounds[3])}`,
    `SF ${shown(flavour.value[cell])} ± ${shown(flavour.error[cell], 2)}`, plain(status(cell)).replaceAll("_", " "),
  ].join("<br>"));
  const unusable = plane.cells.map((_, cell) => cell).filter((cell) => !plane.isDefault.includes(cell) && status(cell) !== USABLE);
  const isError = state.plane === "error";
  const values = isError ? flavour.error : flavour.value;
  const spread = (list) => plane.grid.cells.map((row) => row.map((cell) => (cell === null ? null : list[cell])));
  Plotly.react(chart, [{
    type: "heatmap", x: plane.grid.x, y: plane.grid.y, text: spread(text), hovertemplate: "%{text}<extra></extra>", hoverongaps: false,
    z: spread(values.map((value, cell) => (status(cell) === USABLE ? value : null))),
    ...(isError ? { colorscale: "Cividis", zmin: 0, zmax: 0.5 } : { colorscale: SCALE_FACTOR_COLOURS, zmin: 0.5, zmax: 1.5 }),
    colorbar: { thickness: 10, outlinewidth: 0, tickfont: { size: 11 } },
  }, {
    type: "scatter", mode: "markers", hovertemplate: "%{text}<extra></extra>", showlegend: false, text: unusable.map((cell) => text[cell]),
    x: unusable.map((cell) => (plane.cells[cell][0] + plane.cells[cell][1]) / 2),
    y: unusable.map((cell) => (plane.cells[cell][2] + plane.cells[cell][3]) / 2),
    marker: { symbol: "x-thin", size: 6, line: { width: 1, color: variable("--muted") } },
  }], layout({
    hovermode: "closest", margin: { l: 46, r: 4, t: 36, b: 44 }, xaxis: axis({ title: { text: "CvsL" }, range: [0, 1], showgrid: false }),
    yaxis: axis({ title: { text: "CvsB" }, range: [0, 1], showgrid: false }),
  }), MODEBAR);
}

/* What the jets without scores get: they have no place in the plane. */
function defaultText(plane) {
  return plane.isDefault.flatMap((cell) => plane.flavours.map((flavour) => {
    const status = plane.statuses[flavour.status[cell]];
    return `${flavour.key} ` + (status === USABLE ? `${shown(flavour.value[cell])} ± ${shown(flavour.error[cell], 2)}` : status.replaceAll("_", " "));
  })).join(", ");
}
