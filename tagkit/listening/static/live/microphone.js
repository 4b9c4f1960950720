"use strict";
// The microphone, asked for at a click alone. What it hears stays in this page.
class Microphone {
  // `heard` takes blocks of samples at the rate `sr`.
  constructor(sr, heard) {
    Object.assign(this, { sr, heard });
  }

  async start() {
    if (!navigator.mediaDevices || !navigator.mediaDevices.getUserMedia) {
      throw new Read.Problem("This browser gives no page of this kind a microphone: open the page in Chrome, Edge or Firefox.");
    }
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
    } catch (error) {
      const why = { NotAllowedError: "it was not allowed", NotFoundError: "there is none" }[error.name] || error.message;
      throw new Read.Problem(`The microphone cannot be used: ${why}. A file can be dropped instead.`);
    }
    try {
      await this.connect();
    } catch (error) {
      this.stop();
      throw new Read.Problem(`The microphone cannot be heard: ${error.message}. A file can be dropped instead.`);
    }
  }

  async connect() {
    this.context = new AudioContext();
    // From disk, a worklet starts from no file and from no Blob, but from a data: address.
    await this.context.audioWorklet.addModule(`data:text/javascript,${encodeURIComponent(Microphone.TAP)}`);
    const resampler = new Resampler(this.context.sampleRate, this.sr);
    const tap = new AudioWorkletNode(this.context, "tap", { numberOfOutputs: 0 });
    tap.port.onmessage = ({ data }) => this.stream && this.heard(resampler.push(data));
    this.context.createMediaStreamSource(this.stream).connect(tap);
  }

  stop() {
    if (!this.stream) return;
    this.stream.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.context.close();
  }
}
// Collects the mean of the channels in blocks of 2,048 samples.
Microphone.TAP = `
registerProcessor("tap", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(2048);
    this.filled = 0;
  }
  process([channels]) {
    const count = channels.length ? channels[0].length : 0;
    for (let n = 0; n < count; n++) {
      let total = 0;
      for (const channel of channels) total += channel[n] / channels.length;
      this.block[this.filled++] = total;
      if (this.filled < this.block.length) continue;
      this.port.postMessage(this.block);
      this.filled = 0;
    }
    return true;
  }
});`;
