// One listener's session on a shared page, by the rules of the panel: what was said, kept at every word of it.
// `data` is what Python wrote; `store` has read() and write(text), which may throw where a browser keeps nothing.

const LETTERS = "ABCDEFGH";
const SITTING_GAP = 600; // seconds without a word or a sound after which another sitting begins
const FATIGUE = 20 * 60; // seconds of one sitting after which a rest is suggested
const TO_ITS_END = 0.9; // share of a clip after which it counts as played to its end
const STEPS = 200; // that can be taken back
const LONGEST_NOTE = 500;

class Session {
  constructor(data, store, clock = () => Date.now() / 1000) {
    Object.assign(this, { data, store, clock });
    this.kept = true; // false when the browser keeps nothing
    this.most = data.mode === "ranking" ? null : 5;
    this.state = this.read() ?? {
      name: data.listener, began: clock(), at: 0, letter: "A", ratings: {}, allBad: [], sittings: [], steps: [], sent: false,
    };
    this.goTo(this.state.at, this.state.letter);
  }

  // What was kept; null when nothing was, or nothing that can be used.
  read() {
    try {
      const kept = JSON.parse(this.store.read());
      return kept && typeof kept.ratings === "object" && Array.isArray(kept.steps) ? kept : null;
    } catch {
      return null;
    }
  }

  save() {
    const now = Math.round(this.clock() * 10) / 10;
    const last = this.state.sittings.at(-1);
    if (last && now - last.end <= SITTING_GAP) last.end = now;
    else this.state.sittings.push({ start: now, end: now });
    try {
      const text = JSON.stringify(this.state);
      this.store.write(text);
      this.kept = this.store.read() === text;
    } catch {
      this.kept = false;
    }
  }

  // What is asked

  get trials() {
    return this.data.trials;
  }

  get trial() {
    return this.trials[this.state.at];
  }

  get letter() {
    return this.state.letter;
  }

  get counted() {
    return this.trials.filter((trial) => trial.number !== "T");
  }

  clip(trial, letter) {
    const place = trial.clips[LETTERS.indexOf(letter)];
    return place === null || place === undefined ? null : this.data.sounds[place];
  }

  letters(trial) {
    return [...LETTERS.slice(0, trial.clips.length)];
  }

  audible(trial) {
    return this.letters(trial).filter((letter) => this.clip(trial, letter));
  }

  rating(trial, letter) {
    return this.state.ratings[trial.number]?.[letter] ?? { value: null, tags: [], note: "", heard: 0 };
  }

  highest(trial) {
    return this.most ?? trial.clips.length;
  }

  isAllBad(trial) {
    return this.state.allBad.includes(trial.number);
  }

  isJudged(trial) {
    return this.isAllBad(trial) || this.audible(trial).every((letter) => this.rating(trial, letter).value !== null);
  }

  get done() {
    const judged = (trial) => (letter) => this.isAllBad(trial) || this.rating(trial, letter).value !== null;
    return this.counted.reduce((sum, trial) => sum + this.audible(trial).filter(judged(trial)).length, 0);
  }

  get total() {
    return this.counted.reduce((sum, trial) => sum + this.audible(trial).length, 0);
  }

  get complete() {
    return this.counted.every((trial) => this.isJudged(trial));
  }

  wasHeard(trial, letter) {
    const { heard } = this.rating(trial, letter);
    return heard > 0 && heard + 0.05 >= this.least(trial, letter);
  }

  least(trial, letter) {
    return Math.min(this.data.minListen, TO_ITS_END * (this.clip(trial, letter)?.seconds ?? 0));
  }

  // Pictures of clips that are one and the same would look the same.
  mayBeSeen(trial, letter) {
    return this.rating(trial, letter).heard > 0 && (!this.data.picturesLate || this.isJudged(trial));
  }

  // [index, letter] of the next audible clip that `wanted` is true of, from the cursor on and round; or null.
  next(wanted) {
    const clips = this.trials.flatMap((trial, at) => this.audible(trial).map((letter) => [at, letter]));
    const behind = ([at, letter]) => at > this.state.at || (at === this.state.at && letter > this.letter);
    const inTurn = [...clips.filter(behind), ...clips.filter((clip) => !behind(clip))];
    return inTurn.find(([at, letter]) => wanted(this.trials[at], letter)) ?? null;
  }

  nextUnheard() {
    return this.next((trial, letter) => !this.wasHeard(trial, letter));
  }

  // Where a judgement leads: {at, letter, fresh}; null after the last one. `fresh`: heard from its beginning.
  afterJudgement() {
    if (this.isJudged(this.trial)) {
      const found = this.next((trial, letter) => this.rating(trial, letter).value === null && !this.isAllBad(trial));
      return found && { at: found[0], letter: found[1], fresh: true };
    }
    const here = this.audible(this.trial).filter((letter) => this.rating(this.trial, letter).value === null);
    const unheard = here.find((letter) => this.rating(this.trial, letter).heard <= 0);
    return { at: this.state.at, letter: unheard ?? here[0], fresh: Boolean(unheard) };
  }

  // Seconds that this sitting has lasted.
  get sitting() {
    const last = this.state.sittings.at(-1);
    return last && this.clock() - last.end <= SITTING_GAP ? this.clock() - last.start : 0;
  }

  // What is done; each throws an Error with a sentence when it may not be

  goTo(at, letter = "A") {
    this.state.at = Math.max(0, Math.min(at, this.trials.length - 1)) || 0;
    this.state.letter = this.letters(this.trial).includes(letter) ? letter : "A";
  }

  go(at, letter = "A") {
    if (this.data.mustRate && at > this.state.at && !this.isJudged(this.trial)) {
      throw new Error("Rate every clip of this prompt before going on.");
    }
    this.goTo(at, letter);
    this.save();
  }

  mustBeHeard(letters = [this.letter]) {
    for (const letter of letters) {
      if (!this.clip(this.trial, letter)) throw new Error(`${letter} is missing and cannot be rated.`);
      if (this.wasHeard(this.trial, letter)) continue;
      const { heard } = this.rating(this.trial, letter);
      const soFar = heard ? `Only ${heard.toFixed(1)} s of ${letter} were heard` : `${letter} was not heard yet`;
      const least = this.least(this.trial, letter);
      throw new Error(`${soFar}, so nothing is noted: play it first${least ? `, ${Number(least.toFixed(1))} s at least` : ""}.`);
    }
  }

  own(letter = this.letter) {
    const clips = (this.state.ratings[this.trial.number] ??= {});
    return (clips[letter] ??= { value: null, tags: [], note: "", heard: 0 });
  }

  remember(before, what, letter = this.letter) {
    const { allBad } = this.state;
    const step = { number: this.trial.number, letter, before: { ...before, allBad: allBad.includes(this.trial.number) }, what };
    this.state.steps = [...this.state.steps, structuredClone(step)].slice(-STEPS);
    this.state.sent = false;
  }

  rate(value) {
    const name = this.most ? "score" : "rank";
    const highest = this.highest(this.trial);
    if (value > highest) throw new Error(`${value} is no ${name} here; press 1 to ${highest}.`);
    this.mustBeHeard();
    this.remember({ value: this.own().value }, `${name} of ${this.letter}`);
    this.own().value = value;
    this.setAllBad(false);
    this.save();
  }

  toggleAllBad() {
    if (this.most) throw new Error('"All bad" belongs to ranking; score each clip here.');
    const bad = !this.isAllBad(this.trial);
    if (bad) this.mustBeHeard(this.audible(this.trial));
    this.remember({}, '"all bad"');
    this.setAllBad(bad);
    this.save();
  }

  setAllBad(bad) {
    const rest = this.state.allBad.filter((number) => number !== this.trial.number);
    this.state.allBad = bad ? [...rest, this.trial.number] : rest;
  }

  // Gives these clips a tag, by default the one under the cursor; takes it off when all of them have it.
  toggleTag(tag, letters = []) {
    const clips = letters.length ? letters : [this.letter];
    const lacking = clips.filter((letter) => !this.rating(this.trial, letter).tags.includes(tag));
    this.mustBeHeard(lacking);
    for (const letter of lacking.length ? lacking : clips) {
      const { tags } = this.own(letter);
      this.remember({ tags }, `tag ${tag} of ${letter}`, letter);
      this.own(letter).tags = lacking.length ? [...tags, tag] : tags.filter((each) => each !== tag);
    }
    this.save();
  }

  // `goingOn`: the same note grows, and is taken back as one.
  writeNote(text, goingOn) {
    const rating = this.own();
    if (text.trim() && !rating.note) this.mustBeHeard();
    if (!goingOn) this.remember({ note: rating.note }, `note of ${this.letter}`);
    rating.note = text.slice(0, LONGEST_NOTE);
    this.save();
  }

  // Takes the last word back and goes to it; says what it was, or null.
  undo() {
    const step = this.state.steps.pop();
    if (!step) return null;
    this.goTo(this.trials.findIndex((trial) => trial.number === step.number), step.letter);
    const { allBad, ...before } = step.before;
    this.setAllBad(allBad);
    Object.assign(this.own(), before);
    this.state.sent = false;
    this.save();
    return step.what;
  }

  // Seconds of a clip heard in all, of the prompt under the cursor.
  hear(letter, seconds) {
    this.own(letter).heard = Math.round(seconds * 1000) / 1000;
  }

  // What is sent back, as text.
  answers(name) {
    const { format, version, page, mode } = this.data;
    const field = mode === "ranking" ? "rank" : "score";
    const said = ({ value, tags, note, heard }) => ({ [field]: value, tags, note: note.trim(), heard });
    const ofTrial = (clips) => Object.fromEntries(Object.entries(clips).map(([letter, one]) => [letter, said(one)]));
    const { ratings, allBad, sittings, began } = this.state;
    const trials = Object.fromEntries(Object.entries(ratings).map(([number, clips]) => [number, ofTrial(clips)]));
    const sent = Math.round(this.clock());
    const all = { format, version, page, listener: name, began: Math.round(began), sent, sittings, trials, all_bad: allBad };
    return `${JSON.stringify(all, null, 1)}\n`;
  }
}
