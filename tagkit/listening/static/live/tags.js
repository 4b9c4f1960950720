"use strict";
// The taggram: strips of scores over time, one for each of the highest tags of a network, under the player's line.
const Tags = (() => {
  const ROWS = 8;
  const COLUMNS = 600;

  // A figure for each network, empty as yet; `seek` is called with seconds.
  function build(box, models, seek) {
    box.replaceChildren(...models.map((model) => {
      const figure = document.createElement("figure");
      figure.className = "tagging";
      figure.innerHTML = `<figcaption><b>${escape(model.title)}</b> <span></span></figcaption><div class="strips"></div>`;
      figure.querySelector(".strips").addEventListener("click", (event) => {
        const strip = event.target.closest(".track");
        if (!strip) return;
        const box = strip.getBoundingClientRect();
        seek((event.clientX - box.left) / box.width);
      });
      return figure;
    }));
  }

  // The number of the window whose middle is nearest to a time, in samples; the windows are in order.
  function nearest(rows, middle, time) {
    let low = 0;
    let high = rows.length - 1;
    while (low < high) {
      const at = (low + high) >> 1;
      if (rows[at].start + rows[at + 1].start < 2 * (time - middle)) low = at + 1;
      else high = at;
    }
    return low;
  }

  // The strip of one tag: a pixel for each of `COLUMNS` moments; where nothing is known yet, nothing.
  function strip(canvas, tagging, tag, samples) {
    canvas.width = COLUMNS;
    canvas.height = 1;
    const context = canvas.getContext("2d");
    const image = context.createImageData(COLUMNS, 1);
    const { rows, window } = tagging;
    for (let x = 0; rows.length && x < COLUMNS; x++) {
      const time = ((x + 0.5) / COLUMNS) * samples;
      const row = rows[nearest(rows, window / 2, time)];
      if (Math.abs(row.start + window / 2 - time) > window && samples > window) continue;
      image.data.set([...taggramColour(row.scores[tag]), 255], 4 * x);
    }
    context.putImageData(image, 0, 0);
  }

  // Draw what a network has found so far, and say it in words.
  function draw(figure, tagging, names, words) {
    const { song } = tagging;
    const samples = Math.max(song.length, 1);
    const means = tagging.means();
    const top = tagging.top(ROWS);
    figure.querySelector("figcaption span").textContent = words;
    const box = figure.querySelector(".strips");
    while (box.children.length > top.length) box.lastChild.remove();
    while (box.children.length < top.length) {
      const row = document.createElement("div");
      row.className = "strip";
      row.innerHTML = `<span class="tag-name"></span><div class="track"><canvas role="img"></canvas></div><span class="tag-score"></span>`;
      box.append(row);
    }
    top.forEach((tag, i) => {
      const [name, track, score] = box.children[i].children;
      const best = tagging.rows.reduce((a, b) => (b.scores[tag] > a.scores[tag] ? b : a));
      name.textContent = names[tag];
      score.textContent = means[tag].toFixed(2).replace(/^0/, "");
      score.dataset.tag = names[tag];
      track.firstChild.setAttribute("aria-label", `${names[tag]}: ${means[tag].toFixed(2)} on average, highest at ${Read.clock(best.start / song.sr)}`);
      strip(track.firstChild, tagging, tag, samples);
    });
  }

  // Put the player's line at a share of the song.
  function point(box, share) {
    box.style.setProperty("--at", share === null ? -1 : share);
  }

  return { build, draw, point, nearest };
})();
