// What moves besides lines: maps of a plane, and things drawn to scale.
function makeMap(spec) {
  const { shape } = unpack(spec.values);
  const [, across, up] = shape;
  const canvas = element("canvas", { width: across, height: up, tabindex: 0, role: "img",
    "aria-label": `${spec.title}; arrow keys read cells`, style: `aspect-ratio:${across}/${up}` });
  const readout = element("output", { class: "readout", "aria-live": "polite" });
  const range = `${short(spec.limits[0], 3)} (dark) to ${short(spec.limits[1], 3)} (bright)`;
  const figure = element("figure", { class: "map" }, element("figcaption", { text: `${spec.title}, ${range}` }), canvas, readout);
  const context = canvas.getContext("2d");
  const image = context.createImageData(across, up);
  const state = { frame: 0, cell: null };

  function draw() {
    const values = frameOf(spec.values, state.frame, 2);
    const [low, high] = spec.limits;
    for (let i = 0; i < across; i++) {
      for (let j = 0; j < up; j++) {
        const value = values[i * up + j];
        const at = 4 * ((up - 1 - j) * across + i);
        const share = Math.max(0, Math.min(1, (value - low) / (high - low || 1)));
        const rgb = Number.isFinite(value) ? page.palette[Math.round(share * (page.palette.length - 1))] : [255, 0, 255];
        image.data[at] = rgb[0];
        image.data[at + 1] = rgb[1];
        image.data[at + 2] = rgb[2];
        image.data[at + 3] = 255;
      }
    }
    context.putImageData(image, 0, 0);
    say();
  }

  function say() {
    if (state.cell === null) {
      readout.textContent = "";
      return;
    }
    const [i, j] = state.cell;
    const [[left, right], [bottom, top]] = spec.bounds;
    const px = left + ((i + 0.5) / across) * (right - left);
    const py = bottom + ((j + 0.5) / up) * (top - bottom);
    readout.textContent = `x = ${short(px, 3)}, y = ${short(py, 3)}: ${short(frameOf(spec.values, state.frame, 2)[i * up + j])}`;
  }

  function at(i, j) {
    state.cell = [Math.max(0, Math.min(across - 1, i)), Math.max(0, Math.min(up - 1, j))];
    say();
  }
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    at(Math.floor(((event.clientX - box.left) / box.width) * across), up - 1 - Math.floor(((event.clientY - box.top) / box.height) * up));
  });
  canvas.addEventListener("pointerleave", () => {
    state.cell = null;
    say();
  });
  canvas.addEventListener("keydown", (event) => {
    const [i, j] = state.cell || [Math.floor(across / 2), Math.floor(up / 2)];
    const moves = { ArrowLeft: [i - 1, j], ArrowRight: [i + 1, j], ArrowUp: [i, j + 1], ArrowDown: [i, j - 1] };
    if (!(event.key in moves)) return;
    event.preventDefault();
    at(...moves[event.key]);
  });
  draw();
  return {
    node: figure,
    show(frame) {
      state.frame = frame;
      draw();
    },
  };
}

function makeScene(spec) {
  const svg = drawn("svg", { role: "img", "aria-label": spec.title });
  const legend = element("div", { class: "legend" });
  for (const each of spec.shapes) {
    if (!each.label) continue;
    const key = element("span", { class: each.kind === "disc" ? "dots" : "line", style: `border-color:${colour(each.role)}` });
    legend.append(element("div", { class: "remark" }, key, each.label));
  }
  const figure = element("figure", { class: "scene" }, element("figcaption", { text: spec.title }), svg, legend);
  const [[left, right], [bottom, top]] = spec.bounds;
  let content = null;
  let x = null;
  let y = null;
  let unit = 1;
  let frame = 0;

  function layout(width) {
    const inner = width - MARGIN.left - MARGIN.right;
    // Equal axes, and a height that a screen has.
    unit = Math.min(inner / (right - left), 420 / (top - bottom));
    const height = Math.round(unit * (top - bottom)) + MARGIN.top + MARGIN.bottom;
    const middle = (left + right) / 2;
    const half = inner / unit / 2;
    const limitsX = [middle - half, middle + half];
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("height", height);
    x = scale(...limitsX, MARGIN.left, width - MARGIN.right);
    y = scale(bottom, top, height - MARGIN.bottom, MARGIN.top);
    svg.replaceChildren();
    axes(svg, width, height, x, y, { x: spec.x, y: spec.y, limits: [bottom, top], limitsX });
    content = drawn("g");
    svg.append(content);
    draw();
  }

  function draw() {
    if (content === null) return;
    const parts = [];
    for (const each of spec.shapes) {
      const points = frameOf(each.points, frame, 2);
      const places = [];
      for (let i = 0; i < points.length; i += 2) places.push([x(points[i]), y(points[i + 1])]);
      if (!places.every((pair) => pair.every(Number.isFinite))) continue;
      if (each.kind === "path") {
        parts.push(drawn("polyline", { points: places.map((pair) => pair.join(",")).join(" "), stroke: colour(each.role),
          "stroke-width": each.width, "stroke-linecap": "round" }));
      } else if (each.kind === "disc") {
        for (const [px, py] of places) parts.push(drawn("circle", { cx: px, cy: py, r: Math.max(4, each.radius * unit), fill: colour(each.role), "fill-opacity": 0.75 }));
      } else {
        for (const [px, py] of places) parts.push(drawn("path", { d: `M${px - 8} ${py}h16M${px} ${py - 8}v16`, stroke: colour(each.role), "stroke-width": each.width }));
      }
    }
    content.replaceChildren(...parts);
  }
  atWidth(figure, layout);
  return {
    node: figure,
    show(next) {
      frame = next;
      draw();
    },
  };
}
