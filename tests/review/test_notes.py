import csv
import json
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

from engine.contract import rundir
from engine.contract.config import Review, Settings, override
from engine.contract.errors import UserError
from engine.contract.events import EventLog
from engine.contract.rundir import RunDir
from tests.review.clips import judge, make_evaluation, make_foreign_evaluation, make_run
from tui.review import across, collect, notes
from tui.review.evaluation import open_evaluation
from tui.review.session import Session
from tui.runs import gate, importing

BEST_WINS = {"base": 2, "best": 4, "final": 3}


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    make_run(tmp_path / "runs", "first", clips=False)
    run = make_run(tmp_path / "runs", "second", settings=override(Settings(), ["lora.rank=16", "run.parent=first"]))
    session = judge(open_evaluation(run.path), "anna", [BEST_WINS])
    session.go(0, "A")
    session.toggle_tag("noise")
    session.write_note("hiss | under the bass")
    session.heard(session.trial.id, "A", 12.0, "browser")
    session.reveal()
    (run.evaluation() / "set_measures.json").write_text('{"models": {"base": {"frechet_distance": 9.5, "clips": 8}}}')
    return run


def test_the_notes_say_what_was_tried_and_heard_and_what_stands_behind_it(run: RunDir) -> None:
    assert notes.export(run) == [run.notes]
    text = run.notes.read_text()
    for said in (
        "anna judged 8 prompts blind: best 4.0 of 5 on average, before final 3.0 and base 2.0.",
        "![Loss of second: train, valid, base model and best](notes.svg)",
        "8 of 8 for best over base, p = 0.02 (Holm over 3 pairs): best is preferred. +2.00 points on average, 95 %",
        "hiss \\| under the bass",
        "- **anna**: 24 of 24 clips scored blind, names shown after the last judgement.",
        "sound through browser",
        "the same noise for all models of a prompt",
        "| 1 | 0.0 | -3.0 | -6.0 |",
        "baseline    valid 4.5000",
        "step 40     valid 4.0000",
        "| measure | base | best | final |",
        "| loudness | -30.0 LUFS | -27.0 LUFS | -24.0 LUFS |",
        "| Fréchet, whole set | 9.5 | – | – |",
    ):
        assert said in text, said
    assert text.count("for best over base") == 1, "statistics stand once"
    assert "lufs" not in text


def test_every_clip_is_linked_from_wherever_the_notes_lie(run: RunDir, tmp_path: Path) -> None:
    (tmp_path / "my notes (1)").mkdir()
    for out in (None, tmp_path / "my notes (1)" / "all.md"):
        (written,) = notes.export(run, out=out)
        links = [
            token.attrGet("href")
            for block in MarkdownIt("commonmark").enable("table").parse(written.read_text())
            for token in block.children or ()
            if token.type == "link_open"
        ]
        clips = [link for link in links if str(link).endswith(".wav")]
        assert len(clips) == len(set(clips)) == 24
        for link in links:
            assert (written.parent / unquote(str(link))).is_file(), link
        assert (written.parent / f"{written.stem}.svg").is_file()


def test_prompt_by_model_is_one_table_of_score_tags_and_note(run: RunDir) -> None:
    again = Session.open(open_evaluation(run.path), "anna", Review())
    trial = next(trial for trial in again.trials if trial.item == "1")
    letter = next(letter for letter in trial.letters if trial.model(letter) == "base")
    again.go(again.trials.index(trial), letter)
    again.toggle_tag("off-style")
    notes.export(run)
    (row,) = [line for line in run.notes.read_text().splitlines() if line.startswith("| 1. upbeat synthwave")]
    said = [cell.strip() for cell in row.replace("\\|", "¦").strip("|").split("|")]
    assert len(said) == 4
    assert said[1].startswith("[▶ 2](evaluation/base_model/01-")
    assert "off-style" in said[1]
    assert said[2].startswith("[▶ 4](evaluation/best_model/01-")


def test_several_listeners_are_averaged_and_told_each(run: RunDir) -> None:
    judge(open_evaluation(run.path), "ben", [{"base": 4, "best": 1, "final": 3}]).reveal()
    notes.export(run)
    text = run.notes.read_text()
    assert "anna and ben judged 8 prompts blind: " in text
    assert "[▶ 2.5](evaluation/best_model/02-slow-piano-ballad-rain.wav)<br>anna 4, ben 1" in text
    assert "anna and ben together (models swapped" in text
    assert "Krippendorff" in text


def test_the_notes_say_why_a_set_was_not_measured(run: RunDir) -> None:
    lacking = {"frechet_distance": None, "frechet_distance_reason": "the training clips cannot be encoded", "clips": 8}
    (run.evaluation() / "set_measures.json").write_text(json.dumps({"models": {"base": lacking, "best": lacking}}))
    notes.export(run)
    text = run.notes.read_text()
    assert "Fréchet, whole set: none for base, best (the training clips cannot be encoded)." in text
    assert "_reason" not in text


def test_clips_that_were_judged_and_heard_elsewhere_or_never_are_counted(run: RunDir) -> None:
    stored = json.loads(run.review("anna").read_text())
    for trial in ("1", "2", "3"):
        for rating in stored["ratings"][trial].values():
            rating["heard"] = 0.0
    run.review("anna").write_text(json.dumps({**stored, "elsewhere": ["1", "2", "4"]}))
    notes.export(run)
    text = run.notes.read_text()
    assert ". 6 of 24 judged clips were said to be heard elsewhere." in text
    assert ". 3 of 24 judged clips were never played in the panel." in text


def test_what_changed_since_the_parent_is_in_the_notes(run: RunDir) -> None:
    notes.export(run)
    text = run.notes.read_text()
    assert "## Changed since first" in text
    assert "| lora.rank | 12 | 16 |" in text


def test_an_early_reveal_is_said(run: RunDir) -> None:
    session = judge(open_evaluation(run.path), "ben", [BEST_WINS])
    session.go(0, "A")
    session.undo()
    session.reveal()
    notes.export(run)
    assert "names were shown early, at 23 of 24 judgements" in run.notes.read_text()


def test_text_written_above_and_below_survives_the_next_export(run: RunDir) -> None:
    notes.export(run)
    first = run.notes.read_text()
    run.notes.write_text(f"My thoughts first.\n\n{first}The second run is warmer.\n")
    judge(open_evaluation(run.path), "ben", [{"base": 4, "best": 2, "final": 3}])
    notes.export(run)
    text = run.notes.read_text()
    assert text.startswith("My thoughts first.\n")
    assert text.endswith("The second run is warmer.\n")
    assert text.count("## Result") == 1
    assert "anna and ben judged" in text


def test_text_written_inside_the_generated_part_is_kept_too(run: RunDir) -> None:
    notes.export(run)
    run.notes.write_text(run.notes.read_text().replace("## Result", "Prompt 3 is the one to watch.\n\n## Result"))
    notes.export(run)
    notes.export(run)
    text = run.notes.read_text()
    assert text.count("Prompt 3 is the one to watch.") == 1
    assert text.count("<details><summary>Earlier export") == 1


def test_notes_that_a_person_began_are_kept_above(run: RunDir) -> None:
    run.notes.write_text("Only mine so far.")
    notes.export(run)
    assert run.notes.read_text().startswith("Only mine so far.\n\n<!-- mgl-tui begin")


def test_exporting_twice_changes_nothing_but_the_time(run: RunDir) -> None:
    def without_time(text: str) -> list[str]:
        return [line for line in text.splitlines() if "Written by" not in line and "mgl-tui begin" not in line]

    notes.export(run)
    first = run.notes.read_text()
    notes.export(run)
    assert without_time(run.notes.read_text()) == without_time(first)


def test_a_note_that_looks_like_a_mark_of_ours_breaks_nothing(run: RunDir) -> None:
    session = judge(open_evaluation(run.path), "ben", [BEST_WINS])
    session.write_note("<!-- mgl-tui end -->")
    notes.export(run)
    run.notes.write_text(run.notes.read_text() + "below\n")
    notes.export(run)
    assert run.notes.read_text().endswith("below\n")
    assert run.notes.read_text().count("## Result") == 1


HOSTILE = "<b>bold</b> | \x1b]0;t\x07 \r# head\n- point\u202e `code` <!-- mgl-tui end --> \ud800"


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_no_text_makes_the_notes_grow_and_what_is_written_by_hand_stays_byte_for_byte(run: RunDir, ends: str) -> None:
    session = judge(open_evaluation(run.path), "ben", [BEST_WINS])
    session.write_note(HOSTILE)
    session.toggle_tag(HOSTILE)
    above, below = f"Mine,{ends}{ends}{ends}<b>and</b> \u202ethat.{ends}".encode(), f"Below.  {ends}{ends} x".encode()
    run.notes.write_bytes(above)
    notes.export(run)
    run.notes.write_bytes(run.notes.read_bytes() + below)
    size = run.notes.stat().st_size
    for _ in range(3):
        notes.export(run, formats=notes.FORMATS)
        text = run.notes.read_bytes()
        assert len(text) == size
        assert text.startswith(above)
        assert text.endswith(below)
    region = text[len(above) : -len(below)].decode()
    assert not any(c in region for c in "\x1b\r\u202e")
    assert "<b>" not in region


def test_an_editor_that_writes_other_line_ends_leaves_one_generated_part(run: RunDir) -> None:
    notes.export(run)
    run.notes.write_bytes(run.notes.read_bytes().replace(b"\n", b"\r\n") + b"mine\r\n")
    notes.export(run)
    text = run.notes.read_bytes()
    assert text.count(b"## Result") == 1
    assert b"Earlier export" not in text
    assert text.endswith(b"mine\r\n")


def test_csv_and_json_are_written_beside_on_request(run: RunDir, tmp_path: Path) -> None:
    out = tmp_path / "elsewhere" / "second.md"
    written = notes.export(run, out, formats=("md", "csv", "json"))
    assert [path.name for path in written] == ["second.md", "second.csv", "second.json"]
    rows = list(csv.DictReader(written[1].read_text().splitlines()))
    assert len(rows) == 24
    assert {row["model"]: row["score"] for row in rows} == {"base": "2", "best": "4", "final": "3"}
    content = json.loads(written[2].read_text())
    assert content["means"] == {"base": 2.0, "best": 4.0, "final": 3.0}
    assert content["measures"]["1"]["best"]["lufs"] == -27.0
    assert content["changes"] == [{"name": "lora.rank", "old": 12, "new": 16}]


def test_a_run_that_nobody_has_listened_to_exports_its_training(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs", clips=False)
    notes.export(run)
    text = run.notes.read_text()
    assert "No clips were made yet." in text
    assert "fell from 4.500 to 4.000" in text
    assert "step 40     valid 4.0000" in text
    assert "comparison_results.jsonl" in text


def test_a_folder_of_another_script_exports_too(tmp_path: Path) -> None:
    make_foreign_evaluation(tmp_path / "old" / "evaluation")
    judge(open_evaluation(tmp_path / "old"), "anna", [BEST_WINS])
    notes.export(RunDir(tmp_path / "old"))
    text = (tmp_path / "old" / "notes.md").read_text()
    assert "clips of another script" in text
    assert "seeds not recorded" in text


def test_an_evaluation_folder_is_exported_beside_the_run_it_belongs_to(run: RunDir) -> None:
    assert notes.export(RunDir(run.evaluation())) == [run.notes]
    assert "8 of 8 for best over base" in run.notes.read_text()


def test_points_and_places_of_different_listeners_are_said_to_be_mixed(run: RunDir) -> None:
    judge(open_evaluation(run.path), "ben", [{"base": 3, "best": 1, "final": 2}], mode="ranking")
    notes.export(run)
    assert "points and places are mixed" in run.notes.read_text()


def test_another_prompt_set_has_notes_of_its_own(run: RunDir) -> None:
    notes.export(run)
    make_evaluation(run.evaluation("jazz"), ["cool jazz"])
    (own,) = notes.export(run, set_name="jazz")
    assert own == run.path / "notes_jazz.md"
    assert notes.export(RunDir(run.evaluation("jazz"))) == [own]
    assert "# second · jazz" in own.read_text()
    assert "cool jazz" not in run.notes.read_text()


def test_a_place_that_cannot_be_written_is_said_in_one_sentence(run: RunDir, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        notes.export(run, tmp_path / "file" / "notes.md")
    with pytest.raises(UserError, match="no export format"):
        notes.export(run, formats=("pdf",))


def test_clips_that_were_deleted_after_they_were_judged_leave_their_scores(run: RunDir) -> None:
    shutil.rmtree(run.evaluation() / "final_model")
    notes.export(run)
    assert run.notes.read_text().count("| 3 (file missing: final_model") == 8


def test_a_csv_or_json_of_somebody_else_beside_the_notes_is_not_written_over(run: RunDir, tmp_path: Path) -> None:
    for name, theirs in (("pr.json", '{"run": "mine"}'), ("pr.csv", "prompt,score\n")):
        (tmp_path / name).write_text(theirs)
        with pytest.raises(UserError, match=rf"{name} exists and was not written by this command.*-o"):
            notes.export(run, out=tmp_path / "pr.md", formats=["md", name[3:]])
        assert (tmp_path / name).read_text() == theirs
        assert not (tmp_path / "pr.md").exists()


def test_an_export_may_be_repeated_in_every_format(run: RunDir, tmp_path: Path) -> None:
    for _ in range(2):
        assert len(notes.export(run, out=tmp_path / "pr.md", formats=notes.FORMATS)) == 4


def test_markdown_and_csv_of_one_name_are_refused_before_anything_is_written(run: RunDir, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"out.csv would be written twice, as md and as csv"):
        notes.export(run, out=tmp_path / "out.csv", formats=["md", "csv"])
    (tmp_path / "pr.json").symlink_to("pr.md")
    with pytest.raises(UserError, match="written twice"):
        notes.export(run, out=tmp_path / "pr.md", formats=["md", "json"])
    assert not (tmp_path / "out.csv").exists()


def test_notes_are_added_to_texts_and_to_no_other_files(run: RunDir, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b\n")
    with pytest.raises(UserError, match=r"data.csv exists"):
        notes.export(run, out=tmp_path / "data.csv")
    (tmp_path / "mine.txt").write_text("Mine.\n")
    notes.export(run, out=tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text().startswith("Mine.\n\n<!-- mgl-tui begin")


@pytest.mark.parametrize(
    "content", ['{"models": {"base": 5, "best": {"frechet_distance": [1]}}}', "[]", "{", '{"models": 3}']
)
def test_measures_of_the_set_that_cannot_be_read_are_named_in_the_notes(run: RunDir, content: str) -> None:
    (run.evaluation() / "set_measures.json").write_text(content)
    notes.export(run, formats=notes.FORMATS)
    assert "set_measures.json" in run.notes.read_text()
    assert "Fréchet" not in run.notes.read_text()


def said_first(run: RunDir) -> str:
    """The paragraph under the title."""
    notes.export(run)
    return run.notes.read_text().split("\n\n")[1]


def test_the_first_paragraph_fits_a_run_that_failed_waits_or_was_heard_by_nobody(tmp_path: Path) -> None:
    failed = make_run(tmp_path / "runs", "failed", clips=False)
    with EventLog(failed.events) as log:
        log.write("state", state="failed", error="<b>out of memory</b>.")
    assert "It failed at step 40 of 40: &lt;b\\>out of memory&lt;/b\\>. The loss" in said_first(failed)
    settings = override(Settings(), ["run.parent=failed", "run.why=less memory.", "train.batch_size=1"])
    waiting = rundir.create(tmp_path / "runs", "waiting", settings)
    assert said_first(waiting) == (
        "LoRA of rank 12 for facebook/musicgen-small, trained for 1 epoch at a learning rate of 1e-4, made from failed "
        "with train.batch\\_size 2 → 1, because less memory. It has not begun. No clips were made yet."
    ).replace("batch\\_size", "batch_size")
    assert said_first(make_run(tmp_path / "runs", "done", clips=False)).endswith("make its clips and listen to them.")
    unheard = said_first(make_run(tmp_path / "runs", "unheard"))
    assert unheard.endswith("Nobody has judged its 24 clips yet. Next: listen to them.")


def test_the_first_paragraph_ends_with_the_decision_or_with_what_would_teach_most(run: RunDir) -> None:
    assert said_first(run).endswith("Not decided yet; the next run would teach most with train.epochs 1 → 3.")
    gate.decide(run.path, "adjust", "the hiss must go.", "anna")
    assert "Decided by anna: adjust (" in said_first(run)
    assert said_first(run).endswith("because the hiss must go.")


def test_notes_of_an_imported_round_say_what_was_wrong_and_invent_no_settings(tmp_path: Path) -> None:
    make_foreign_evaluation(tmp_path / "old" / "evaluation")
    (tmp_path / "old" / "train.log").write_text("Epoch 1: train_loss=8.35, valid_loss=8.19\n")
    picks = [{"text_prompt": "upbeat synthwave, driving bass", "selected_model": "best"}]
    (tmp_path / "picks.json").write_text(json.dumps({"evaluator": "ming", "evaluations": picks}))
    run, _ = importing.bring_in(tmp_path / "old", tmp_path / "runs")
    collect.collect(open_evaluation(run.path), tmp_path / "picks.json")
    first = said_first(run)
    assert "Something was wrong with it: the loss never came below 8.190, blind guessing is 7.625" in first
    assert "ming judged 1 prompt, whether blind is not known: best 3.0 of 3 on average" in first
    text = run.notes.read_text()
    assert "## Settings" not in text
    assert "**start-loss**" in text
    assert "train.epochs" not in text


def test_only_settings_that_differ_are_listed_and_the_file_is_linked(run: RunDir) -> None:
    notes.export(run)
    settings = run.notes.read_text().partition("## Settings")[2]
    rows = [line for line in settings.splitlines() if line.startswith("| ") and "." in line]
    assert [row.split(" | ") for row in rows if "lora" in row or "train" in row] == [["| lora.rank", "12", "16 |"]]
    assert "[All settings](config.toml)" in settings


def test_advice_stands_with_what_speaks_for_it_and_against(run: RunDir) -> None:
    notes.export(run)
    text = run.notes.read_text()
    assert "- **underfit**: train.epochs 1 → 3<br>for: valid still falls at the end" in text
    assert "12 rules that are silent, and what they wait for" in text


def test_a_picture_that_is_not_ours_is_not_written_over(run: RunDir, tmp_path: Path) -> None:
    (tmp_path / "pr.svg").write_text("<svg/>")
    with pytest.raises(UserError, match=r"pr.svg exists and was not written by this command"):
        notes.export(run, out=tmp_path / "pr.md")
    assert (tmp_path / "pr.svg").read_text() == "<svg/>"
    assert not (tmp_path / "pr.md").exists()


def test_a_session_across_runs_has_notes_too(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "runs", name).path for name in ("rank12", "rank16")]
    made = across.open_across(tmp_path / "runs", runs)
    judge(open_evaluation(made), "anna", [{"base": 2, "rank12": 3, "rank16": 4}])
    assert said_first(RunDir(made)).startswith("One session across runs: rank12 and rank16, side by side. anna judged")
