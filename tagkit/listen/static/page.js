"use strict";
// What is chosen, and the document that shows it. `tagkit` is the handle for the browser's console and for tests.
const $ = (id) => document.getElementById(id);
const MODES = ["original", "raw", "carrier", "gated"];
const NOTES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];

const tagkit = {
  header: JSON.parse($("header").textContent),
  state: { model: 0, stage: 0, channel: 0, clip: 0, mode: "gated", sorting: "frequency" },
  blob: null,
  kept: new Map(),
  originals: [],
};
const player = new Player(tagkit.header.sr);

// ---- what is chosen --------------------------------------------------------------------------------------------

const clip = () => tagkit.header.clips[tagkit.state.clip];
const model = () => tagkit.header.models[tagkit.state.model];
const stage = () => model().stages[tagkit.state.stage];
const channel = () => stage().channels[tagkit.state.channel];

// Why a mode is not offered here; "" where it is.
function refusal(mode) {
  if (mode === "original") return "";
  if (mode === "carrier" && !channel().centre_hz) return "no tone moves this channel, so it has no frequency of its own.";
  return stage().refused[mode] || "";
}

// The mode that plays: the wanted one, or the nearest that makes sense here.
function mode() {
  return [tagkit.state.mode, "gated", "carrier", "original"].find((name) => !refusal(name));
}

function channelCurve(position) {
  const { curves } = stage();
  return curves ? Synthesis.curveChannel(tagkit.blob, curves, position) : null;
}

// The band-pass of the gated mode; null for a channel so broad that the piece itself is gated.
function channelSections() {
  if (!channel().sections) return null;
  const { at, count } = channel().sections;
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
function kept(what, compute) {
  const { state, kept: store } = tagkit;
  const key = [what, state.model, state.stage, state.channel, state.clip].join("/");
  if (!store.has(key)) {
    if (store.size > 60) store.delete(store.keys().next().value);
    store.set(key, compute());
  }
  return store.get(key);
}

const map = () => Synthesis.mapChannel(tagkit.blob, stage().maps[tagkit.state.clip], tagkit.state.channel);
const envelope = () => kept("envelope", () => Synthesis.envelope(map(), stage(), clip().samples));
const original = () => tagkit.originals[tagkit.state.clip];

// The sound of the present choice, at the page's sampling rate.
function sound(name = mode()) {
  if (name === "original") return clip().levelled || (clip().levelled = Synthesis.level(original()));
  return kept(name, () =>
    Synthesis.sonify(name, map(), {
      sr: tagkit.header.sr,
      samples: clip().samples,
      stage: stage(),
      channel: { centre_hz: channel().centre_hz, sections: channelSections() },
      y: original(),
      e: name === "raw" ? null : envelope(),
    }),
  );
}

// ---- words -----------------------------------------------------------------------------------------------------

function hertz(hz) {
  if (hz >= 10000) return `${(hz / 1000).toFixed(0)} kHz`;
  if (hz >= 1000) return `${(hz / 1000).toFixed(1)} kHz`;
  return `${hz.toFixed(hz < 10 ? 1 : 0)} Hz`;
}

function note(hz) {
  const key = Math.round(69 + 12 * Math.log2(hz / 440));
  return `${NOTES[((key % 12) + 12) % 12]}${Math.floor(key / 12) - 1}`;
}

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
  if (!stage().curves) words = "This stage was not probed with tones.";
  return remark ? `${words} ${remark}` : words;
}

function modeWords() {
  const { centre_hz: centre, low_hz: low, high_hz: high } = channel();
  const silent = mode() !== "original" && !sound().some((value) => Math.abs(value) > 1e-6);
  const band = channel().sections ? `between ${hertz(Math.max(low, 20))} and ${hertz(high)}` : "over its whole range (the channel is too broad to have a band)";
  const rumble = stage().stride > 27 ? "at most a rumble" : "it sounds dull because that is all the channel has";
  const told = {
    original: "The piece as it entered the network. Compare it with what one channel keeps of it.",
    raw: `The channel's own numbers as a waveform. Nothing above ${hertz(tagkit.header.sr / (2 * stage().stride))} is left in them: ${rumble}.`,
    carrier: `A tone at ${centre ? `${hertz(centre)} (${note(centre)})` : "its centre frequency"}, as loud as the channel is active. The pitch is chosen by this page; the rhythm is the network's.${centre < 80 ? " So low a tone needs headphones." : ""}`,
    gated: `The piece ${band}, let through as far as the channel is active.`,
  };
  const parts = [silent ? "This channel stays silent in this piece." : told[mode()]];
  for (const name of MODES) {
    if (refusal(name)) parts.push(`<span class="refused"><b>${title(name)}</b> is not offered here: ${refusal(name)}</span>`);
  }
  return parts.join("<br>");
}

const title = (name) => name[0].toUpperCase() + name.slice(1);

// ---- the document ----------------------------------------------------------------------------------------------

// A group of buttons of which one is chosen; arrow keys move and choose, as in any radio group.
function radios(group, items, chosen, choose) {
  const hadFocus = group.contains(document.activeElement);
  group.replaceChildren(
    ...items.map(({ value, html, kind, label, disabled, style }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = kind;
      button.innerHTML = html;
      button.dataset.value = value;
      button.setAttribute("role", "radio");
      button.setAttribute("aria-checked", String(value === chosen));
      button.tabIndex = value === chosen ? 0 : -1;
      if (label) button.setAttribute("aria-label", label);
      if (style) button.style.cssText = style;
      if (disabled) {
        button.setAttribute("aria-disabled", "true");
        button.title = disabled;
      }
      button.addEventListener("click", () => !disabled && choose(value));
      return button;
    }),
  );
  group.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const open = items.filter((item) => !item.disabled).map((item) => item.value);
    choose(open[(open.indexOf(chosen) + step + open.length) % open.length]);
  };
  if (hadFocus) group.querySelector('[aria-checked="true"]')?.focus();
}

function escape(text) {
  const box = document.createElement("span");
  box.textContent = text;
  return box.innerHTML;
}

function renderClips() {
  const items = tagkit.header.clips.map((each, value) => {
    const scores = Object.entries(model().scores[value] || {}).map(([tag, score]) => `${tag} ${Math.round(score * 100)} %`);
    const verdict = scores.length ? `<small>The network says: ${escape(scores.join(", "))}</small>` : "";
    return {
      value,
      kind: "clip",
      html: `<b>${escape(each.title)}</b><canvas aria-hidden="true"></canvas><small>${escape(each.tags.join(", "))}</small>${verdict}`,
    };
  });
  radios($("clips"), items, tagkit.state.clip, (value) => select({ clip: value }));
  $("clips").querySelectorAll("canvas").forEach((canvas, i) => {
    const y = tagkit.originals[i];
    const peak = Synthesis.largest(y.map(Math.abs)) || 1; // a quiet piece has a shape, too
    Draw.signal(canvas, y, -peak, peak);
  });
}

function renderStages() {
  const { models } = tagkit.header;
  const names = models.map((each, value) => ({ value, kind: "model", html: escape(each.title) }));
  radios($("models"), models.length > 1 ? names : [], tagkit.state.model, (value) => select({ model: value }));
  const items = model().stages.map((each, value) => ({
    value,
    kind: "stage",
    style: `--period: ${Math.round(3 + 2.2 * Math.log2(each.stride))}px`,
    html: `<b>${escape(each.name)}</b><i aria-hidden="true"></i><small>step ${milliseconds(each.stride)}</small><small>sees ${milliseconds(each.receptive_field)}</small>`,
  }));
  radios($("stages"), items, tagkit.state.stage, (value) => select({ stage: value }));
  $("geometry").innerHTML = geometryWords();
}

function renderChannels() {
  const hasTags = stage().channels.some((each) => each.tag);
  $("sorting").querySelector('[value="tag"]').disabled = !hasTags;
  $("channels-hint").textContent =
    "Each tile draws how strongly a channel answers to low (left) and high (right) tones; the bar is its energy.";
  const items = order().map((value) => {
    const each = stage().channels[value];
    const curve = channelCurve(value);
    const centre = each.centre_hz ? hertz(each.centre_hz) : "–";
    const drawn = curve ? `<path d="${Draw.outline(stage().frequencies_hz, curve)}"/>` : "";
    const tag = each.tag ? `<span class="tag">${escape(each.tag)} ${each.auc.toFixed(2)}</span>` : "";
    return {
      value,
      kind: "channel",
      label: `Channel ${each.index}, ${each.centre_hz ? `centre frequency ${centre}` : "no centre frequency"}`,
      style: `--energy: ${Math.sqrt(each.energy)}`,
      html: `<svg viewBox="0 -1 100 32" preserveAspectRatio="none" aria-hidden="true">${drawn}</svg><span class="name"><span>${each.index}</span><span>${centre}</span></span>${tag}<span class="energy"></span>`,
    };
  });
  radios($("channels"), items, tagkit.state.channel, (value) => select({ channel: value }));
}

function renderFilter() {
  $("filter-words").textContent = filterWords();
  const curve = channelCurve(tagkit.state.channel);
  if (curve) Draw.curve($("curve"), stage().frequencies_hz, curve, channel());
  else Draw.fit($("curve"));
}

function renderModes() {
  const items = MODES.map((name) => ({ value: name, kind: "mode", html: title(name), disabled: refusal(name) }));
  radios($("modes"), items, mode(), (value) => select({ mode: value }));
  $("mode-words").innerHTML = modeWords();
  const what = mode() === "original" ? "" : `${model().title}, ${stage().name}, channel ${channel().index} · `;
  $("now").textContent = `${what}${clip().title}`;
}

const spectrogramOf = (y) => Synthesis.spectrogram(y, 1024, 256);

function renderLanes() {
  const { sr } = tagkit.header;
  const { low_hz: low, high_hz: high, sections } = channel();
  const band = sections ? { low: Math.max(low, 20), high } : null;
  const piece = clip().spectrogram || (clip().spectrogram = spectrogramOf(original()));
  const heard = mode() === "original" ? piece : kept(`spectrogram ${mode()}`, () => spectrogramOf(sound()));
  Draw.spectrogram($("piece"), piece, sr, Synthesis.largest(piece.power), band);
  Draw.spectrogram($("sound"), heard, sr, Math.max(Synthesis.largest(heard.power), 1e-9), null);
  Draw.signal($("envelope"), envelope(), 0, 1.2, clip().samples / sr);
  const where = band ? "; between the dashed lines lies the channel's band" : "";
  $("piece-words").textContent = `${clip().title}${where}`;
  $("envelope-words").textContent =
    `how active ${stage().name}, channel ${channel().index} is; the stage reports every ${milliseconds(stage().stride)}`;
  $("sound-words").textContent = mode() === "original" ? "the piece itself" : `mode ${mode()}`;
}

// `changed` says whether something has changed; without it everything is drawn anew.
function render(changed = () => true) {
  if (changed("model") || changed("clip")) renderClips();
  if (changed("model") || changed("stage")) renderStages();
  if (changed("model") || changed("stage") || changed("channel")) renderChannels();
  renderFilter();
  renderModes();
  renderLanes();
}

// ---- choosing and playing --------------------------------------------------------------------------------------

function select(change) {
  const { state } = tagkit;
  const before = { ...state };
  Object.assign(state, change);
  if (state.model !== before.model) state.stage = Math.min(state.stage, model().stages.length - 1);
  if (state.model !== before.model || state.stage !== before.stage) state.channel = "channel" in change ? change.channel : nearest(before);
  render(before.drawn ? (name) => state[name] !== before[name] : undefined);
  state.drawn = true;
  player.load(sound());
  remember();
}

// After a change of stage: the channel whose centre frequency is nearest to the one heard before.
function nearest(before) {
  const old = tagkit.header.models[before.model].stages[before.stage].channels[before.channel];
  const distance = (each) => (old.centre_hz && each.centre_hz ? Math.abs(Math.log(each.centre_hz / old.centre_hz)) : 99);
  const { channels } = stage();
  return channels.reduce((best, each, i) => (distance(each) < distance(channels[best]) ? i : best), 0);
}

// The choice stands in the address, so that it can be sent to somebody who has the file.
function remember() {
  const words = { model: model().title, stage: stage().name, channel: channel().index, clip: tagkit.state.clip, mode: mode() };
  history.replaceState(null, "", `#${new URLSearchParams(words)}`);
}

function recall() {
  const words = new URLSearchParams(location.hash.slice(1));
  const { state, header } = tagkit;
  const at = (list, test) => Math.max(0, list.findIndex(test));
  state.model = at(header.models, (each) => each.title === words.get("model"));
  state.stage = at(model().stages, (each) => each.name === words.get("stage"));
  const wanted = stage().channels.findIndex((each) => String(each.index) === words.get("channel"));
  state.channel = wanted >= 0 ? wanted : order().reduce((best, i) => (stage().channels[i].energy > stage().channels[best].energy ? i : best));
  state.clip = Math.min(Number(words.get("clip")) || 0, header.clips.length - 1);
  if (MODES.includes(words.get("mode"))) state.mode = words.get("mode");
}

function toggle(playing = !player.playing) {
  if (playing) player.play();
  else player.stop();
  $("play").setAttribute("aria-pressed", String(player.playing));
  $("play-words").textContent = player.playing ? "Stop" : "Play";
  if (player.playing) requestAnimationFrame(follow);
  else drawPlayheads(null);
}

function drawPlayheads(share) {
  document.querySelector(".lanes").style.setProperty("--at", share === null ? -1 : share);
}

function follow() {
  if (!player.playing) return;
  drawPlayheads(player.position() / (clip().samples / tagkit.header.sr));
  requestAnimationFrame(follow);
}

function listen() {
  $("play").addEventListener("click", () => toggle());
  $("sorting").addEventListener("change", (event) => {
    tagkit.state.sorting = event.target.value;
    renderChannels();
  });
  $("volume").addEventListener("input", (event) => player.setVolume(Number(event.target.value)));
  document.querySelectorAll(".lane").forEach((lane) => lane.addEventListener("click", (event) => {
    const box = lane.getBoundingClientRect();
    toggle(true);
    player.play(((event.clientX - box.left) / box.width) * (clip().samples / tagkit.header.sr));
  }));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input")) return;
    const chosen = { o: "original", r: "raw", c: "carrier", g: "gated" }[event.key.toLowerCase()];
    if (event.key === " ") {
      event.preventDefault();
      toggle();
    } else if (chosen && !refusal(chosen)) select({ mode: chosen });
  });
  let waiting;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => render(), 120);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => render());
}

async function decodeClip(each) {
  const { sr } = tagkit.header;
  const bytes = tagkit.blob.slice(each.mp3.at, each.mp3.at + each.mp3.bytes);
  const decoded = await new OfflineAudioContext(1, 1, sr * each.mp3.step).decodeAudioData(bytes.buffer);
  const anchor = new Int8Array(tagkit.blob.buffer, each.anchor.at, each.anchor.samples);
  return Synthesis.lineUp(decoded.getChannelData(0), each.mp3.step, anchor, each.anchor.start, each.samples);
}

async function start() {
  tagkit.blob = await Synthesis.inflate(Synthesis.bytesFromBase64($("blob").textContent));
  tagkit.originals = await Promise.all(tagkit.header.clips.map(decodeClip));
  recall();
  $("main").hidden = false;
  $("transport").hidden = false;
  listen();
  select({});
}

Object.assign(tagkit, { player, select, sound, mode, refusal, order, toggle });
tagkit.ready = start().catch((error) => {
  $("problem").hidden = false;
  $("problem").textContent = `This page could not start (${error.message}). It needs a browser from 2023 or later: Chrome 80, Firefox 113, Safari 16.4.`;
  throw error;
});
