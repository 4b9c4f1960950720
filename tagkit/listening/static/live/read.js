"use strict";
// Files into samples: WAV and MP3 block by block, what else the browser decodes in one piece, up to a limit.
const Read = (() => {
  const BLOCK_S = 5;
  const UNKNOWN_MOST_BYTES = 60e6; // of a file whose length the browser does not tell
  const METADATA_MS = 5000;

  // What is wrong with a file, in words for the listener.
  class Problem extends Error {}

  const clock = (seconds) => {
    const whole = Math.floor(seconds);
    const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    const shown = parts[0] ? parts : parts.slice(1);
    return shown.map((n, i) => (i ? String(n).padStart(2, "0") : n)).join(":");
  };

  // A file that was opened: {kind, rate, frames, pcm}, where pcm(frames) gives blocks of mono samples at `rate`.
  async function open(file) {
    if (file.size === 0) throw new Problem(`${file.name} is empty (0 bytes): choose another file.`);
    return (await Wav.open(file)) || (await Mp3.open(file)) || decoded(file);
  }

  function duration(file) {
    return new Promise((tell) => {
      const audio = new Audio();
      const url = URL.createObjectURL(file);
      const end = (seconds) => {
        URL.revokeObjectURL(url);
        audio.removeAttribute("src");
        tell(seconds);
      };
      audio.preload = "metadata";
      audio.onloadedmetadata = () => end(audio.duration);
      audio.onerror = () => end(NaN);
      setTimeout(() => end(NaN), METADATA_MS);
      audio.src = url;
    });
  }

  async function decoded(file) {
    const { longest_s: longest, decode_hz: rate } = SHARED;
    const seconds = await duration(file);
    const known = Number.isFinite(seconds); // a stream says nothing of its end
    if (known ? seconds > longest : file.size > UNKNOWN_MOST_BYTES) {
      const length = known ? `lasts ${clock(seconds)}` : `has ${Math.round(file.size / 1e6)} MB`;
      throw new Problem(
        `${file.name} ${length}. WAV and MP3 may be hours long; other formats, which the browser decodes in one piece, ` +
        `at most ${longest / 60} minutes: convert it to WAV or MP3.`);
    }
    let buffer;
    try {
      buffer = await new OfflineAudioContext(1, 1, rate).decodeAudioData(await file.arrayBuffer());
    } catch {
      throw new Problem(
        `This browser cannot decode ${file.name}: it is damaged, holds no sound, or has a format that the browser does ` +
        "not know. Try it as WAV or MP3.");
    }
    const y = mix(buffer);
    async function* pcm(blockFrames) {
      for (let at = 0; at < y.length; at += blockFrames) yield y.subarray(at, at + blockFrames);
    }
    return { kind: "other", rate, frames: y.length, pcm };
  }

  // Blocks of samples at the rate `sr`; `name` is that of the file.
  async function* blocks({ rate, pcm }, sr, name) {
    const resampler = new Resampler(rate, sr);
    for await (const block of pcm(BLOCK_S * rate)) {
      if (!block.every(Number.isFinite)) {
        throw new Problem(`${name} holds NaN or infinity among its samples: export it again.`);
      }
      yield resampler.push(block);
    }
    yield resampler.end();
  }

  return { open, blocks, decoded, clock, Problem };
})();
