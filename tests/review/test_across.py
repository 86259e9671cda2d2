"""One blind session across runs: which clips stand beside one another, and what its folder is."""

import json
import multiprocessing
import shutil
from pathlib import Path

import pytest

from engine.contract.config import Review
from engine.contract.errors import UserError
from engine.contract.rundir import RunDir
from tests.review.clips import PROMPTS, judge, make_evaluation, make_foreign_evaluation, make_run, write_clip
from tests.review.many import a_run, change_lines
from tui.review import across, notes
from tui.review.across import open_across
from tui.review.evaluation import RESULTS, open_evaluation
from tui.review.gate import doubt
from tui.review.results import load_results, outcome
from tui.review.session import Session
from tui.runs import keeping, sessions, store


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for number, name in enumerate(("rank12", "rank16")):
        a_run(tmp_path / "runs", name, 300 + 100 * number)
    return tmp_path / "runs"


def said(session: Path) -> str:
    about = sessions.read(session)
    assert about is not None
    return " ".join(about.said)


def test_base_is_heard_once_and_the_best_of_each_run_as_links_into_the_runs(runs: Path) -> None:
    session = open_across(runs, [runs / "rank12", runs / "rank16"])
    assert session == runs / "sessions" / "rank12+rank16"
    evaluation = open_evaluation(session)
    assert evaluation.models == ("base", "rank12", "rank16")
    assert evaluation.whole
    assert evaluation.same_seed
    for item in evaluation.items:
        for model, clip in item.clips.items():
            run = "rank12" if model == "base" else model
            assert clip.path is not None
            assert clip.path.is_symlink()
            assert (
                clip.path.resolve().parent
                == runs / run / "evaluation" / f"{'base' if model == 'base' else 'best'}_model"
            )
    assert said(session) == ""


def test_the_runs_folder_may_be_moved_as_a_whole(runs: Path) -> None:
    open_across(runs, [runs / "rank12", runs / "rank16"])
    moved = runs.rename(runs.with_name("elsewhere"))
    assert open_evaluation(moved / "sessions" / "rank12+rank16").whole


def test_asked_for_again_in_any_order_it_is_the_session_that_there_is(runs: Path) -> None:
    session = open_across(runs, [runs / "rank12", runs / "rank16"])
    judge(open_evaluation(session), "anna", [{"base": 2, "rank12": 3, "rank16": 5}])
    assert open_across(runs, [runs / "rank16", runs / "rank12", runs / "rank16"]) == session
    assert (session / "review" / "anna.json").exists()
    assert sessions.all_of(runs) == [session]


def test_prompts_that_not_all_runs_have_are_left_out_and_said(runs: Path) -> None:
    more = a_run(runs, "more", 700, prompts=PROMPTS[:5])
    session = open_across(runs, [more, runs / "rank12"])
    assert [item.text for item in open_evaluation(session).items] == list(PROMPTS[:3])
    assert "3 of 5 prompts are shared by all the runs; the others are left out." in said(session)


@pytest.mark.parametrize(("name", "value"), [("seed", 7), ("guidance_scale", 5.0), ("temperature", 0.0)])
def test_clips_that_were_made_with_other_noise_or_settings_are_refused(runs: Path, name: str, value: float) -> None:
    change_lines(runs / "rank12", lambda line: line.update({"guidance_scale": 3.0, "temperature": 1.0, "seed": 0}))
    other = a_run(runs, "other", 700, **{"guidance_scale": 3.0, "temperature": 1.0, "seed": 0, name: value})
    with pytest.raises(UserError, match=f"{name} is .* in rank12, {value} in other") as refused:
        open_across(runs, [runs / "rank12", other])
    assert "mgl-tui evaluate rank12 --models base,best,other:best" in str(refused.value)
    assert not sessions.all_of(runs)


def test_a_prompt_of_other_noise_is_left_out_and_the_others_are_heard(runs: Path) -> None:
    change_lines(runs / "rank16", lambda line: line.update(seed=5) if line["prompt_id"] == "2" else None)
    session = open_across(runs, [runs / "rank12", runs / "rank16"])
    assert [item.text for item in open_evaluation(session).items] == [PROMPTS[0], PROMPTS[2]]
    assert "1 prompt left out, whose clips were not made alike: seed is 2000 in rank12, 5 in rank16." in said(session)


def test_runs_of_two_base_models_are_heard_without_base(runs: Path) -> None:
    for clip in (runs / "rank16" / "evaluation" / "base_model").iterdir():
        write_clip(clip, tone=999)
    session = open_across(runs, [runs / "rank12", runs / "rank16"])
    assert open_evaluation(session).models == ("rank12", "rank16")
    assert "base is left out: rank12 and rank16 have different clips of it." in said(session)


def test_base_decoded_on_another_device_is_the_same_base(runs: Path) -> None:
    for name in ("rank12", "rank16"):
        change_lines(runs / name, lambda line: line.update(weights={"base": "abc", "best": "x"}))
    for clip in (runs / "rank16" / "evaluation" / "base_model").iterdir():
        write_clip(clip, tone=999)
    session = open_across(runs, [runs / "rank12", runs / "rank16"])
    assert open_evaluation(session).models == ("base", "rank12", "rank16")


def test_folders_of_other_scripts_are_heard_across_and_their_unknown_noise_is_said(tmp_path: Path) -> None:
    folders = [make_foreign_evaluation(tmp_path / name / "out") for name in ("old", "older")]
    for clip in (folders[1] / "best_model").iterdir():
        write_clip(clip, tone=500)
    session = open_across(tmp_path / "runs", folders)
    evaluation = open_evaluation(session)
    assert evaluation.models == ("base", "out", "out-2")
    assert not evaluation.same_seed
    assert "whether they had the same noise is not known" in said(session)
    assert len(evaluation.items) == 3


def test_a_run_named_base_is_not_taken_for_the_base_model(runs: Path) -> None:
    a_run(runs, "base", 700)
    session = open_across(runs, [runs / "base", runs / "rank12"])
    assert open_evaluation(session).models == ("base", "base-2", "rank12")


def test_every_prompt_set_that_all_runs_have_is_part_of_it(runs: Path) -> None:
    for name in ("rank12", "rank16"):
        make_evaluation(RunDir(runs / name).evaluation("drums"), prompts=PROMPTS[4:6])
    make_evaluation(RunDir(runs / "rank12").evaluation("solo"), prompts=PROMPTS[6:])
    session = open_across(runs, [runs / "rank12", runs / "rank16"])
    assert [folder.name for folder in store.evaluation_folders(session)] == ["evaluation", "evaluation_drums"]


def test_prompts_that_came_since_are_added_and_what_was_judged_stays(runs: Path) -> None:
    session = open_across(runs, [runs / "rank12", runs / "rank16"])
    judge(open_evaluation(session), "anna", [{"base": 2, "rank12": 3, "rank16": 5}])
    more = {"text_prompt": PROMPTS[5], "prompt_id": "6", "duration": 1.0, "seed": 6000, "repeat": 0}
    for number, name in enumerate(("rank12", "rank16")):
        folder = runs / name / "evaluation"
        models = {model: f"{model}_model/06.wav" for model in ("base", "best")}
        write_clip(folder / models["base"], tone=100)
        write_clip(folder / models["best"], tone=200 + number)
        with (folder / RESULTS).open("a") as file:
            file.write(json.dumps({**more, "models": models}) + "\n")
    assert open_across(runs, [runs / "rank12", runs / "rank16"]) == session
    again = Session.open(open_evaluation(session), "anna", Review())
    assert [trial.item for trial in again.trials] == ["1", "2", "3", "6"]
    assert again.done == 9


def test_clips_that_were_made_again_are_not_what_was_judged_and_make_another_session(runs: Path) -> None:
    session = open_across(runs, [runs / "rank12", runs / "rank16"])
    judge(open_evaluation(session), "anna", [{"base": 2, "rank12": 3, "rank16": 5}])
    clip = next((runs / "rank16" / "evaluation" / "best_model").glob("01*"))
    write_clip(clip, tone=1234)
    stale = open_evaluation(session)
    assert stale.items[0].clips["rank16"].path is None
    assert "another clip stands there now" in stale.missing_files[0]
    other = open_across(runs, [runs / "rank12", runs / "rank16"])
    assert other.name == "rank12+rank16-2"
    assert open_evaluation(other).whole
    assert (session / "review" / "anna.json").exists()


def test_a_copy_of_all_of_it_is_the_same_session(runs: Path) -> None:
    open_across(runs, [runs / "rank12", runs / "rank16"])
    copy = shutil.copytree(runs, runs.with_name("copy"), symlinks=True, copy_function=shutil.copy)
    assert open_evaluation(copy / "sessions" / "rank12+rank16").whole


def test_of_a_run_that_was_deleted_the_scores_stay_and_its_clips_are_missing(runs: Path) -> None:
    session = open_across(runs, [runs / "rank12", runs / "rank16"])
    judge(open_evaluation(session), "anna", [{"base": 2, "rank12": 3, "rank16": 5}])
    shutil.rmtree(runs / "rank16")
    evaluation = open_evaluation(session)
    assert "rank16" in evaluation.missing_models
    assert Session.open(evaluation, "anna", Review()).state.ratings


def test_a_run_in_the_archive_is_still_heard(runs: Path) -> None:
    session = open_across(runs, [runs / "rank12", runs / "rank16"])
    (runs / "archive").mkdir()
    (runs / "rank16").rename(runs / "archive" / "rank16")
    assert open_evaluation(session).whole
    assert [each.session for each in sessions.of_run(runs / "archive" / "rank16")] == [session]


def test_a_run_of_another_name_is_still_heard_and_its_session_found(runs: Path) -> None:
    session = open_across(runs, [runs / "rank12", runs / "rank16"])
    keeping.rename(RunDir(runs / "rank12"), "small")
    evaluation = open_evaluation(session)
    assert evaluation.whole
    assert {clip.path.is_symlink() for item in evaluation.items for clip in item.clips.values() if clip.path} == {True}
    assert open_across(runs, [runs / "small", runs / "rank16"]) == session


def test_one_run_or_a_session_or_no_clips_are_refused_in_a_sentence(runs: Path) -> None:
    with pytest.raises(UserError, match="two runs or more"):
        open_across(runs, [runs / "rank12", runs / "rank12"])
    session = open_across(runs, [runs / "rank12", runs / "rank16"])
    with pytest.raises(UserError, match="is a session across runs already"):
        open_across(runs, [session, runs / "rank12"])
    bare = make_run(runs, "bare", clips=False).path
    with pytest.raises(UserError, match="bare has no clips and no best_model"):
        across.without_clips([runs / "rank12", bare])


def test_a_run_without_clips_is_to_make_them_where_they_would_be_like_the_others(runs: Path) -> None:
    bare = make_run(runs, "bare", clips=False)
    bare.best_model.mkdir()
    evaluate = bare.settings().evaluate
    change_lines(runs / "rank12", lambda line: line.update(seed=evaluate.seed, duration=evaluate.duration))
    assert across.without_clips([runs / "rank12", bare.path]) == [bare]
    change_lines(runs / "rank12", lambda line: line.update(seed=evaluate.seed + 1))
    with pytest.raises(UserError, match=r"seed is .* in rank12, .* in bare: their clips would not be made alike"):
        across.without_clips([runs / "rank12", bare.path])


def test_runs_that_share_nothing_are_refused_and_nothing_is_made(runs: Path) -> None:
    other = a_run(runs, "other", 700, prompts=PROMPTS[5:])
    with pytest.raises(UserError, match="no prompt whose clips can stand beside one another"):
        open_across(runs, [runs / "rank12", other])
    assert not (runs / "sessions").exists()


def test_a_run_that_is_called_sessions_is_not_written_into(runs: Path) -> None:
    shutil.copytree(runs / "rank12", runs / "sessions")
    with pytest.raises(UserError, match="sessions is a run"):
        open_across(runs, [runs / "rank12", runs / "rank16"])


def _open(runs: Path) -> str:
    return str(open_across(runs, [runs / "rank12", runs / "rank16"]))


def test_two_panels_make_one_session(runs: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        made = pool.map(_open, [runs] * 4)
    assert set(made) == {str(runs / "sessions" / "rank12+rank16")}
    assert [path.name for path in (runs / "sessions").iterdir()] == ["rank12+rank16"]


def heard_to_the_end(session: Path, scores: dict[str, int], **review: object) -> Session:
    judged = judge(open_evaluation(session), "anna", [scores], **review)
    judged.reveal()
    return judged


def test_what_was_said_across_runs_counts_for_each_of_them_once_it_is_over(runs: Path) -> None:
    session = open_across(runs, [runs / "rank12", runs / "rank16"])
    judged = judge(open_evaluation(session), "anna", [{"base": 2, "rank12": 3, "rank16": 5}])
    judged.undo()
    assert load_results(runs / "rank16").means() == {}
    judged.rate(3)
    judged.reveal()
    results = load_results(runs / "rank16")
    assert results.means() == {"base": 2.0, "best": 5.0}
    assert results.heard_across == ("rank12+rank16",)
    assert [state.listener for state in results.sessions] == ["anna in rank12+rank16"]
    assert (results.pair("best", "base").wins, results.pair("best", "base").losses) == (3, 0)
    assert outcome(runs / "rank12") == "best 3.0"
    assert doubt(runs / "rank12", "extend") == ""
    listed = {summary.name: summary.listen for summary in store.summaries(runs, outcome)}
    assert listed == {"rank12": "best 3.0", "rank16": "best 5.0", "rank12+rank16": "rank16 5.0"}


def test_ranks_across_runs_are_ranks_among_a_runs_own_clips(runs: Path) -> None:
    session = open_across(runs, [runs / "rank12", runs / "rank16"])
    heard_to_the_end(session, {"base": 3, "rank12": 1, "rank16": 2}, mode="ranking")
    results = load_results(runs / "rank16")
    assert {(j.model, j.rank, j.value) for j in results.judgements} == {("best", 1, 2.0), ("base", 2, 1.0)}


def test_what_was_said_of_a_clip_that_was_made_again_counts_no_more(runs: Path) -> None:
    session = open_across(runs, [runs / "rank12", runs / "rank16"])
    heard_to_the_end(session, {"base": 2, "rank12": 3, "rank16": 5})
    write_clip(next((runs / "rank16" / "evaluation" / "best_model").glob("01*")), tone=1234)
    assert load_results(runs / "rank16").values().keys() == {"2", "3"}
    assert load_results(runs / "rank12").values().keys() == {"1", "2", "3"}


def test_a_tournament_of_many_runs_is_listening_too(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    paths = [a_run(runs, f"r{n}", 300 + 50 * n, prompts=PROMPTS[:2]) for n in range(6)]
    session = Session.open(open_evaluation(open_across(runs, paths)), "anna", Review(training_item=False), seed=1)
    assert session.trial.letters == "AB"
    heard = next(model for model in session.trial.order if model != "base")
    assert doubt(runs / heard, "extend")
    session.hear_elsewhere()
    for letter in "AB":
        session.go(0, letter)
        session.rate(3)
    assert not doubt(runs / heard, "extend")


def test_the_notes_of_a_session_say_which_runs_and_what_was_left_out(runs: Path) -> None:
    more = a_run(runs, "more", 700, prompts=PROMPTS[:5])
    session = open_across(runs, [more, runs / "rank12"])
    heard_to_the_end(session, {"base": 2, "rank12": 3, "more": 5})
    notes.export(RunDir(session))
    text = (session / "notes.md").read_text()
    assert "A blind session across more, rank12." in text
    assert "3 of 5 prompts are shared by all the runs; the others are left out." in text
    assert "3 of 3 for more over rank12" in text


def test_each_prompt_set_is_heard_by_the_model_that_has_clips_of_it(runs: Path) -> None:
    for name in ("rank12", "rank16"):
        make_evaluation(RunDir(runs / name).evaluation("drums"), prompts=PROMPTS[4:6], models=("base", "final"))
    session = open_across(runs, [runs / "rank12", runs / "rank16"])
    drums = open_evaluation(session, "drums")
    assert drums.models == ("base", "rank12", "rank16")
    assert {source.model for item in drums.items for source in item.sources.values()} == {"base", "final"}
    assert "Not the best model is heard of rank12: final, rank16: final." in said(session)
