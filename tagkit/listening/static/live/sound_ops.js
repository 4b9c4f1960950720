"use strict";
// The layers that begin with sound or remember it: spectrograms, the learned bank's energy, recurrence. They join `Ops`.
(() => {
  const { make, prepareDense, linear, sigmoid } = Ops;

  // ---- spectrograms ---------------------------------------------------------------------------------------------------

  // The Fourier transform of a windowed frame as a matrix (bins, frame): cosines, then sines. It is computed in float64:
  // the logarithm behind it shows what float32 would lose of quiet bands beside loud ones.
  function prepareSpectral({ weights: { window, bands }, n_fft: nFft }, room) {
    const bins = nFft / 2 + 1;
    const frame = window.data.length;
    const turns = Float64Array.from({ length: nFft }, (_, n) => (2 * Math.PI * n) / nFft);
    const matrix = (wave) => Float64Array.from({ length: bins * frame }, (_, at) =>
      window.data[at % frame] * wave(turns[((at % frame) * Math.floor(at / frame)) % nFft]));
    const [mels] = bands.shape;
    const turned = Float32Array.from({ length: bins * mels }, (_, at) => bands.data[(at % mels) * bins + Math.floor(at / mels)]);
    return {
      bins, cosines: matrix(Math.cos), sines: matrix(Math.sin),
      bank: prepareDense({ kernel: { data: turned, shape: [bins, mels] } }, room),
    };
  }

  // The energy of one bin of four frames, which lie one after the other in `a`; four at a time, so that a weight is read
  // once for all.
  function energies(a, frame, cosines, sines, bin, y, to, step) {
    let [c0, c1, c2, c3, s0, s1, s2, s3] = [0, 0, 0, 0, 0, 0, 0, 0];
    for (let k = 0, at = bin * frame; k < frame; k++, at++) {
      const [cosine, sine] = [cosines[at], sines[at]];
      const [x0, x1, x2, x3] = [a[k], a[frame + k], a[2 * frame + k], a[3 * frame + k]];
      c0 += x0 * cosine; c1 += x1 * cosine; c2 += x2 * cosine; c3 += x3 * cosine;
      s0 += x0 * sine; s1 += x1 * sine; s2 += x2 * sine; s3 += x3 * sine;
    }
    y[to] = c0 * c0 + s0 * s0;
    y[to + step] = c1 * c1 + s1 * s1;
    y[to + 2 * step] = c2 * c2 + s2 * s2;
    y[to + 3 * step] = c3 * c3 + s3 * s3;
  }

  function spectral([x], node) {
    const { frame, hop, pad, reflect, fill, level, preemphasis, gain, floor, times, plus } = node;
    const { bins, cosines, sines, bank } = node.ready;
    const samples = x.data.length;
    const frames = fill ? 1 + Math.max(0, Math.ceil((samples - frame) / hop)) : 1 + Math.floor((samples + 2 * pad - frame) / hop);
    const mirrored = (n) => (n < 0 ? -n : n >= samples ? 2 * (samples - 1) - n : n);
    const sample = (at) => {
      const n = reflect ? mirrored(at) : at;
      return n < 0 || n >= samples ? 0 : level * (x.data[n] - (n > 0 ? preemphasis * x.data[n - 1] : 0));
    };
    const power = new Float32Array(Math.ceil(frames / 4) * 4 * bins);
    const a = new Float64Array(4 * frame);
    for (let row = 0; row < frames; row += 4) {
      for (let k = 0; k < a.length; k++) a[k] = sample((row + Math.floor(k / frame)) * hop - pad + (k % frame));
      for (let bin = 0; bin < bins; bin++) energies(a, frame, cosines, sines, bin, power, row * bins + bin, bins);
    }
    const y = linear({ data: power.subarray(0, frames * bins), shape: [frames, bins] }, [bins, node.weights.bands.shape[0]], bank);
    for (let i = 0; i < y.data.length; i++) y.data[i] = gain * Math.log(times * Math.max(y.data[i], floor) + plus);
    return y;
  }

  // 10 log10 of the mean energy of pairs of filters (cosines in the first half of the channels, sines in the second).
  function logEnergy([x], { pool, floor }) {
    const [frames, channels] = x.shape;
    const pairs = channels / 2;
    const y = make([Math.floor(frames / pool), pairs]);
    for (let i = 0; i < y.shape[0]; i++) {
      for (let c = 0; c < pairs; c++) {
        let energy = 0;
        for (let n = i * pool; n < (i + 1) * pool; n++) {
          energy += x.data[n * channels + c] ** 2 + x.data[n * channels + pairs + c] ** 2;
        }
        y.data[i * pairs + c] = 10 * Math.log10(energy / pool + floor);
      }
    }
    return y;
  }

  // A window with mean 0 and variance 1.
  function standardize([x], { floor }) {
    const n = x.data.length;
    const mean = x.data.reduce((sum, value) => sum + value, 0) / n;
    const variance = x.data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n;
    const deviation = Math.max(Math.sqrt(variance), floor);
    return { data: x.data.map((value) => (value - mean) / deviation), shape: x.shape };
  }

  // ---- recurrence -----------------------------------------------------------------------------------------------------

  const direction = ({ weights }, prefix, room) => {
    const [kernel, recurrent, bias] = ["kernel", "recurrent", "bias"].map((name) => weights[prefix + name]);
    const [units, gates] = recurrent.shape;
    const turned = Float64Array.from(recurrent.data, (_, at) => recurrent.data[(at % units) * gates + Math.floor(at / units)]);
    const heard = prepareDense({ kernel, bias: { data: bias.data.subarray(0, gates) } }, room);
    return { shape: kernel.shape, heard, recurrent: turned, bias: bias.data.subarray(gates) };
  };

  function prepareGru(node, room) {
    return { forward: direction(node, "", room), back: node.both ? direction(node, "back_", room) : null };
  }

  // One direction; the gates are update, reset and candidate. Returns the states in the order in which they arose.
  function states(x, { shape, heard: matrix, recurrent, bias }, { units, reset_after: resetAfter }, backwards) {
    const [frames] = x.shape;
    const gates = 3 * units;
    const { data: heard } = linear(x, shape, matrix);
    const all = new Float64Array(frames * units);
    const state = new Float64Array(units);
    const remembered = new Float64Array(gates);
    const recall = (values, from, to) => {
      for (let o = from; o < to; o++) {
        let total = bias[o];
        for (let k = 0, at = o * units; k < units; k++, at++) total += values[k] * recurrent[at];
        remembered[o] = total;
      }
    };
    const reset = new Float64Array(units);
    for (let step = 0; step < frames; step++) {
      const at = (backwards ? frames - 1 - step : step) * gates;
      recall(state, 0, resetAfter ? gates : 2 * units);
      for (let u = 0; u < units; u++) reset[u] = sigmoid(heard[at + units + u] + remembered[units + u]);
      if (!resetAfter) {
        const kept = state.map((value, u) => value * reset[u]);
        recall(kept, 2 * units, gates);
      }
      for (let u = 0; u < units; u++) {
        const past = remembered[2 * units + u] * (resetAfter ? reset[u] : 1);
        const candidate = Math.tanh(heard[at + 2 * units + u] + past);
        const update = sigmoid(heard[at + u] + remembered[u]);
        state[u] = update * state[u] + (1 - update) * candidate;
      }
      all.set(state, step * units);
    }
    return all;
  }

  function gru([x], node) {
    const { units, sequences, backwards, ready } = node;
    const [frames] = x.shape;
    const forward = states(x, ready.forward, node, backwards);
    const both = ready.back ? [forward, states(x, ready.back, node, true)] : [forward];
    const width = units * both.length;
    const y = make(sequences ? [frames, width] : [width]);
    both.forEach((all, d) => {
      for (let step = 0; step < frames; step++) {
        if (!sequences && step < frames - 1) continue;
        const row = sequences ? (d === 1 ? frames - 1 - step : step) : 0; // Bidirectional turns the second one around
        for (let u = 0; u < units; u++) y.data[row * width + d * units + u] = all[step * units + u];
      }
    });
    return y;
  }

  Object.assign(Ops.run, { spectral, standardize, gru, log_energy: logEnergy });
  Object.assign(Ops.prepare, { spectral: prepareSpectral, gru: prepareGru });
})();
