// The shared page: what its keys and buttons do to a session and to what plays.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const KEPT_AS = `mgl-tui:${data.page}`;
const SAVE_EVERY = 2; // seconds of sound after which what was heard is kept at the latest
const ENDS = { 1: "bad", 5: "very good" };
const FLAT = { wave: "M0 20H160" };

const store = { read: () => localStorage.getItem(KEPT_AS), write: (text) => localStorage.setItem(KEPT_AS, text) };
const session = new Session(data, store);
const player = new Player(() => show());
let shown = null; // the trial whose clips are in the player
let heardBefore = {}; // seconds by letter, before they were put there
let savedAt = 0;
let loopFrom = 0;
let choosingTag = null; // the letters of the clips that are to get a tag, while its letter is waited for
let writing = null; // the note as it was when writing began
let seen = new Set(); // letters whose picture is shown

// Doing

// Does something to the session; what it refuses is said.
function attempt(does) {
  try {
    does();
    return true;
  } catch (error) {
    say(error.message, true);
    return false;
  }
}

function say(text, warn = false) {
  byId("say").textContent = text;
  byId("say").className = warn ? "warn" : "soft";
}

// Puts the prompt under the cursor into the player.
function load() {
  if (shown === session.trial) return;
  hear(true);
  shown = session.trial;
  const letters = session.letters(shown);
  heardBefore = Object.fromEntries(letters.map((letter) => [letter, session.rating(shown, letter).heard]));
  player.load(letters.map((letter) => session.clip(shown, letter)));
  loopFrom = 0;
  drawLanes();
}

// Notes what was heard; keeps it now and then, or at once.
function hear(now = false) {
  if (!shown || shown !== session.trial) return;
  const heard = player.heard;
  session.letters(shown).forEach((letter, at) => {
    if (heard[at] > 0) session.hear(letter, heardBefore[letter] + heard[at]);
  });
  const all = heard.reduce((sum, seconds) => sum + seconds, 0);
  if (now ? all !== savedAt : Math.abs(all - savedAt) > SAVE_EVERY) {
    savedAt = all;
    session.save();
  }
}

function play(letter = session.letter, position = null) {
  say("");
  return player.play(LETTERS.indexOf(letter), position);
}

function goAndPlay(at, letter) {
  hear(true);
  if (!attempt(() => session.go(at, letter))) return;
  load();
  play(letter, 0);
}

function judged() {
  if (data.advance === "score") does.go_on();
}

function goOn() {
  if (session.complete) {
    player.pause();
    return finish();
  }
  const step = session.afterJudgement();
  if (step?.fresh) goAndPlay(step.at, step.letter);
  else if (step) does.switch(step.letter, false);
}

const does = {
  play: () => (player.playing ? player.pause() : play()),
  switch: (letter, sounding = true) => {
    if (!session.audible(session.trial).includes(letter) || !attempt(() => session.go(session.state.at, letter))) return;
    const at = LETTERS.indexOf(letter);
    if (player.playing && data.restartOnSwitch) play(letter, 0);
    else if (player.playing || !sounding) player.switchTo(at);
    else play(letter);
  },
  clip: (direction) => {
    const letters = session.audible(session.trial);
    const at = letters.indexOf(session.letter) + direction;
    does.switch(letters[Math.max(0, Math.min(letters.length - 1, at))], player.playing);
  },
  seek: (seconds) => player.seek(player.position + seconds),
  restart: () => play(session.letter, 0),
  next_unheard: () => {
    const found = session.nextUnheard();
    if (found) goAndPlay(...found);
    else say("Every clip was heard.");
  },
  loop: () => player.loop(player.region ? null : [0, player.duration]),
  loop_from: () => {
    loopFrom = player.position;
    say(`The loop begins at ${loopFrom.toFixed(1)} s; ] ends it.`);
  },
  loop_to: () => player.loop([loopFrom < player.position ? loopFrom : 0, player.position]),
  score: (value) => {
    hear(true);
    const again = session.rating(session.trial, session.letter).value !== null;
    if (!attempt(() => session.rate(value))) return;
    say("");
    if (!again) judged();
  },
  all_bad: () => {
    hear(true);
    if (attempt(() => session.toggleAllBad()) && session.isAllBad(session.trial)) judged();
  },
  tag: () => {
    hear(true);
    choosingTag = [];
    say("The letter of a tag; capitals before it name clips; esc leaves.");
  },
  go_on: () => {
    hear(true);
    goOn();
  },
  note: () => byId("note").focus(),
  undo: () => {
    hear(true);
    const what = session.undo();
    load();
    if (player.index !== LETTERS.indexOf(session.letter)) does.switch(session.letter, player.playing);
    say(what ? `Taken back: ${what}` : "There is nothing to take back.");
  },
  prompt: (direction) => {
    const at = session.state.at + direction;
    if (at >= 0 && at < data.trials.length) toPrompt(at);
  },
  help: () => (byId("keys").open ? byId("keys").close() : byId("keys").showModal()),
};

function toPrompt(at) {
  const playing = player.playing;
  hear(true);
  if (!attempt(() => session.go(at))) return;
  load();
  say("");
  if (playing) play(session.letter, 0);
}

function giveTag(tag) {
  const letters = choosingTag ?? [];
  choosingTag = null;
  hear(true);
  if (attempt(() => session.toggleTag(tag, letters))) say("");
}

// Keys

const keys = new Map(data.keys.map((one) => [one.key, one]));

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (!byId("start").hidden && ["Enter", " "].includes(event.key) && !event.target.matches("input")) {
    event.preventDefault();
    begin();
  }
  if (byId("session").hidden || event.defaultPrevented) return;
  if (event.target.matches("input, textarea") || (event.key === "Enter" && event.target.matches("button, summary"))) return;
  // Full-width letters of an input method, and digits where they lie on the shift key.
  const typed = event.key.length === 1 ? event.key.normalize("NFKC").toLowerCase().replace("。", ".").replace("、", ",") : event.key;
  const key = keys.has(typed) || !/^Digit\d$/.test(event.code) ? typed : event.code[5];
  if (choosingTag) pressTag(event, key);
  else if (byId("keys").open ? key === "?" : keys.has(key)) {
    event.preventDefault();
    const { does: name, with: argument } = keys.get(key);
    if (argument === null) does[name]();
    else does[name](argument);
    show();
  }
}

function pressTag(event, key) {
  if (["Shift", "Tab"].includes(key)) return;
  event.preventDefault();
  if (session.audible(session.trial).includes(event.key)) {
    const letters = session.audible(session.trial).filter((one) => choosingTag.includes(one) !== (one === event.key));
    choosingTag = letters;
    say(`The letter of a tag for ${letters.join(", ") || session.letter}; esc leaves.`);
    return;
  }
  const found = data.tags.find(([letter]) => letter === key);
  if (found) giveTag(found[1]);
  else choosingTag = null;
  if (!found) say(["Escape", "t", "Enter", " "].includes(key) ? "" : `No tag has the letter ${key}.`);
  show();
}

function note() {
  const field = byId("note");
  field.onfocus = () => {
    hear(true);
    const before = session.rating(session.trial, session.letter).note;
    if (!before && !attempt(() => session.mustBeHeard())) field.blur();
    else writing = before;
  };
  field.oninput = () => {
    const goingOn = session.rating(session.trial, session.letter).note !== writing;
    if (!attempt(() => session.writeNote(field.value, goingOn))) field.value = "";
  };
  field.onkeydown = (event) => {
    if (event.key === "Escape" && field.value !== writing) session.undo();
    if (["Enter", "Escape"].includes(event.key)) field.blur();
  };
  field.onblur = () => {
    writing = null;
    show();
  };
}

const clicks = {
  begin, help: does.help, play: does.play, restart: does.restart, loop: does.loop, undo: does.undo, finish,
  before: () => does.prompt(-1), after: () => does.prompt(1), save: saveFile, copy: copyText, return: toClips,
};
for (const [id, action] of Object.entries(clicks)) {
  byId(id).addEventListener("click", (event) => clicked(byId(id), action, event));
}
byId("name").addEventListener("keydown", (event) => event.key === "Enter" && begin());
byId("sender").addEventListener("input", () => {
  session.state.name = byId("sender").value.trim();
  session.save();
  writeOut();
});
addEventListener("keydown", press);
// A button that was clicked is not clicked once more by the space that plays.
addEventListener("keyup", (event) => event.key === " " && !byId("session").hidden && event.target.matches("button") && event.preventDefault());
addEventListener("pagehide", () => hear(true));
addEventListener("beforeunload", (event) => !session.kept && session.done && !session.state.sent && event.preventDefault());
// The same page in another tab: what was said last stands.
addEventListener("storage", (event) => {
  const kept = event.key === KEPT_AS && session.read();
  if (!kept) return;
  session.state = kept;
  shown = null;
  show();
});
note();
prepare();
tick();
