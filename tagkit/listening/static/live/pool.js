"use strict";
// Workers that share out the questions to the networks. file:// allows no worker from a file, so they start from a Blob.
class Pool {
  // `networks` are {title, graph, weights}; `source` is the text of the workers' script.
  constructor(source, networks) {
    this.networks = networks;
    this.waiting = [];
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const count = Math.min(navigator.hardwareConcurrency || 2, Pool.MOST);
    this.workers = Array.from({ length: count }, () => this.hire(url));
  }

  hire(url) {
    const worker = new Worker(url);
    worker.postMessage({ open: this.networks.map(({ graph, weights }) => ({ graph, weights })) });
    worker.onmessage = ({ data }) => {
      const { network, answer, fail } = worker.job;
      worker.job = null;
      this.next();
      if (data.error) fail(new Error(`${this.networks[network].title} cannot be computed: ${data.error}.`));
      else answer(data.found);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      const { fail } = worker.job || {};
      worker.job = null;
      if (fail) fail(new Error(`The network stopped (${event.message}): load the page again.`));
    };
    return worker;
  }

  // What the network with this number makes of a sound: `what` is "scores" or "maps". `sound` is called when a worker is
  // free, so that what waits takes no memory. `owner` is who may withdraw the question; `ahead` lets it jump the queue.
  ask(what, network, sound, { owner = null, ahead = false } = {}) {
    return new Promise((answer, fail) => {
      const job = { what, network, sound, owner, answer, fail };
      if (ahead) this.waiting.unshift(job);
      else this.waiting.push(job);
      this.next();
    });
  }

  // Forget what this owner still waits for; those promises stay open and are forgotten, too.
  withdraw(owner) {
    this.waiting = this.waiting.filter((job) => job.owner !== owner);
  }

  next() {
    for (const worker of this.workers) {
      if (worker.job || !this.waiting.length) continue;
      worker.job = this.waiting.shift();
      const { what, network, sound } = worker.job;
      const y = sound();
      worker.postMessage({ what, network, y }, [y.buffer]);
    }
  }
}
Pool.MOST = 4;
