// Plays the clips of one prompt and switches between them at the same position: 5 ms raised cosine out, then in.
// Clips are {uri, seconds, wave}, as Python writes them. A first click or key must come before any sound.

const FADE = 0.005; // seconds
const LEAD = 0.01; // seconds from a wish to the sample it begins at
const KEPT = 12; // decoded clips
const SHORTEST_LOOP = 0.5; // seconds

const RISE = Float32Array.from({ length: 65 }, (_, i) => 0.5 - 0.5 * Math.cos((Math.PI * i) / 64));
const FALL = RISE.slice().reverse();

class Player {
  // `changed` is called whenever what plays, or whether, has changed.
  constructor(changed = () => {}) {
    this.changed = changed;
    this.clips = [];
    this.index = 0;
    this.problem = ""; // why nothing can be played, in words
    this.region = null; // [from, to] in seconds: what is looped
    this.context = null;
    this.decoded = new Map(); // clip -> promise of its AudioBuffer, the last few
    this.rest = 0; // the position while nothing plays
    this.voice = null; // what plays: {source, gain, index, from, offset}
    this.free = 0; // the context's time from which the next fade may begin
    this.wish = 0; // counts wishes: one that waits for decoding gives way to a later one
    this.seconds = []; // heard of each clip, without what sounds now
  }

  // Takes the clips of another prompt; the position and what was heard begin anew. null stands for a missing clip.
  load(clips) {
    this.silence();
    this.clips = clips;
    this.seconds = clips.map(() => 0);
    this.index = Math.max(0, clips.findIndex(Boolean));
    this.rest = 0;
    this.region = null;
    this.changed();
  }

  get playing() {
    return this.voice !== null;
  }

  // Seconds into the clip, as heard.
  get position() {
    return this.voice ? this.placeAt(this.context.currentTime - (this.context.outputLatency || 0)) : this.rest;
  }

  get duration() {
    return this.clips[this.index]?.seconds ?? 0;
  }

  // Seconds heard of each clip since load().
  get heard() {
    const heard = [...this.seconds];
    if (this.voice) heard[this.voice.index] += this.sounded();
    return heard;
  }

  // Plays a clip from a position, or from where it is; from the start when it stood at its end.
  async play(index = this.index, position = null) {
    if (!this.clips[index]) return;
    const wish = ++this.wish;
    this.index = index;
    const clips = this.clips;
    try {
      this.wake();
      await this.context.resume();
      // All of the prompt, so that a switch waits for nothing; the one that is wanted first.
      const buffer = await this.buffer(clips[index]);
      clips.forEach((clip) => clip && this.buffer(clip).catch(() => {}));
      if (wish !== this.wish || clips !== this.clips) return;
      this.problem = "";
      this.start(buffer, index, position);
    } catch (error) {
      this.problem = error.message;
    }
    this.changed();
  }

  pause() {
    this.wish++;
    this.rest = this.position;
    this.silence();
    this.changed();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  // Another clip at the same position; it plays if the one before did.
  switchTo(index) {
    if (!this.clips[index] || index === this.index) return;
    if (this.playing) {
      this.play(index);
      return;
    }
    this.index = index;
    this.changed();
  }

  seek(position) {
    const wanted = Math.max(0, Math.min(position, this.duration));
    if (this.playing) {
      this.play(this.index, wanted);
      return;
    }
    this.rest = wanted;
    this.changed();
  }

  // Loops a part of the clips, [from, to] in seconds; null plays on to the end.
  loop(region) {
    if (region) {
      const from = Math.max(0, Math.min(region[0], this.duration - SHORTEST_LOOP));
      this.region = [from, Math.min(this.duration, Math.max(region[1], from + SHORTEST_LOOP))];
    } else {
      this.region = null;
    }
    if (this.playing) this.play();
    else this.changed();
  }

  // Within

  wake() {
    if (this.context) return;
    // An iPhone's mute switch is meant for sounds that nobody asked for.
    if (navigator.audioSession) navigator.audioSession.type = "playback";
    this.context = new (window.AudioContext || window.webkitAudioContext)();
  }

  buffer(clip) {
    if (!this.decoded.has(clip)) {
      for (const old of this.decoded.keys()) {
        if (this.decoded.size < KEPT) break;
        if (!this.clips.includes(old)) this.decoded.delete(old);
      }
      this.decoded.set(clip, this.decode(clip));
    }
    return this.decoded.get(clip);
  }

  async decode(clip) {
    const bytes = Uint8Array.from(atob(clip.uri.slice(clip.uri.indexOf(",") + 1)), (c) => c.charCodeAt(0));
    try {
      return await this.context.decodeAudioData(bytes.buffer);
    } catch {
      const opus = clip.uri.startsWith("data:audio/ogg");
      const why = opus ? "Opus: Safari can from 18.4 on, Firefox, Chrome and Edge always could" : "FLAC: take a newer one";
      throw new Error(`This browser cannot play ${why}.`);
    }
  }

  // The moment at which the next fade out can begin.
  next() {
    return Math.max(this.context.currentTime + LEAD, this.free);
  }

  start(buffer, index, position) {
    const out = this.next();
    const begin = this.voice ? out + FADE : out;
    if (position === null) position = this.voice ? this.placeAt(begin) : this.rest;
    if (!this.voice && position >= buffer.duration - FADE) position = 0;
    this.end(out);
    const source = this.context.createBufferSource();
    const gain = this.context.createGain();
    const region = this.region;
    if (region) {
      if (position < region[0] || position >= region[1]) position = region[0];
      source.buffer = this.ringed(buffer, region);
      source.loop = true;
    } else {
      source.buffer = buffer;
    }
    gain.gain.value = 0;
    gain.gain.setValueCurveAtTime(RISE, begin, FADE);
    source.connect(gain).connect(this.context.destination);
    source.start(begin, position - (region ? region[0] : 0));
    const voice = { source, gain, index, region, from: begin, offset: position, length: buffer.duration };
    source.onended = () => this.ended(voice);
    this.voice = voice;
    this.free = begin + FADE;
  }

  // A part of a clip whose ends fade, so that it goes round without a click.
  ringed(buffer, [from, to]) {
    const rate = buffer.sampleRate;
    const [first, last] = [Math.round(from * rate), Math.min(buffer.length, Math.round(to * rate))];
    const ring = this.context.createBuffer(buffer.numberOfChannels, Math.max(1, last - first), rate);
    const fade = Math.round(FADE * rate);
    for (let side = 0; side < buffer.numberOfChannels; side++) {
      const samples = buffer.getChannelData(side).slice(first, last);
      for (let i = 0; i < fade && i < samples.length; i++) {
        const level = 0.5 - 0.5 * Math.cos((Math.PI * i) / fade);
        samples[i] *= level;
        samples[samples.length - 1 - i] *= level;
      }
      ring.copyToChannel(samples, side);
    }
    return ring;
  }

  placeAt(time) {
    const { from, offset, region, length } = this.voice;
    const place = offset + Math.max(0, time - from);
    if (!region) return Math.min(place, length);
    return region[0] + ((place - region[0]) % (region[1] - region[0]));
  }

  sounded() {
    const { from, offset, region, length } = this.voice;
    const seconds = Math.max(0, this.context.currentTime - from);
    return region ? seconds : Math.min(seconds, length - offset);
  }

  end(time) {
    if (!this.voice) return;
    const { source, gain, index } = this.voice;
    this.seconds[index] += this.sounded();
    source.onended = null;
    gain.gain.setValueCurveAtTime(FALL, time, FADE);
    source.stop(time + FADE);
    this.free = time + FADE;
    this.voice = null;
  }

  silence() {
    if (this.voice) this.end(this.next());
  }

  ended(voice) {
    if (voice !== this.voice) return;
    this.seconds[voice.index] += this.sounded();
    this.rest = voice.length;
    this.voice = null;
    this.changed();
  }
}

// The picture of a clip, and how much of it has played: an element with `.show(share)`, 0 to 1.
function waveform(clip) {
  const box = document.createElement("span");
  box.className = "wave";
  const svg = (kind) =>
    `<svg class="${kind}" viewBox="0 0 160 40" preserveAspectRatio="none" aria-hidden="true"><path d="${clip?.wave ?? ""}"/></svg>`;
  box.innerHTML = svg("whole") + svg("played");
  box.show = (share) => {
    box.lastChild.style.clipPath = `inset(0 ${100 - 100 * Math.max(0, Math.min(1, share))}% 0 0)`;
  };
  box.show(0);
  return box;
}
