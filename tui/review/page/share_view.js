// What the shared page shows: the clips of a prompt and what was said of them, the beginning and the end.

function button(text, action, parent, named = text) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.setAttribute("aria-label", named);
  made.onclick = (event) => clicked(made, () => action(event), event);
  parent.append(made);
  return made;
}

// What a button does. One that was touched keeps no focus: the keys that follow are the page's.
function clicked(one, action, event) {
  if (event.detail) one.blur();
  action();
  show();
}

function drawLanes() {
  seen = new Set();
  byId("lanes").replaceChildren();
  byId("prompt").textContent = session.trial.prompt;
  const clips = session.letters(session.trial).map((letter) => session.clip(session.trial, letter));
  byId("longest").textContent = Math.max(0, ...clips.map((clip) => clip?.seconds ?? 0)).toFixed(1);
  for (const letter of session.letters(session.trial)) {
    const lane = button("", (event) => touchLane(event, letter), byId("lanes"), `Clip ${letter}`);
    lane.className = "lane";
    const name = document.createElement("b");
    name.textContent = letter;
    const value = document.createElement("span");
    value.className = "value";
    lane.append(name, waveform(FLAT), value);
    lane.disabled = !session.clip(session.trial, letter);
  }
  byId("scores").replaceChildren();
  for (let value = 1; value <= session.highest(session.trial); value++) button(String(value), () => does.score(value), byId("scores"));
  if (!session.most) button("all bad", does.all_bad, byId("scores"));
}

// A touch plays a clip where the other one is; on the picture of the one that is chosen, from there; else it stops.
function touchLane(event, letter) {
  const wave = event.target.closest(".wave");
  if (letter !== session.letter || !wave) {
    if (letter === session.letter) does.play();
    else does.switch(letter);
    return;
  }
  const { left, width } = wave.getBoundingClientRect();
  play(letter, ((event.clientX - left) / width) * player.duration);
}

function showLanes() {
  [...byId("lanes").children].forEach((lane, at) => {
    const letter = LETTERS[at];
    const here = letter === session.letter;
    lane.classList.toggle("here", here);
    lane.classList.toggle("sounds", here && player.playing);
    const { value } = session.rating(session.trial, letter);
    lane.lastChild.textContent = lane.disabled ? "✕" : session.isAllBad(session.trial) ? "✗" : value ?? "·";
    if (!seen.has(letter) && session.mayBeSeen(session.trial, letter)) {
      seen.add(letter);
      lane.children[1].replaceWith(waveform(session.clip(session.trial, letter)));
    }
    lane.children[1].show(here && player.duration ? player.position / player.duration : 0);
  });
  byId("position").textContent = player.position.toFixed(1);
}

function showJudgement() {
  const rating = session.rating(session.trial, session.letter);
  byId("judged").textContent = `Clip ${session.letter}`;
  [...byId("scores").children].forEach((one, at) => one.classList.toggle("chosen", rating.value === at + 1));
  const ends = session.most ? [`1 ${ENDS[1]}`, `5 ${ENDS[5]}`] : ["1 the one you like most", "equal places are ties"];
  byId("scale").replaceChildren(...ends.map((text) => Object.assign(document.createElement("span"), { textContent: text })));
  byId("tags").className = `row ${choosingTag ? "choosing" : ""}`;
  [...byId("tags").children].forEach((one, at) => one.classList.toggle("chosen", rating.tags.includes(data.tags[at][1])));
  if (writing === null) byId("note").value = rating.note;
}

function showPlace() {
  const { trial } = session;
  const of = session.counted.length;
  byId("where").textContent = trial.number === "T" ? "To get used to it" : `Prompt ${trial.number} of ${of}`;
  byId("done").textContent = trial.number === "T" ? "not counted" : `${session.done} of ${session.total} judged`;
  [...byId("prompts").children].forEach((one, at) => {
    one.classList.toggle("here", at === session.state.at);
    one.classList.toggle("judged", session.isJudged(data.trials[at]));
  });
  byId("before").disabled = session.state.at === 0;
  byId("after").disabled = session.state.at === data.trials.length - 1;
  byId("finish").textContent = session.complete ? "to the end" : "send what I have";
}

function show() {
  if (byId("session").hidden) return;
  load();
  showPlace();
  showLanes();
  showJudgement();
  byId("play").textContent = player.playing ? "pause" : "play";
  byId("loop").classList.toggle("chosen", Boolean(player.region));
  if (player.problem) say(player.problem, true);
  else if (!session.kept) say("This browser keeps nothing: leave the page open, and send what you have before you close it.", true);
  else if (session.sitting > FATIGUE && !byId("say").textContent) say("20 minutes without a rest: ears tire. All is kept; go on whenever you like.");
}

function tick() {
  requestAnimationFrame(tick);
  if (!player.playing || byId("session").hidden) return;
  hear();
  showLanes();
}

// The sections

function only(id) {
  for (const each of ["start", "session", "end"]) byId(each).hidden = each !== id;
  scrollTo(0, 0);
}

function toClips() {
  only("session");
  load();
  show();
}

function finish() {
  player.pause();
  hear(true);
  choosingTag = null;
  only("end");
  const left = session.total - session.done;
  byId("thanks").textContent = left ? "So far" : "Thank you";
  byId("left").textContent = left
    ? `${session.done} of ${session.total} clips are judged. What you send now counts as far as it goes; you can go on later and send it again.`
    : "All clips are judged. One thing is left: send it back.";
  byId("sender").value = session.state.name;
  writeOut();
  byId(byId("save").disabled ? "sender" : "save").focus();
}

function writeOut() {
  const name = byId("sender").value.trim();
  byId("text").value = session.answers(name);
  byId("save").disabled = byId("copy").disabled = !name || !session.done;
  if (!session.done) byId("left").textContent = "Nothing is judged yet, so there is nothing to send.";
  byId("told").textContent = name
    ? "Send the file, or the text, to whoever sent you this page. It holds your scores, tags and notes and how long each clip was heard, and nothing else."
    : "Type your name first: it tells the listeners apart.";
}

function saveFile() {
  const link = document.createElement("a");
  const name = byId("sender").value.trim().normalize("NFKD").replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "");
  link.download = `listening-${name || "answers"}-${data.page.slice(0, 4)}.json`;
  link.href = URL.createObjectURL(new Blob([byId("text").value], { type: "application/json" }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  sent(`Saved as ${link.download}, where this browser puts what it saves. Now send it back.`);
}

async function copyText() {
  byId("text").closest("details").open = true;
  byId("text").select();
  let copied = document.execCommand("copy");
  try {
    await navigator.clipboard.writeText(byId("text").value);
    copied = true;
  } catch {
    // Without the right to it, the text is marked: the browser's own copy works.
  }
  sent(copied ? "Copied. Paste it into a message and send it back." : "Copy the marked text, and send it back.");
}

function sent(text) {
  session.state.sent = true;
  session.save();
  byId("told").textContent = text;
}

function begin() {
  session.state.name = byId("name").value.trim();
  session.save();
  toClips();
  // The click is the gesture without which browsers stay silent.
  if (!session.complete) play();
  else finish();
}

function prepare() {
  const prompts = session.counted.length;
  const most = Math.max(...data.trials.map((trial) => trial.clips.length));
  const seconds = session.counted.flatMap((t) => session.audible(t).map((letter) => session.clip(t, letter).seconds));
  const minutes = Math.max(1, Math.round((1.4 * seconds.reduce((sum, one) => sum + one, 0)) / 60));
  const judge = session.most ? "give each clip a score from 1 (bad) to 5 (very good)" : "put the clips of a prompt in order, 1 the one you like most";
  byId("about").textContent = `${prompts} prompts, ${most} clips each, made from the same words. Listen, switch between them as often as you like, and ${judge}: how good is it as what the words ask for? It takes about ${minutes} minutes.`;
  session.save();
  byId("keeps").textContent = session.kept
    ? "What you say is kept in this browser: close the page and go on another day. At the end you get a small file to send back."
    : "This browser keeps nothing of a page like this: leave it open until you have sent your answers. At the end you get a small file to send back.";
  byId("begin").textContent = session.done ? `go on (${session.done} of ${session.total} judged)` : "begin";
  byId("name").value = session.state.name;
  for (const [letter, tag] of data.tags) {
    const one = button("", () => giveTag(tag), byId("tags"), tag);
    const at = tag.toLowerCase().indexOf(letter);
    const mark = document.createElement("u");
    mark.textContent = at < 0 ? letter : tag[at];
    one.append(...(at < 0 ? [mark, `:${tag}`] : [tag.slice(0, at), mark, tag.slice(at + 1)]));
  }
  data.trials.forEach((trial, at) => button(trial.number, () => toPrompt(at), byId("prompts"), `Prompt ${trial.number}`));
  byId("keys").querySelector("tbody").replaceChildren(...data.keys.map(keyRow));
  byId("hints").replaceChildren(...data.hints.flatMap(([key, label]) => [keyCap(key), ` ${label}`]));
  only("start");
  byId("begin").focus();
}

function keyRow({ shown: name, meaning }) {
  const row = document.createElement("tr");
  row.append(document.createElement("td"), document.createElement("td"));
  row.firstChild.append(keyCap(name));
  row.lastChild.textContent = meaning;
  return row;
}

function keyCap(name) {
  return Object.assign(document.createElement("kbd"), { textContent: name });
}
