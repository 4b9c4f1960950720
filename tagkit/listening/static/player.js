"use strict";
// One looping player. Changing the sound while it plays keeps the position, so that one can walk through the channels
// of a piece without it starting over.
class Player {
  constructor(sr) {
    this.sr = sr;
    this.volume = 0.8;
    this.playing = false;
    this.sound = null;
    this.context = null;
    this.voice = null;
    this.begun = 0;
    this.from = 0;
  }

  load(sound) {
    const position = this.position();
    this.sound = sound;
    if (this.playing) this.play(position);
  }

  open() {
    if (!this.context) {
      this.context = new AudioContext();
      this.gain = this.context.createGain();
      this.gain.connect(this.context.destination);
      this.setVolume(this.volume);
    }
    this.context.resume();
  }

  // A sound (AudioBuffer) beside the loop, from its start to its end; returns what can stop it.
  once(buffer, ended) {
    this.open();
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.gain);
    source.onended = ended;
    source.start();
    return source;
  }

  // `position` in seconds.
  play(position = 0) {
    this.open();
    this.fade();
    const buffer = this.context.createBuffer(1, this.sound.length, this.sr);
    buffer.copyToChannel(this.sound, 0);
    const source = this.context.createBufferSource();
    const envelope = this.context.createGain();
    source.buffer = buffer;
    source.loop = true;
    source.connect(envelope).connect(this.gain);
    const now = this.context.currentTime;
    envelope.gain.setValueAtTime(0, now);
    envelope.gain.linearRampToValueAtTime(1, now + 0.02);
    this.from = position % buffer.duration;
    this.begun = now;
    source.start(now, this.from);
    this.voice = { source, envelope };
    this.playing = true;
  }

  // The voice that sounds now leaves within 20 ms, without a click.
  fade() {
    if (!this.voice) return;
    const now = this.context.currentTime;
    this.voice.envelope.gain.setValueAtTime(1, now);
    this.voice.envelope.gain.linearRampToValueAtTime(0, now + 0.02);
    this.voice.source.stop(now + 0.03);
    this.voice = null;
  }

  stop() {
    this.fade();
    this.playing = false;
  }

  position() {
    if (!this.playing) return 0;
    return (this.from + this.context.currentTime - this.begun) % (this.sound.length / this.sr);
  }

  setVolume(volume) {
    this.volume = volume;
    if (this.gain) this.gain.gain.value = volume ** 2;
  }
}
