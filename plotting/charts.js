/* What all figures of the report share; they are drawn from the numbers embedded in the page. What they show is decided by `state`
   (report.js); every drawing function only reads it. */
async function unpacked(id) {
  const packed = Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}
const numbers = await unpacked("numbers");
const element = (id) => document.getElementById(id);
const SEPARATOR = "\u001f";
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
/* The epoch of a training that is shown: that of the slider, or the nearest one it has. */
const epochAt = (training) => (epochsOf(training).length ? nearest(epochsOf(training), state.epoch) : state.epoch);
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

/* On a phone legends name only what is chosen. */
const isNarrow = () => window.innerWidth <= 832;

const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
function shown(value, digits = 3) {
  if (value === null || !Number.isFinite(value)) return "–";
  if (value === 0 || Math.abs(value) >= 1e-4) return value.toLocaleString("en", { maximumSignificantDigits: digits });
  const [factor, power] = value.toExponential(digits - 1).split("e");
  return `${Number(factor)} × 10${[...power].map((sign) => SUPERSCRIPTS[sign]).join("")}`;
}
const plain = (text) => String(text).replace(/[<>&]/g, (sign) => ({ "<": "&lt;", ">": "&gt;", "&": "&amp;" })[sign]);
