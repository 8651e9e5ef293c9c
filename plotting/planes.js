/* Scale factors: a plane per flavour, and how far they are from one over the epochs. */
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
    addTools(figure);
  }
  figure.querySelector("figcaption").textContent = `${state.plane === "error" ? "σ(SF)" : "SF"}, ${name}`;
  return figure.querySelector(".chart");
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
    hovermode: "closest", margin: { l: 46, r: 4, t: 12, b: 44 }, xaxis: axis({ title: { text: "CvsL" }, range: [0, 1], showgrid: false }),
    yaxis: axis({ title: { text: "CvsB" }, range: [0, 1], showgrid: false }),
  }), CONFIG);
}

/* What the jets without scores get: they have no place in the plane. */
function defaultText(plane) {
  return plane.isDefault.flatMap((cell) => plane.flavours.map((flavour) => {
    const status = plane.statuses[flavour.status[cell]];
    return `${flavour.key} ` + (status === USABLE ? `${shown(flavour.value[cell])} ± ${shown(flavour.error[cell], 2)}` : status.replaceAll("_", " "));
  })).join(", ");
}

// ---- scale factors over the epochs ------------------------------------------------------------------------
function drawHistory() {
  if (!element("history")) return;
  element("history-title").textContent = "Distance of the scale factors from one over the epochs: mean |SF − 1|, all flavours";
  const rows = numbers.history.filter((row) => row[3] === "all" && row[4] !== null);
  element("history").closest("figure").hidden = !rows.length;
  drawEpochChart("history", rows.map(([training, epoch, variant, , y, error]) => (
    { training, epoch, variant, y, low: y - (error ?? NaN), high: y + (error ?? NaN) })), "mean |SF − 1|",
  [state.training, state.compare].filter(Boolean).map((training) => {
    const line = rows.filter((row) => row[0] === training && row[2] === state.variant).sort((a, b) => a[1] - b[1]);
    return {
      type: "scatter", mode: "lines", x: line.map((row) => row[1]), y: line.map((row) => row[6]), showlegend: false,
      name: `${plain(training)}, statistics alone`, line: { color: lineColour(training), width: 1.5, dash: "1px,4px" }, hovertemplate: "%{y:.3f}",
    };
  }));
}
