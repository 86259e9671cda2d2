// The mixer of mixer.py for the browser, sample for sample: one playhead, 5 ms raised cosine out, then in.
// Runs in the audio thread. Commands arrive as messages with positions in seconds.

const FADE_SECONDS = 0.005;
const SHORTEST_LOOP_SECONDS = 0.5;
const REPORT_SECONDS = 0.05;

class Mixer extends AudioWorkletProcessor {
  constructor(options) {
    super();
    this.restartOnSwitch = Boolean(options.processorOptions?.restartOnSwitch);
    this.full = Math.max(1, Math.round(FADE_SECONDS * sampleRate));
    this.curve = Float32Array.from({ length: this.full + 1 }, (_, i) => 0.5 - 0.5 * Math.cos((Math.PI * i) / this.full));
    this.clips = []; // {channels: [left, right], gain, length}
    this.heard = [];
    this.region = null; // [start, end or null] in frames
    this.index = 0;
    this.position = 0;
    this.playing = false;
    this.level = 0;
    this.target = null;
    this.ended = 0;
    this.overlay = null;
    this.overlayAt = 0;
    this.peak = 0;
    this.sinceReport = 0;
    this.sequence = 0;
    this.port.onmessage = ({ data }) => {
      this[data.do](data);
      this.sequence = data.sequence;
      this.report();
    };
  }

  frames(seconds) {
    return Math.round(seconds * sampleRate);
  }

  // Commands

  load({ clips, resume }) {
    this.clips = clips.map(({ channels, gain }) => ({ channels, gain, length: channels[0].length }));
    this.heard = clips.map(() => 0);
    this.region = this.target = null;
    this.index = this.position = this.level = 0;
    this.playing = false;
    if (resume && resume.index in this.clips) {
      this.index = resume.index;
      this.position = this.frames(resume.position);
      if (resume.heard) this.heard = resume.heard.map((seconds) => this.frames(seconds));
      this.ended = resume.ended ?? 0;
      this.loop(resume);
    }
  }

  play({ index, position }) {
    if (!(index in this.clips)) return;
    const aim = this.aim();
    let start = position === null || position === undefined ? null : this.frames(position);
    if (start === null && !aim.playing) {
      const atEnd = this.position >= this.clips[index].length;
      start = atEnd && aim.position === null ? 0 : aim.position;
    }
    const same = aim.index === index && aim.position === null && aim.playing;
    if (start !== null || !same) this.go({ index, position: start, playing: true });
  }

  pause() {
    this.go({ ...this.aim(), playing: false });
  }

  stop() {
    this.go({ ...this.aim(), position: this.region ? this.region[0] : 0, playing: false });
  }

  switch({ index }) {
    const aim = this.aim();
    if (!(index in this.clips) || index === aim.index) return;
    const start = this.region ? this.region[0] : 0;
    this.go({ ...aim, index, position: this.restartOnSwitch ? start : aim.position });
  }

  seek({ seconds, relative }) {
    if (!this.clips.length) return;
    const aim = this.aim();
    const origin = relative ? aim.position ?? this.position : 0;
    let position = Math.min(Math.max(0, origin + this.frames(seconds)), this.clips[aim.index].length);
    if (this.region) {
      const [start, end] = this.bounds(aim.index);
      position = position >= end ? start : Math.max(start, position);
    }
    this.go({ ...aim, position });
  }

  loop({ region }) {
    this.region = region && [this.frames(region[0]), region[1] === null ? null : this.frames(region[1])];
    if (this.region && this.clips.length && !this.target) {
      const [start, end] = this.bounds(this.index);
      if (this.position < start || this.position >= end) this.go({ index: this.index, position: start, playing: this.playing });
    }
  }

  chirp({ samples }) {
    this.overlay = samples;
    this.overlayAt = 0;
  }

  // Rendering

  process(_inputs, [output]) {
    const size = output[0].length;
    let done = 0;
    while (done < size && this.clips.length) {
      if (this.target && this.level === 0) this.arrive();
      if (!this.playing && this.level === 0) break;
      done += this.segment(output, done, size);
    }
    if (this.overlay) this.mixOverlay(output, size);
    for (const value of output[0]) this.peak = Math.max(this.peak, Math.abs(value));
    this.sinceReport += size;
    if (this.sinceReport >= REPORT_SECONDS * sampleRate && (this.playing || this.peak > 0)) this.report();
    return true;
  }

  segment(output, done, size) {
    const left = this.turnAtEdge();
    const room = size - done;
    const before = this.level;
    let frames = Math.min(room, left);
    let slope = 0;
    if (this.target) {
      frames = Math.min(room, this.level);
      slope = -1;
    } else if (this.level < this.full) {
      frames = Math.min(room, this.full - this.level, Math.max(1, left >> 1));
      slope = 1;
    }
    const { channels, gain, length } = this.clips[this.index];
    const sounding = Math.max(0, Math.min(frames, length - this.position));
    for (let side = 0; side < output.length; side++) {
      const from = channels[side % channels.length];
      for (let i = 0; i < sounding; i++) {
        output[side][done + i] = from[this.position + i] * gain * this.curve[before + slope * (i + 1)];
      }
    }
    this.level += slope * frames;
    this.position += frames;
    this.heard[this.index] += frames;
    return frames;
  }

  turnAtEdge() {
    const [start, end] = this.bounds(this.index);
    const left = end - this.level - this.position;
    if (left > 0 || this.target) return Math.max(1, left);
    if (this.region) {
      this.target = { index: this.index, position: start, playing: true };
    } else {
      this.target = { index: this.index, position: this.clips[this.index].length, playing: false };
      this.ended++;
    }
    return this.full;
  }

  bounds(index) {
    const length = this.clips[index].length;
    if (!this.region) return [0, length];
    const shortest = Math.min(length, this.frames(SHORTEST_LOOP_SECONDS));
    const [from, to] = this.region;
    const end = to === null ? length : Math.min(length, Math.max(to, from + shortest));
    return [Math.max(0, Math.min(from, end - shortest)), end];
  }

  aim() {
    return this.target ?? { index: this.index, position: null, playing: this.playing };
  }

  go(target) {
    this.target = target;
    if (this.level === 0) this.arrive();
  }

  arrive() {
    const target = this.target;
    this.target = null;
    this.index = target.index;
    this.playing = target.playing && this.clips.length > 0;
    if (target.position !== null) this.position = target.position;
    if (!this.playing) return;
    const [start, end] = this.bounds(this.index);
    if (this.position >= end) {
      this.playing = Boolean(this.region) && start < end;
      this.position = this.playing ? start : end;
      if (!this.playing) this.ended++;
    }
  }

  mixOverlay(output, size) {
    const frames = Math.min(size, this.overlay.length - this.overlayAt);
    for (const side of output) for (let i = 0; i < frames; i++) side[i] += this.overlay[this.overlayAt + i];
    this.overlayAt += frames;
    if (this.overlayAt >= this.overlay.length) this.overlay = null;
  }

  report() {
    const aim = this.aim();
    this.sinceReport = 0;
    this.port.postMessage({
      sequence: this.sequence,
      index: aim.index,
      position: (aim.position ?? this.position) / sampleRate,
      playing: aim.playing,
      duration: this.clips.length ? this.clips[aim.index].length / sampleRate : 0,
      heard: this.heard.map((frames) => frames / sampleRate),
      loop: this.region && this.region.map((edge) => edge === null ? null : edge / sampleRate),
      ended: this.ended,
      level: this.peak,
    });
    this.peak = 0;
  }
}

registerProcessor("mixer", Mixer);
