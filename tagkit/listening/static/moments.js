"use strict";
// Excerpts of music that excite the channel most, middling or least: they lie in one pool that all channels share.
const Moments = (() => {
  const KINDS = { most: "Most", median: "Median", least: "Least" };
  let turns = {}; // how often each kind was asked for since the channel was chosen
  let voice = null;

  const pool = () => tagkit.header.pool || [];
  const of = (kind) => (channel().moments ? channel().moments[kind] : []);

  async function decode(each) {
    if (!each.sound) {
      const bytes = tagkit.blob.slice(each.mp3.at, each.mp3.at + each.mp3.bytes);
      each.sound = await new OfflineAudioContext(1, 1, tagkit.header.sr).decodeAudioData(bytes.buffer);
    }
    return each.sound;
  }

  function stop() {
    if (voice) voice.stop();
    voice = null;
    $("moments").querySelectorAll("button").forEach((button) => button.setAttribute("aria-pressed", "false"));
  }

  const minutes = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

  // The next excerpt of a kind, once; the channel's own sound stops for it.
  async function play(kind) {
    const found = of(kind);
    const turn = turns[kind] || 0;
    const [number, rank] = found[turn % found.length];
    const each = pool()[number];
    turns[kind] = turn + 1;
    toggle(false);
    stop();
    $("moment-words").textContent =
      `${each.title}, from ${minutes(each.start_s)} (${each.tags.join(", ")}). Rank ${rank} of ${tagkit.header.pool_pieces} pieces by how much the strongest moment excites this channel.`;
    const sound = await decode(each);
    voice = player.once(sound, () => stop());
    $("moments").querySelector(`[data-kind="${kind}"]`).setAttribute("aria-pressed", "true");
    return each;
  }

  function render() {
    stop();
    turns = {};
    $("moments").hidden = pool().length === 0;
    $("moment-words").textContent = "";
    $("moments-list").replaceChildren(
      ...Object.entries(KINDS).filter(([kind]) => of(kind).length).map(([kind, label]) => {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "find";
        button.dataset.kind = kind;
        button.setAttribute("aria-pressed", "false");
        button.textContent = label;
        button.addEventListener("click", () => play(kind));
        return button;
      }),
    );
  }

  return { render, play, stop };
})();
