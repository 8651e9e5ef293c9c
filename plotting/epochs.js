/* Lines over the epochs, agreement against performance, ROC curves. */
// ---- lines over the epochs --------------------------------------------------------------------------------
const DIVERGENCE_COLUMNS = ["selection", "score", "training", "epoch", "variant", "kl", "low", "high", "offset", "chi2", "n_degrees", "dropped_fraction", "n_replaced",
  "kl_equal", "kl_equal_offset", "js", "emd", "data_mc_auc", "p_value"];
const [SELECTION, SCORE, TRAINING, EPOCH, VARIANT, KL, LOW, HIGH, OFFSET, CHI2, DEGREES, DROPPED, REPLACED, KL_EQUAL, EQUAL_OFFSET, JS, EMD, DATA_MC_AUC, P_VALUE] = DIVERGENCE_COLUMNS.keys();

function divergenceRow(training) {
  return numbers.divergence.find((row) => row[SELECTION] === state.selection && row[SCORE] === state.score &&
    row[TRAINING] === training && row[EPOCH] === epochAt(training) && row[VARIANT] === state.variant);
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
      if (active && banded.length) {
        traces.push({
          type: "scatter", mode: "lines", fill: "toself", fillcolor: colour, opacity: 0.2, line: { width: 0 },
          x: [...banded.map((p) => p.epoch), ...banded.map((p) => p.epoch).reverse()],
          y: [...banded.map((p) => p.high), ...banded.map((p) => p.low).reverse()],
          hoverinfo: "skip", showlegend: false, legendgroup: `${training}|${variant}`,
        });
      }
      traces.push({
        type: "scatter", mode: active || line.length <= 40 ? "lines+markers" : "lines", x: line.map((p) => p.epoch), y: line.map((p) => p.y),
        name: `${plain(training)}, ${plain(nameOf(numbers.variants, variant))}`, legendgroup: `${training}|${variant}`, showlegend: active || !isNarrow(),
        opacity: active ? 1 : 0.45, line: { color: colour, width: active ? 2.8 : 1.2, dash: DASHES[styleIndex(variant)] },
        marker: {
          color: colour, symbol: SYMBOLS[styleIndex(variant)],
          size: line.map((p) => (active && p.epoch === state.epoch ? 13 : line.length > 40 ? 3 : 6)),
        },
        customdata: line.map((p) => [training, variant, p.low, p.high]),
        hovertemplate: banded.length ? "%{y:.5f} [%{customdata[2]:.5f}, %{customdata[3]:.5f}]" : "%{y:.5f}",
      });
    }
  }
  return traces;
}

const UNDISTORTED = "raw";

const epochMark = () => ({
  type: "line", yref: "paper", y0: 0, y1: 1, x0: state.epoch, x1: state.epoch, layer: "below",
  line: { color: variable("--muted"), width: 1, dash: "dot" },
});

function drawEpochChart(id, points, title, more = []) {
  const whole = [...new Set(points.map((p) => p.epoch))].sort((a, b) => a - b);
  Plotly.react(element(id), [...more, ...epochLines(points)], layout({
    hovermode: "x unified", shapes: [epochMark()],
    xaxis: axis({ title: { text: "Epoch" }, ...(whole.length <= 20 ? { tickvals: whole } : {}) }),
    yaxis: axis({ title: { text: title }, ...(id === "history" ? { rangemode: "tozero" } : {}), ...(id === "kl" ? { rangemode: "tozero", type: state.log ? "log" : "linear", exponentformat: "power" } : {}) }),
  }), CONFIG);
  listen(element(id));
}

function listen(chart) {
  chart.removeAllListeners("plotly_click");
  chart.on("plotly_click", (event) => {
    const point = event.points.find((each) => each.customdata);
    if (!point) return;
    [state.training, state.variant] = point.customdata;
    state.epoch = point.customdata.length === 3 ? point.customdata[2] : point.x;
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
  })), "KL [nats]", [state.training, state.compare].filter(Boolean).flatMap((training) => [offsetLine(training, rows), ...nullLine(training, rows)]));
}

/* Null data are simulated like the simulation: what a production without any mismodelling looks like. They may be fewer or more than
   the data: their part from statistics is replaced by that of the data. */
const nullRows = (training, variant) => numbers.null.filter((row) => row[SELECTION] === state.selection && row[SCORE] === state.score &&
  row[TRAINING] === training && row[VARIANT] === variant).sort((a, b) => a[EPOCH] - b[EPOCH]);

function nullLine(training, rows) {
  const offsets = new Map(rows.filter((row) => row[TRAINING] === training && row[VARIANT] === state.variant).map((row) => [row[EPOCH], row[OFFSET]]));
  const line = nullRows(training, state.variant).filter((row) => offsets.has(row[EPOCH]));
  return line.length ? [{
    type: "scatter", mode: "lines+markers", x: line.map((row) => row[EPOCH]), y: line.map((row) => row[KL] - row[OFFSET] + offsets.get(row[EPOCH])),
    name: `${plain(training)}, null data`, line: { color: lineColour(training), width: 1, dash: "longdash" },
    marker: { symbol: "diamond-open", size: 8, color: lineColour(training) }, error_y: nullErrors(line, training), hovertemplate: "%{y:.5f}",
  }] : [];
}

const nullErrors = (line, training) => ({
  type: "data", symmetric: false, thickness: 0.8, width: 0, color: lineColour(training),
  array: line.map((row) => row[HIGH] - row[KL]), arrayminus: line.map((row) => row[KL] - row[LOW]),
});

/* What statistics alone give: the part of KL that says nothing about the simulation. */
function offsetLine(training, rows) {
  const line = rows.filter((row) => row[TRAINING] === training && row[VARIANT] === state.variant).sort((a, b) => a[EPOCH] - b[EPOCH]);
  return {
    type: "scatter", mode: "lines", x: line.map((row) => row[EPOCH]), y: line.map((row) => row[OFFSET]), showlegend: false,
    name: `${plain(training)}, statistics alone`, line: { color: lineColour(training), width: 1.5, dash: "1px,4px" }, hovertemplate: "%{y:.5f}",
  };
}

// ---- agreement against performance ------------------------------------------------------------------------
/* One point per training and epoch: AUC to the right, divergence beyond statistics upwards, both of this score. */
function drawTradeOff() {
  const figure = element("trade-off").closest("figure");
  const variant = state.auc === "attack" && numbers.attack ? numbers.attack : numbers.variants.length ? UNDISTORTED : "";
  const points = tradeOffPoints(variant);
  const areas = areasOf(variant);
  figure.hidden = !points.length;
  if (!points.length) return;
  element("trade-off-title").textContent = `Agreement against performance: ${nameOf(numbers.selections, state.selection)}, ` +
    `${nameOf(numbers.scores, state.score)}, AUC ${variant === UNDISTORTED ? "undistorted" : `under ${nameOf(numbers.variants, variant)}`}`;
  const lines = trainings.flatMap((training) => [
    tradeOffTrace(training, points.filter((p) => p.training === training)), ...nullDots(training, areas)]);
  Plotly.react(element("trade-off"), variant === UNDISTORTED ? [...referenceCurve(), ...lines] : lines, layout({
    hovermode: "closest",
    xaxis: axis({ title: { text: `AUC of ${nameOf(numbers.scores, state.score)}` } }),
    yaxis: axis({ title: { text: "KL beyond statistics [nats]" }, zeroline: true, zerolinecolor: variable("--muted") }),
  }), CONFIG);
  listen(element("trade-off"));
}

/* The reference with noise on its output: what a loss of performance alone does to the divergence. */
function referenceCurve() {
  const points = numbers.curve.filter((row) => row[0] === state.selection && row[1] === state.score);
  const epochs = [...new Set(points.map((row) => row[3]))];
  if (!epochs.length) return [];
  const epoch = nearest(epochs, state.epoch);
  const line = points.filter((row) => row[3] === epoch).sort((a, b) => a[4] - b[4]);
  return [{
    type: "scatter", mode: "lines", name: `${plain(line[0][2])} with noise on its output, epoch ${epoch}`,
    x: line.map((row) => row[4]), y: line.map((row) => row[5]), line: { color: variable("--muted"), width: 3 }, opacity: 0.7,
    hovertemplate: "AUC %{x:.4f}, KL beyond statistics %{y:.5f}<extra></extra>",
  }];
}

const areasOf = (variant) => new Map(numbers.auc.filter((row) => row[3] === state.score && row[2] === variant && row[4] !== null)
  .map(([training, epoch, , , auc, error]) => [`${training}|${epoch}`, { auc, error }]));

/* Null data at the same AUC: where points would be without any mismodelling. */
function nullDots(training, areas) {
  const rows = nullRows(training, UNDISTORTED).filter((row) => areas.has(`${training}|${row[EPOCH]}`));
  return rows.length ? [{
    type: "scatter", mode: "markers", name: `${plain(training)}, null data`, x: rows.map((row) => areas.get(`${training}|${row[EPOCH]}`).auc),
    y: rows.map((row) => row[KL] - row[OFFSET]), marker: { color: lineColour(training), symbol: "diamond-open", size: 8 },
    error_y: nullErrors(rows, training), customdata: rows.map((row) => [training, state.variant, row[EPOCH]]),
    hovertemplate: `${plain(training)}, null data, epoch %{customdata[2]}<br>AUC %{x:.4f}, KL beyond statistics %{y:.5f}<extra></extra>`,
  }] : [];
}

function tradeOffPoints(variant) {
  const areas = areasOf(variant);
  return numbers.divergence
    .filter((row) => row[SELECTION] === state.selection && row[SCORE] === state.score && row[VARIANT] === UNDISTORTED && areas.has(`${row[TRAINING]}|${row[EPOCH]}`))
    .map((row) => ({
      training: row[TRAINING], epoch: row[EPOCH], y: row[KL] - row[OFFSET], up: row[HIGH] - row[KL], down: row[KL] - row[LOW],
      ...areas.get(`${row[TRAINING]}|${row[EPOCH]}`),
    })).sort((a, b) => a.epoch - b.epoch);
}

function tradeOffTrace(training, points) {
  const colour = lineColour(training);
  return {
    type: "scatter", mode: "lines+markers+text", name: plain(training), x: points.map((p) => p.auc), y: points.map((p) => p.y),
    line: { color: colour, width: 1, dash: "dot" },
    marker: { color: colour, symbol: SYMBOLS[Math.max(trainings.indexOf(training), 0) % SYMBOLS.length], size: points.map((p) => (p.epoch === state.epoch ? 14 : 7)) },
    error_y: { type: "data", symmetric: false, array: points.map((p) => p.up), arrayminus: points.map((p) => p.down), thickness: 0.8, width: 0, color: colour },
    error_x: { type: "data", array: points.map((p) => p.error), thickness: 0.8, width: 0, color: colour },
    text: points.map((p) => (p.epoch === state.epoch ? `epoch ${p.epoch}` : "")), textposition: "top center", textfont: { color: colour },
    customdata: points.map((p) => [training, state.variant, p.epoch]),
    hovertemplate: `${plain(training)}, epoch %{customdata[2]}<br>AUC %{x:.4f}, KL beyond statistics %{y:.5f}<extra></extra>`,
  };
}

// ---- performance ------------------------------------------------------------------------------------------
function drawPerformance() {
  if (!element("auc")) return;
  const score = nameOf(numbers.scores, state.score);
  element("auc-title").textContent = `AUC of ${score} over the epochs`;
  drawEpochChart("auc", numbers.auc.filter((row) => row[3] === state.score)
    .map(([training, epoch, variant, , auc, error]) => ({ training, epoch, variant, y: auc, low: auc - error, high: auc + error })), "AUC");
  const curves = numbers.roc.filter((curve) => curve.score === state.score);
  element("roc-figure").hidden = !curves.length;
  if (!curves.length) return;
  // Each training at the epoch nearest to the slider's: their last ones may differ.
  const at = new Map(curves.map((curve) => curve.tagger).map((tagger) =>
    [tagger, nearest(curves.filter((curve) => curve.tagger === tagger).map((curve) => curve.epoch), state.epoch)]));
  const same = new Set(at.values()).size === 1;
  element("roc-title").textContent = `ROC of ${score}, ${same ? `epoch ${[...at.values()][0]}`
    : [...at].map(([tagger, epoch]) => `${tagger} epoch ${epoch}`).join(", ")}`;
  Plotly.react(element("roc"), curves.filter((curve) => curve.epoch === at.get(curve.tagger)).map(rocTrace), layout({
    hovermode: "closest",
    xaxis: axis({ title: { text: "Signal efficiency" }, range: [0, 1] }),
    yaxis: axis({ title: { text: "Mistag rate" }, type: "log", range: [-4, 0], exponentformat: "power", dtick: 1 }),
    shapes: Object.values(WORKING_POINTS).map((y) => ({
      type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, layer: "below", line: { color: variable("--muted"), width: 1, dash: "dot" },
    })),
    annotations: Object.entries(WORKING_POINTS).map(([name, y]) => ({
      text: name, x: 0.99, xref: "paper", y: Math.log10(y), yanchor: "bottom", xanchor: "right", showarrow: false, font: { size: 11, color: variable("--muted") },
    })),
  }), CONFIG);
}

const rocTrace = (curve) => ({
  type: "scatter", mode: "lines", x: curve.efficiency, y: curve.mistag.map((rate) => (rate > 0 ? rate : null)),
  name: `${plain(curve.tagger)}, ${plain(nameOf(numbers.variants, curve.variant))}`,
  line: { color: lineColour(curve.tagger), width: 2, dash: DASHES[styleIndex(curve.variant)] },
  hovertemplate: "efficiency %{x:.3f}, mistag %{y:.2e}",
});
