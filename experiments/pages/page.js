"use strict";
// Without this script everything is there; with it, long tables sort and filter, and draw: any column
// against any other, on linear or logarithmic axes, each mark a row that hover and arrow keys name.
const SVG = "http://www.w3.org/2000/svg";
const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#767676"];
const SHAPES = [
  "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
  "M-4-4h8v8h-8z",
  "M0-5l5 9h-10z",
  "M0-5l5 5l-5 5l-5-5z",
];
const WIDTH = 640,
  HEIGHT = 360,
  LEFT = 70,
  RIGHT = 10,
  TOP = 10,
  BOTTOM = 45;

function element(name, attributes, words) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (words !== undefined) made.textContent = words;
  return made;
}

function choice(words, options, chosen) {
  const label = document.createElement("label");
  const select = document.createElement("select");
  for (const [value, shown] of options) select.add(new Option(shown, value));
  select.value = chosen;
  label.append(`${words} `, select);
  return [label, select];
}

function ticks(low, high, log) {
  if (log) {
    const found = [];
    for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++)
      found.push(10 ** p);
    const inside = found.filter((v) => v >= low && v <= high);
    return inside.length > 1 ? inside : [low, high];
  }
  const step = 10 ** Math.floor(Math.log10((high - low) / 4 || 1));
  const wide = [1, 2, 5, 10].map((k) => k * step).find((s) => (high - low) / s <= 5);
  const first = Math.ceil(low / wide);
  return Array.from({ length: Math.floor(high / wide) - first + 1 }, (_, k) => (first + k) * wide);
}

// Maps values to places between two ends; the axis reaches a little beyond the values.
function axis(values, log, from, to) {
  const f = log ? Math.log10 : (v) => v;
  let [low, high] = [Math.min(...values.map(f)), Math.max(...values.map(f))];
  const room = (high - low || Math.abs(high) || 1) * 0.04;
  [low, high] = [low - room, high + room];
  const ends = log ? [10 ** low, 10 ** high] : [low, high];
  return {
    at: (v) => from + ((f(v) - low) / (high - low)) * (to - from),
    ticks: ticks(...ends, log),
  };
}

function explorer(table, body) {
  const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const cells = [...body.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
  const known = names.map((_, c) => new Set(cells.map((row) => row[c]).filter(Boolean)));
  const numeric = (c) =>
    known[c].size > 1 && [...known[c]].every((v) => Number.isFinite(Number(v)));
  const numbers = names.map((name, c) => [c, name]).filter(([c]) => numeric(c));
  if (numbers.length < 2) return null;
  const groups = names
    .map((name, c) => [c, name])
    .filter(([c]) => !numeric(c) && known[c].size > 1 && known[c].size < 8);
  const result =
    numbers.slice(1).find(([, name]) => /^(eval|mean|median|loss)/.test(name)) ?? numbers[1];
  const [xLabel, x] = choice("across", numbers, numbers[0][0]);
  const [yLabel, y] = choice("up", numbers, result[0]);
  const [gLabel, g] = choice(
    "colour",
    [["", "none"], ...groups],
    groups.length ? groups[0][0] : "",
  );
  const scales = [
    ["linear", "linear"],
    ["log", "logarithmic"],
  ];
  const wide = (c) => {
    const v = cells
      .map((row) => row[c])
      .filter(Boolean)
      .map(Number);
    return Math.min(...v) > 0 && Math.max(...v) / Math.min(...v) > 30 ? "log" : "linear";
  };
  const [xsLabel, xs] = choice("scale across", scales, wide(x.value));
  const [ysLabel, ys] = choice("scale up", scales, wide(y.value));
  const drawing = element("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "group",
    class: "explorer",
  });
  const said = document.createElement("p");
  said.setAttribute("aria-live", "polite");
  said.className = "quiet said";

  function draw() {
    const [cx, cy, cg] = [x, y, g].map((select) => select.value);
    const fits = (v, scale) => v !== "" && (scale.value === "linear" || Number(v) > 0);
    const shown = [...body.rows]
      .filter((row) => !row.hidden)
      .map((row) => [...row.cells].map((cell) => cell.textContent.trim()))
      .filter((row) => fits(row[cx], xs) && fits(row[cy], ys));
    drawing.replaceChildren();
    drawing.setAttribute("aria-label", `${names[cy]} against ${names[cx]}, ${shown.length} marks`);
    said.textContent = "Hover over a mark, or move along them with the arrow keys.";
    if (!shown.length) return;
    const h = axis(
      shown.map((row) => Number(row[cx])),
      xs.value === "log",
      LEFT,
      WIDTH - RIGHT,
    );
    const v = axis(
      shown.map((row) => Number(row[cy])),
      ys.value === "log",
      HEIGHT - BOTTOM,
      TOP,
    );
    const near = (t) => t === 0 || (Math.abs(t) >= 1e-3 && Math.abs(t) < 1e5);
    const word = (t) =>
      near(t) ? Number(t.toPrecision(3)).toString() : t.toExponential().replace("e+", "e");
    const frame = `M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}`;
    drawing.append(element("path", { d: frame, fill: "none", stroke: "currentColor" }));
    for (const t of h.ticks)
      drawing.append(
        element("text", { x: h.at(t), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, word(t)),
      );
    for (const t of v.ticks)
      drawing.append(
        element("text", { x: LEFT - 6, y: v.at(t) + 4, "text-anchor": "end" }, word(t)),
      );
    drawing.append(
      element(
        "text",
        { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" },
        names[cx],
      ),
    );
    const middle = (TOP + HEIGHT - BOTTOM) / 2;
    drawing.append(
      element(
        "text",
        { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` },
        names[cy],
      ),
    );
    const kinds = cg === "" ? [] : [...known[cg]];
    const marks = shown.map((row, at) => {
      const kind = cg === "" ? 0 : Math.max(kinds.indexOf(row[cg]), 0);
      const words = names
        .map((name, c) => (row[c] ? `${name} ${row[c]}` : ""))
        .filter(Boolean)
        .join(", ");
      const mark = element("path", {
        d: SHAPES[kind % SHAPES.length],
        fill: COLOURS[kind % COLOURS.length],
        "fill-opacity": 0.75,
        transform: `translate(${h.at(Number(row[cx]))} ${v.at(Number(row[cy]))})`,
        tabindex: at ? -1 : 0,
        role: "img",
        "aria-label": words,
      });
      const say = () => {
        said.textContent = words;
      };
      mark.addEventListener("pointerenter", say);
      mark.addEventListener("focus", say);
      mark.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        marks[(at + step + marks.length) % marks.length].focus();
      });
      return mark;
    });
    drawing.append(...marks);
    kinds.slice(0, COLOURS.length).forEach((kind, at) => {
      const row = element("g", {
        transform: `translate(${WIDTH - RIGHT - 130} ${TOP + 12 + 16 * at})`,
      });
      row.append(
        element("path", { d: SHAPES[at % SHAPES.length], fill: COLOURS[at] }),
        element("text", { x: 10, y: 4 }, kind),
      );
      drawing.append(row);
    });
  }

  const controls = document.createElement("div");
  controls.className = "controls";
  controls.append(xLabel, yLabel, gLabel, xsLabel, ysLabel);
  controls.addEventListener("change", (event) => {
    if (event.target === x) xs.value = wide(x.value);
    if (event.target === y) ys.value = wide(y.value);
    draw();
  });
  draw();
  table.parentElement.before(controls, drawing, said);
  return draw;
}

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const redraw = explorer(table, body);
  const value = (row, column) => row.cells[column].textContent.trim();
  table.querySelectorAll("thead th").forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.textContent = "";
    heading.append(button);
    button.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("thead th").forEach((each) => each.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].sort((first, second) => {
        const [a, b] = [value(first, column), value(second, column)];
        const [x, y] = [Number(a), Number(b)];
        const numbers = a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y);
        return (numbers ? x - y : a.localeCompare(b)) * (up ? 1 : -1);
      });
      body.append(...rows);
    });
  });
  const label = document.createElement("label");
  label.textContent = "rows that contain ";
  const field = document.createElement("input");
  field.type = "search";
  label.append(field);
  table.parentElement.before(label);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of body.rows) {
      const found = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => found.includes(word));
    }
    redraw?.();
  });
}
