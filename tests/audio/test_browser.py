"""The browser output in a real Chromium, whose sound is recorded."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.audio.conftest import CLIP_RATE, noise
from tests.audio.parts import RATE, Chromium, Listener, Pulse, free_port, least_switch_error, wait_for
from tui.audio import page_server
from tui.audio.mixer import Mixer

pytestmark = [pytest.mark.browser, pytest.mark.audio]

MakesPlayers = Callable[..., Listener]
RUNNING = "laptop (browser)"
LINK = "document.getElementById('link')?.textContent"


def open_page(player: Listener, chromium: Chromium, clips: list[Path], **options: object) -> None:
    """A page with sound, past the question whether the chirp was heard."""
    player.ready("browser", clips, **options)
    chromium.open(player.status.url)
    wait_for(lambda: "press key" in player.status.label, what="the page")
    chromium.press("x")
    wait_for(lambda: player.status.label == RUNNING, what="sound in the page")
    chromium.press("y")
    wait_for(lambda: player.status.proven, what="the listener's yes")


def test_a_page_is_silent_until_a_key_and_proven_by_the_listener(
    player: MakesPlayers, chromium: Chromium, speaker: Pulse, clips: list[Path]
) -> None:
    p = player()
    p.ready("browser", clips, title="<b>slow</b> piano & rain")
    assert "open page" in p.status.label
    p.play(0)
    assert "No page is open" in p.wait("error").text
    chromium.open(p.status.url)
    wait_for(lambda: "press key" in p.status.label)
    assert chromium.run("context.state") == "suspended"
    wait_for(lambda: chromium.run("document.querySelector('h1').textContent") == "<b>slow</b> piano & rain")
    assert chromium.run("byId('unlock').hidden") is False
    chromium.press("x")
    wait_for(lambda: p.status.label == RUNNING)
    assert chromium.run("context.state") == "running"
    assert not p.status.proven  # running is not heard
    start = speaker.mark()
    wait_for(lambda: np.abs(speaker.recording(start)).max(initial=0.0) > 0.1, what="the chirp")
    chromium.press("y")
    wait_for(lambda: p.status.proven)


def test_what_is_heard_is_the_clip_and_a_switch_keeps_the_position(
    player: MakesPlayers, chromium: Chromium, speaker: Pulse, clips: list[Path]
) -> None:
    p = player()
    open_page(p, chromium, clips, gains_db=[0.0, -6.0, 0.0])
    wait_for(lambda: not speaker.recording(speaker.mark() - RATE // 4).any(), what="the end of the chirp")
    assert least_switch_error(p, speaker, clips) < 0.005


def test_seek_loop_pause_and_end_are_carried_out_and_told(
    player: MakesPlayers, chromium: Chromium, clips: list[Path]
) -> None:
    p = player()
    open_page(p, chromium, clips)
    p.play(1, position=3.0)
    p.wait("ended")
    wait_for(lambda: not p.status.playing and p.status.position == pytest.approx(4.0, abs=0.01))
    p.loop((1.0, 2.0))
    p.play(1)
    wait_for(lambda: p.status.heard[1] > 3.0)
    assert 1.0 <= p.status.position <= 2.1
    p.pause()
    wait_for(lambda: not p.status.playing)
    p.loop(None)
    p.seek(-0.5, relative=True)
    p.stop()
    wait_for(lambda: p.status.position == 0.0)


def test_what_was_heard_belongs_to_the_clips_that_are_loaded(
    player: MakesPlayers, chromium: Chromium, clips: list[Path]
) -> None:
    p = player()
    open_page(p, chromium, clips)
    p.play(0)
    wait_for(lambda: p.status.heard[0] > 0.5)
    seen: list[float] = []
    p.listen(lambda message: seen.append(max(p.status.heard)) if message.kind == "loaded" else None)
    p.load(clips[1:], [0.0, 0.0])
    p.wait("loaded")
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        seen.append(max(p.status.heard))
        time.sleep(0.02)
    assert set(seen) == {0.0}


def test_keys_pressed_in_the_page_reach_the_panel_only_if_it_wants_them(
    player: MakesPlayers, chromium: Chromium, clips: list[Path]
) -> None:
    p = player(remote_keys=True)
    open_page(p, chromium, clips)
    chromium.press("b")
    assert p.wait("key").data == {"key": "b"}
    chromium.press("ArrowLeft")
    assert p.wait("key").data == {"key": "left"}
    chromium.press(".")
    assert p.wait("key").data == {"key": "full_stop"}
    assert "in the terminal" in chromium.run("byId('keys').textContent")
    p.close()
    deaf = player()
    open_page(deaf, chromium, clips)
    chromium.press("b")
    time.sleep(0.5)
    assert deaf.of("key") == []


def test_an_unplayable_clip_is_shown_as_missing_and_the_others_play(
    player: MakesPlayers, chromium: Chromium, clips: list[Path]
) -> None:
    clips[1].write_bytes(b"no audio")
    p = player()
    open_page(p, chromium, clips)
    assert chromium.run("[...byId('lanes').children].map((lane) => lane.disabled)") == [False, True, False]
    p.play(2)
    wait_for(lambda: p.status.heard[2] > 0.5)


def test_clips_of_several_lengths_are_shown_with_one(player: MakesPlayers, chromium: Chromium, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.wav" for number in range(3)]
    for seconds, path in zip((2.0, 3.0, 2.5), paths, strict=True):
        soundfile.write(path, noise(seconds, 1), CLIP_RATE)
    p = player()
    open_page(p, chromium, paths)
    for index in range(3):
        p.switch(index)
        wait_for(lambda index=index: chromium.run("report && report.index") == index)
        wait_for(lambda: chromium.run("byId('duration').textContent") == "3.0")


def test_a_second_page_takes_over_and_the_first_says_how_to_take_it_back(
    player: MakesPlayers, chromium: Chromium, clips: list[Path]
) -> None:
    p = player()
    open_page(p, chromium, clips)
    chromium.run("window.other = new EventSource('events'), null")
    wait_for(lambda: chromium.run(LINK) == "replaced")
    assert "taken over" in chromium.run("byId('say').textContent")
    chromium.press("x")
    wait_for(lambda: chromium.run(LINK) == "connected")
    wait_for(lambda: "press key" in p.status.label or p.status.label == RUNNING)


def test_a_closed_page_is_told_and_a_reopened_one_goes_on_at_the_same_place(
    player: MakesPlayers, chromium: Chromium, clips: list[Path]
) -> None:
    p = player()
    open_page(p, chromium, clips)
    p.play(2)
    wait_for(lambda: p.status.position > 1.0)
    del p.messages[:]
    chromium.open("about:blank")
    assert "does not answer" in p.wait("error").text
    wait_for(lambda: not p.status.playing)
    place = p.status.position
    chromium.open(p.status.url)
    wait_for(lambda: p.status.label in ("browser: press key", RUNNING))
    wait_for(lambda: chromium.run("report && report.index") == 2, what="the same clip")
    assert chromium.run("report.position") == pytest.approx(place, abs=0.05)


def test_a_page_that_stays_open_finds_the_next_worker(
    player: MakesPlayers, chromium: Chromium, clips: list[Path]
) -> None:
    p = player(port=free_port())
    open_page(p, chromium, clips)
    p.start("browser")
    p.wait("loaded")
    wait_for(lambda: p.status.label == RUNNING, what="the page on the new worker")
    p.play(1)
    wait_for(lambda: p.status.heard[1] > 0.3)


def test_the_pages_own_rules_allow_what_it_does(player: MakesPlayers, chromium: Chromium, clips: list[Path]) -> None:
    p = player()
    open_page(p, chromium, clips)
    assert chromium.run("performance.getEntriesByType('resource').every((e) => e.name.startsWith(location.origin))")
    blocked = "fetch('http://127.0.0.1:1/').then(() => 'went out', (error) => 'blocked')"
    assert chromium.run(blocked) == "blocked"
    assert chromium.run("document.cookie") == ""


def test_a_whole_prompt_of_stereo_and_flac_clips_is_decoded_once(
    player: MakesPlayers, chromium: Chromium, tmp_path: Path
) -> None:
    stereo = np.stack([noise(1.0, 1), noise(1.0, 2)], 1)
    paths = [tmp_path / name for name in ("a.flac", "b.wav", "c.aiff")]
    for path in paths:
        soundfile.write(path, stereo, CLIP_RATE)
    p = player()
    open_page(p, chromium, paths)
    p.load(paths, [0.0, 0.0, 0.0], title="again")
    p.wait("loaded")
    wait_for(lambda: chromium.run("byId('title').textContent") == "again")
    loads = "performance.getEntriesByType('resource').filter((e) => e.name.includes('/clip/')).length"
    assert chromium.run(loads) == 3


def test_the_browsers_mixer_and_the_workers_mixer_agree(chromium: Chromium) -> None:
    rng = np.random.default_rng(7)
    lengths = [9000, 7000, 9000]
    clips = [rng.uniform(-0.5, 0.5, (length, 2)).astype(np.float32) for length in lengths]
    gains = [1.0, 0.5, 0.25]
    script = [_random_command(rng) for _ in range(120)]
    ours = _render_here(clips, gains, script)
    theirs = np.array(json.loads(chromium.run(_render_there(clips, gains, script))), np.float32)
    np.testing.assert_allclose(theirs, ours[:, 0], atol=1e-6)


MIXER_RATE = 8000


def _random_command(rng: np.random.Generator) -> tuple[dict[str, object], int]:
    """A command, and the frames rendered after it (a multiple of 128)."""
    frames = int(rng.integers(0, 20)) * 128
    start = float(rng.integers(0, 8000)) / MIXER_RATE
    kinds: list[dict[str, object]] = [
        {"do": "play", "index": int(rng.integers(3)), "position": None},
        {"do": "play", "index": int(rng.integers(3)), "position": start},
        {"do": "switch", "index": int(rng.integers(3))},
        {"do": "switch", "index": int(rng.integers(3))},
        {"do": "seek", "seconds": start, "relative": False},
        {"do": "seek", "seconds": float(rng.integers(-3000, 3000)) / MIXER_RATE, "relative": True},
        {"do": "loop", "region": [start, start + float(rng.integers(0, 6000)) / MIXER_RATE]},
        {"do": "loop", "region": [start, None]},
        {"do": "loop", "region": None},
        {"do": "pause"},
        {"do": "stop"},
    ]
    return kinds[int(rng.integers(len(kinds)))], frames


def _render_here(clips: list[np.ndarray], gains: list[float], script: list[tuple[dict, int]]) -> np.ndarray:
    mixer = Mixer(MIXER_RATE)
    mixer.load(clips, gains)
    parts = []
    for command, frames in script:
        given = {name: value for name, value in command.items() if name != "do"}
        if given.get("position") is not None:
            given["position"] = round(given["position"] * MIXER_RATE)
        if "seconds" in given:
            given["frames"] = round(given.pop("seconds") * MIXER_RATE)
        if given.get("region"):
            start, end = given["region"]
            given["region"] = (round(start * MIXER_RATE), None if end is None else round(end * MIXER_RATE))
        getattr(mixer, command["do"])(**given)
        parts.append(mixer.render(frames))
    return np.concatenate(parts)


def _render_there(clips: list[np.ndarray], gains: list[float], script: list[tuple[dict, int]]) -> str:
    """JavaScript that runs page/mixer.js without an audio device and gives the left side as JSON."""
    source = json.dumps((page_server.PAGE / "mixer.js").read_text())
    held = [[[float(x) for x in clip[:, side]] for side in (0, 1)] for clip in clips]
    return f"""(() => {{
      let Mixer;
      class Processor {{ port = {{ postMessage() {{}} }}; }}
      new Function("AudioWorkletProcessor", "registerProcessor", "sampleRate", {source})(
        Processor, (_, made) => (Mixer = made), {MIXER_RATE});
      const mixer = new Mixer({{}});
      const clips = {json.dumps(held)}, gains = {json.dumps(gains)}, heard = [];
      const channels = (sides) => sides.map((side) => Float32Array.from(side));
      mixer.load({{ clips: clips.map((sides, i) => ({{ channels: channels(sides), gain: gains[i] }})) }});
      for (const [command, frames] of {json.dumps(script)}) {{
        mixer[command.do](command);
        for (let done = 0; done < frames; done += 128) {{
          const block = [new Float32Array(128), new Float32Array(128)];
          mixer.process([], [block]);
          heard.push(...block[0]);
        }}
      }}
      return JSON.stringify(heard);
    }})()"""


def test_after_dropouts_the_same_clip_goes_on_with_a_longer_buffer(
    player: MakesPlayers, chromium: Chromium, clips: list[Path]
) -> None:
    p = player()
    open_page(p, chromium, clips)
    p.play(1, position=0.0)
    wait_for(lambda: p.status.heard[1] > 0.5)
    before = chromium.run("latency")
    chromium.run("(work = work.then(lengthen)).then(() => null)")
    assert chromium.run("latency") == 2 * before
    heard = p.status.heard[1]
    wait_for(lambda: p.status.heard[1] > heard + 0.3)
    assert p.status.playing
    assert p.status.index == 1
