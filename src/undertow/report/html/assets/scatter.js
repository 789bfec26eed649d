// A dot per case, which the pointer or the arrow keys name.
const GROUP_ROLES = ["other-0", "other-1", "other-2", "other-3"];

function makeScatter(spec) {
  const height = 340;
  const svg = drawn("svg", { role: "img", tabindex: 0, height, "aria-label": `${spec.title}; arrow keys name the cases` });
  const readout = element("output", { class: "readout", "aria-live": "polite" });
  const legend = element("div", { class: "legend" });
  spec.kinds.forEach((kind, index) => {
    if (spec.kinds.length < 2) return;
    const key = element("span", { class: "dots", style: `border-color:${colour(GROUP_ROLES[index])}` });
    legend.append(element("div", { class: "remark" }, key, kind));
  });
  const figure = element("figure", { class: "chart" }, element("figcaption", { text: spec.title }), svg, legend, readout);
  const xs = unpack(spec.x).values;
  const ys = unpack(spec.y).values;
  const together = extent([xs, ys], spec.log);
  const limitsX = spec.diagonal ? together : extent([xs], spec.log);
  const limits = spec.diagonal ? together : extent([ys], spec.log);
  // By the ratio, so that the arrow keys go from the best to the worst.
  const order = Array.from(xs.keys()).sort((a, b) => ys[a] / xs[a] - ys[b] / xs[b]);
  const state = { at: null, width: 0 };
  let x = null;
  let y = null;
  let mark = null;

  function draw(width) {
    state.width = width;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    x = scale(...limitsX, MARGIN.left, width - MARGIN.right, spec.log);
    y = scale(...limits, height - MARGIN.bottom, MARGIN.top, spec.log);
    svg.replaceChildren();
    axes(svg, width, height, x, y, { x: spec.names[0], y: spec.names[1], log: spec.log, logX: spec.log, limits, limitsX, level: spec.level });
    if (spec.diagonal) {
      const [low, high] = together;
      svg.append(drawn("line", { class: "axis", x1: x(low), y1: y(low), x2: x(high), y2: y(high) }));
    }
    xs.forEach((value, i) => {
      const role = spec.kinds.length > 1 ? GROUP_ROLES[spec.groups[i]] : "learned";
      svg.append(drawn("circle", { cx: x(value), cy: y(ys[i]), r: 3.2, fill: colour(role), "fill-opacity": 0.7 }));
    });
    mark = drawn("g");
    svg.append(mark);
    name();
  }

  function name() {
    mark.replaceChildren();
    readout.textContent = "";
    if (state.at === null) return;
    const i = state.at;
    mark.append(drawn("circle", { cx: x(xs[i]), cy: y(ys[i]), r: 6, fill: "none", stroke: "currentColor", "stroke-width": 2 }));
    const ratio = xs[i] !== 0 ? `, ratio ${short(ys[i] / xs[i], 3)}` : "";
    readout.textContent = `${spec.labels[i]}: ${spec.names[1]} ${short(ys[i])}, ${spec.names[0]} ${short(xs[i])}${ratio}`;
  }

  function point(event) {
    const box = svg.getBoundingClientRect();
    const px = ((event.clientX - box.left) / box.width) * state.width;
    const py = ((event.clientY - box.top) / box.height) * height;
    let best = null;
    let distance = Infinity;
    xs.forEach((value, i) => {
      const away = Math.hypot(x(value) - px, y(ys[i]) - py);
      if (away < distance) [best, distance] = [i, away];
    });
    state.at = distance < 40 ? best : null;
    name();
  }
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("keydown", (event) => {
    const now = state.at === null ? -1 : order.indexOf(state.at);
    const last = order.length - 1;
    const moves = { ArrowLeft: Math.max(0, now - 1), ArrowRight: Math.min(last, now + 1), Home: 0, End: last };
    if (event.key === "Escape") {
      state.at = null;
      name();
    }
    if (!(event.key in moves)) return;
    event.preventDefault();
    state.at = order[moves[event.key]];
    name();
  });
  atWidth(figure, draw);
  return { node: figure };
}
