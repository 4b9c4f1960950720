"use strict";
// What the page knows about sound: decoding the embedded numbers, and the sonification of a channel.
// Pure functions, no document, no audio device. They follow tagkit.analysis.sonify step by step, and a test compares
// the two; change them together.
const Synthesis = (() => {
  // ---- embedded data -------------------------------------------------------------------------------------------

  function bytesFromBase64(text) {
    const binary = atob(text.trim());
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    return bytes;
  }

  async function inflate(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // One channel of a stored map: int8 steps between the smallest and the largest value of this clip and channel.
  function mapChannel(blob, map, channel) {
    const steps = new Int8Array(blob.buffer, blob.byteOffset + map.at + channel * map.frames, map.frames);
    const [low, high] = map.range[channel];
    const values = new Float64Array(map.frames);
    for (let n = 0; n < map.frames; n++) values[n] = low + ((steps[n] + 127) / 254) * (high - low);
    return values;
  }

  // A stored response curve in dB below the channel's peak: half a decibel per step.
  function curveChannel(blob, curves, channel) {
    const steps = new Int8Array(blob.buffer, blob.byteOffset + curves.at + channel * curves.points, curves.points);
    return Float64Array.from(steps, (step) => step / 2);
  }

  // ---- numbers -------------------------------------------------------------------------------------------------

  // The q-th percentile with linear interpolation, as numpy has it.
  function percentile(values, q) {
    const copy = Float64Array.from(values);
    const position = ((copy.length - 1) * q) / 100;
    const rank = Math.floor(position);
    const below = smallest(copy, rank);
    let above = below;
    if (rank + 1 < copy.length) {
      above = Infinity; // everything behind `rank` is at least as large now: the next one is their least
      for (let n = rank + 1; n < copy.length; n++) above = Math.min(above, copy[n]);
    }
    return below + (above - below) * (position - rank);
  }

  // The value that would stand at `rank` in order (Hoare's selection: the array is rearranged, but not sorted).
  function smallest(values, rank) {
    let low = 0;
    let high = values.length - 1;
    while (low < high) {
      const pivot = values[(low + high) >> 1];
      let i = low;
      let j = high;
      while (i <= j) {
        while (values[i] < pivot) i++;
        while (values[j] > pivot) j--;
        if (i <= j) {
          const swap = values[i];
          values[i++] = values[j];
          values[j--] = swap;
        }
      }
      if (rank <= j) high = j;
      else if (rank >= i) low = i;
      else break;
    }
    return values[rank];
  }

  function mean(values) {
    let total = 0;
    for (const value of values) total += value;
    return total / values.length;
  }

  // Modified Bessel function of order 0, for the Kaiser window.
  function besselI0(x) {
    let term = 1;
    let total = 1;
    for (let k = 1; k < 60 && term > total * 1e-17; k++) {
      term *= (x / (2 * k)) ** 2;
      total += term;
    }
    return total;
  }

  // In-place radix-2 FFT of re + i im; the length is a power of two.
  const circles = new Map();
  function fft(re, im) {
    const size = re.length;
    if (!circles.has(size)) {
      const angle = (k) => (-2 * Math.PI * k) / size;
      const cos = Float64Array.from({ length: size / 2 }, (_, k) => Math.cos(angle(k)));
      circles.set(size, { cos, sin: Float64Array.from({ length: size / 2 }, (_, k) => Math.sin(angle(k))) });
    }
    const { cos, sin } = circles.get(size);
    for (let i = 1, j = 0; i < size; i++) {
      let bit = size >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) {
        const r = re[i];
        re[i] = re[j];
        re[j] = r;
        const m = im[i];
        im[i] = im[j];
        im[j] = m;
      }
    }
    for (let half = 1; half < size; half *= 2) {
      const step = size / (2 * half);
      for (let start = 0; start < size; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const upper = start + k;
          const lower = upper + half;
          const tr = re[lower] * cos[k * step] - im[lower] * sin[k * step];
          const ti = re[lower] * sin[k * step] + im[lower] * cos[k * step];
          re[lower] = re[upper] - tr;
          im[lower] = im[upper] - ti;
          re[upper] += tr;
          im[upper] += ti;
        }
      }
    }
  }

  // Power spectrogram: `rows` frames of nFft / 2 + 1 bins, centred Hann windows, zero-padded ends.
  function spectrogram(y, nFft, hop) {
    const bins = nFft / 2 + 1;
    const frames = Math.floor(y.length / hop) + 1;
    const window = Float64Array.from({ length: nFft }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / nFft));
    const power = new Float32Array(frames * bins);
    const re = new Float64Array(nFft);
    const im = new Float64Array(nFft);
    for (let frame = 0; frame < frames; frame++) {
      const start = frame * hop - nFft / 2;
      for (let n = 0; n < nFft; n++) {
        re[n] = start + n >= 0 && start + n < y.length ? y[start + n] * window[n] : 0;
        im[n] = 0;
      }
      fft(re, im);
      for (let k = 0; k < bins; k++) power[frame * bins + k] = re[k] * re[k] + im[k] * im[k];
    }
    return { power, frames, bins, hop, nFft };
  }

  // Power below which nothing counts as sound, and the largest power of a spectrogram.
  function largest(power) {
    let most = 0;
    for (const value of power) most = Math.max(most, value);
    return most;
  }

  // Every `step`-th sample of a decoded MP3, which holds the clip at `step` times its rate, lined up with the clip.
  // Browsers delay an MP3 by different amounts: where the anchor, a short passage of the clip as int8, is found tells
  // the delay. Returns exactly `samples` samples.
  function lineUp(decoded, step, anchor, start, samples) {
    let delay = 0;
    let best = -Infinity;
    for (let lag = -1200 * step; lag <= 3600 * step; lag++) {
      let match = 0;
      for (let n = 0; n < anchor.length; n++) match += anchor[n] * (decoded[(start + n) * step + lag] || 0);
      if (match > best) {
        best = match;
        delay = lag;
      }
    }
    const y = new Float32Array(samples);
    for (let n = 0; n < samples; n++) y[n] = decoded[n * step + delay] || 0;
    return y;
  }

  // ---- a channel as sound (tagkit.analysis.sonify) -------------------------------------------------------------

  const TAPS_EACH_SIDE = SHARED.taps_each_side; // frames that the interpolation filter reaches to either side
  const KAISER_BETA = 0.1102 * (80 - 8.7); // 80 dB
  const LEAST_RISE = SHARED.least_rise; // of a map's range
  const HEADROOM = SHARED.headroom; // where the 99th percentile of |y| is put, unless a peak would then be clipped

  // scipy.signal.firwin(64 S + 1, 1 / S, window=("kaiser", beta)) times S, cut into S phases.
  const phases = new Map();
  function interpolator(stride) {
    if (phases.has(stride)) return phases.get(stride);
    const half = TAPS_EACH_SIDE * stride;
    const taps = new Float64Array(2 * half + 1);
    let total = 0;
    for (let n = 0; n <= 2 * half; n++) {
      const x = (n - half) / stride;
      const sinc = n === half ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
      taps[n] = sinc * besselI0(KAISER_BETA * Math.sqrt(1 - ((n - half) / half) ** 2));
      total += taps[n];
    }
    const filter = Float64Array.from(taps, (tap) => (tap / total) * stride);
    phases.set(stride, filter);
    return filter;
  }

  // A map at the waveform's rate, frame n at sample n * stride + start. Outside the map stand zeros ("constant") or
  // the first and last frame ("edge").
  function upsample(a, { stride, start }, samples, edges) {
    const frame = (k) => {
      if (k >= 0 && k < a.length) return a[k];
      return edges === "edge" ? a[k < 0 ? 0 : a.length - 1] : 0;
    };
    const y = new Float64Array(samples);
    if (stride === 1) return y.map((_, n) => frame(n - start));
    const filter = interpolator(stride);
    const first = Math.floor(-start / stride) - TAPS_EACH_SIDE;
    const padded = Float64Array.from(
      { length: Math.ceil(samples / stride) + 2 * TAPS_EACH_SIDE + 3 },
      (_, k) => frame(first + k),
    );
    for (let n = 0; n < samples; n++) {
      const m = n - start - first * stride;
      const phase = m % stride;
      const middle = (m - phase) / stride;
      let value = 0;
      for (let at = phase, k = middle + TAPS_EACH_SIDE; at < filter.length; at += stride, k--) value += filter[at] * padded[k];
      y[n] = value;
    }
    return y;
  }

  // The 99th percentile of |y|, or the peak where y is active for less than one sample in a hundred.
  function reference(y) {
    const magnitude = y.map(Math.abs);
    const peak = largest(magnitude);
    const high = percentile(magnitude, 99);
    return (high > 0.01 * peak ? high : peak) || 1;
  }

  // How active a channel is: the map above its 5th percentile; the 99th percentile of the result is 1. A map that only
  // has dips gives silence.
  function envelope(a, stage, samples) {
    const floor = percentile(a, 5);
    const active = a.map((value) => Math.max(value - floor, 0));
    if (largest(active) <= LEAST_RISE * (largest(a) + largest(a.map((value) => -value)))) return new Float64Array(samples);
    const above = upsample(active, stage, samples, "edge").map((value) => Math.max(value, 0));
    const one = reference(above);
    return above.map((value) => value / one);
  }

  // scipy.signal.sosfiltfilt: forwards and backwards through second-order sections, the ends continued by reflection.
  function filtfilt(sections, y) {
    const edge = 3 * (2 * sections.length + 1);
    const last = y.length - 1;
    const longer = new Float64Array(y.length + 2 * edge);
    for (let n = 0; n < longer.length; n++) {
      const at = n - edge;
      if (at < 0) longer[n] = 2 * y[0] - y[-at];
      else if (at > last) longer[n] = 2 * y[last] - y[2 * last - at];
      else longer[n] = y[at];
    }
    const once = filterSections(sections, longer).reverse();
    return filterSections(sections, once).reverse().slice(edge, edge + y.length);
  }

  // Second-order sections [b0, b1, b2, 1, a1, a2], each starting as if the first sample had stood there for ever.
  function filterSections(sections, y) {
    const out = Float64Array.from(y);
    let before = out[0];
    for (const [b0, b1, b2, , a1, a2] of sections) {
      const gain = (b0 + b1 + b2) / (1 + a1 + a2);
      let z2 = (b2 - a2 * gain) * before;
      let z1 = (b1 - a1 * gain) * before + z2;
      before *= gain;
      for (let n = 0; n < out.length; n++) {
        const x = out[n];
        const value = b0 * x + z1;
        z1 = b1 * x - a1 * value + z2;
        z2 = b2 * x - a2 * value;
        out[n] = value;
      }
    }
    return out;
  }

  // The three modes. `stage` has stride and start, `channel` centre_hz and (for gated) sections or null; `e` is the
  // envelope, where it is known already.
  const modes = {
    raw: (a, { stage, samples }) => {
      const middle = mean(a);
      return upsample(a.map((value) => value - middle), stage, samples, "constant");
    },
    carrier: (a, { stage, samples, channel, sr, e = envelope(a, stage, samples) }) =>
      e.map((active, n) => active * Math.sin((2 * Math.PI * channel.centre_hz * n) / sr)),
    gated: (a, { stage, samples, channel, y, e = envelope(a, stage, samples) }) => {
      const inside = channel.sections ? filtfilt(channel.sections, y) : y;
      return e.map((active, n) => active * inside[n]);
    },
  };

  // Brings the 99th percentile of the magnitude to half of full scale, or the peak to full scale where it would go beyond.
  function ownGain(y) {
    return Math.min(HEADROOM / reference(y), 1 / (largest(y.map(Math.abs)) || 1));
  }

  // Audio ready to play, with its own gain or a given one.
  function level(y, gain) {
    const factor = gain || ownGain(Float64Array.from(y));
    return Float32Array.from(y, (value) => Math.max(-1, Math.min(1, value * factor)));
  }

  // One channel, not levelled; a channel that does not move gives silence.
  function render(mode, a, scene) {
    return isConstant(a) ? new Float64Array(scene.samples) : modes[mode](a, scene);
  }

  function isConstant(a) {
    let low = Infinity;
    let high = -Infinity;
    for (const value of a) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    return high - low <= 1e-6 * Math.max(Math.abs(low), Math.abs(high), 1e-6);
  }

  return {
    upsample,
    envelope,
    filtfilt,
    level,
    render,
    ownGain,
    largest,
    lineUp,
    bytesFromBase64,
    inflate,
    mapChannel,
    curveChannel,
    percentile,
    mean,
    besselI0,
    fft,
    spectrogram,
  };
})();
