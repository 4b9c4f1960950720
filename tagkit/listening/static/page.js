"use strict";
// The document that shows what is chosen, and what happens when somebody chooses.

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
    const scores = Object.entries(model().scores[value] || {}).map(([tag, score]) => `${tag} ${Math.round(score * 100)}\u00a0%`);
    const verdict = scores.length ? `<small>The network says: ${escape(scores.join(", "))}</small>` : "";
    return {
      value,
      kind: "clip",
      html: `<b>${escape(each.title)}</b><canvas aria-hidden="true"></canvas><small>${escape(each.tags.join(", "))}</small>${verdict}`,
    };
  });
  const choose = tagkit.live ? tagkit.live.choosePiece : (value) => select({ clip: value });
  radios($("clips"), items, tagkit.state.clip, choose);
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
    const tag = each.tag ? `<span class="tag">${escape(each.tag)} <span>${each.auc.toFixed(2)}${each.tested ? " ✓" : ""}</span></span>` : "";
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
  const before = channelCurve(tagkit.state.channel, "control");
  if (curve) Draw.curve($("curve"), stage().frequencies_hz, curve, channel(), before);
  else Draw.fit($("curve"));
}

function renderModes() {
  const items = MODES.map((name) => {
    const known = refusal(name) ? null : carried(name);
    const html = known ? `${title(name)} <small>${percent(known[0])}</small>` : title(name);
    return { value: name, kind: "mode", html, disabled: refusal(name) };
  });
  radios($("modes"), items, mode(), (value) => select({ mode: value }));
  $("mode-words").innerHTML = modeWords();
  const what = mode() === "original" ? "" : `${model().title}, ${stage().name}, channel ${channel().index} · `;
  $("now").textContent = `${what}${clip().title}`;
}

// The channels of a network that tell a tag for sure: the best one of each tag, best first.
function finds() {
  const all = model().stages.flatMap(({ name, channels }, s) =>
    channels.map((each, c) => ({ ...each, name, s, c })).filter((each) => each.tested),
  );
  all.sort((a, b) => b.auc - a.auc);
  return all.filter((each, i) => all.findIndex((other) => other.tag === each.tag) === i).slice(0, 12);
}

function renderFinds() {
  const found = finds();
  $("finds").hidden = found.length === 0;
  $("finds-list").replaceChildren(
    ...found.map(({ tag, auc, name, index, s, c }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "find";
      button.title = `${name}, channel ${index}`;
      button.innerHTML = `${escape(tag)} <small>${auc.toFixed(2)}</small>`;
      button.addEventListener("click", () => select({ stage: s, channel: c }));
      return button;
    }),
  );
}

// A column for each network, so that the same moment stands in the same place in all of them.
function buildColumns() {
  const several = tagkit.header.models.length > 1;
  const lane = (name, kind, words) => `<figure><figcaption><b>${name}</b> <span></span></figcaption>
    <div class="track"><canvas class="lane ${kind}" role="img" aria-label="${words}"></canvas></div></figure>`;
  $("networks").innerHTML = tagkit.header.models
    .map((each, m) => `<div class="network" data-model="${m}">
      ${several ? `<button type="button" class="beside"><b>${escape(each.title)}</b><small></small></button>` : ""}
      ${lane("The channel", "short", "The channel's values over time")}
      ${lane("What you hear", "", "Spectrogram of what you hear")}</div>`)
    .join("");
  $("networks").querySelectorAll(".beside").forEach((button, m) => button.addEventListener("click", () => select({ model: m })));
  $("together").hidden = !several;
}

const spectrogramOf = (y) => Synthesis.spectrogram(y, 1024, 256);
const bandOf = ({ low_hz: low, high_hz: high, sections }) => (sections ? { low: Math.max(low, 20), high } : null);

function pieceSpectrogram() {
  return clip().spectrogram || (clip().spectrogram = spectrogramOf(original()));
}

function renderColumn(column, v) {
  const { sr } = tagkit.header;
  const [active, heard] = column.querySelectorAll("canvas");
  const [activeWords, heardWords] = column.querySelectorAll("figcaption span");
  const power = mode(v) === "original" ? pieceSpectrogram() : kept(`spectrogram ${mode(v)}`, () => spectrogramOf(rendered(v)), v);
  Draw.signal(active, envelope(v), 0, 1.2, clip().samples / sr);
  Draw.spectrogram(heard, power, sr, Math.max(Synthesis.largest(power.power), 1e-12), null);
  activeWords.textContent = `how active ${v.stage.name}, channel ${v.channel.index} is, every ${milliseconds(v.stage.stride)}`;
  heardWords.textContent = mode(v) === "original" ? "the piece itself" : `mode ${mode(v)}`;
  const button = column.querySelector(".beside");
  if (!button) return;
  button.setAttribute("aria-pressed", String(v.m === tagkit.state.model));
  const tuned = v.channel.centre_hz ? `, ${hertz(v.channel.centre_hz)}` : "";
  button.querySelector("small").textContent = `${v.stage.name}, channel ${v.channel.index}${tuned} · key ${v.m + 1}`;
}

function renderLanes() {
  const band = bandOf(channel());
  const piece = pieceSpectrogram();
  Draw.spectrogram($("piece"), piece, tagkit.header.sr, Math.max(Synthesis.largest(piece.power), 1e-12), band);
  const where = band ? "; between the dashed lines lies the channel's band" : "";
  $("piece-words").textContent = `${clip().title}${where}`;
  $("networks").querySelectorAll(".network").forEach((column, m) => renderColumn(column, view(m)));
}

// `changed` says whether something has changed; without it everything is drawn anew.
function render(changed = () => true) {
  if (changed("model") || changed("clip")) renderClips();
  if (changed("model") || changed("stage")) renderStages();
  if (changed("model")) renderFinds();
  if (changed("model") || changed("stage") || changed("channel")) renderChannels();
  renderFilter();
  if (changed("model") || changed("stage") || changed("channel")) Moments.render();
  renderModes();
  renderLanes();
}

// ---- choosing and playing --------------------------------------------------------------------------------------

function select(change) {
  const { state, choices } = tagkit;
  const before = { ...state };
  const centre = channel().centre_hz;
  if ("model" in change && change.model !== state.model) Object.assign(state, choices[change.model]);
  Object.assign(state, change);
  if ("stage" in change && change.stage !== before.stage && !("channel" in change)) state.channel = nearest(stage(), centre);
  choices[state.model] = { stage: state.stage, channel: state.channel };
  if (state.follow && state.model === before.model) follow();
  render(before.drawn ? (name) => state[name] !== before[name] : undefined);
  state.drawn = true;
  player.load(sound());
  remember();
}

// The channel of a stage whose centre frequency is nearest to the one heard before.
function nearest({ channels }, centre) {
  const distance = (each) => (centre && each.centre_hz ? Math.abs(Math.log(each.centre_hz / centre)) : 99);
  return channels.reduce((best, each, i) => (distance(each) < distance(channels[best]) ? i : best), 0);
}

// The other networks go where this one is: the stage with the nearest step, the channel with the nearest frequency.
function follow() {
  const { stage: here, channel: heard, m: active } = view();
  tagkit.header.models.forEach(({ stages }, m) => {
    if (m === active) return;
    const distance = (each) => Math.abs(Math.log(each.stride / here.stride));
    const there = stages.reduce((best, each, i) => (distance(each) < distance(stages[best]) ? i : best), 0);
    tagkit.choices[m] = { stage: there, channel: nearest(stages[there], heard.centre_hz) };
  });
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
  const opening = words.has("stage") ? null : header.opening; // the most telling sound, where it was measured
  if (opening) state.model = opening.model;
  const [best] = opening ? [{ s: opening.stage, c: opening.channel }] : tagkit.live && !words.has("stage") ? finds() : [];
  if (best) state.stage = best.s; // else the channel that tells its tag best is shown first
  const wanted = best ? best.c : stage().channels.findIndex((each) => String(each.index) === words.get("channel"));
  state.channel = wanted >= 0 ? wanted : order().reduce((best, i) => (stage().channels[i].energy > stage().channels[best].energy ? i : best));
  tagkit.choices = header.models.map(() => ({ stage: 0, channel: 0 }));
  state.clip = Math.min(Number(words.get("clip") || (opening && opening.clip)) || 0, header.clips.length - 1);
  if (MODES.includes(words.get("mode"))) state.mode = words.get("mode");
}

function toggle(playing = !player.playing) {
  if (playing) Moments.stop();
  if (playing && tagkit.live) tagkit.live.quiet();
  if (playing) player.play();
  else player.stop();
  $("play").setAttribute("aria-pressed", String(player.playing));
  $("play-words").textContent = player.playing ? "Stop" : "Play";
  if (player.playing) requestAnimationFrame(movePlayheads);
  else drawPlayheads(null);
}

function drawPlayheads(share) {
  document.querySelector(".lanes").style.setProperty("--at", share === null ? -1 : share);
  if (tagkit.live) tagkit.live.moveTiles(share === null ? null : player.position());
}

function movePlayheads() {
  if (!player.playing) return;
  drawPlayheads(player.position() / (clip().samples / tagkit.header.sr));
  requestAnimationFrame(movePlayheads);
}

function listen() {
  $("play").addEventListener("click", () => toggle());
  $("sorting").addEventListener("change", (event) => {
    tagkit.state.sorting = event.target.value;
    renderChannels();
  });
  $("volume").addEventListener("input", (event) => player.setVolume(Number(event.target.value)));
  for (const option of ["follow", "shared"]) $(option).addEventListener("change", (event) => select({ [option]: event.target.checked }));
  document.querySelectorAll(".lane").forEach((lane) => lane.addEventListener("click", (event) => {
    const box = lane.getBoundingClientRect();
    const column = lane.closest(".network");
    if (column) select({ model: Number(column.dataset.model) });
    toggle(true);
    player.play(((event.clientX - box.left) / box.width) * (clip().samples / tagkit.header.sr));
  }));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input")) return;
    const chosen = MODES.find((name) => name[0] === event.key.toLowerCase());
    if (event.key === " ") {
      event.preventDefault();
      toggle();
    } else if (chosen && !refusal(chosen)) select({ mode: chosen });
    else if (event.key >= "1" && event.key <= String(Math.min(9, tagkit.header.models.length))) select({ model: Number(event.key) - 1 });
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
  if (tagkit.live) await tagkit.live.start();
  buildColumns();
  $("main").hidden = false;
  $("transport").hidden = false;
  listen();
  select({});
}

Object.assign(tagkit, { player, select, sound, view, finds, mode, refusal, order, toggle });
tagkit.ready = start().catch((error) => {
  $("problem").hidden = false;
  $("problem").textContent = `This page could not start (${error.message}). It needs a browser from 2023 or later: Chrome 80, Firefox 113, Safari 16.4.`;
  throw error;
});
