"use strict";
// The listener's own music: dropped, chosen or recorded, tagged while it is read, and opened for the stages below.
const live = {
  pool: null,
  song: null,
  taggings: [],
  maps: new Map(), // of the piece that is listened to: its networks' maps, by stage
  at: 0, // where the stretch begins that is listened to, in samples
  microphone: null,
  place: -1, // of the own piece among the clips
};

// ---- the networks ------------------------------------------------------------------------------------------------

function startPool() {
  const networks = tagkit.header.models.map(({ title, graph, weights: { at, bytes } }) => ({
    title, graph, weights: tagkit.blob.slice(at, at + bytes),
  }));
  live.pool = new Pool($("kernel").textContent, networks);
}

// All maps of a piece, made unless they are there: only those of one piece are kept.
async function hear(number) {
  const piece = tagkit.header.clips[number];
  if (live.maps.has(piece)) return;
  const sound = () => tagkit.originals[number].slice();
  const found = await Promise.all(tagkit.header.models.map((_, m) => live.pool.ask("maps", m, sound, { ahead: true })));
  live.maps = new Map([[piece, found]]);
}

// One channel of a piece, for the sonification.
function liveChannel(v) {
  const { data, channels, frames } = live.maps.get(clip())[v.m][v.stage.name];
  return Float64Array.from({ length: frames }, (_, n) => data[n * channels + v.channel.index]);
}

// A choice of another piece waits for its maps.
function choosePiece(number) {
  const piece = tagkit.header.clips[number];
  live.wanted = piece;
  $("main").setAttribute("aria-busy", "true");
  return hear(number)
    .then(() => live.wanted === piece && select({ clip: number }))
    .catch((error) => say(error.message, true))
    .finally(() => $("main").removeAttribute("aria-busy"));
}

// ---- a song ------------------------------------------------------------------------------------------------------

function say(words, problem = false) {
  if ($("song-words").textContent !== words) $("song-words").textContent = words; // so that it is read aloud once
  $("song-words").classList.toggle("is-problem", problem);
}

// A new song takes the place of the one before.
function begin(song) {
  if (live.song) live.pool.withdraw(live.song);
  Object.assign(live, { song, at: 0, stopped: false, opened: false });
  live.taggings = tagkit.header.models.map(({ graph }, m) => new Tagging(live.pool, m, graph, song, drawTags));
  $("tags").hidden = false;
  $("tags-heading").textContent = `Tags over time: ${song.name}`;
  drawTags();
}

const current = (song) => live.song === song && !live.stopped;

async function openFile(file) {
  stopRecording();
  live.stopped = true;
  say(`Reading ${file.name} …`);
  progress(0);
  const { sr } = tagkit.header;
  try {
    let source = await Read.open(file);
    const song = new Song(file.name, sr, Math.round((source.frames * sr) / source.rate));
    begin(song);
    setPlayer(file);
    try {
      await fill(song, source);
    } catch (error) {
      if (!(error instanceof Mp3.BlockError)) throw error;
      source = await Read.decoded(file); // damaged frames: the browser finds its way through the whole
      const again = new Song(file.name, sr, Math.round((source.frames * sr) / source.rate));
      begin(again);
      await fill(again, source);
    }
  } catch (error) {
    progress(null);
    if (live.song && live.song.name === file.name) $("tags").hidden = live.stopped = true; // or it is drawn once more
    if (!(error instanceof Read.Problem)) console.error(error);
    say(error instanceof Read.Problem ? error.message : `${file.name} cannot be read: ${error.message}`, true);
  }
}

async function fill(song, source) {
  for await (const block of Read.blocks(source, song.sr, song.name)) {
    if (!current(song)) break;
    song.push(block);
    live.taggings.forEach((each) => each.offer());
    if (!live.opened && song.seconds >= SHARED.opened_s) listenInside(0); // drawing takes time of its own
    drawTags();
    await new Promise((go) => setTimeout(go)); // the page stays alive
  }
  if (current(song)) finish(song);
}

// All of a song is there, or all that there will be.
function finish(song) {
  song.done = true;
  if (song.removeOffset()) begin(song); // every window again, without it
  const problem = verdict(song);
  if (song.seconds < SHARED.shortest_s) {
    $("tags").hidden = live.stopped = true;
    progress(null);
    say(`${song.name} lasts ${song.seconds.toFixed(2)} s: at least ${SHARED.shortest_s} s are needed.`, true);
    return;
  }
  live.problem = problem;
  live.taggings.forEach((each) => each.offer(true));
  if (!live.opened) listenInside(0);
  drawTags();
}

// What a listener should know of a song before its tags are taken seriously.
function verdict(song) {
  if (song.peak <= SHARED.silence * SHARED.int16) return `${song.name} is silent: its tags say nothing.`;
  if (song.peak < SHARED.quiet * SHARED.int16) return `${song.name} is almost silent (peak ${Math.round(20 * Math.log10(song.peak / SHARED.int16))} dBFS).`;
  const clipped = song.full / song.filled;
  if (clipped > SHARED.clipped) return `${song.name} is too loud: ${(100 * clipped).toFixed(1)} % of its samples stand at full scale.`;
  const longest = Math.max(...live.taggings.map(({ window }) => window));
  if (song.filled < longest) return `${song.name} is shorter than a window of ${(longest / song.sr).toFixed(1)} s: it is repeated to fill one.`;
  return "";
}

function halt() {
  if (!live.song) return;
  live.stopped = true;
  live.pool.withdraw(live.song);
  progress(null);
  const heard = Read.clock(Math.max(...live.taggings.map(({ rows, window }) => (rows.length ? rows[rows.length - 1].start + window : 0))) / live.song.sr);
  say(`Stopped after ${heard} of ${live.song.name}.`);
}

// ---- the taggram -------------------------------------------------------------------------------------------------

function progress(share) {
  $("progress").hidden = share === null;
  if (share !== null) $("done").value = share;
}

const DRAWN_MS = 100; // between two pictures of the tags
let drawing = 0;
function drawTags() {
  if (drawing) return;
  drawing = setTimeout(() => {
    drawing = 0;
    const { song, taggings } = live;
    taggings.forEach((each, m) => {
      const { title, graph, tags } = tagkit.header.models[m];
      const step = (graph.window / song.sr).toFixed(1);
      const share = `${each.rows.length} of ${each.starts.length} windows of ${step} s`;
      const words = each.failed ? each.failed.message : live.microphone ? behindWords(each) : `${share}, ${each.speed().toFixed(0)} times real time`;
      Tags.draw($("taggings").children[m], each, tags, words);
    });
    if (live.stopped || live.microphone) return;
    const failed = taggings.find((each) => each.failed);
    if (failed) {
      progress(null);
      say(failed.failed.message, true);
      return;
    }
    const asked = taggings.reduce((n, { starts }) => n + starts.length, 0);
    const done = taggings.reduce((n, { rows }) => n + rows.length, 0);
    progress(song.done && done === asked ? null : done / asked);
    if (song.done && done === asked) finished(song);
    else say(`${song.name}: ${10 * Math.floor((10 * done) / asked)} % heard.`); // read aloud ten times at most
  }, DRAWN_MS);
}

function finished(song) {
  const best = live.taggings.map((each, m) => {
    const { title, tags } = tagkit.header.models[m];
    return `${title} hears ${each.top(3).map((k) => tags[k]).join(", ")}`;
  });
  say([live.problem, `${song.name}, ${Read.clock(song.seconds)}: ${best.join("; ")}.`].filter(Boolean).join(" "), Boolean(live.problem));
  if (live.place >= 0 && live.scored !== song) {
    live.scored = song;
    scoreOwnPiece();
    renderClips();
  }
}

// ---- the browser's player, and the stretch that the stages are heard on ---------------------------------------------

function setPlayer(file) {
  const audio = $("whole");
  if (audio.src) URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(file);
}

function pointAtPlayer() {
  const { song } = live;
  if (!song) return;
  const audio = $("whole");
  Tags.point($("taggings"), Math.min((audio.currentTime * song.sr) / song.length, 1));
  $("inside").textContent = `Listen inside from ${Read.clock(audio.currentTime)}`;
  if (!audio.paused) requestAnimationFrame(pointAtPlayer);
}

function seek(share) {
  const { song } = live;
  $("whole").currentTime = (share * song.length) / song.sr;
  pointAtPlayer();
}

// Make the stretch that begins at `start` (samples) the own piece among the clips.
function listenInside(start) {
  const { song } = live;
  live.opened = true;
  const length = Math.min(Math.round(SHARED.stretch_s * song.sr), song.filled);
  live.at = Math.max(0, Math.min(start, song.filled - length));
  const { clips, models } = tagkit.header;
  if (live.place < 0) live.place = clips.length;
  const where = `${Read.clock(live.at / song.sr)}–${Read.clock((live.at + length) / song.sr)}`;
  clips[live.place] = { title: song.name, tags: [`yours, ${where}`], samples: length, key: `own ${Read.clock(live.at)} ${Date.now()}` };
  tagkit.originals[live.place] = song.stretch(live.at, length);
  models.forEach((each) => (each.scores[live.place] = {}));
  scoreOwnPiece();
  tagkit.state.drawn = false; // the same number, another piece
  return choosePiece(live.place);
}

function scoreOwnPiece() {
  live.taggings.forEach((each, m) => {
    const { scores, tags } = tagkit.header.models[m];
    const means = each.means();
    scores[live.place] = Object.fromEntries(each.rows.length ? each.top(5).map((k) => [tags[k], means[k]]) : []);
  });
}

// The bars of the channels' tiles follow the music: where each channel stands between its least and its most. At
// `seconds` null they show its energy again.
function moveTiles(seconds) {
  const tiles = $("channels").querySelectorAll(".channel");
  if (seconds === null || matchMedia("(prefers-reduced-motion: reduce)").matches) {
    tiles.forEach((tile) => tile.style.removeProperty("--now"));
    return;
  }
  const heard = live.maps.get(clip())[tagkit.state.model][stage().name];
  heard.ranges = heard.ranges || rangesOf(heard);
  const frame = Math.round((seconds * tagkit.header.sr - stage().offset) / stage().stride);
  const at = Math.max(0, Math.min(heard.frames - 1, frame)) * heard.channels;
  tiles.forEach((tile) => {
    const { index } = stage().channels[tile.dataset.value];
    const [least, most] = heard.ranges[index];
    tile.style.setProperty("--now", most > least ? (heard.data[at + index] - least) / (most - least) : 0);
  });
}

// The least and the most value of each channel of a map.
function rangesOf({ data, channels }) {
  const ranges = Array.from({ length: channels }, () => [Infinity, -Infinity]);
  for (let at = 0; at < data.length; at++) {
    const range = ranges[at % channels];
    if (data[at] < range[0]) range[0] = data[at];
    if (data[at] > range[1]) range[1] = data[at];
  }
  return ranges;
}

// ---- the microphone ------------------------------------------------------------------------------------------------

const behindWords = ({ rows, behind, window, song }) =>
  (rows.length
    ? `${Read.clock(song.seconds)} heard, ${behind.toFixed(2)} s behind`
    : `hears ${(window / song.sr).toFixed(1)} s before its first tags`);

async function record() {
  if (live.microphone) {
    stopRecording();
    return;
  }
  if (live.song) live.pool.withdraw(live.song);
  live.stopped = true;
  const { sr } = tagkit.header;
  const song = new Song("Recording", sr, 0);
  const microphone = new Microphone(sr, (block) => hearBlock(song, block));
  try {
    await microphone.start();
  } catch (error) {
    say(error.message, true);
    return;
  }
  live.microphone = microphone;
  $("whole").removeAttribute("src");
  begin(song);
  progress(null);
  say("Listening. Nothing leaves this page.");
  recordingShown(true);
}

function recordingShown(on) {
  $("record").setAttribute("aria-pressed", String(on));
  $("record").textContent = on ? "Stop recording" : "Record with the microphone";
  $("whole").hidden = $("inside").hidden = on;
}

// A block from the microphone: each network that is free hears the newest window.
function hearBlock(song, block) {
  song.push(block);
  for (const each of live.taggings) {
    const asked = performance.now();
    if (each.busy || song.filled < each.window || asked < (each.askedAt || 0) + 1000 * SHARED.microphone_s) continue;
    Object.assign(each, { busy: true, askedAt: asked });
    const start = song.filled - each.window;
    each.ask(start).then(() => {
      each.behind = (performance.now() - asked) / 1000;
      each.busy = false;
    });
  }
  drawTags();
  if (song.seconds > SHARED.recording_s) stopRecording();
}

function stopRecording() {
  const { microphone, song } = live;
  if (!microphone) return;
  microphone.stop();
  live.microphone = null;
  recordingShown(false);
  song.store = song.store.slice(0, song.filled);
  begin(song);
  if (!song.filled) {
    $("tags").hidden = true;
    say("The microphone gave no sound.", true);
    return;
  }
  setPlayer(song.wav());
  finish(song);
}

// ---- starting ------------------------------------------------------------------------------------------------------

function listenForFiles() {
  const drop = $("drop");
  $("file").addEventListener("change", ({ target }) => {
    const [file] = target.files;
    if (file) openFile(file);
    target.value = ""; // so that the same file can be chosen again
  });
  for (const kind of ["dragover", "dragenter"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("is-over");
    });
  }
  for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, () => drop.classList.remove("is-over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) openFile(file);
  });
  $("record").addEventListener("click", record);
  $("halt").addEventListener("click", halt);
  $("inside").addEventListener("click", () => listenInside(Math.round($("whole").currentTime * live.song.sr)));
  const audio = $("whole");
  audio.addEventListener("play", () => {
    toggle(false);
    pointAtPlayer();
  });
  for (const kind of ["seeked", "timeupdate"]) audio.addEventListener(kind, pointAtPlayer);
}

// Called once the page's data is there, before anything is shown.
async function startLive() {
  startPool();
  Tags.build($("taggings"), tagkit.header.models, seek);
  listenForFiles();
  await hear(tagkit.state.clip);
}

tagkit.live = Object.assign(live, {
  start: startLive,
  channel: liveChannel,
  choosePiece,
  moveTiles,
  quiet: () => $("whole").pause(), // two players do not sound at a time
});
