"use strict";
// Draws the charts of the chosen part of a store. All numbers are in the page's JSON; each series
// is base64 of uint16, scaled to the range of the series, with 65535 where there is no value.
const data = JSON.parse(document.getElementById("data").textContent);
const HEIGHT = 100, NONE = 65535, SCALE = 65534;
const hidden = new Set();
let chosen = -1, cursor = null; // -1: all rows

const element = (id) => document.getElementById(id);
const part = () => (chosen < 0 ? data.whole : data.parts[chosen]);

function make(parent, name, text, attributes) {
  const svg = name === "svg" || parent instanceof SVGElement;
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  if (text !== null) node.textContent = text;
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  parent.append(node);
  return node;
}

function numbers(text) {
  const bytes = atob(text), words = new Uint16Array(bytes.length / 2);
  for (let i = 0; i < words.length; i++)
    words[i] = bytes.charCodeAt(2 * i) | (bytes.charCodeAt(2 * i + 1) << 8);
  return words;
}

// The values of series `s` of field `f`: [low, high], each with one number or null per pixel.
function series(f, s) {
  const field = data.fields[f], {low, high} = field.ranges[s];
  const value = (word) => word === NONE ? null : low * (1 - word / SCALE) + high * (word / SCALE);
  const values = part().series[f][s].map((text) => Array.from(numbers(text), value));
  return [values[0], values[values.length - 1]];
}

function format(number) {
  return number === null ? "–" : String(Number(number.toPrecision(5)));
}

// Bands from the low to the high contour of each run of pixels that have values.
function contour(low, high, y) {
  let path = "";
  for (let i = 0; i < low.length; i++) {
    if (low[i] === null) continue;
    let end = i;
    while (end + 1 < low.length && low[end + 1] !== null) end++;
    const up = [], down = [];
    for (let k = i; k <= end; k++) {
      up.push(`${k + .5} ${y(high[k])}`);
      down.unshift(`${k + .5} ${y(low[k])}`);
    }
    if (i === end) up.push(`${i + .9} ${y(high[i])}`);
    path += `M${up.join("L")}L${down.join("L")}Z`;
    i = end;
  }
  return path;
}

function drawChart(f) {
  const field = data.fields[f], figure = element(`chart-${f}`), now = part();
  const shown = field.series.map((name, s) => ({name, s})).filter(({name}) => !hidden.has(name));
  const all = shown.map(({s}) => series(f, s));
  let low = Infinity, high = -Infinity;
  for (const pair of all)
    for (let i = 0; i < now.pixels; i++)
      if (pair[0][i] !== null) {
        low = Math.min(low, pair[0][i]);
        high = Math.max(high, pair[1][i]);
      }
  const some = low <= high, svg = figure.querySelector("svg");
  const y = (value) => low === high ? HEIGHT / 2
    : (5 + 90 * (high / 2 - value / 2) / (high / 2 - low / 2)).toFixed(2);
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${now.pixels} ${HEIGHT}`);
  shown.forEach(({name, s}, i) => make(svg, "path", null, {
    d: contour(all[i][0], all[i][1], y), stroke: field.colors[s], fill: field.colors[s],
    "data-series": name}));
  const pixel = pixelOf(cursor);
  if (pixel !== null) make(svg, "line", null, {
    class: "cursor", x1: pixel + .5, x2: pixel + .5, y1: 0, y2: HEIGHT});
  figure.querySelector(".low").textContent = some ? format(low) : "no values";
  figure.querySelector(".high").textContent = some ? format(high) : "";
  figure.querySelectorAll("output").forEach((output) => {
    const i = shown.findIndex(({s}) => s === Number(output.dataset.series));
    if (i < 0 || pixel === null) { output.textContent = ""; return; }
    const a = all[i][0][pixel], b = all[i][1][pixel];
    output.textContent = a === b ? ` ${format(a)}` : ` ${format(a)} … ${format(b)}`;
  });
}

function pixelOf(row) {
  const now = part();
  if (row === null || row < now.start || row >= now.stop) return null;
  return Math.floor((row - now.start) * now.pixels / (now.stop - now.start));
}

function firstRow(pixel) {
  const now = part();
  return now.start + Math.ceil(pixel * (now.stop - now.start) / now.pixels);
}

function draw() {
  const now = part(), pixel = pixelOf(cursor);
  let text = chosen < 0 ? "all rows" : `segment ${data.names[chosen]}`;
  text += `: rows ${now.start} to ${now.stop - 1}`;
  if (pixel !== null) {
    const last = Math.max(firstRow(pixel + 1) - 1, firstRow(pixel));
    text += `; at row ${firstRow(pixel)}${last > firstRow(pixel) ? ` to ${last}` : ""}`;
    text += `, step ${now.steps[pixel]}`;
  }
  element("where").textContent = text;
  data.fields.forEach((_, f) => drawChart(f));
  document.querySelectorAll("#segments tr[data-place]").forEach((row) =>
    row.classList.toggle("chosen", Number(row.dataset.place) === chosen));
  document.querySelectorAll("#images figure").forEach((figure) => {
    figure.hidden = chosen >= 0 && Number(figure.dataset.place) !== chosen;
  });
}

// The part of the address after #: row=…, step=…, segment=… (a place in the list), or nothing.
function follow() {
  const [kind, text] = location.hash.slice(1).split("=");
  const number = Number(text);
  cursor = null;
  if (kind === "segment" && data.parts[number]) chosen = number;
  else if ((kind === "row" || kind === "step") && text && Number.isFinite(number)) {
    cursor = kind === "row" ? number : rowOfStep(number);
    const place = data.parts.findIndex((one) => cursor >= one.start && cursor < one.stop);
    chosen = place;
  } else chosen = -1;
  draw();
}

// The first row of the last pixel that begins at or before a step.
function rowOfStep(step) {
  const inside = data.parts.findLastIndex((one) => one.steps.length && one.steps[0] <= step);
  const now = inside < 0 ? data.whole : data.parts[inside];
  const pixel = Math.max(now.steps.findLastIndex((first) => first <= step), 0);
  return now.start + Math.ceil(pixel * (now.stop - now.start) / now.pixels);
}

function build() {
  data.fields.forEach((field, f) => {
    const figure = make(element("charts"), "figure", null, {id: `chart-${f}`});
    const caption = make(figure, "figcaption", field.name + " ");
    make(caption, "small", field.type);
    const top = make(figure, "div", null, {class: "axis"});
    make(top, "span", "", {class: "high"});
    const svg = make(figure, "svg", null, {preserveAspectRatio: "none"});
    make(make(figure, "div", null, {class: "axis"}), "span", "", {class: "low"});
    const legend = make(figure, "div", null, {class: "legend"});
    field.series.forEach((name, s) => {
      const label = make(legend, "label", null, {style: ""});
      label.style.color = field.colors[s];
      const box = make(label, "input", null, {type: "checkbox"});
      box.checked = true;
      box.addEventListener("change", () => {
        box.checked ? hidden.delete(name) : hidden.add(name);
        drawChart(f);
      });
      make(label, "span", name);
      make(label, "output", "", {"data-series": s});
    });
    svg.addEventListener("click", (event) => {
      const box = svg.getBoundingClientRect(), now = part();
      const pixel = Math.floor((event.clientX - box.left) / box.width * now.pixels);
      location.hash = `row=${firstRow(Math.min(Math.max(pixel, 0), now.pixels - 1))}`;
    });
  });
  const heads = document.querySelectorAll("#segments th");
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const body = document.querySelector("#segments tbody"), down = head.dataset.down !== "yes";
    head.dataset.down = down ? "yes" : "no";
    const key = (row) => row.cells[column].dataset.value;
    const rows = Array.from(body.rows).sort((a, b) => {
      const x = Number(key(a)), y = Number(key(b));
      return (down ? 1 : -1) * (isNaN(x) ? (isNaN(y) ? 0 : 1) : isNaN(y) ? -1 : x - y);
    });
    body.append(...rows);
  }));
  addEventListener("hashchange", follow);
  follow();
}

build();
