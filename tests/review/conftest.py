from pathlib import Path

import pytest

from tests.review.clips import make_evaluation
from tui.review.evaluation import Evaluation, open_evaluation


@pytest.fixture(scope="session")
def clips_of_a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with eight prompts and three models; only to be read."""
    return make_evaluation(tmp_path_factory.mktemp("runs") / "first" / "evaluation").parent


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    return open_evaluation(make_evaluation(tmp_path / "run" / "evaluation"))
