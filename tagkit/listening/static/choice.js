"use strict";
// What is chosen, and how it sounds. `tagkit` is the handle for the browser's console and for tests.
const $ = (id) => document.getElementById(id);
const NOTES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];

const tagkit = {
  header: JSON.parse($("header").textContent),
  state: { model: 0, stage: 0, channel: 0, clip: 0, mode: "gated", sorting: "frequency", follow: true, shared: true },
  choices: [], // stage and channel of every network; those of the network that is heard stand in `state`, too
  blob: null,
  kept: new Map(),
  originals: [],
};
const MODES = tagkit.header.modes; // those of tagkit.analysis.sonify.MODES that need no network
const player = new Player(tagkit.header.sr);

const clip = () => tagkit.header.clips[tagkit.state.clip];

// One network with its own stage and channel; by default the network that is heard.
function view(m = tagkit.state.model) {
  const { stage: s, channel: c } = m === tagkit.state.model ? tagkit.state : tagkit.choices[m];
  const network = tagkit.header.models[m];
  return { m, s, c, model: network, stage: network.stages[s], channel: network.stages[s].channels[c] };
}
const views = () => tagkit.header.models.map((_, m) => view(m));
const model = () => view().model;
const stage = () => view().stage;
const channel = () => view().channel;

// Why a mode is not offered here; "" where it is.
function refusal(name, v = view()) {
  return v.stage.refused[name] || v.channel.refused[name] || "";
}

// How much of the channel's answer to the piece a mode's sound carries, and what other channels' sounds carry of it;
// null where it was not measured.
function carried(name, v = view()) {
  const known = v.channel.carried && v.channel.carried[name];
  return known ? known[tagkit.state.clip] : null;
}

// The mode that plays: the wanted one, or the nearest that makes sense here.
function mode(v = view()) {
  return [tagkit.state.mode, "gated", "carrier", "original"].find((name) => !refusal(name, v));
}

function channelCurve(position, which = "curves") {
  const curves = stage()[which];
  return curves ? Synthesis.curveChannel(tagkit.blob, curves, position) : null;
}

// The band-pass of the gated mode; null for a channel so broad that the piece itself is gated.
function channelSections(v) {
  if (!v.channel.sections) return null;
  const { at, count } = v.channel.sections;
  const numbers = new Float64Array(tagkit.blob.slice(at, at + count * 48).buffer);
  return Array.from({ length: count }, (_, i) => numbers.slice(6 * i, 6 * i + 6));
}

function order() {
  const { channels } = stage();
  const missing = (value) => (value === null || value === undefined ? Infinity : value);
  const by = {
    frequency: (a, b) => missing(a.centre_hz) - missing(b.centre_hz) || a.index - b.index,
    energy: (a, b) => b.energy - a.energy,
    tag: (a, b) => (b.auc || 0) - (a.auc || 0) || a.index - b.index,
  }[tagkit.state.sorting];
  return channels.map((_, i) => i).sort((i, j) => by(channels[i], channels[j]) || 0);
}

// What is computed once and kept for a while: sounds, envelopes and spectrograms of the last choices.
function kept(what, compute, v) {
  const store = tagkit.kept;
  const key = [what, v.m, v.s, v.c, clip().key || tagkit.state.clip].join("/");
  if (!store.has(key)) {
    if (store.size > 120) store.delete(store.keys().next().value);
    store.set(key, compute());
  }
  return store.get(key);
}

// One channel over time: from the page's data, or, where the networks are in the page, as they compute it.
const map = (v) =>
  tagkit.live ? tagkit.live.channel(v) : Synthesis.mapChannel(tagkit.blob, v.stage.maps[tagkit.state.clip], v.c);
const envelope = (v) => kept("envelope", () => Synthesis.envelope(map(v), v.stage, clip().samples), v);
const original = () => tagkit.originals[tagkit.state.clip];

// One channel, not levelled yet.
function rendered(v) {
  const name = mode(v);
  const scene = () => ({
    sr: tagkit.header.sr,
    samples: clip().samples,
    stage: v.stage,
    channel: { centre_hz: v.channel.centre_hz, sections: channelSections(v) },
    y: original(),
    e: name === "raw" ? undefined : envelope(v),
  });
  return kept(name, () => Synthesis.render(name, map(v), scene()), v);
}

const isSilent = (y) => !y.some((value) => Math.abs(value) > 1e-9);

// The gain of a network's sound: its own, or the one that networks side by side share. Silence has no say.
function gain(v) {
  const own = (each) =>
    kept(`gain ${mode(each)}`, () => (isSilent(rendered(each)) ? Infinity : Synthesis.ownGain(rendered(each))), each);
  const heard = tagkit.state.shared ? views().filter((each) => mode(each) !== "original") : [v];
  const least = Math.min(...heard.map(own));
  return Number.isFinite(least) ? least : 1;
}

// The sound of a network's present choice, at the page's sampling rate.
function sound(v = view()) {
  if (mode(v) === "original") return clip().levelled || (clip().levelled = Synthesis.level(original()));
  return Synthesis.level(rendered(v), gain(v));
}
