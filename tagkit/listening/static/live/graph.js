"use strict";
// A network that runs: the graph and weights that tagkit/listening/live/network.py wrote, and its maps of a sound.
const Graph = (() => {
  // IEEE 754 half precision.
  function half(bits) {
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
    return bits & 0x8000 ? -magnitude : magnitude;
  }

  function read(block, { at, shape, type }) {
    const count = shape.reduce((product, n) => product * n, 1);
    const view = new DataView(block.buffer, block.byteOffset + at);
    const value = type === "float16" ? (i) => half(view.getUint16(2 * i, true)) : (i) => view.getFloat32(4 * i, true);
    return { data: Float32Array.from({ length: count }, (_, i) => value(i)), shape };
  }

  // A network ready to run; `block` holds its weights (Uint8Array).
  function open(graph, block) {
    const room = new Simd.Room();
    const nodes = graph.nodes.map((node) => {
      const weights = Object.fromEntries(Object.entries(node.weights || {}).map(([key, place]) => [key, read(block, place)]));
      const opened = { ...node, weights };
      const prepare = Ops.prepare[node.op];
      if (prepare) opened.ready = prepare(opened, room);
      return opened;
    });
    return { ...graph, nodes };
  }

  // The maps of the nodes that are wanted, by their numbers, for samples `y` (Float32Array). Maps that nothing reads
  // any more are let go.
  function run({ nodes }, y, wanted) {
    const needed = new Set(wanted);
    for (let n = nodes.length - 1; n >= 0; n--) if (needed.has(n)) nodes[n].inputs.forEach((input) => needed.add(input));
    const lastReader = new Map();
    for (const n of needed) nodes[n].inputs.forEach((input) => lastReader.set(input, Math.max(n, lastReader.get(input) || 0)));
    wanted.forEach((n) => lastReader.set(n, Infinity));
    const maps = new Map();
    for (let n = 0; n < nodes.length; n++) {
      if (!needed.has(n)) continue;
      const node = nodes[n];
      if (node.op === "input") maps.set(n, { data: y, shape: [y.length, 1] });
      else maps.set(n, Ops.run[node.op](node.inputs.map((input) => maps.get(input)), node));
      for (const input of node.inputs) if (lastReader.get(input) === n) maps.delete(input);
    }
    return maps;
  }

  // Scores in [0, 1] of one window of samples.
  function scores(network, y) {
    return run(network, y, [network.output]).get(network.output).data.map(Ops.sigmoid);
  }

  // A stage's map as (frames, channels): bands are averaged, or, where there is one channel, stand for channels.
  function framesByChannels({ data, shape }, axis) {
    if (shape.length === 2) return { frames: shape[0], channels: shape[1], data };
    const channels = shape[2];
    const [frames, bands] = axis === 0 ? [shape[0], shape[1]] : [shape[1], shape[0]];
    const at = (frame, band) => (axis === 0 ? frame * bands + band : band * frames + frame) * channels;
    const width = channels === 1 ? bands : channels;
    const y = new Float32Array(frames * width);
    for (let frame = 0; frame < frames; frame++) {
      for (let c = 0; c < width; c++) {
        let total = 0;
        if (channels === 1) total = data[at(frame, c)];
        else for (let band = 0; band < bands; band++) total += data[at(frame, band) + c] / bands;
        y[frame * width + c] = total;
      }
    }
    return { frames, channels: width, data: y };
  }

  // The maps of all stages that have a time axis, by name, as tagkit.analysis.feature_maps computes them:
  // convolutional stages on the whole sound, stages that see their whole window one window after the other.
  function maps(network, y) {
    const timed = network.stages.filter((stage) => stage.axis !== undefined);
    const found = {};
    const whole = timed.filter((stage) => stage.exact);
    const heard = run(network, y, whole.map((stage) => stage.node));
    for (const stage of whole) found[stage.name] = framesByChannels(heard.get(stage.node), stage.axis);
    Object.assign(found, byWindows(network, y, timed.filter((stage) => !stage.exact)));
    return Object.fromEntries(timed.map(({ name }) => [name, found[name]]));
  }

  // Windows follow each other at a whole number of a stage's frames; silence fills the last one.
  function byWindows(network, y, stages) {
    const found = {};
    const hops = new Set(stages.map(({ frames, stride }) => frames * stride));
    for (const hop of hops) {
      const alike = stages.filter(({ frames, stride }) => frames * stride === hop);
      for (let start = 0; start < y.length; start += hop) {
        const window = new Float32Array(network.window);
        window.set(y.subarray(start, start + network.window));
        const heard = run(network, window, alike.map((stage) => stage.node));
        for (const stage of alike) {
          const { data, channels } = framesByChannels(heard.get(stage.node), stage.axis);
          const frames = Math.max(Math.ceil((y.length - stage.offset) / stage.stride), 1);
          const first = (start / hop) * stage.frames;
          found[stage.name] = found[stage.name] || { frames, channels, data: new Float32Array(frames * channels) };
          if (first < frames) found[stage.name].data.set(data.subarray(0, (frames - first) * channels), first * channels);
        }
      }
    }
    return found;
  }

  return { open, run, scores, maps, half };
})();
