"use strict";
// What a network's layers compute, one function for each operation that tagkit/listening/live/layers.py writes. Maps
// are {data, shape}: Float32Array, and [frames, channels], [frames, bands, channels] or [units].
const Ops = (() => {
  const size = (shape) => shape.reduce((product, n) => product * n, 1);
  const make = (shape) => ({ data: new Float32Array(size(shape)), shape });
  const channelsOf = ({ shape }) => shape[shape.length - 1];
  // A map as an image (frames, bands, channels); one without bands is a single row of frames.
  const image = ({ data, shape }) => ({ data, shape: shape.length === 2 ? [1, ...shape] : shape });
  const like = (x, shape) => (x.shape.length === 2 ? shape.slice(1) : shape);

  // ---- activations ------------------------------------------------------------------------------------------------

  const sigmoid = (v) => 1 / (1 + Math.exp(-v));
  const pointwise = {
    linear: () => {},
    relu: (data) => { for (let i = 0; i < data.length; i++) if (data[i] < 0) data[i] = 0; },
    elu: (data) => { for (let i = 0; i < data.length; i++) if (data[i] < 0) data[i] = Math.exp(data[i]) - 1; },
    sigmoid: (data) => { for (let i = 0; i < data.length; i++) data[i] = sigmoid(data[i]); },
    tanh: (data) => { for (let i = 0; i < data.length; i++) data[i] = Math.tanh(data[i]); },
    softmax,
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
    pointwise[name](x.data, channelsOf(x));
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

  // The weights of a layer (frames, bands, inputs, outputs) with the norm behind it folded in, as matrices. Of each row
  // of the kernel: `matrix`, which reads from `from` on in a row of the input and writes from `to` on. Bands that lie
  // side by side are one matrix.
  function prepareConv({ kernel, bias, scale, offset }, { groups, dilation: [, apart] }, room) {
    const [kh, kw, inputs, outputs] = kernel.shape;
    const each = outputs / groups;
    const factor = (o) => (scale ? scale.data[o] : 1);
    const joined = groups === 1 && apart === 1;
    const runs = Array.from({ length: kh }, () => []);
    runs.forEach((row, t) => {
      for (let g = 0; g < groups; g++) {
        for (let u = 0; u < (joined ? 1 : kw); u++) {
          const first = (t * kw + u) * inputs;
          const value = (k, o) => kernel.data[(first + k) * outputs + g * each + o] * factor(g * each + o);
          const matrix = room.matrix(joined ? kw * inputs : inputs, each, value);
          row.push({ matrix, from: (u * apart * groups + g) * inputs, to: g * matrix.padded });
        }
      }
    });
    const constant = Float32Array.from({ length: outputs }, (_, o) =>
      (bias ? bias.data[o] : 0) * factor(o) + (offset ? offset.data[o] : 0));
    return { room, runs, constant, each, padded: runs[0][0].matrix.padded, groups };
  }

  // A dense layer is a convolution with a kernel of one tap.
  const prepareDense = ({ kernel, ...others }, room) =>
    prepareConv({ kernel: { ...kernel, shape: [1, 1, ...kernel.shape] }, ...others }, { groups: 1, dilation: [1, 1] }, room);

  const AT_A_TIME = 16_384; // floats of a row that are copied at a time: they stay in the cache

  // The outputs of a row of an image from column `first` on are `count` rows of products.
  function conv([x], { stride: [sh, sw], dilation: [dh, dw], padding, activation, weights, ready }) {
    const { data, shape: [height, width, channels] } = image(x);
    const [kh, kw] = weights.kernel.shape;
    const vertical = slide(height, kh, sh, dh, padding);
    const horizontal = slide(width, kw, sw, dw, padding);
    const y = make(like(x, [vertical.count, horizontal.count, ready.constant.length]));
    const { room, runs, padded, groups } = ready;
    const step = sw * channels;
    const most = Math.floor(AT_A_TIME / Math.max(step, padded * groups));
    const block = Simd.upTo(Math.max(1, Math.min(most, horizontal.count)), Simd.ROWS);
    // What the last row of a block reads, and what fills it up, lies behind the block's own columns.
    const held = block * step + Math.max(...runs[0].map(({ matrix, from }) => from + matrix.depth));
    const { a, c } = room.places(held, block * padded * groups);
    for (let i = 0; i < vertical.count; i++) {
      for (let j = 0; j < horizontal.count; j += block) {
        const count = Math.min(block, horizontal.count - j);
        room.floats.fill(0, c, c + block * padded * groups);
        for (let t = 0; t < kh; t++) {
          const h = i * sh - vertical.left + t * dh;
          if (h < 0 || h >= height) continue;
          const row = data.subarray(h * width * channels, (h + 1) * width * channels);
          copy(row, j * step - horizontal.left * channels, room.floats.subarray(a, a + held));
          for (const { matrix, from, to } of runs[t]) room.multiply(matrix, a + from, step, c + to, padded * groups, count);
        }
        take(ready, c, count, y.data, (i * horizontal.count + j) * ready.constant.length);
      }
    }
    return activate(y, activation);
  }

  // A row from `from` on; where it has nothing, zeros.
  function copy(row, from, y) {
    y.fill(0);
    const start = Math.max(from, 0);
    const end = Math.min(from + y.length, row.length);
    if (end > start) y.set(row.subarray(start, end), start - from);
  }

  // Put `count` rows of products into `y` from `to` on, without what fills them up, and add the constants.
  function take({ room: { floats }, constant, each, padded, groups }, c, count, y, to) {
    for (let i = 0, from = c; i < count; i++) {
      for (let g = 0; g < groups; g++, from += padded) {
        for (let o = 0; o < each; o++) y[to++] = floats[from + o] + constant[g * each + o];
      }
    }
  }

  function dense(inputs, { activation, weights, ready }) {
    return linear(inputs[0], weights.kernel.shape, ready, activation);
  }

  const ONE_TAP = { stride: [1, 1], dilation: [1, 1], padding: "valid", weights: { kernel: { shape: [1, 1] } } };

  // Each row of a map times a matrix.
  function linear(x, [inputs, outputs], ready, activation = "linear") {
    const rows = { data: x.data, shape: [x.data.length / inputs, inputs] };
    const { data } = conv([rows], { ...ONE_TAP, activation, ready });
    return { data, shape: [...x.shape.slice(0, -1), outputs] };
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

  // Cells of a map (all channels of a frame or band) are collected, one after the other; then a region has its value.
  // `total` and `squares` are in float64, for each channel.
  const kinds = {
    max: {
      start: -Infinity,
      add(data, at, total) {
        for (let c = 0; c < total.length; c++) if (data[at + c] > total[c]) total[c] = data[at + c];
      },
      value: (total) => total,
    },
    mean: {
      start: 0,
      add(data, at, total) {
        for (let c = 0; c < total.length; c++) total[c] += data[at + c];
      },
      value: (total, squares, cells) => total / cells,
    },
    // The mean of what is above 0, each value weighted by itself: stochastic pooling at inference.
    stochastic: {
      start: 0,
      add(data, at, total, squares) {
        for (let c = 0; c < total.length; c++) {
          const v = data[at + c];
          if (v <= 0) continue;
          total[c] += v;
          squares[c] += v * v;
        }
      },
      value: (total, squares) => (total > 0 ? squares / total : 0),
    },
  };

  function collector(kind, channels) {
    const { start, add, value } = kinds[kind];
    const [total, squares] = [new Float64Array(channels).fill(start), new Float64Array(channels)];
    let cells = 0;
    return {
      add(data, at) {
        add(data, at, total, squares);
        cells++;
      },
      end(y, to) {
        for (let c = 0; c < channels; c++) y[to + c] = value(total[c], squares[c], cells);
        total.fill(start);
        squares.fill(0);
        cells = 0;
      },
    };
  }

  function pool([x], { kind, size: [kh, kw], stride: [sh, sw], padding }) {
    const { data, shape: [height, width, channels] } = image(x);
    const vertical = slide(height, kh, sh, 1, padding);
    const horizontal = slide(width, kw, sw, 1, padding);
    const y = make(like(x, [vertical.count, horizontal.count, channels]));
    const region = collector(kind, channels);
    let to = 0;
    for (let i = 0; i < vertical.count; i++) {
      for (let j = 0; j < horizontal.count; j++, to += channels) {
        const top = Math.max(i * sh - vertical.left, 0);
        const side = Math.max(j * sw - horizontal.left, 0);
        const low = Math.min(i * sh - vertical.left + kh, height);
        const far = Math.min(j * sw - horizontal.left + kw, width);
        for (let h = top; h < low; h++) for (let w = side; w < far; w++) region.add(data, (h * width + w) * channels);
        region.end(y.data, to);
      }
    }
    return y;
  }

  function reduce([x], { kind, keepdims }) {
    const channels = channelsOf(x);
    const y = make(keepdims ? [...x.shape.slice(0, -1).map(() => 1), channels] : [channels]);
    const region = collector(kind, channels);
    for (let at = 0; at < x.data.length; at += channels) region.add(x.data, at);
    region.end(y.data, 0);
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
    make, prepareDense, linear, sigmoid,
    run: {
      conv, dense, scale, pool, reduce, add, multiply, concat, pad, reshape, flatten,
      activation: ([x], node) => activate({ data: x.data.slice(), shape: x.shape }, node.activation),
    },
    prepare: {
      conv: (node, room) => prepareConv(node.weights, node, room),
      dense: (node, room) => prepareDense(node.weights, room),
    },
  };
})();
