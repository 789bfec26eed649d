// Axes and lines, with a read-out that follows the pointer or the arrow keys.
const MARGIN = { left: 64, right: 12, top: 8, bottom: 36 };

function axes(svg, width, height, x, y, spec) {
  const { left, right, top, bottom } = MARGIN;
  const group = drawn("g");
  const shown = spec.logX ? logTicks(...spec.limitsX) : ticks(...spec.limitsX, Math.max(2, width / 110));
  const digitsX = spec.logX ? 3 : digitsOf(shown);
  for (const value of shown) {
    group.append(
      drawn("line", { class: "grid", x1: x(value), x2: x(value), y1: top, y2: height - bottom }),
      drawn("text", { x: x(value), y: height - bottom + 15, "text-anchor": "middle", text: short(value, digitsX) }),
    );
  }
  const levels = spec.log ? logTicks(...spec.limits) : ticks(...spec.limits, Math.max(2, height / 45));
  const digits = spec.log ? 3 : digitsOf(levels);
  for (const value of levels) {
    group.append(
      drawn("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
      drawn("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end", text: short(value, digits) }),
    );
  }
  group.append(
    drawn("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
    drawn("text", { x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle", text: spec.x || "" }),
  );
  if (spec.y) {
    const middle = (top + height - bottom) / 2;
    group.append(drawn("text", { transform: `translate(11 ${middle}) rotate(-90)`, "text-anchor": "middle", text: spec.y }));
  }
  if (spec.level) {
    const at = y(spec.level[0]);
    if (at >= top && at <= height - bottom) {
      group.append(
        drawn("line", { class: "level", x1: left, x2: width - right, y1: at, y2: at }),
        drawn("text", { x: width - right, y: at - 4, "text-anchor": "end", text: spec.level[1] }),
      );
    }
  }
  svg.append(group);
}

// A pen that lifts where there is no value, and stays inside the picture.
function pathOf(xs, ys, x, y, low, high) {
  let text = "";
  let down = false;
  for (let i = 0; i < xs.length; i++) {
    const py = y(ys[i]);
    const px = x(xs[i]);
    if (!Number.isFinite(py) || !Number.isFinite(px)) {
      down = false;
      continue;
    }
    text += `${down ? "L" : "M"}${px.toFixed(1)} ${Math.max(low - 4, Math.min(high + 4, py)).toFixed(1)}`;
    down = true;
  }
  return text;
}

function nearest(values, wanted, scaled = (value) => value) {
  let best = 0;
  for (let i = 1; i < values.length; i++) {
    if (Math.abs(scaled(values[i]) - wanted) < Math.abs(scaled(values[best]) - wanted)) best = i;
  }
  return best;
}

function makeChart(spec) {
  const height = 250;
  const svg = drawn("svg", { role: "img", tabindex: 0, height, "aria-label": `${spec.title}; arrow keys read values` });
  const legend = element("div", { class: "legend" });
  const readout = element("output", { class: "readout", "aria-live": "polite" });
  const figure = element("figure", { class: "chart" }, element("figcaption", { text: spec.title }), svg, legend, readout);
  const hidden = new Set();
  const first = unpack(spec.lines[0].x).values;
  const state = { frame: 0, cursor: null, time: null, width: 0 };
  const limitsX = extent(spec.lines.map((each) => unpack(each.x).values), false, 0.01);
  const limits = spec.limits || extent([...spec.lines.map((each) => unpack(each.y).values), ...(spec.level && !spec.log ? [[spec.level[0]]] : [])], spec.log);
  const whole = { ...spec, limits, limitsX };
  let x = null;
  let y = null;
  let content = null;

  spec.lines.forEach((each, index) => {
    const key = element("span", { class: each.look, style: `border-color:${colour(each.role)}` });
    const toggle = () => {
      if (hidden.has(index)) hidden.delete(index);
      else hidden.add(index);
      button.setAttribute("aria-pressed", String(!hidden.has(index)));
      draw();
    };
    const button = element("button", { type: "button", "aria-pressed": "true", onclick: toggle }, key, each.label);
    legend.append(button);
  });

  function frameAxes(width) {
    state.width = width;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    x = scale(...limitsX, MARGIN.left, width - MARGIN.right);
    y = scale(...limits, height - MARGIN.bottom, MARGIN.top, spec.log);
    svg.replaceChildren();
    axes(svg, width, height, x, y, whole);
    content = drawn("g");
    svg.append(content);
    draw();
  }

  function draw() {
    if (content === null) return;
    const low = MARGIN.top;
    const high = height - MARGIN.bottom;
    const parts = [];
    spec.lines.forEach((each, index) => {
      if (hidden.has(index)) return;
      const xs = unpack(each.x).values;
      const ys = frameOf(each.y, state.frame);
      if (each.look === "dots" || xs.length === 1) {
        for (let i = 0; i < xs.length; i++) {
          const py = y(ys[i]);
          if (py >= low - 4 && py <= high + 4) {
            parts.push(drawn("circle", { cx: x(xs[i]).toFixed(1), cy: py.toFixed(1), r: each.role === "learned" ? 2.2 : 3.2,
              fill: each.role === "learned" ? colour(each.role) : "none", stroke: colour(each.role) }));
          }
        }
      } else {
        parts.push(drawn("path", { d: pathOf(xs, ys, x, y, low, high), stroke: colour(each.role),
          "stroke-width": each.look === "dashed" ? 1 : 1.8, "stroke-dasharray": each.look === "dashed" ? "4 3" : null }));
      }
    });
    if (state.time !== null) parts.push(drawn("line", { class: "axis", x1: x(state.time), x2: x(state.time), y1: low, y2: high }));
    if (state.cursor !== null) {
      const at = first[state.cursor];
      parts.push(drawn("line", { class: "rule", x1: x(at), x2: x(at), y1: low, y2: high }));
      const said = [];
      spec.lines.forEach((each, index) => {
        if (hidden.has(index)) return;
        const xs = unpack(each.x).values;
        const place = nearest(xs, at);
        const value = frameOf(each.y, state.frame)[place];
        said.push(`${each.label} ${short(value)}`);
        const py = y(value);
        if (py >= low && py <= high) parts.push(drawn("circle", { cx: x(xs[place]), cy: py, r: 4, fill: "none", stroke: colour(each.role), "stroke-width": 2 }));
      });
      readout.textContent = `${spec.x || "x"} = ${short(at)}: ${said.join(", ")}`;
    } else {
      readout.textContent = "";
    }
    content.replaceChildren(...parts);
  }

  function point(event) {
    const box = svg.getBoundingClientRect();
    state.cursor = nearest(first, x.back(((event.clientX - box.left) / box.width) * state.width));
    draw();
  }
  function leave() {
    state.cursor = null;
    draw();
  }
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("blur", leave);
  svg.addEventListener("keydown", (event) => {
    const now = state.cursor;
    const last = first.length - 1;
    const moves = { ArrowLeft: (now ?? last + 1) - 1, ArrowRight: (now ?? -1) + 1, Home: 0, End: last };
    if (event.key === "Escape") leave();
    if (!(event.key in moves)) return;
    event.preventDefault();
    state.cursor = Math.max(0, Math.min(last, moves[event.key]));
    draw();
  });
  atWidth(figure, frameAxes);
  return {
    node: figure,
    show(frame, time) {
      state.frame = frame;
      if (spec.cursor) state.time = time;
      draw();
    },
  };
}
