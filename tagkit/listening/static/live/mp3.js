"use strict";
// MP3 files, decoded by the browser in blocks that are cut at frame headers: an hour never lies in memory as a whole.
const Mp3 = (() => {
  const BITRATES = {
    1: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    2: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
  };
  const RATES = [44100, 48000, 32000];
  const LEAD = 12; // frames decoded ahead of a block and thrown away: a frame takes up to 511 bytes of those before it
  const DECODER_DELAY = 529; // samples, of every decoder of layer III
  const PIECE = 1 << 22; // bytes that are searched for headers at a time
  const MOST_JUNK = 1 << 16; // bytes without a frame after which this is no MP3 file

  // The frame whose header is at `at`, or null where there is none (layer III alone).
  function header(bytes, at) {
    if (bytes[at] !== 0xff || (bytes[at + 1] & 0xe6) !== 0xe2) return null;
    const version = (bytes[at + 1] >> 3) & 3; // 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
    const bitrate = BITRATES[version === 3 ? 1 : 2][bytes[at + 2] >> 4];
    const rate = RATES[(bytes[at + 2] >> 2) & 3] / (version === 3 ? 1 : version === 2 ? 2 : 4);
    if (version === 1 || !bitrate || !rate) return null;
    const samples = version === 3 ? 1152 : 576;
    const padding = (bytes[at + 2] >> 1) & 1;
    return { rate, samples, mono: bytes[at + 3] >> 6 === 3, version, length: Math.floor(((samples / 8) * bitrate * 1000) / rate) + padding };
  }

  // Bytes of the tag (ID3v2) that a file begins with.
  async function tagLength(file) {
    const head = new Uint8Array(await file.slice(0, 10).arrayBuffer());
    if (head.length < 10 || String.fromCharCode(...head.slice(0, 3)) !== "ID3") return 0;
    return 10 + head.slice(6).reduce((length, byte) => length * 128 + (byte & 127), 0) + (head[5] & 16 ? 10 : 0);
  }

  // Where the frames begin, in bytes, and what they have in common. Null where this is no plain MP3 file: too much else
  // in it, or frames of several rates.
  async function scan(file) {
    const places = [];
    let first = null;
    let junk = 0;
    for (let base = await tagLength(file); base < file.size; ) {
      const bytes = new Uint8Array(await file.slice(base, base + PIECE).arrayBuffer());
      const last = base + bytes.length >= file.size;
      let at = 0;
      for (; at + 4 <= bytes.length; ) {
        const found = header(bytes, at);
        const next = found && at + found.length;
        if (!last && (next || at) + 4 > bytes.length) break;
        // Within the file a header counts only if another one follows its frame.
        if (found && (next + 4 > bytes.length || header(bytes, next) || places.length && at === places.end - base)) {
          if (first && first.rate !== found.rate) return null;
          if (base + next > file.size) break;
          if (!first) first = { ...found, info: infoOf(bytes, at, found) };
          places.push(base + at);
          places.end = base + next;
          at = next;
          junk = 0;
        } else {
          at++;
          if (++junk > MOST_JUNK) return first && places.length > 1 ? { places, first } : null;
        }
      }
      base += Math.max(at, 1);
    }
    return first && places.length > 1 ? { places, first } : null;
  }

  // The encoder's note in a first frame that is no music: samples of silence that it put before and behind.
  function infoOf(bytes, at, { version, mono }) {
    const from = at + 4 + (version === 3 ? (mono ? 17 : 32) : mono ? 9 : 17);
    const word = String.fromCharCode(...bytes.slice(from, from + 4));
    if (word !== "Xing" && word !== "Info") return null;
    const flags = bytes[from + 7];
    const lame = from + 8 + (flags & 1 ? 4 : 0) + (flags & 2 ? 4 : 0) + (flags & 4 ? 100 : 0) + (flags & 8 ? 4 : 0);
    const [a, b, c] = bytes.slice(lame + 21, lame + 24);
    const named = bytes[lame] >= 32 && bytes[lame] < 127;
    return named ? { before: (a << 4) | (b >> 4), behind: ((b & 15) << 8) | c } : { before: 0, behind: 0 };
  }

  // What the file holds, or null where it is no plain MP3 file.
  async function open(file) {
    const found = await scan(file);
    if (!found) return null;
    const { places, first: { rate, samples, info } } = found;
    const end = places.end;
    if (info) places.shift();
    const skip = info && info.before ? info.before + DECODER_DELAY : 0;
    const frames = places.length * samples - skip - (info && info.before ? Math.max(info.behind - DECODER_DELAY, 0) : 0);
    if (frames <= 0) return null;

    async function* pcm(blockFrames) {
      const each = Math.max(Math.round(blockFrames / samples), 1);
      let dropped = skip;
      let left = frames;
      for (let from = 0; from < places.length && left > 0; from += each) {
        const lead = Math.min(LEAD, from);
        const to = Math.min(from + each, places.length);
        const bytes = await file.slice(places[from - lead], to < places.length ? places[to] : end).arrayBuffer();
        const decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes);
        if (decoded.length !== (to - from + lead) * samples) throw new BlockError();
        const y = mix(decoded).subarray(lead * samples);
        const now = y.subarray(Math.min(dropped, y.length)).subarray(0, left);
        dropped -= y.length - (y.length > dropped ? y.length - dropped : 0);
        left -= now.length;
        yield now;
      }
    }
    return { kind: "MP3", rate, frames, pcm };
  }

  // A block came out longer or shorter than its frames: damaged ones were left out, or this browser decodes otherwise.
  class BlockError extends Error {}

  return { open, BlockError };
})();
