"use strict";
// One network's tags of one song, window by window, while the song comes in.
class Tagging {
  // `told` is called after every window.
  constructor(pool, network, graph, song, told) {
    Object.assign(this, { pool, network, song, told, window: graph.window, begun: performance.now() });
    this.rows = []; // {start, scores}, in the order of time
    this.asked = 0;
    this.starts = Song.starts(song.store.length, this.window);
    this.failed = null;
  }

  // Ask for every window that has come in; `complete` when no more will come.
  offer(complete = false) {
    const { song, window } = this;
    if (complete && song.filled !== song.store.length) {
      song.store = song.store.slice(0, song.filled); // the file was shorter or longer than it said
      const before = this.starts;
      this.starts = Song.starts(song.filled, window);
      const same = this.starts.findIndex((start, i) => start !== before[i]);
      this.asked = Math.min(this.asked, same < 0 ? this.starts.length : same);
      this.rows = this.rows.filter(({ start }) => this.starts.includes(start));
    }
    while (this.asked < this.starts.length) {
      const start = this.starts[this.asked];
      if (!complete && start + window > song.filled) return;
      this.asked++;
      this.ask(start);
    }
  }

  ask(start) {
    const sound = () => this.song.stretch(start, this.window);
    return this.pool.ask("scores", this.network, sound, { owner: this.song }).then(
      (scores) => this.keep({ start, scores }),
      (error) => {
        this.failed = error;
        this.told(this);
      });
  }

  keep(row) {
    const at = this.rows.findIndex(({ start }) => start >= row.start);
    if (at < 0) this.rows.push(row);
    else this.rows.splice(at, this.rows[at].start === row.start ? 1 : 0, row);
    this.spent = (performance.now() - this.begun) / 1000;
    this.told(this);
  }

  get complete() {
    return this.rows.length === this.starts.length;
  }

  // The mean of the windows' scores, one number for each tag.
  means() {
    const [first] = this.rows;
    const total = new Float64Array(first ? first.scores.length : 0);
    for (const { scores } of this.rows) scores.forEach((score, k) => (total[k] += score / this.rows.length));
    return total;
  }

  // Numbers of the tags with the highest means.
  top(count) {
    const means = this.means();
    return [...means.keys()].sort((a, b) => means[b] - means[a] || a - b).slice(0, count);
  }

  // Seconds of music for each second since the song came in.
  speed() {
    const heard = this.rows.length ? Math.min(this.rows.length * this.window, this.song.filled) / this.song.sr : 0;
    return this.spent ? heard / this.spent : 0;
  }
}
