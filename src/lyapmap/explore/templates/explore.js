"use strict";
const $ = (id) => document.getElementById(id);
const token = document.body.dataset.token;
const style = getComputedStyle(document.documentElement);
const colour = (name) => style.getPropertyValue(`--${name}`).trim();
let about = null, chosen = { start: 0 }, drawn = null, cloud = null, source = null;

async function ask(path, body) {
  const options = { headers: { "x-lyapmap-token": token } };
  if (body) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  let answer;
  try {
    answer = await (await fetch(path, options)).json();
  } catch {
    answer = { error: "the explorer does not answer: has it ended?" };
  }
  $("trouble").hidden = !answer.error;
  $("trouble").textContent = answer.error || "";
  return answer.error ? null : answer;
}
function onClick(id, work) {
  $(id).addEventListener("click", async () => {
    $(id).disabled = true;
    try {
      await work();
    } finally {
      $(id).disabled = false;
    }
  });
}

// Images: one sheet holds many

const sheets = new Map();
async function sheet(of) {
  if (!sheets.has(of.source)) {
    const image = new Image();
    image.src = of.source;
    if (sheets.size > 12) sheets.clear();
    sheets.set(of.source, image.decode().then(() => image));
  }
  return sheets.get(of.source);
}
async function show(canvas, of, number, size = 168) {
  const image = await sheet(of), scale = Math.max(1, Math.round(size / of.width));
  canvas.width = of.width * scale;
  canvas.height = of.height * scale;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  const left = (number % of.columns) * of.width, top = Math.floor(number / of.columns) * of.height;
  context.drawImage(image, left, top, of.width, of.height, 0, 0, canvas.width, canvas.height);
}

// Plots

function plot(id, traces, x, y, more = {}) {
  const axis = (text, own) => ({ title: { text, font: { size: 12 } }, gridcolor: colour("pale"), zeroline: false, automargin: true, ...own });
  $(id).classList.add("drawn");
  return Plotly.react($(id), traces, {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: colour("ink"), size: 12 }, hovermode: "closest",
    margin: { l: 52, r: 12, t: 10, b: 40 }, legend: { orientation: "h", y: -0.25 }, xaxis: axis(x, more.xaxis), yaxis: axis(y, more.yaxis),
  }, { responsive: true, displaylogo: false, displayModeBar: false });
}
const series = ["vermillion", "blue", "green", "purple", "orange", "sky"];

// The state to start from

const state = () => (drawn ? { values: Array.from(drawn) } : chosen);
async function choose(of) {
  const answer = await ask("/values", of);
  if (!answer) return;
  chosen = of;
  drawn = null;
  document.querySelectorAll("#starts button").forEach((button, i) => button.setAttribute("aria-selected", String(of.start === i)));
  if (about.image) paint(Float64Array.from(answer.values));
  else $("numbers").value = answer.values.join(", ");
}
let values = null;
function paint(numbers) {
  values = numbers;
  const [channels, height, width] = about.image, [low, high] = about.range, canvas = $("drawing");
  const scale = Math.max(1, Math.round(224 / width));
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext("2d"), area = height * width;
  for (let pixel = 0; pixel < area; pixel++) {
    const parts = [0, 1, 2].map((c) => Math.round((255 * (numbers[Math.min(c, channels - 1) * area + pixel] - low)) / (high - low)));
    context.fillStyle = `rgb(${parts.map((part) => Math.min(255, Math.max(0, part))).join(",")})`;
    context.fillRect((pixel % width) * scale, Math.floor(pixel / width) * scale, scale, scale);
  }
}
function prepareDrawing() {
  const canvas = $("drawing"), [channels, height, width] = about.image;
  let down = false;
  const draw = (event) => {
    const box = canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * width), row = Math.floor(((event.clientY - box.top) / box.height) * height);
    if (column < 0 || row < 0 || column >= width || row >= height) return;
    $("component").value = row * width + column;
    if (!down) return;
    drawn = drawn || Float64Array.from(values);
    for (let c = 0; c < channels; c++) drawn[c * height * width + row * width + column] = about.range[event.shiftKey ? 0 : 1];
    paint(drawn);
  };
  canvas.addEventListener("pointerdown", (event) => {
    down = true;
    canvas.setPointerCapture(event.pointerId);
    draw(event);
  });
  canvas.addEventListener("pointermove", (event) => down && draw(event));
  canvas.addEventListener("pointerup", () => (down = false));
  canvas.addEventListener("pointercancel", () => (down = false));
  $("clear").addEventListener("click", () => {
    drawn = new Float64Array(channels * height * width).fill(about.range[0]);
    paint(drawn);
  });
}

// Sequence, nudge

let timer = 0;
async function watch() {
  const answer = await ask("/sequence", { ...state(), steps: +$("steps").value });
  if (!answer) return;
  if (answer.note) { $("trouble").hidden = false; $("trouble").textContent = answer.note; }
  if (!about.image) {
    const columns = answer.states[0].map((_, i) => answer.states.map((row) => row[i]));
    await plot("orbit", columns.map((y, i) => ({ y, name: "xyz"[i], mode: "lines+markers", marker: { size: 4 }, line: { color: colour(series[i]), width: 1.2 } })), "step", "state");
    return;
  }
  $("film").hidden = false;
  const count = answer.growth.length + 1, slider = $("step");
  slider.max = count - 1;
  slider.value = 0;
  const draw = () => {
    $("at").textContent = slider.value;
    show($("state"), answer.images, +slider.value);
    if (answer.directions) show($("direction"), answer.directions, +slider.value);
  };
  slider.oninput = draw;
  $("play").onclick = () => {
    $("play").textContent = timer ? "Play" : "Pause";
    clearInterval(timer);
    timer = timer ? 0 : setInterval(() => { slider.value = (+slider.value + 1) % count; draw(); }, 250);
  };
  draw();
  await plot("orbit", [{ y: answer.growth, x: answer.growth.map((_, i) => i + 1), mode: "lines+markers", line: { color: colour("blue") } }], "step", "growth of a small difference (nats)");
}
async function nudge() {
  const answer = await ask("/nudge", { ...state(), steps: +$("steps").value, component: +$("component").value, size: +$("size").value });
  if (!answer) return;
  $("rates").textContent = [answer.words, answer.note].filter(Boolean).join("; ");
  const x = answer.distance.map((_, i) => i);
  await plot("parting", [
    { x, y: answer.distance, name: "measured", mode: "lines+markers", line: { color: colour("vermillion") } },
    { x, y: answer.predicted, name: "by the derivative", mode: "lines", line: { color: colour("blue"), dash: "dash" } },
  ], "step", "distance", { yaxis: { type: "log", exponentformat: "power" } });
  if (!about.image) return;
  $("twins").hidden = false;
  const slider = $("twinstep");
  slider.max = x.length - 1;
  slider.value = Math.min(x.length - 1, answer.until);
  slider.oninput = () => {
    $("twinat").textContent = slider.value;
    for (const name of ["first", "second", "difference"]) show($(name), answer[name], +slider.value, 140);
  };
  slider.oninput();
}

// Map of states

async function drawMap() {
  cloud = await ask("/embedding");
  if (!cloud) return;
  $("mapsays").textContent = cloud.share === null ? "" : `${Math.round(100 * cloud.share)} % of the variance`;
  await plot("cloud", [{ x: cloud.places.map((p) => p[0]), y: cloud.places.map((p) => p[1]), mode: "markers", marker: { size: 6, color: colour("blue"), opacity: 0.7 } }], "principal component 1", "principal component 2");
  $("cloud").removeAllListeners("plotly_click");
  $("cloud").on("plotly_click", async (event) => {
    const point = event.points[0].pointNumber;
    if (about.image) { $("picked").hidden = false; await show($("picked"), cloud.images, point, 112); }
    await choose({ point });
  });
}

// Spectrum

function measure() {
  if (source) { source.close(); source = null; $("measure").textContent = "Measure"; $("done").hidden = true; return; }
  const steps = [], lines = [];
  $("measure").textContent = "Stop";
  $("done").hidden = false;
  $("done").value = 0;
  $("verdict").textContent = "";
  source = new EventSource(`/spectrum?token=${token}&steps=${+$("spectrumsteps").value}&exponents=${+$("exponents").value}`);
  const end = () => { source.close(); source = null; $("measure").textContent = "Measure"; $("done").hidden = true; };
  source.addEventListener("estimate", (event) => {
    const now = JSON.parse(event.data);
    $("done").value = now.done / Math.max(now.total, 1);
    if (!now.steps) return;
    if (lines.length && now.steps < steps[steps.length - 1]) { steps.length = 0; lines.length = 0; }
    steps.push(now.steps);
    now.exponents.forEach((value, i) => (lines[i] = lines[i] || []).push(value));
    plot("convergence", lines.slice(0, 6).map((y, i) => ({ x: steps.slice(), y: y.slice(), name: `λ<sub>${i + 1}</sub>`, mode: "lines", line: { color: colour(series[i]) } })), "steps", "estimate so far");
  });
  source.addEventListener("result", (event) => {
    const result = JSON.parse(event.data);
    const list = result.words.length ? ` Exponents: ${result.words.join(", ")} nats ${result.unit}.` : "";
    $("verdict").textContent = result.sentence + list + (result.message ? ` ${result.message}` : "");
    end();
  });
  source.addEventListener("failure", (event) => { $("verdict").textContent = JSON.parse(event.data).error; end(); });
  source.onerror = () => { if (source) { $("verdict").textContent = "the explorer does not answer"; end(); } };
}

(async () => {
  about = await ask("/about");
  if (!about) return;
  for (let i = 0; i < (about.images ? Math.min(24, about.count) : about.starts.length); i++) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("role", "option");
    button.setAttribute("aria-label", `initial state ${i + 1}`);
    if (about.images) {
      const canvas = document.createElement("canvas");
      button.append(canvas);
      show(canvas, about.images, i, 42);
    } else {
      button.className = "text";
      button.textContent = about.starts[i].map((value) => (+value).toPrecision(3)).join(", ");
    }
    button.addEventListener("click", () => choose({ start: i }));
    $("starts").append(button);
  }
  if (about.image) prepareDrawing();
  else $("numbers").addEventListener("input", () => (drawn = $("numbers").value.split(/[,\s]+/).filter(Boolean).map(Number)));
  onClick("run", watch);
  onClick("nudge", nudge);
  onClick("map", drawMap);
  $("measure").addEventListener("click", measure);
  await choose({ start: 0 });
  document.documentElement.dataset.ready = "yes";
})();
