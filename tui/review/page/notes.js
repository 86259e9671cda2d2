// The notes: one prompt plays at a time, its clips switch at the same position.

const prompts = JSON.parse(document.getElementById("data").textContent);
const cards = [...document.querySelectorAll(".prompt")];
const lanes = cards.map((card) => [...card.querySelectorAll(".lane")]);
const player = new Player(show);
let current = -1; // the prompt that was played last

// What has played is the same picture again, in colour, cut off at the position.
const played = lanes.map((row) => row.map((lane) => {
  const whole = lane.querySelector(".wave svg");
  if (!whole) return null;
  const copy = whole.cloneNode(true);
  copy.setAttribute("class", "played");
  whole.after(copy);
  return copy;
}));

function choose(prompt) {
  if (prompt === current || !prompts[prompt]) return;
  const was = current;
  current = prompt;
  player.load(prompts[prompt]);
  if (was >= 0) mark(was, -1, 0);
}

// A clip: another one goes on at the same position; the one that plays goes to the place that was pressed.
function press(prompt, index, share) {
  const same = prompt === current && index === player.index;
  if (same && share !== null) {
    player.play(index, share * prompts[prompt][index].seconds);
  } else if (same) {
    player.toggle();
  } else {
    choose(prompt);
    player.play(index);
  }
}

lanes.forEach((row, prompt) => row.forEach((lane, index) => {
  lane.addEventListener("click", (event) => {
    const box = event.target.closest(".wave")?.getBoundingClientRect();
    press(prompt, index, box && event.detail ? (event.clientX - box.left) / box.width : null);
  });
}));

const KEYS = {
  " ": () => player.toggle(),
  ",": () => player.seek(player.position - 1),
  ".": () => player.seek(player.position + 1),
  0: () => player.play(player.index, 0),
  ArrowDown: () => go(1),
  ArrowUp: () => go(-1),
};

function go(direction) {
  const playing = player.playing;
  choose(Math.max(0, Math.min(cards.length - 1, current + direction)));
  cards[current].scrollIntoView({ block: "center", behavior: "smooth" });
  if (playing) player.play(player.index, 0);
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !cards.length || event.target.closest?.("summary")) return;
  const letter = event.key.length === 1 ? "abcdefgh".indexOf(event.key.toLowerCase()) : -1;
  const does = letter >= 0 ? () => switchTo(letter) : KEYS[event.key];
  if (!does) return;
  event.preventDefault();
  if (current < 0) choose(0);
  does();
});

function switchTo(index) {
  if (player.playing) player.switchTo(index);
  else player.play(index);
}

function mark(prompt, index, share) {
  lanes[prompt].forEach((lane, at) => {
    lane.classList.toggle("here", at === index);
    lane.classList.toggle("sounds", at === index && player.playing);
    lane.setAttribute("aria-pressed", at === index && player.playing);
    if (played[prompt][at]) played[prompt][at].style.clipPath = `inset(0 ${100 - 100 * (at === index ? share : 0)}% 0 0)`;
  });
}

function show() {
  const problem = document.getElementById("problem");
  if (problem) problem.textContent = player.problem;
  if (current < 0) return;
  mark(current, player.index, player.duration ? player.position / player.duration : 0);
}

cards.forEach((_, prompt) => mark(prompt, -1, 0));
(function draw() {
  if (player.playing) show();
  requestAnimationFrame(draw);
})();
