"use strict";
// What each of so many channels gives to the one that networks hear, as tagkit.audio mixes them.
const sharesOf = (channels) => SHARED.downmix[channels] || Array.from({ length: channels }, () => 1 / channels);

// The mix of an AudioBuffer's channels.
function mix(buffer) {
  const y = new Float32Array(buffer.length);
  sharesOf(buffer.numberOfChannels).forEach((share, c) => {
    const channel = buffer.getChannelData(c);
    for (let n = 0; n < y.length; n++) y[n] += share * channel[n];
  });
  return y;
}

// WAV files, read in blocks: PCM of 8 to 32 bits and floats, in any number of channels.
const Wav = (() => {
  const PCM = 1;
  const FLOAT = 3;
  const EXTENSIBLE = 0xfffe;

  const readers = {
    [`${PCM}/8`]: (view, at) => (view.getUint8(at) - 128) / 128,
    [`${PCM}/16`]: (view, at) => view.getInt16(at, true) / 32768,
    [`${PCM}/24`]: (view, at) => (view.getUint16(at, true) + view.getInt8(at + 2) * 65536) / 8388608,
    [`${PCM}/32`]: (view, at) => view.getInt32(at, true) / 2147483648,
    [`${FLOAT}/32`]: (view, at) => view.getFloat32(at, true),
    [`${FLOAT}/64`]: (view, at) => view.getFloat64(at, true),
  };

  const word = (view, at) => String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));

  // What the file holds, or null where it is no WAV file, or one of a kind that only the browser may know.
  async function open(file) {
    const slice = async (at, length) => new DataView(await file.slice(at, at + length).arrayBuffer());
    const head = await slice(0, 12);
    if (head.byteLength < 12 || !["RIFF", "RF64"].includes(word(head, 0)) || word(head, 8) !== "WAVE") return null;
    let format = null;
    for (let at = 12; at + 8 <= file.size; ) {
      const chunk = await slice(at, 8);
      const length = chunk.getUint32(4, true);
      if (word(chunk, 0) === "fmt ") format = await slice(at + 8, Math.min(length, 40));
      if (word(chunk, 0) === "data") return format && described(file, format, at + 8, length);
      at += 8 + length + (length % 2);
    }
    return null;
  }

  function described(file, format, at, length) {
    if (format.byteLength < 16) return null;
    const [kind, channels, rate, bits] = [
      format.getUint16(0, true), format.getUint16(2, true), format.getUint32(4, true), format.getUint16(14, true),
    ];
    const real = kind === EXTENSIBLE && format.byteLength >= 26 ? format.getUint16(24, true) : kind;
    const read = readers[`${real}/${bits}`];
    if (!read || !channels || !rate) return null;
    // A file that was cut off, or written to a pipe, says more than it holds.
    const bytes = Math.min(length, file.size - at);
    const step = (bits / 8) * channels;
    const frames = Math.floor(bytes / step);
    const shares = sharesOf(channels);

    async function* pcm(blockFrames) {
      for (let first = 0; first < frames; first += blockFrames) {
        const count = Math.min(blockFrames, frames - first);
        const from = at + first * step;
        const view = new DataView(await file.slice(from, from + count * step).arrayBuffer());
        const y = new Float32Array(count);
        for (let n = 0; n < count; n++) {
          let total = 0;
          for (let c = 0; c < channels; c++) total += shares[c] * read(view, n * step + (c * bits) / 8);
          y[n] = total;
        }
        yield y;
      }
    }
    return { kind: "WAV", rate, frames, pcm };
  }

  return { open };
})();
