"use strict";
// What a network's layers compute, one function for each operation that tagkit/listening/live/layers.py writes. Maps
// are {data, shape}: Float32Array, and [frames, channels], [frames, bands, channels] or [units]; sums are in float64.
const Ops = (() => {
  const ROWS = 64; // positions of a map that are computed at a time: their inputs stay in the cache

  const size = (shape) => shape.reduce((product, n) => product * n, 1);
  const make = (shape) => ({ data: new Float32Array(size(shape)), shape });
  const channelsOf = ({ shape }) => shape[shape.length - 1];
  // A map as an image (frames, bands, channels); one without bands has one.
  const image = ({ data, shape }) => ({ data, shape: shape.length === 2 ? [shape[0], 1, shape[1]] : shape });
  const like = (x, shape) => (x.shape.length === 2 ? [shape[0], shape[2]] : shape);

  // ---- the matrix product -----------------------------------------------------------------------------------------

  // A matrix (inputs, outputs) turned around, its outputs filled up to a multiple of four.
  function matrix(inputs, outputs, value) {
    const padded = Math.ceil(outputs / 4) * 4;
    const data = new Float64Array(padded * inputs);
    for (let o = 0; o < outputs; o++) for (let k = 0; k < inputs; k++) data[o * inputs + k] = value(k, o);
    return { data, inputs, outputs, padded };
  }

  // c (rows, padded) = a (rows, inputs) times the matrix; rows is a multiple of four. Four by four, in registers.
  function product(a, b, c, rows) {
    const K = b.inputs;
    const B = b.data;
    const O = b.padded;
    for (let i = 0; i < rows; i += 4) {
      const a0 = i * K;
      const a1 = a0 + K;
      const a2 = a1 + K;
      const a3 = a2 + K;
      for (let o = 0; o < O; o += 4) {
        const b0 = o * K;
        const b1 = b0 + K;
        const b2 = b1 + K;
        const b3 = b2 + K;
        let c00 = 0, c01 = 0, c02 = 0, c03 = 0;
        let c10 = 0, c11 = 0, c12 = 0, c13 = 0;
        let c20 = 0, c21 = 0, c22 = 0, c23 = 0;
        let c30 = 0, c31 = 0, c32 = 0, c33 = 0;
        for (let k = 0; k < K; k++) {
          const x0 = a[a0 + k];
          const x1 = a[a1 + k];
          const x2 = a[a2 + k];
          const x3 = a[a3 + k];
          let w = B[b0 + k];
          c00 += x0 * w; c10 += x1 * w; c20 += x2 * w; c30 += x3 * w;
          w = B[b1 + k];
          c01 += x0 * w; c11 += x1 * w; c21 += x2 * w; c31 += x3 * w;
          w = B[b2 + k];
          c02 += x0 * w; c12 += x1 * w; c22 += x2 * w; c32 += x3 * w;
          w = B[b3 + k];
          c03 += x0 * w; c13 += x1 * w; c23 += x2 * w; c33 += x3 * w;
        }
        let at = i * O + o;
        c[at] = c00; c[at + 1] = c01; c[at + 2] = c02; c[at + 3] = c03;
        at += O;
        c[at] = c10; c[at + 1] = c11; c[at + 2] = c12; c[at + 3] = c13;
        at += O;
        c[at] = c20; c[at + 1] = c21; c[at + 2] = c22; c[at + 3] = c23;
        at += O;
        c[at] = c30; c[at + 1] = c31; c[at + 2] = c32; c[at + 3] = c33;
      }
    }
  }

  // Products of many rows, `ROWS` at a time: `fill(a, at, row)` writes the inputs of a row from `at` on,
  // `take(c, at, row)` reads its outputs.
  function rowByRow(rows, b, fill, take) {
    const block = Math.min(ROWS, Math.ceil(rows / 4) * 4);
    const a = new Float64Array(block * b.inputs);
    const c = new Float64Array(block * b.padded);
    for (let first = 0; first < rows; first += block) {
      const count = Math.min(block, rows - first);
      for (let i = 0; i < count; i++) fill(a, i * b.inputs, first + i);
      product(a, b, c, Math.ceil(count / 4) * 4);
      for (let i = 0; i < count; i++) take(c, i * b.padded, first + i);
    }
  }

  // ---- activations ------------------------------------------------------------------------------------------------

  const sigmoid = (v) => 1 / (1 + Math.exp(-v));
  const pointwise = {
    relu: (v) => (v > 0 ? v : 0),
    elu: (v) => (v > 0 ? v : Math.exp(v) - 1),
    sigmoid,
    tanh: Math.tanh,
  };

  function softmax(data, width) {
    for (let at = 0; at < data.length; at += width) {
      let most = -Infinity;
      for (let i = 0; i < width; i++) most = Math.max(most, data[at + i]);
      let total = 0;
      for (let i = 0; i < width; i++) total += Math.exp(data[at + i] - most);
      for (let i = 0; i < width; i++) data[at + i] = Math.exp(data[at + i] - most) / total;
    }
  }

  function activate(x, name) {
    if (name === "linear") return x;
    const { data } = x;
    if (name === "softmax") softmax(data, channelsOf(x));
    else {
      const f = pointwise[name];
      for (let i = 0; i < data.length; i++) data[i] = f(data[i]);
    }
    return x;
  }

  // ---- convolution and dense layers ---------------------------------------------------------------------------------

  // Frames of a sliding window over n frames, and the zeros before the first one.
  function slide(n, kernel, stride, dilation, padding) {
    const reach = (kernel - 1) * dilation + 1;
    if (padding === "valid") return { count: Math.max(Math.floor((n - reach) / stride) + 1, 0), left: 0 };
    const count = Math.ceil(n / stride);
    return { count, left: Math.max((count - 1) * stride + reach - n, 0) >> 1 };
  }

  // The weights of a layer with the norm behind it folded in: a matrix for each group, and a constant for each output.
  function prepareProduct({ kernel, bias, scale, offset }, groups = 1) {
    const outputs = kernel.shape[kernel.shape.length - 1];
    const inputs = kernel.data.length / outputs;
    const each = outputs / groups;
    const factor = (o) => (scale ? scale.data[o] : 1);
    const weight = (g) => (k, o) => kernel.data[k * outputs + g * each + o] * factor(g * each + o);
    const constant = Float64Array.from({ length: outputs }, (_, o) =>
      (bias ? bias.data[o] : 0) * factor(o) + (offset ? offset.data[o] : 0));
    return { matrices: Array.from({ length: groups }, (_, g) => matrix(inputs, each, weight(g))), constant };
  }

  function conv([x], node) {
    const { data, shape: [frames, bands, channels] } = image(x);
    const { stride: [sh, sw], dilation: [dh, dw], padding, groups, ready: { matrices, constant } } = node;
    const [kh, kw] = node.weights.kernel.shape;
    const vertical = slide(frames, kh, sh, dh, padding);
    const horizontal = slide(bands, kw, sw, dw, padding);
    const outputs = constant.length;
    const y = make(like(x, [vertical.count, horizontal.count, outputs]));
    const inputs = channels / groups;
    matrices.forEach((b, g) => {
      const fill = (a, to, row) => {
        const top = Math.floor(row / horizontal.count) * sh - vertical.left;
        const side = (row % horizontal.count) * sw - horizontal.left;
        for (let t = 0; t < kh; t++) {
          const h = top + t * dh;
          for (let u = 0; u < kw; u++, to += inputs) {
            const w = side + u * dw;
            if (h < 0 || h >= frames || w < 0 || w >= bands) {
              for (let i = 0; i < inputs; i++) a[to + i] = 0;
            } else {
              const from = (h * bands + w) * channels + g * inputs;
              for (let i = 0; i < inputs; i++) a[to + i] = data[from + i];
            }
          }
        }
      };
      const first = g * b.outputs;
      const take = (c, from, row) => {
        const to = row * outputs + first;
        for (let o = 0; o < b.outputs; o++) y.data[to + o] = c[from + o] + constant[first + o];
      };
      rowByRow(vertical.count * horizontal.count, b, fill, take);
    });
    return activate(y, node.activation);
  }

  function dense([x], node) {
    const { matrices: [b], constant } = node.ready;
    const y = make([...x.shape.slice(0, -1), b.outputs]);
    const fill = (a, to, row) => {
      for (let i = 0; i < b.inputs; i++) a[to + i] = x.data[row * b.inputs + i];
    };
    const take = (c, from, row) => {
      for (let o = 0; o < b.outputs; o++) y.data[row * b.outputs + o] = c[from + o] + constant[o];
    };
    rowByRow(x.data.length / b.inputs, b, fill, take);
    return activate(y, node.activation);
  }

  function scale([x], { weights }) {
    const y = make(x.shape);
    const width = channelsOf(x);
    for (let i = 0; i < y.data.length; i++) {
      y.data[i] = x.data[i] * weights.scale.data[i % width] + weights.offset.data[i % width];
    }
    return y;
  }

  // ---- pooling --------------------------------------------------------------------------------------------------------

  // A region's values, one after the other, make a value: `begin`, then `add`, then `end`.
  const kinds = {
    max: () => {
      let most = -Infinity;
      return { add: (v) => { if (v > most) most = v; }, end: () => { const v = most; most = -Infinity; return v; } };
    },
    mean: () => {
      let total = 0;
      let n = 0;
      return { add: (v) => { total += v; n++; }, end: () => { const v = total / n; total = n = 0; return v; } };
    },
    // The mean of what is above 0, each value weighted by itself: stochastic pooling at inference.
    stochastic: () => {
      let total = 0;
      let squares = 0;
      const add = (v) => {
        if (v > 0) {
          total += v;
          squares += v * v;
        }
      };
      return { add, end: () => { const v = total > 0 ? squares / total : 0; total = squares = 0; return v; } };
    },
  };

  function pool([x], { kind, size: [kh, kw], stride: [sh, sw], padding }) {
    const { data, shape: [frames, bands, channels] } = image(x);
    const vertical = slide(frames, kh, sh, 1, padding);
    const horizontal = slide(bands, kw, sw, 1, padding);
    const y = make(like(x, [vertical.count, horizontal.count, channels]));
    const { add, end } = kinds[kind]();
    let to = 0;
    for (let i = 0; i < vertical.count; i++) {
      for (let j = 0; j < horizontal.count; j++) {
        const top = Math.max(i * sh - vertical.left, 0);
        const side = Math.max(j * sw - horizontal.left, 0);
        const low = Math.min(i * sh - vertical.left + kh, frames);
        const far = Math.min(j * sw - horizontal.left + kw, bands);
        for (let c = 0; c < channels; c++) {
          for (let h = top; h < low; h++) for (let w = side; w < far; w++) add(data[(h * bands + w) * channels + c]);
          y.data[to++] = end();
        }
      }
    }
    return y;
  }

  function reduce([x], { kind, keepdims }) {
    const channels = channelsOf(x);
    const y = make(keepdims ? [...x.shape.slice(0, -1).map(() => 1), channels] : [channels]);
    const { add, end } = kinds[kind]();
    for (let c = 0; c < channels; c++) {
      for (let at = c; at < x.data.length; at += channels) add(x.data[at]);
      y.data[c] = end();
    }
    return y;
  }

  // ---- joining and reshaping ------------------------------------------------------------------------------------------

  function add(inputs) {
    const y = make(inputs[0].shape);
    for (const { data } of inputs) for (let i = 0; i < data.length; i++) y.data[i] += data[i];
    return y;
  }

  // The second map may have one frame, which then stands for all.
  function multiply(inputs) {
    const [x, gate] = [...inputs].sort((a, b) => b.data.length - a.data.length);
    const y = make(x.shape);
    for (let i = 0; i < y.data.length; i++) y.data[i] = x.data[i] * gate.data[i % gate.data.length];
    return y;
  }

  function concat(inputs) {
    const widths = inputs.map(channelsOf);
    const width = widths.reduce((a, b) => a + b);
    const y = make([...inputs[0].shape.slice(0, -1), width]);
    let first = 0;
    inputs.forEach(({ data }, k) => {
      for (let i = 0; i < data.length; i++) y.data[Math.floor(i / widths[k]) * width + first + (i % widths[k])] = data[i];
      first += widths[k];
    });
    return y;
  }

  function pad([x], { pads: [[top, bottom], [left, right]] }) {
    const { data, shape: [frames, bands, channels] } = image(x);
    const y = make(like(x, [frames + top + bottom, bands + left + right, channels]));
    for (let h = 0; h < frames; h++) {
      const from = h * bands * channels;
      y.data.set(data.subarray(from, from + bands * channels), ((h + top) * (bands + left + right) + left) * channels);
    }
    return y;
  }

  function reshape([x], { shape }) {
    const known = shape.reduce((product, n) => (n < 0 ? product : product * n), 1);
    return { data: x.data, shape: shape.map((n) => (n < 0 ? x.data.length / known : n)) };
  }

  const flatten = ([x]) => ({ data: x.data, shape: [x.data.length] });

  return {
    make, matrix, product, rowByRow, prepareProduct, sigmoid, activate,
    run: {
      conv, dense, scale, pool, reduce, add, multiply, concat, pad, reshape, flatten,
      activation: ([x], node) => activate({ data: x.data.slice(), shape: x.shape }, node.activation),
    },
    prepare: { conv: (node) => prepareProduct(node.weights, node.groups), dense: (node) => prepareProduct(node.weights) },
  };
})();
