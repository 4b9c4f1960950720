"use strict";

/* The taggram below an audio player: a strip for each tag, a line that moves with the music, and the scores of now. */

// Light to dark, as in the printed pictures (seaborn's mako, reversed).
const TAGGRAM_COLOURS = [[222, 245, 229], [147, 220, 183], [73, 193, 173], [53, 155, 170], [54, 120, 160],
  [64, 84, 150], [61, 48, 95], [38, 24, 44], [11, 4, 5]];

function taggramColour(score) {
  const place = Math.min(Math.max(score, 0), 1) * (TAGGRAM_COLOURS.length - 1);
  const low = Math.min(Math.floor(place), TAGGRAM_COLOURS.length - 2);
  return TAGGRAM_COLOURS[low].map((value, i) =>
    Math.round(value + (place - low) * (TAGGRAM_COLOURS[low + 1][i] - value)));
}

function taggramElement(kind, name, parent, text) {
  const element = document.createElement(kind);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

/* The column whose window has its middle closest to a time. */
function taggramColumn(data, time) {
  let best = 0;
  data.middles_s.forEach((middle, i) => {
    if (Math.abs(middle - time) < Math.abs(data.middles_s[best] - time)) best = i;
  });
  return best;
}

/* One strip: each pixel column takes the colour of the window around it. */
function taggramStrip(canvas, data, row) {
  canvas.width = 600;
  canvas.height = 1;
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, 1);
  for (let x = 0; x < canvas.width; x += 1) {
    const time = (x + 0.5) / canvas.width * data.duration_s;
    const [red, green, blue] = taggramColour(data.scores[row][taggramColumn(data, time)]);
    image.data.set([red, green, blue, 255], 4 * x);
  }
  context.putImageData(image, 0, 0);
}

/* Show `data` ({tags, means, scores[tag][window], middles_s, window_s, duration_s}) in `root`, following `audio`. */
function showTaggram(root, data, audio) {
  const rows = taggramElement("div", "taggram-rows", root);
  const bars = data.tags.map((tag, row) => {
    taggramElement("div", "taggram-name", rows, tag);
    const strip = taggramElement("canvas", "taggram-strip", rows);
    strip.title = `${tag}: ${data.means[row].toFixed(2)} on average`;
    taggramStrip(strip, data, row);
    strip.addEventListener("click", (event) => {
      audio.currentTime = event.offsetX / strip.clientWidth * data.duration_s;
    });
    const now = taggramElement("div", "taggram-now", rows);
    const bar = taggramElement("span", "", taggramElement("div", "taggram-bar", now));
    return [bar, taggramElement("span", "taggram-score", now)];
  });
  const cursor = taggramElement("div", "taggram-cursor", rows);
  taggramElement("p", "taggram-note", root,
    `Each column is the score of ${data.window_s.toFixed(1)} s of music around it; click to go there. ` +
    "On the right, the scores where the line stands.");

  function update() {
    const column = taggramColumn(data, audio.currentTime);
    bars.forEach(([bar, text], row) => {
      const score = data.scores[row][column];
      bar.style.width = `${100 * score}%`;
      text.textContent = score.toFixed(2).replace(/^0/, "");
    });
    const strip = rows.querySelector(".taggram-strip");
    const share = Math.min(audio.currentTime / data.duration_s, 1);
    cursor.style.left = `${strip.offsetLeft + share * strip.clientWidth}px`;
  }
  let frame = 0;
  function follow() {
    update();
    if (!audio.paused && root.isConnected) frame = requestAnimationFrame(follow);
  }
  audio.addEventListener("play", () => {
    cancelAnimationFrame(frame);
    follow();
  });
  for (const event of ["seeked", "timeupdate", "loadedmetadata"]) audio.addEventListener(event, update);
  addEventListener("resize", update);
  update();
}
