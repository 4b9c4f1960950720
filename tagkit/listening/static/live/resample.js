"use strict";
// Changes the sampling rate of a sound that comes in blocks: a windowed sinc, flat to 91 % of the band that both rates
// have and 100 dB down where it ends. It adds no delay, whatever the blocks' lengths. Outgoing samples are products: eight
// neighbours at a time have a matrix, and the same matrices serve again a period later.
class Resampler {
  constructor(from, to) {
    const divide = (a, b) => (b ? divide(b, a % b) : a);
    const common = divide(from, to);
    this.up = to / common;
    this.down = from / common;
    this.given = 0; // samples that have gone out
    this.taken = 0; // samples that have come in
    if (this.up === this.down) return;
    const { PASS, ATTENUATION_DB } = Resampler;
    const band = Math.min(1, to / from); // of the incoming band, what is left
    const width = Math.PI * band * (1 - PASS);
    this.half = Math.ceil((ATTENUATION_DB - 7.95) / (2.285 * width) / 2);
    const periods = Simd.LANES / divide(this.up, Simd.LANES);
    this.outputs = this.up * periods; // of a period, a whole number of panels
    this.inputs = this.down * periods;
    this.room = new Simd.Room();
    this.panels = this.matrices(band * (1 + PASS) / 2, 0.1102 * (ATTENUATION_DB - 8.7));
    this.reach = Math.max(...this.panels.map(({ matrix, from }) => from + matrix.depth));
    this.held = new Float32Array(this.half - 1); // zeros before the sound, later the end of the block before
  }

  // Of eight neighbours each: their matrix, and where in a period's inputs it begins to read.
  matrices(cutoff, beta) {
    const { half, up, down, outputs } = this;
    const window = Resampler.kaiser(beta);
    const weights = (n) => {
      const taps = Float64Array.from({ length: 2 * half }, (_, k) => {
        const x = k - half + 1 - ((n * down) % up) / up;
        const sinc = x === 0 ? 1 : Math.sin(Math.PI * cutoff * x) / (Math.PI * cutoff * x);
        return sinc * window(Math.abs(x / half));
      });
      const total = taps.reduce((sum, tap) => sum + tap);
      return taps.map((tap) => tap / total);
    };
    const first = (n) => Math.floor((n * down) / up);
    return Array.from({ length: outputs / Simd.LANES }, (_, p) => {
      const numbers = Array.from({ length: Simd.LANES }, (_, o) => p * Simd.LANES + o);
      const [from, last] = [first(numbers[0]), first(numbers[Simd.LANES - 1])];
      const taps = numbers.map(weights);
      const value = (k, o) => taps[o][k - (first(numbers[o]) - from)] || 0;
      return { from, matrix: this.room.matrix(last - from + 2 * half, Simd.LANES, value) };
    });
  }

  // What is certain once this block (Float32Array) has come in.
  push(block) {
    this.taken += block.length;
    this.given += this.panels ? 0 : block.length;
    return this.panels ? this.work(block) : block;
  }

  // The rest, as if silence followed.
  end() {
    const missing = Math.round((this.taken * this.up) / this.down) - this.given;
    if (!missing) return new Float32Array(0);
    const periods = Math.ceil(missing / this.outputs);
    return this.work(new Float32Array(Math.max(this.reach + periods * this.inputs - this.held.length, 0))).subarray(0, missing);
  }

  // All whole periods that the block lets be computed, a few at a time.
  work(block) {
    const { room, panels, outputs, inputs, reach, held } = this;
    const joined = new Float32Array(held.length + block.length);
    joined.set(held);
    joined.set(block, held.length);
    const periods = Math.max(Math.floor((joined.length - reach) / inputs) + 1, 0);
    const most = Simd.upTo(Math.max(1, Math.floor(Resampler.AT_A_TIME / inputs)), Simd.ROWS);
    const { a, c } = room.places(most * inputs + reach, most * outputs);
    const y = new Float32Array(periods * outputs);
    for (let done = 0; done < periods; done += most) {
      const count = Math.min(most, periods - done);
      room.floats.set(joined.subarray(done * inputs, (done + count - 1) * inputs + reach), a);
      room.floats.fill(0, c, c + most * outputs);
      panels.forEach(({ matrix, from }, p) => room.multiply(matrix, a + from, inputs, c + p * Simd.LANES, outputs, count));
      y.set(room.floats.subarray(c, c + count * outputs), done * outputs);
    }
    this.held = joined.slice(periods * inputs);
    this.given += y.length;
    return y;
  }
}
Resampler.PASS = 0.913;
Resampler.ATTENUATION_DB = 100;
Resampler.AT_A_TIME = 16_384; // incoming samples: they stay in the cache

// A Kaiser window over shares of its half, 0 to 1, and 0 beyond; it lies on straight lines between 8,192 points.
Resampler.kaiser = (beta) => {
  const points = 8192;
  const value = (share) => Synthesis.besselI0(beta * Math.sqrt(1 - share ** 2)) / Synthesis.besselI0(beta);
  const table = Float64Array.from({ length: points + 1 }, (_, i) => value(i / points));
  return (share) => {
    if (share >= 1) return 0;
    const at = Math.floor(share * points);
    return table[at] + (share * points - at) * (table[at + 1] - table[at]);
  };
};
