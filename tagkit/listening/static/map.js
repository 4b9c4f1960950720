"use strict";
// A map of sound files: a click on one plays it, and lists what is nearest in the embedding.

const data = JSON.parse(document.getElementById("data").textContent);
const [map, player, problem] = ["map", "player", "problem"].map((id) => document.getElementById(id));
const [width, height] = [0, 1].map((axis) => Math.max(...data.places.map((place) => place[axis])));
map.setAttribute("viewBox", `-0.03 -0.03 ${width + 0.06} ${height + 0.06}`);
const radius = Math.min(0.014, 0.16 / Math.sqrt(data.names.length));

const dots = data.places.map(([x, y], k) => {
  const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
  title.textContent = data.names[k];
  dot.append(title);
  for (const [name, value] of Object.entries({cx: x, cy: height - y, r: radius, tabindex: 0, role: "button"})) {
    dot.setAttribute(name, value);
  }
  dot.addEventListener("click", () => choose(k));
  dot.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose(k);
  });
  return dot;
});
map.append(...dots);

function choose(k) {
  dots.forEach((dot, n) => {
    dot.classList.toggle("chosen", n === k);
    dot.classList.toggle("near", data.nearest[k].includes(n));
  });
  document.getElementById("name").textContent = data.names[k];
  problem.textContent = "";
  player.src = data.sounds[k];
  player.play().catch(() => {}); // a browser that wants a click first, or the error below
  document.getElementById("nearest").replaceChildren(...data.nearest[k].map((n, place) => {
    const [item, button, number] = ["li", "button", "span"].map((name) => document.createElement(name));
    button.textContent = data.names[n];
    button.addEventListener("click", () => choose(n));
    number.textContent = ` ${data.similarity[k][place].toFixed(2)}`;
    item.append(button, number);
    return item;
  }));
}

player.addEventListener("error", () => {
  problem.textContent = "The file has moved since it was embedded, or your browser cannot play its format.";
});

document.getElementById("find").addEventListener("input", ({target}) => {
  const wanted = target.value.toLowerCase();
  dots.forEach((dot, k) => dot.classList.toggle("other", !data.names[k].toLowerCase().includes(wanted)));
});
