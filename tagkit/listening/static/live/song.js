"use strict";
// A sound as the networks are given it: int16 samples at their rate, which come in little by little.
class Song {
  // `samples` are those that will come, as far as is known; 0 for a recording.
  constructor(name, sr, samples) {
    Object.assign(this, { name, sr, grows: samples === 0, filled: 0, done: false, peak: 0, full: 0 });
    this.store = new Int16Array(samples);
  }

  push(block) {
    const { int16 } = SHARED;
    if (this.filled + block.length > this.store.length) {
      const longer = new Int16Array(Math.max(this.filled + block.length, Math.ceil(this.store.length * 1.5)));
      longer.set(this.store.subarray(0, this.filled));
      this.store = longer;
    }
    for (let n = 0; n < block.length; n++) {
      const value = Math.max(-int16, Math.min(int16 - 1, Math.round(block[n] * int16)));
      const size = Math.abs(value);
      if (size > this.peak) this.peak = size;
      if (size >= int16 - 1) this.full++;
      this.store[this.filled + n] = value;
    }
    this.filled += block.length;
  }

  // Take out an offset that nobody hears but networks do, as tagkit.audio does; says whether there was one.
  removeOffset() {
    let total = 0;
    for (let n = 0; n < this.filled; n++) total += this.store[n];
    const offset = Math.round(total / this.filled);
    if (!(Math.abs(offset) > SHARED.most_offset * SHARED.int16)) return false;
    for (let n = 0; n < this.filled; n++) {
      this.store[n] = Math.max(-SHARED.int16, Math.min(SHARED.int16 - 1, this.store[n] - offset));
    }
    return true;
  }

  // Samples in [-1, 1); silence where there are none.
  stretch(start, length) {
    const y = new Float32Array(length);
    const there = this.store.subarray(start, Math.min(start + length, this.filled));
    for (let n = 0; n < length && there.length; n++) y[n] = there[n % there.length] / SHARED.int16; // short: repeated
    return y;
  }

  // Samples of the whole, as far as is known.
  get length() {
    return this.grows ? this.filled : this.store.length;
  }

  get seconds() {
    return this.filled / this.sr;
  }

  // The sound as a WAV file, for the browser's own player.
  wav() {
    const bytes = 2 * this.filled;
    const head = new DataView(new ArrayBuffer(44));
    const text = (at, word) => [...word].forEach((letter, i) => head.setUint8(at + i, letter.charCodeAt(0)));
    text(0, "RIFF");
    head.setUint32(4, 36 + bytes, true);
    text(8, "WAVEfmt ");
    [[16, 16, 4], [20, 1, 2], [22, 1, 2], [24, this.sr, 4], [28, 2 * this.sr, 4], [32, 2, 2], [34, 16, 2]].forEach(
      ([at, value, size]) => (size === 4 ? head.setUint32(at, value, true) : head.setUint16(at, value, true)));
    text(36, "data");
    head.setUint32(40, bytes, true);
    return new Blob([head, this.store.subarray(0, this.filled)], { type: "audio/wav" });
  }
}

// Where the windows begin that cover a sound: as tagkit.data.windows.window_starts has them.
Song.starts = (samples, window) => {
  const count = Math.ceil(samples / window);
  const last = Math.max(samples - window, 0);
  return Array.from({ length: count }, (_, i) => (count > 1 ? roundHalfEven((i * last) / (count - 1)) : 0));
};

// As numpy rounds.
function roundHalfEven(value) {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 ? below + 1 : below;
}
