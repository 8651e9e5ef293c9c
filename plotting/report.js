/* The report's state, held in the address (#selection=wc&score=CvsL&epoch=5): every control changes it, every figure
   follows it. Runs after the other scripts. */
// ---- state ------------------------------------------------------------------------------------------------
const state = {
  selection: keys(numbers.selections)[0], score: keys(numbers.scores).includes("CvsL") ? "CvsL" : keys(numbers.scores)[0],
  training: trainings.includes("basic") ? "basic" : trainings[0], compare: "", variant: keys(numbers.variants)[0],
  view: "", epoch: 0, log: false, plane: "value", auc: "raw", by: "flavour", fit: "before",
};
/* Radio buttons: the name of the group, and what of the state it sets. */
const CHOICES = { plane: "plane", "auc-of": "auc", by: "by", fit: "fit" };
const radios = (name) => document.querySelectorAll(`input[name=${name}]`);
state.compare = trainings.find((name) => name !== state.training) || "";

function readAddress() {
  const text = location.hash.slice(1);
  if (!text.includes("=")) return false;
  const wanted = new URLSearchParams(text);
  const allowed = {
    selection: keys(numbers.selections), score: keys(numbers.scores), training: trainings,
    compare: ["", ...trainings], variant: keys(numbers.variants), plane: ["value", "error"],
    auc: ["raw", "attack"], by: ["flavour", "process"], fit: ["before", "after"], view: ["", "OS", "SS", "OS-SS", "OS+SS"],
  };
  for (const [name, values] of Object.entries(allowed)) {
    if (wanted.has(name) && values.includes(wanted.get(name))) state[name] = wanted.get(name);
  }
  if (wanted.has("log")) state.log = wanted.get("log") === "1";
  if (wanted.has("epoch")) state.epoch = Number(wanted.get("epoch")) || 0;
  return true;
}

function writeAddress() {
  const text = new URLSearchParams({ ...state, log: state.log ? "1" : "0" }).toString();
  history.replaceState(null, "", `#${text}`);
}

// ---- words, controls, files -------------------------------------------------------------------------------
function readout() {
  const where = `${nameOf(numbers.selections, state.selection)}, ${nameOf(numbers.scores, state.score)}, ` +
    `${viewText() && `${viewText().trim()}, `}epoch ${state.epoch}, ${nameOf(numbers.variants, state.variant)}`;
  const stack = stackOf(state.training, state.epoch);
  const heading = stack ? `${where}; MC\u00a0×\u00a0${shown(stack.factor)}` : where;
  const lines = !numbers.selections.length ? ["No selection was processed."] : [heading, ...[state.training, state.compare].filter(Boolean).map(describe)];
  element("readout").replaceChildren(...lines.map((text) => {
    const line = document.createElement("p");
    line.textContent = text;
    return line;
  }));
}

function describe(training) {
  const row = divergenceRow(training);
  if (!row) return `${training}: divergence not computed.`;
  const band = row[HIGH] > row[LOW] ? ` (68 %: ${shown(row[LOW])} to ${shown(row[HIGH])})` : "";
  const dropped = row[DROPPED] > 0 ? `, ${shown(100 * row[DROPPED], 2)} % of the content in negative bins left out` : "";
  const replaced = row[REPLACED] > 0 ? `, bins with data but no simulation: ${row[REPLACED]}` : "";
  const at = epochAt(training) === state.epoch ? "" : ` (epoch ${epochAt(training)})`;
  return `${training}${at}: KL = ${shown(row[KL])}${band}, statistics alone ${shown(row[OFFSET], 2)}; ` +
    `${others(row)}χ²/ndf = ${shown(row[CHI2])}/${row[DEGREES]}${dropped}${replaced}${nullText(training)}.`;
}

/* Null data of the same place, where there are any. */
function nullText(training) {
  const row = numbers.null.find((each) => [state.selection, state.score, training, epochAt(training), state.variant].every((part, i) => each[i] === part));
  return row ? `; null data: KL = ${shown(row[KL])} (68 %: ${shown(row[LOW])} to ${shown(row[HIGH])}), statistics alone ${shown(row[OFFSET], 2)}` : "";
}

/* The other measures, where they were computed. */
const others = (row) => (row[KL_EQUAL] || row[JS] || row[EMD]
  ? `in bins of equal population ${shown(row[KL_EQUAL])} (statistics alone ${shown(row[EQUAL_OFFSET], 2)}), Jensen–Shannon ${shown(row[JS])}, ` +
    `earth mover ${shown(row[EMD], 2)}, ${dataMcAuc(row)}p(χ²) = ${shown(row[P_VALUE], 2)}; ` : "");

const dataMcAuc = (row) => (row[DATA_MC_AUC] === null ? "" : `AUC of data against simulation ${shown(row[DATA_MC_AUC], 4)}, `);

function offer(id, items, blank) {
  const list = blank ? [{ key: "", name: blank }, ...items] : items;
  element(id).replaceChildren(...list.map((item) => new Option(item.name ?? item.key, item.key)));
}

function fill(id, items, blank) {
  offer(id, items, blank);
  element(id).addEventListener("change", () => { state[id] = element(id).value; update(); });
}

function showControls() {
  for (const id of ["selection", "score", "training", "compare", "variant"]) element(id).value = state[id];
  offer("view", views());
  element("view").value = state.view;
  element("view").disabled = views().length < 2;
  const epochs = epochsOf(state.training);
  const slider = element("epoch");
  slider.max = Math.max(epochs.length - 1, 0);
  slider.disabled = epochs.length < 2;
  slider.value = Math.max(epochs.indexOf(state.epoch), 0);
  slider.setAttribute("aria-valuetext", `epoch ${state.epoch}`);
  element("epoch-value").textContent = state.epoch;
  element("log").checked = state.log;
  for (const [name, key] of Object.entries(CHOICES)) {
    for (const choice of radios(name)) choice.checked = choice.value === state[key];
  }
}

function save(name, rows) {
  const quoted = (cell) => (/[",\n]/.test(String(cell)) ? `"${String(cell).replaceAll('"', '""')}"` : cell);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([rows.map((row) => row.map(quoted).join(",")).join("\n") + "\n"], { type: "text/csv" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

function saveStack() {
  const rows = [["training", "epoch", "scale_factors", "low_edge", "high_edge", "data", "data_low", "data_high", "mc", "mc_error", "mc_down", "mc_up", ...keys(stacked())]];
  for (const training of [state.training, state.compare].filter(Boolean)) {
    const stack = stackOf(training, epochAt(training));
    if (stack) {
      const [down, up] = wideBand(stack);
      stack.centres.forEach((_, bin) => rows.push([
        training, epochAt(training), stack.after ? "after" : "before", stack.edges[bin], stack.edges[bin + 1], stack.data[bin], stack.low[bin], stack.high[bin],
        stack.total[bin], stack.error[bin], down ? down[bin] : "", up ? up[bin] : "", ...stack.groups.map((group) => group[bin]),
      ]));
    }
  }
  save(`${state.selection}_${state.score}_epoch${state.epoch}.csv`, rows);
}

// ---- saving figures ---------------------------------------------------------------------------------------
/* Buttons of the page, not of the chart: they can be reached by keyboard, and are read out. */
function addTools(figure) {
  const tools = document.createElement("div");
  tools.className = "tools";
  tools.setAttribute("role", "group");
  tools.setAttribute("aria-labelledby", figure.querySelector("figcaption").id);
  for (const [format, action] of [["PNG", saveImage], ["SVG", saveImage], ["PDF", printFigure]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = format;
    button.title = format === "PDF" ? "Print this figure alone: choose “Save as PDF”" : `Save this figure as ${format}`;
    button.setAttribute("aria-label", format === "PDF" ? "Print this figure alone, or save it as PDF" : `Save this figure as ${format}`);
    button.addEventListener("click", () => action(figure, format.toLowerCase()));
    tools.append(button);
  }
  figure.querySelector("figcaption").after(tools);
}

/* On paper and in files figures are dark on white, whatever the page is. */
function recolour(scheme) {
  document.documentElement.dataset.scheme = scheme;
  update({ address: false });
}

async function saveImage(figure, format) {
  const chart = figure.querySelector(".chart");
  recolour("light");
  const caption = plain(figure.querySelector("figcaption").textContent);
  const size = { width: Math.max(chart.clientWidth, 620), height: chart.clientHeight + 60 };
  const shown = {
    data: chart.data,
    layout: {
      ...chart.layout, ...size, autosize: false, paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff",
      margin: { ...chart.layout.margin, t: 70 }, title: { text: `${caption}<br><sub>${plain(numbers.kind)}</sub>`, font: { size: 15 }, x: 0.02 },
    },
  };
  const name = [figure.querySelector(".chart").id, state.selection, state.score, state.training, `epoch${state.epoch}`, state.variant];
  try {
    await Plotly.downloadImage(shown, { format, ...size, scale: 2, filename: name.join("_").replace(/[^\w.-]/g, "-") });
  } finally { recolour(""); }
}

function printFigure(figure) {
  const path = [];
  for (let each = figure.parentElement; each !== document.body; each = each.parentElement) path.push(each);
  const page = document.createElement("style");
  const { width, height } = figure.getBoundingClientRect();
  page.textContent = `@page { size: ${Math.ceil(width + 48)}px ${Math.ceil(height + 80)}px; margin: 16px; }`;
  document.head.append(page);
  document.body.classList.add("print-one");
  figure.classList.add("printed");
  figure.dataset.kind = numbers.kind;
  path.forEach((each) => each.classList.add("print-path"));
  const restore = () => {
    page.remove();
    document.body.classList.remove("print-one");
    figure.classList.remove("printed");
    path.forEach((each) => each.classList.remove("print-path"));
  };
  window.addEventListener("afterprint", restore, { once: true });
  window.print();
}

let timer = null;
function play() {
  const slider = element("epoch");
  if (timer !== null) { clearInterval(timer); timer = null; }
  else timer = setInterval(() => { slider.value = (Number(slider.value) + 1) % (Number(slider.max) + 1); slideTo(); }, 900);
  element("play").setAttribute("aria-pressed", String(timer !== null));
  element("play").textContent = timer === null ? "Play epochs" : "Stop";
}

function slideTo() {
  state.epoch = epochsOf(state.training)[Number(element("epoch").value)];
  update();
}

function update({ address = true } = {}) {
  const epochs = epochsOf(state.training);
  if (epochs.length) state.epoch = nearest(epochs, state.epoch);
  if (state.compare === state.training) state.compare = "";
  if (!keys(views()).includes(state.view)) state.view = (keys(views())[0]) || "";
  showControls();
  showFitChoice();
  element("stack-b-figure").hidden = !state.compare;
  drawStack("a", state.training);
  if (state.compare) drawStack("b", state.compare);
  drawDivergence();
  drawTradeOff();
  drawPerformance();
  drawPlanes();
  drawHistory();
  readout();
  if (address) writeAddress();
}

for (const figure of document.querySelectorAll("figure")) addTools(figure);
fill("selection", numbers.selections);
fill("score", numbers.scores);
fill("training", numbers.taggers);
fill("compare", numbers.taggers, "none");
fill("variant", numbers.variants);
fill("view", []);
element("controls").addEventListener("submit", (event) => event.preventDefault());
element("epoch").addEventListener("input", slideTo);
element("log").addEventListener("change", () => { state.log = element("log").checked; update(); });
element("play").addEventListener("click", play);
element("save-stack").addEventListener("click", saveStack);
element("save-kl").addEventListener("click", () =>
  save("divergence.csv", [DIVERGENCE_COLUMNS, ...numbers.divergence]));
for (const [name, key] of Object.entries(CHOICES)) {
  for (const choice of radios(name)) {
    choice.addEventListener("change", () => { state[key] = choice.value; update(); });
  }
}
window.addEventListener("beforeprint", () => recolour("light"));
window.addEventListener("afterprint", () => recolour(""));
window.addEventListener("hashchange", () => { if (readAddress()) update({ address: false }); });
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => update({ address: false }));
state.epoch = last(epochsOf(state.training)) ?? 0;
readAddress();
update({ address: location.hash.includes("=") });
