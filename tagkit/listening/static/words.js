"use strict";
// What is chosen, in words.
function hertz(hz) {
  if (hz >= 10000) return `${(hz / 1000).toFixed(0)} kHz`;
  if (hz >= 1000) return `${(hz / 1000).toFixed(1)} kHz`;
  return `${hz.toFixed(hz < 10 ? 1 : 0)} Hz`;
}

function note(hz) {
  const key = Math.round(69 + 12 * Math.log2(hz / 440));
  return `${NOTES[((key % 12) + 12) % 12]}${Math.floor(key / 12) - 1}`;
}

const percent = (share) => `${Math.round(share * 100)}\u00a0%`;

function milliseconds(samples) {
  const ms = (samples / tagkit.header.sr) * 1000;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

function geometryWords() {
  const { stride, receptive_field: field, channels, channels_in_all: all } = stage();
  const nyquist = hertz(tagkit.header.sr / (2 * stride));
  const shown = all > channels.length ? `; the ${channels.length} liveliest and most different of ${all} are here` : "";
  return `<b>${stage().name}</b> writes ${all === 1 ? "one number" : `${all} numbers`} (its channels${shown}) every
    <b>${milliseconds(stride)}</b> (${plural(stride, "sample")}). Each of them looks at <b>${milliseconds(field)}</b> of
    sound (receptive field, ${plural(field, "sample")}). At that pace a channel can follow changes up to
    <b>${nyquist}</b> (its Nyquist frequency).`;
}

function filterWords() {
  const { centre_hz: centre, low_hz: low, high_hz: high, note: remark } = channel();
  let words = "No single tone stands out for this channel.";
  if (centre && !low && high) words = `Answers to everything below ${hertz(high)}, with a peak at ${hertz(centre)}.`;
  else if (centre) words = `Strongest at ${hertz(centre)}, near the note ${note(centre)}.`;
  if (low && high) words += ` Half power from ${hertz(low)} to ${hertz(high)}.`;
  if (stage().control) words += " Dashed: the same channel before training.";
  return remark ? `${words} ${remark}` : words;
}

function modeWords() {
  const { centre_hz: centre, low_hz: low, high_hz: high } = channel();
  const silent = mode() !== "original" && isSilent(rendered(view()));
  const band = channel().sections ? `between ${hertz(Math.max(low, 20))} and ${hertz(high)}` : "over its whole range (the channel is too broad to have a band)";
  const rumble = stage().stride > 27 ? "at most a rumble" : "it sounds dull because that is all the channel has";
  const told = {
    original: "The piece as it entered the network. Compare it with what one channel keeps of it.",
    raw: `The channel's own numbers as a waveform. Nothing above ${hertz(tagkit.header.sr / (2 * stage().stride))} is left in them: ${rumble}.`,
    carrier: `A tone at ${centre ? `${hertz(centre)} (${note(centre)})` : "its centre frequency"}, as loud as the channel is active. The pitch is chosen by this page; the rhythm is the network's.${centre < 80 ? " So low a tone needs headphones." : ""}`,
    gated: `The piece ${band}, let through as far as the channel is active.`,
  };
  const parts = [silent ? "This channel stays silent in this piece." : told[mode()]];
  const known = silent ? null : carried(mode());
  if (known) parts.push(`It carries ${percent(known[0])} of the channel's answer to the piece; sounds of other channels of ${stage().name}, as loud, carry ${percent(known[1])} of it on average.`);
  for (const name of MODES) {
    if (refusal(name)) parts.push(`<span class="refused"><b>${title(name)}</b> is not offered here: ${refusal(name)}</span>`);
  }
  return parts.join("<br>");
}

const title = (name) => name[0].toUpperCase() + name.slice(1);
