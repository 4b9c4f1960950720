"use strict";
// Drawing on canvases: spectrograms, envelopes, filter curves. Colours come from the style sheet, so that the page
// follows the reader's light or dark setting.
const Draw = (() => {
  const LOWEST_HZ = 40;
  const CONTRAST = 1.7; // above 1, strong partials stand out from what surrounds them
  const OCTAVES_HZ = [65.41, 130.81, 261.63, 523.25, 1046.5, 2093, 4186.01];

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(name).trim();
    return {
      paper: read("--paper"),
      card: read("--card"),
      ink: read("--ink"),
      soft: read("--soft"),
      line: read("--line"),
      accent: read("--accent"),
      accentSoft: read("--accent-soft"),
      warm: read("--warm"),
    };
  }

  function rgb(hex) {
    return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  }

  // 256 colours from the card's background through the accent to the ink.
  function ramp() {
    const { card, accent, ink } = colours();
    const stops = [rgb(card), rgb(accent), rgb(ink)];
    return Array.from({ length: 256 }, (_, i) => {
      const at = (i / 255) * 2;
      const from = Math.min(Math.floor(at), 1);
      return stops[from].map((value, k) => Math.round(value + (stops[from + 1][k] - value) * (at - from)));
    });
  }

  // Size the canvas for the screen's pixels; returns the context in CSS pixels.
  function fit(canvas) {
    const scale = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    return { context, width, height };
  }

  const logPosition = (hz, low, high) => Math.log(hz / low) / Math.log(high / low);

  // Text on a picture stands on a patch of its own.
  function label(context, text, x, y) {
    const { ink, card } = colours();
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.globalAlpha = 0.85;
    context.fillStyle = card;
    context.fillRect(x - 4, y - 9, context.measureText(text).width + 8, 18);
    context.globalAlpha = 1;
    context.fillStyle = ink;
    context.fillText(text, x, y);
  }

  // A spectrogram over a logarithmic frequency axis; `top` is the power shown darkest, 60 dB are shown below it.
  function spectrogram(canvas, spec, sr, top, band) {
    const { context, width, height } = fit(canvas);
    const colour = ramp();
    const columns = Math.max(1, Math.min(spec.frames, Math.round(width)));
    const rows = Math.round(height);
    const image = context.createImageData(columns, rows);
    const highest = sr / 2;
    for (let row = 0; row < rows; row++) {
      const hz = LOWEST_HZ * (highest / LOWEST_HZ) ** (1 - (row + 0.5) / rows);
      const bin = Math.min((hz / sr) * spec.nFft, spec.bins - 1.001);
      const below = Math.floor(bin);
      const share = bin - below;
      for (let column = 0; column < columns; column++) {
        const at = Math.floor((column * spec.frames) / columns) * spec.bins + below;
        const power = spec.power[at] * (1 - share) + spec.power[at + 1] * share;
        const level = Math.max(0, 1 + Math.log10(Math.max(power / top, 1e-9)) / 6);
        const pixel = colour[Math.min(255, Math.round(level ** CONTRAST * 255))];
        const to = (row * columns + column) * 4;
        image.data[to] = pixel[0];
        image.data[to + 1] = pixel[1];
        image.data[to + 2] = pixel[2];
        image.data[to + 3] = 255;
      }
    }
    const picture = document.createElement("canvas");
    picture.width = columns;
    picture.height = rows;
    picture.getContext("2d").putImageData(image, 0, 0);
    context.drawImage(picture, 0, 0, width, height);
    const place = (hz) => height * (1 - logPosition(hz, LOWEST_HZ, highest));
    if (band) drawBand(context, place(band.high), place(band.low), width);
    for (const [hz, text] of [[100, "100 Hz"], [1000, "1 kHz"]]) label(context, text, 8, place(hz));
  }

  function drawBand(context, y0, y1, width) {
    const { warm, card } = colours();
    context.save();
    for (const [colour, thick, dash] of [[card, 4, []], [warm, 2, [8, 5]]]) {
      context.strokeStyle = colour;
      context.lineWidth = thick;
      context.setLineDash(dash);
      for (const y of [y0, y1]) rule(context, 0, y, width, y);
    }
    context.restore();
  }

  // A signal as a filled band between its smallest and largest value in each pixel column.
  function signal(canvas, y, low, high, seconds) {
    const { context, width, height } = fit(canvas);
    const { accent, accentSoft } = colours();
    const axis = seconds ? 16 : 0;
    const place = (value) => 2 + (height - axis - 4) * (1 - (Math.max(low, Math.min(high, value)) - low) / (high - low));
    context.beginPath();
    const tops = [];
    const bottoms = [];
    for (let x = 0; x < width; x++) {
      const from = Math.floor((x * y.length) / width);
      const to = Math.max(from + 1, Math.floor(((x + 1) * y.length) / width));
      let smallest = Infinity;
      let largest = -Infinity;
      for (let n = from; n < to && n < y.length; n++) {
        smallest = Math.min(smallest, y[n]);
        largest = Math.max(largest, y[n]);
      }
      tops.push(place(largest));
      bottoms.push(low < 0 ? place(smallest) : height - axis - 2);
    }
    tops.forEach((value, x) => context.lineTo(x, value));
    bottoms.reverse().forEach((value, i) => context.lineTo(tops.length - 1 - i, value));
    context.closePath();
    context.fillStyle = accentSoft;
    context.fill();
    context.strokeStyle = accent;
    context.lineWidth = 1;
    context.stroke();
    if (seconds) timeAxis(context, width, height, seconds);
  }

  function timeAxis(context, width, height, seconds) {
    const { soft } = colours();
    context.fillStyle = soft;
    context.textBaseline = "bottom";
    for (let second = 1; second < seconds; second++) {
      const x = (second / seconds) * width;
      context.textAlign = "center";
      context.fillText(`${second} s`, x, height);
    }
  }

  // The filter curve: decibels below the channel's best answer, over a logarithmic frequency axis with octaves of C.
  // Behind it, dashed, what the same channel answered before training (`before`, or null).
  function curve(canvas, frequencies, decibels, channel, before) {
    const { context, width, height } = fit(canvas);
    const { accent, accentSoft, line, soft, warm } = colours();
    const left = 44;
    const bottom = height - 40;
    const low = frequencies[0];
    const high = frequencies[frequencies.length - 1];
    const x = (hz) => left + (width - left - 10) * logPosition(hz, low, high);
    const y = (db) => 8 + (bottom - 8) * (Math.max(-40, db) / -40);
    context.lineWidth = 1;
    context.strokeStyle = line;
    context.fillStyle = soft;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const db of [0, -10, -20, -30, -40]) {
      rule(context, left, y(db), width - 10, y(db));
      context.fillText(db === 0 ? "0 dB" : `−${-db}`, left - 6, y(db));
    }
    context.textAlign = "center";
    OCTAVES_HZ.forEach((hz, i) => {
      if (hz < low || hz > high) return;
      rule(context, x(hz), 8, x(hz), bottom);
      context.fillText(`C${i + 2}`, x(hz), bottom + 12);
    });
    for (const hz of [100, 1000, 4000]) {
      if (hz >= low && hz <= high) context.fillText(hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`, x(hz), bottom + 29);
    }
    if (channel.high_hz) {
      context.fillStyle = warm;
      context.globalAlpha = 0.14;
      const from = x(Math.max(low, channel.low_hz || 0));
      context.fillRect(from, 8, x(Math.min(high, channel.high_hz)) - from, bottom - 8);
      context.globalAlpha = 1;
    }
    context.beginPath();
    context.moveTo(x(low), bottom);
    frequencies.forEach((hz, i) => context.lineTo(x(hz), y(decibels[i])));
    context.lineTo(x(high), bottom);
    context.closePath();
    context.globalAlpha = 0.55;
    context.fillStyle = accentSoft;
    context.fill();
    context.globalAlpha = 1;
    if (before) {
      context.save();
      context.beginPath();
      frequencies.forEach((hz, i) => context.lineTo(x(hz), y(before[i])));
      context.strokeStyle = soft;
      context.lineWidth = 1.5;
      context.setLineDash([5, 4]);
      context.stroke();
      context.restore();
    }
    context.beginPath();
    frequencies.forEach((hz, i) => context.lineTo(x(hz), y(decibels[i])));
    context.strokeStyle = accent;
    context.lineWidth = 2;
    context.stroke();
    if (channel.centre_hz) {
      context.strokeStyle = warm;
      context.lineWidth = 2;
      rule(context, x(channel.centre_hz), 8, x(channel.centre_hz), bottom);
    }
  }

  function rule(context, x0, y0, x1, y1) {
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.stroke();
  }

  // An outline of the curve for a channel's tile, in a box of 100 x 30.
  function outline(frequencies, decibels) {
    const points = Array.from(decibels, (db, i) => {
      const x = (100 * i) / (frequencies.length - 1);
      return `${x.toFixed(1)},${(30 * Math.min(1, db / -30)).toFixed(1)}`;
    });
    return `M0,30L${points.join("L")}L100,30Z`;
  }

  return { spectrogram, signal, curve, outline, fit };
})();
