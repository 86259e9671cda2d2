// The page's half of the browser output: takes commands from the event stream, feeds the mixer, acknowledges.

const LONGEST_LATENCY = 0.08;
const DROPOUT_SECONDS = 0.015; // the sound's clock falls behind the wall clock by a block at every dropout
const KEPT_CLIPS = 12;
const CHIRP_SECONDS = 0.6;
// What the panel calls the keys that are not a letter or a digit.
const KEY_NAMES = {
  " ": "space", ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", Enter: "enter",
  ",": "comma", ".": "full_stop", "[": "left_square_bracket", "]": "right_square_bracket",
};
const byId = (id) => document.getElementById(id);

const decoded = new Map(); // file name -> channels, the last few
let context = null;
let node = null;
let events = null;
let client = null;
let clips = [];
let held = []; // what the mixer was given: channels and gain of each clip
let latency = 0.02; // "interactive" is half of it and crackles on a busy laptop; doubled after dropouts
let slips = []; // wall clock minus sound clock, the last few
let leastSlip = Infinity;
let report = null;
let reportedAt = 0;
let remoteKeys = false;
let restartOnSwitch = false;
let pressed = false; // the listener's first key or click has come
let asked = false; // the chirp was played
let asking = false; // "did you hear it?"
let work = Promise.resolve(); // commands are carried out one after the other
let sending = false;
let sendAgain = false;

// Sound

async function makeMixer() {
  context = new AudioContext({ latencyHint: latency });
  await context.audioWorklet.addModule("mixer.js");
  node = new AudioWorkletNode(context, "mixer", {
    numberOfInputs: 0,
    outputChannelCount: [2],
    processorOptions: { restartOnSwitch },
  });
  node.connect(context.destination);
  node.port.onmessage = ({ data }) => {
    const changed = !report || ["sequence", "playing", "index", "ended"].some((name) => report[name] !== data[name]);
    report = data;
    reportedAt = performance.now();
    if (changed) acknowledge();
  };
  context.onstatechange = () => {
    showLock();
    acknowledge();
  };
  showLock();
  if (pressed && !asked) unlock();
}

async function channelsOf(file) {
  if (!file) return [new Float32Array(0)];
  if (!decoded.has(file)) {
    const answer = await fetch(`clip/${file}`);
    if (!answer.ok) throw new Error("A clip could not be loaded.");
    const buffer = await context.decodeAudioData(await answer.arrayBuffer());
    decoded.set(file, Array.from({ length: Math.min(2, buffer.numberOfChannels) }, (_, i) => buffer.getChannelData(i)));
    if (decoded.size > KEPT_CLIPS) decoded.delete(decoded.keys().next().value);
  }
  return decoded.get(file);
}

async function load(message) {
  clips = message.clips;
  byId("title").textContent = message.title || "Listen";
  showLanes();
  held = await Promise.all(clips.map(async ({ file, gain }) => ({ channels: await channelsOf(file), gain })));
  node.port.postMessage({ do: "load", clips: held, resume: message.resume, sequence: message.sequence });
}

// After dropouts: the same mixer at the same place, with twice the latency.
async function lengthen() {
  const { index, position, loop, playing, sequence, heard, ended } = report;
  latency *= 2;
  context.onstatechange = node.port.onmessage = null;
  await context.close();
  node = null;
  await makeMixer();
  slips = [];
  leastSlip = Infinity;
  node.port.postMessage({ do: "load", clips: held, resume: { index, position, region: loop, heard, ended }, sequence });
  if (playing) node.port.postMessage({ do: "play", index, position: null, sequence });
}

function watchForDropouts() {
  if (!report?.playing || context.state !== "running" || latency >= LONGEST_LATENCY) {
    slips = [];
    leastSlip = Infinity;
    return;
  }
  slips.push(performance.now() / 1000 - context.currentTime);
  if (slips.length < 5) return; // the sound's clock moves in blocks: only the least of several readings is exact
  const slip = Math.min(...slips);
  slips = [];
  if (slip - leastSlip > DROPOUT_SECONDS) work = work.then(lengthen);
  leastSlip = Math.min(leastSlip, slip);
}

function chirp() {
  const rate = context.sampleRate;
  const samples = Float32Array.from({ length: Math.round(CHIRP_SECONDS * rate) }, (_, i) => {
    const t = i / rate;
    const phase = 2 * Math.PI * (400 * t + (2600 / (2 * CHIRP_SECONDS)) * t * t);
    return 0.3 * Math.sin(phase) * Math.sin((Math.PI * t) / CHIRP_SECONDS);
  });
  node.port.postMessage({ do: "chirp", samples, sequence: report?.sequence ?? 0 });
  asking = true;
  say("Did you hear a rising tone?  Press y for yes, n to hear it again.");
}

async function unlock() {
  pressed = true;
  if (!node) return; // makeMixer comes back to it
  asking = asked = true;
  await context.resume();
  chirp();
}

// The line to the panel

function connect() {
  events = new EventSource("events");
  events.onopen = () => link("on", "connected");
  events.onerror = () => {
    link("off", "connection lost");
    say("The connection is lost. Is the ssh tunnel still up? This page goes on by itself when it is back.", true);
    node?.port.postMessage({ do: "pause", sequence: report?.sequence ?? 0 });
  };
  events.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.do === "ping") {
      watchForDropouts();
      return acknowledge();
    }
    if (message.do === "replaced") return replaced();
    work = work.then(() => obey(message)).catch((error) => say(error.message, true));
  };
}

async function obey(message) {
  if (message.do === "hello") {
    ({ client, remoteKeys, restartOnSwitch } = message);
    if (!context) await makeMixer();
    showKeys();
    acknowledge();
  } else if (message.do === "load") {
    await load(message);
  } else if (message.do === "prove") {
    chirp();
  } else {
    node.port.postMessage(message);
  }
}

function replaced() {
  events.close();
  events = null;
  node?.port.postMessage({ do: "pause", sequence: 0 });
  link("off", "replaced");
  say("Another page has taken over. Press any key to take the sound back to this one.", true);
}

async function post(message) {
  const answer = await fetch("ack", { method: "POST", body: JSON.stringify({ client, ...message }) });
  return answer.ok;
}

async function acknowledge() {
  if (client === null) return;
  if (sending) {
    sendAgain = true;
    return;
  }
  sending = true;
  try {
    await post({ audio: context.state, state: report && { ...report, position: heardPosition() } });
  } catch {
    // The event stream notices a broken tunnel and says so.
  }
  sending = false;
  if (sendAgain) {
    sendAgain = false;
    acknowledge();
  }
}

function heardPosition() {
  if (!report.playing || context.state !== "running") return report.position;
  const late = context.outputLatency || context.baseLatency || 0;
  const position = report.position + (performance.now() - reportedAt) / 1000 - late;
  const [start, end] = [report.loop?.[0] ?? 0, report.loop?.[1] ?? report.duration];
  if (report.loop && position >= end && end > start) return start + ((position - start) % (end - start));
  return Math.max(0, Math.min(position, report.duration));
}

// Keys

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.key === "Tab" || event.key === "Shift") return;
  event.preventDefault();
  if (!events) return location.reload();
  if (!context || context.state !== "running") return unlock();
  const key = KEY_NAMES[event.key] ?? event.key;
  if (asking && key === "y") return answer(true);
  if (asking && key === "n") return chirp();
  asking = false;
  sendKey(key);
}

function answer(heard) {
  asking = false;
  say("Good. Sound is on; go back to the terminal.");
  post({ heard });
}

function sendKey(key) {
  if (remoteKeys && (key.length === 1 || Object.values(KEY_NAMES).includes(key))) post({ key });
}

// What is shown

function link(state, text) {
  byId("link").className = `link ${state}`;
  byId("link").textContent = text;
  if (state === "on") say("");
}

function say(text, warn = false) {
  byId("say").textContent = text;
  byId("say").className = warn ? "say warn" : "say";
}

function showLock() {
  byId("unlock").hidden = context.state === "running";
}

function showKeys() {
  const hints = [["space", "play, stop"], ["a b c", "switch in place"], [", .", "seek"], ["1–5", "score"]];
  const parts = hints.flatMap(([key, does]) => [kbd(key), ` ${does} \u00a0 `]);
  byId("keys").replaceChildren(...parts, remoteKeys ? "here as in the terminal" : "in the terminal");
}

function kbd(text) {
  const key = document.createElement("kbd");
  key.textContent = text;
  return key;
}

function showLanes() {
  byId("lanes").replaceChildren(
    ...clips.map(({ name, file }) => {
      const lane = document.createElement("button");
      lane.className = "lane";
      lane.type = "button";
      lane.disabled = !file;
      const letter = document.createElement("b");
      letter.textContent = name;
      lane.append(letter, document.createElement("small"));
      lane.onclick = () => sendKey(name.toLowerCase());
      return lane;
    }),
  );
}

function draw() {
  requestAnimationFrame(draw);
  if (!report) return;
  const position = heardPosition();
  // The longest clip's for all: how long a clip is might tell which model made it.
  const longest = Math.max(0, ...held.map(({ channels }) => channels[0].length)) / context.sampleRate;
  const share = (seconds) => `${Math.min(100, (100 * seconds) / (longest || 1))}%`;
  [...byId("lanes").children].forEach((lane, index) => {
    const here = index === report.index;
    lane.classList.toggle("here", here);
    lane.classList.toggle("sounds", here && report.playing && context.state === "running");
    const text = lane.disabled ? "missing" : here ? (report.playing ? "plays" : "stopped") : "";
    if (lane.lastChild.textContent !== text) lane.lastChild.textContent = text;
  });
  byId("played").style.width = share(position);
  byId("loop").style.left = report.loop ? share(report.loop[0]) : "0";
  byId("loop").style.width = report.loop ? share((report.loop[1] ?? report.duration) - report.loop[0]) : "0";
  byId("position").textContent = position.toFixed(1);
  byId("duration").textContent = longest.toFixed(1);
  byId("loopText").textContent = report.loop ? "loop" : "";
  const decibels = report.playing && report.level > 0 ? 20 * Math.log10(report.level) : -60;
  byId("level").style.width = `${Math.max(0, Math.min(100, (100 * (decibels + 60)) / 60))}%`;
}

addEventListener("keydown", press);
byId("unlock").addEventListener("click", unlock);
connect();
draw();
