"use strict";
// What everything else uses: elements, numbers, arrays.
const page = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

const element = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const drawn = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const colour = (role) => `var(--${role})`;

const decoded = new WeakMap();

// An array with its shape. What is not finite is NaN.
function unpack(packed) {
  if (decoded.has(packed)) return decoded.get(packed);
  const text = atob(packed.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const view = new DataView(bytes.buffer);
  const short = packed.kind === "u2";
  const single = packed.kind === "f4";
  const values = new Float64Array(bytes.length / (short ? 2 : single ? 4 : 8));
  const unit = short ? (packed.high - packed.low) / 65534 : packed.unit;
  for (let i = 0; i < values.length; i++) {
    if (short) {
      const code = view.getUint16(2 * i, true);
      values[i] = code === 65535 ? NaN : packed.low + code * unit;
    } else {
      values[i] = unit * (single ? view.getFloat32(4 * i, true) : view.getFloat64(8 * i, true));
    }
  }
  const found = { shape: packed.shape, values };
  decoded.set(packed, found);
  return found;
}

// The part of an array that belongs to a frame: all of it where it has none.
function frameOf(packed, frame, rank = 1) {
  const { shape, values } = unpack(packed);
  if (shape.length <= rank) return values;
  const size = values.length / shape[0];
  const at = Math.max(0, Math.min(frame, shape[0] - 1));
  return values.subarray(at * size, (at + 1) * size);
}

function short(value, digits = 4) {
  if (!Number.isFinite(value)) return "not finite";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const rounded = Number(value.toPrecision(digits));
  return size >= 1e5 || size < 1e-3 ? rounded.toExponential().replace("e+", "e") : String(rounded);
}

// Round numbers between two ends, about so many.
function ticks(low, high, wanted) {
  const raw = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw) ?? 10 * power;
  const found = [];
  // Beyond whole numbers that can be counted, the next one would be the same.
  if (!(step > 0 && Math.max(Math.abs(low), Math.abs(high)) / step < 2 ** 50)) return found;
  for (let k = Math.ceil(low / step); k * step <= high + 1e-9 * step; k++) found.push(k * step);
  return found;
}

// Digits that tell round numbers apart.
function digitsOf(found) {
  if (found.length < 2) return 3;
  const largest = Math.max(...found.map(Math.abs));
  return Math.max(3, Math.min(9, Math.ceil(Math.log10(largest / (found[1] - found[0])) + 1)));
}

function logTicks(low, high) {
  const found = [];
  if (!(low > 0 && high < Infinity)) return found;
  const decades = Math.log10(high / low);
  const every = Math.max(1, Math.ceil(decades / 6));
  const parts = decades < 1.2 ? [1, 2, 3, 5, 7] : decades < 2.5 ? [1, 3] : [1];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    if (power % every !== 0) continue;
    for (const part of parts) {
      const value = part * 10 ** power;
      if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
    }
  }
  return found;
}

// A scale from values to pixels. What has no place on it becomes NaN.
function scale(low, high, from, to, log = false) {
  const forward = log ? Math.log10 : (value) => value;
  const start = forward(low);
  const span = forward(high) - start || 1;
  const at = (value) => (log && value <= 0 ? NaN : from + ((forward(value) - start) / span) * (to - from));
  at.back = (pixel) => {
    const value = start + ((pixel - from) / (to - from)) * span;
    return log ? 10 ** value : value;
  };
  return at;
}

function extent(arrays, log, margin = 0.04) {
  let low = Infinity;
  let high = -Infinity;
  for (const values of arrays) {
    for (const value of values) {
      if (Number.isFinite(value) && (!log || value > 0)) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
  }
  if (low > high) return log ? [0.1, 10] : [0, 1];
  if (log) return [low / 1.3, high * 1.3];
  const size = Math.max(Math.abs(low), Math.abs(high));
  const room = high - low > 1e-6 * size ? margin * (high - low) : 0.05 * size || 1;
  return [low - room, high + room];
}

// Calls `draw(width)` now and whenever the width changes.
function atWidth(node, draw) {
  let last = 0;
  const watch = new ResizeObserver(() => {
    const width = Math.round(node.clientWidth);
    if (width > 0 && width !== last) {
      last = width;
      draw(width);
    }
  });
  watch.observe(node);
}
