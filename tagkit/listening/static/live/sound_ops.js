"use strict";
// The layers that begin with sound or remember it: spectrograms, the learned bank's energy, recurrence. They join `Ops`.
(() => {
  const { make, matrix, rowByRow, sigmoid } = Ops;

  // ---- spectrograms ---------------------------------------------------------------------------------------------------

  // The Fourier transform of a windowed frame as a matrix: cosines, then sines. Frames are short, so that this product
  // costs little beside the network.
  function prepareSpectral({ weights: { window, bands }, n_fft: nFft }) {
    const bins = nFft / 2 + 1;
    const turn = (k, bin) => (2 * Math.PI * ((k * bin) % nFft)) / nFft;
    const wave = (k, o) => (o < bins ? Math.cos(turn(k, o)) : Math.sin(turn(k, o - bins)));
    return {
      fourier: matrix(window.data.length, 2 * bins, (k, o) => window.data[k] * wave(k, o)),
      bank: matrix(bins, bands.shape[0], (k, o) => bands.data[o * bins + k]),
    };
  }

  function spectral([x], node) {
    const { frame, hop, pad, reflect, fill, level, preemphasis, gain, floor, times, plus } = node;
    const { fourier, bank } = node.ready;
    const samples = x.data.length;
    const frames = fill ? 1 + Math.max(0, Math.ceil((samples - frame) / hop)) : 1 + Math.floor((samples + 2 * pad - frame) / hop);
    const mirrored = (n) => (n < 0 ? -n : n >= samples ? 2 * (samples - 1) - n : n);
    const sample = (at) => {
      const n = reflect ? mirrored(at) : at;
      return n < 0 || n >= samples ? 0 : level * (x.data[n] - (n > 0 ? preemphasis * x.data[n - 1] : 0));
    };
    const bins = bank.inputs;
    const power = new Float64Array(frames * bins);
    rowByRow(frames, fourier,
      (a, to, row) => { for (let k = 0; k < frame; k++) a[to + k] = sample(row * hop - pad + k); },
      (c, from, row) => {
        for (let k = 0; k < bins; k++) power[row * bins + k] = c[from + k] ** 2 + c[from + bins + k] ** 2;
      });
    const y = make([frames, bank.outputs]);
    rowByRow(frames, bank,
      (a, to, row) => { for (let k = 0; k < bins; k++) a[to + k] = power[row * bins + k]; },
      (c, from, row) => {
        for (let o = 0; o < bank.outputs; o++) {
          y.data[row * bank.outputs + o] = gain * Math.log(times * Math.max(c[from + o], floor) + plus);
        }
      });
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

  const direction = (node, prefix) => {
    const weights = ["kernel", "recurrent", "bias"].map((name) => node.weights[prefix + name]);
    const [kernel, recurrent] = weights.map(({ data, shape: [inputs, outputs] }) =>
      (outputs ? matrix(inputs, outputs, (k, o) => data[k * outputs + o]) : null));
    return { kernel, recurrent, bias: weights[2].data };
  };

  function prepareGru(node) {
    return { forward: direction(node, ""), back: node.both ? direction(node, "back_") : null };
  }

  // One direction; the gates are update, reset and candidate. Returns the states in the order in which they arose.
  function states(x, { kernel, recurrent, bias }, { units, reset_after: resetAfter }, backwards) {
    const [frames, channels] = x.shape;
    const gates = 3 * units;
    const heard = new Float64Array(frames * gates);
    rowByRow(frames, kernel,
      (a, to, row) => { for (let i = 0; i < channels; i++) a[to + i] = x.data[row * channels + i]; },
      (c, from, row) => { for (let o = 0; o < gates; o++) heard[row * gates + o] = c[from + o] + bias[o]; });
    const all = new Float64Array(frames * units);
    const state = new Float64Array(units);
    const remembered = new Float64Array(gates);
    const recall = (values, from, to) => {
      for (let o = from; o < to; o++) {
        let total = bias[gates + o];
        for (let k = 0, at = o * units; k < units; k++, at++) total += values[k] * recurrent.data[at];
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
