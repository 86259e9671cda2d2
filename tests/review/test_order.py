from collections import Counter

from tui.review.order import draw, heard_models

MODELS = ("base", "best", "final")
ITEMS = [(f"prompt {n}", MODELS) for n in range(1, 9)]


def test_the_same_seed_draws_the_same_orders_and_another_seed_others() -> None:
    assert draw(7, ITEMS) == draw(7, ITEMS)
    # Of the prompts that count: without a training item, whose choice would differ by itself.
    assert len({tuple(draw(seed, ITEMS, training=False)) for seed in range(20)}) == 20


def test_every_prompt_comes_once_in_its_place_after_the_training_item() -> None:
    trials = draw(1, ITEMS)
    assert trials[0].kind == "training"
    assert [trial.item for trial in trials[1:]] == [key for key, _ in ITEMS]
    assert all(sorted(trial.order) == sorted(MODELS) for trial in trials)


def test_the_training_item_is_one_that_lacks_no_clip() -> None:
    items = [(f"prompt {n}", MODELS if n == 4 else MODELS[:1]) for n in range(1, 9)]
    assert {draw(seed, items)[0].item for seed in range(20)} == {"prompt 4"}


def test_every_model_stands_first_about_equally_often() -> None:
    for seed in range(20):
        trials = draw(seed, [(str(n), MODELS) for n in range(48)], training=False)
        assert set(Counter(trial.order[0] for trial in trials).values()) == {16}


def test_hidden_repeats_come_last_in_another_order() -> None:
    trials = draw(3, ITEMS, repeats=3)
    again = trials[-3:]
    assert [trial.kind for trial in again] == ["repeat"] * 3
    assert len({trial.item for trial in again}) == 3
    first = {trial.item: trial.order for trial in trials if trial.kind == "main"}
    assert all(trial.order != first[trial.item] for trial in again)


def test_prompts_added_later_are_drawn_without_touching_the_earlier_ones() -> None:
    before = draw(3, ITEMS[:4])
    added = draw(3, ITEMS, already=before)
    assert [trial.item for trial in added] == [key for key, _ in ITEMS[4:]]
    assert not {trial.id for trial in before} & {trial.id for trial in added}


def test_fifty_prompts_and_five_models_are_drawn_too() -> None:
    models = ("base", "best", "final", "step-100", "step-200")
    trials = draw(0, [(str(n), models) for n in range(50)])
    assert len(trials) == 51
    assert trials[0].letters == "ABCDE"


def test_a_clip_that_is_missing_gets_no_letter() -> None:
    trial = draw(0, [("one", ("base", "final"))], training=False)[0]
    assert sorted(trial.order) == ["base", "final"]


def test_equal_weights_are_heard_once_or_twice_as_chosen() -> None:
    assert heard_models(MODELS, [("best", "final")], "two") == ("base", "best")
    assert heard_models(MODELS, [("best", "final")], "three") == MODELS
    assert heard_models(MODELS, [], None) == MODELS
