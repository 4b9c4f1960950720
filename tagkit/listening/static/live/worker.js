"use strict";
// The worker: it holds the networks of the page and answers one question at a time. The kernel stands before it.
let networks = [];

const answers = {
  scores: (network, y) => {
    const found = Graph.scores(network, y);
    if (!found.every(Number.isFinite)) throw new Error("its scores are not finite: it diverged in training");
    return [found, [found.buffer]];
  },
  maps: (network, y) => {
    const found = Graph.maps(network, y);
    return [found, Object.values(found).map(({ data }) => data.buffer)];
  },
};

onmessage = ({ data }) => {
  if (data.open) {
    networks = data.open.map(({ graph, weights }) => Graph.open(graph, weights));
    return;
  }
  try {
    const [found, moved] = answers[data.what](networks[data.network], data.y);
    postMessage({ found }, [...new Set(moved)]);
  } catch (error) {
    postMessage({ error: error.message });
  }
};
