"use strict";
// Changes the sampling rate of a sound that comes in blocks: a windowed sinc, flat to 91 % of the band that both rates
// have and 100 dB down where it ends. It adds no delay, whatever the blocks' lengths.
class Resampler {
  constructor(from, to) {
    const divide = (a, b) => (b ? divide(b, a % b) : a);
    const common = divide(from, to);
    this.up = to / common;
    this.down = from / common;
    const { PASS, ATTENUATION_DB } = Resampler;
    const band = Math.min(1, to / from); // of the incoming band, what is left
    const width = Math.PI * band * (1 - PASS);
    this.half = 2 * Math.ceil((ATTENUATION_DB - 7.95) / (2.285 * width) / 4); // even: taps are added four at a time
    this.phases = this.up === this.down ? null : this.filters(band * (1 + PASS) / 2, 0.1102 * (ATTENUATION_DB - 8.7));
    this.held = new Float64Array(this.half); // zeros before the sound, later the end of the block before
    this.first = -this.half; // the sample of the incoming sound that `held` begins with
    this.given = 0; // samples that have gone out
    this.taken = 0; // samples that have come in
  }

  // The taps of every phase, each for the 2 half samples around an outgoing one.
  filters(cutoff, beta) {
    const { half, up } = this;
    const edge = Synthesis.besselI0(beta);
    return Array.from({ length: up }, (_, phase) => {
      const taps = Float64Array.from({ length: 2 * half }, (_, k) => {
        const x = k - half + 1 - phase / up;
        const share = x / half;
        const sinc = x === 0 ? 1 : Math.sin(Math.PI * cutoff * x) / (Math.PI * cutoff * x);
        return Math.abs(share) >= 1 ? 0 : cutoff * sinc * (Synthesis.besselI0(beta * Math.sqrt(1 - share ** 2)) / edge);
      });
      const total = taps.reduce((sum, tap) => sum + tap);
      return Float32Array.from(taps, (tap) => tap / total); // half the memory: what is cycled through stays in the cache
    });
  }

  // What is certain once this block (Float32Array) has come in.
  push(block) {
    if (!this.phases) return block;
    const joined = new Float64Array(this.held.length + block.length);
    joined.set(this.held);
    joined.set(block, this.held.length);
    this.taken += block.length;
    return this.work(joined, Math.floor(((this.taken - this.half) * this.up) / this.down));
  }

  // The rest, as if silence followed.
  end() {
    if (!this.phases) return new Float32Array(0);
    const joined = new Float64Array(this.held.length + this.half + 4);
    joined.set(this.held);
    return this.work(joined, Math.round((this.taken * this.up) / this.down));
  }

  work(joined, until) {
    const { up, down, half } = this;
    const y = new Float32Array(Math.max(until - this.given, 0));
    for (let i = 0; i < y.length; i++) {
      const place = (this.given + i) * down;
      const phase = place % up;
      const taps = this.phases[phase];
      const from = (place - phase) / up - half + 1 - this.first;
      let [a, b, c, d] = [0, 0, 0, 0]; // four sums side by side: a processor need not wait for one to add to it
      for (let k = 0; k < taps.length; k += 4) {
        a += taps[k] * joined[from + k];
        b += taps[k + 1] * joined[from + k + 1];
        c += taps[k + 2] * joined[from + k + 2];
        d += taps[k + 3] * joined[from + k + 3];
      }
      y[i] = a + b + c + d;
    }
    this.given += y.length;
    const keep = Math.max(Math.floor((this.given * down) / up) - half + 1 - this.first, 0);
    this.held = joined.slice(Math.min(keep, joined.length));
    this.first += Math.min(keep, joined.length);
    return y;
  }
}
Resampler.PASS = 0.913;
Resampler.ATTENUATION_DB = 100;
