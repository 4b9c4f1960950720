"use strict";

/* Send the chosen file, show what comes back. */

const drop = document.getElementById("drop");
const chooser = document.getElementById("file");
const state = document.getElementById("status");
const result = document.getElementById("result");
let limits = {megabytes: Infinity};
let sound = null;

function say(text, problem = false) {
  state.textContent = text;
  state.classList.toggle("problem", problem);
}

async function about() {
  const answer = await (await fetch("about")).json();
  limits = answer;
  document.getElementById("lead").textContent =
    `${answer.model}, trained on ${answer.dataset}, knows ${answer.tags.length} tags. ` +
    `Files of up to ${answer.megabytes} MB and ${answer.minutes} minutes.`;
  document.getElementById("calibration").textContent = answer.calibration || "";
}

function show(answer, file) {
  if (sound) URL.revokeObjectURL(sound);
  sound = URL.createObjectURL(file);
  result.replaceChildren();
  taggramElement("h2", "", result, answer.name);
  for (const remark of answer.remarks) taggramElement("p", "remark", result, remark);
  if (answer.answer) {
    const [tag, probability] = answer.answer;
    taggramElement("p", "", result, `${tag}, with probability ${probability.toFixed(2).replace(/^0/, "")}`).id = "answer";
  }
  const root = taggramElement("div", "taggram", result);
  const audio = taggramElement("audio", "", root);
  audio.controls = true;
  audio.addEventListener("error", () =>
    say("Your browser cannot play this format; the tags are as right as ever.", true));
  audio.src = sound;
  showTaggram(root, answer.taggram, audio);
  const others = Object.entries(answer.scores).filter(([tag]) => !answer.taggram.tags.includes(tag));
  const rest = others.map(([tag, score]) => `${tag} ${score.toFixed(2).replace(/^0/, "")}`).join(", ");
  if (rest) taggramElement("p", "", result, `The other tags, on average: ${rest}.`).id = "others";
}

async function send(file) {
  result.replaceChildren();
  if (file.size > limits.megabytes * 1e6) {
    say(`The file is larger than ${limits.megabytes} MB.`, true);
    return;
  }
  say(`Listening to ${file.name} ...`);
  try {
    const headers = {"X-Tagkit": "1", "X-File-Name": encodeURIComponent(file.name)};
    const response = await fetch("tag", {method: "POST", body: file, headers});
    const answer = await response.json();
    if (response.ok) {
      say("");
      show(answer, file);
    } else {
      say(answer.error, true);
    }
  } catch (error) {
    say("The server did not answer; is it still running?", true);
  }
}

chooser.addEventListener("change", () => {
  if (chooser.files.length) send(chooser.files[0]);
  chooser.value = "";
});
for (const event of ["dragenter", "dragover"]) {
  document.addEventListener(event, (moment) => {
    moment.preventDefault();
    drop.classList.add("over");
  });
}
for (const event of ["dragleave", "drop"]) {
  document.addEventListener(event, (moment) => {
    moment.preventDefault();
    drop.classList.remove("over");
  });
}
document.addEventListener("drop", (moment) => {
  if (moment.dataTransfer.files.length) send(moment.dataTransfer.files[0]);
});
about();
