"""Layers of the networks, each as plain as its formula."""
