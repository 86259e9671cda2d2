"""Keeping house by commands: nothing goes without a yes."""

from __future__ import annotations

from tests.cli.conftest import Place


def test_runs_are_renamed_remarked_put_away_and_deleted_by_name(place: Place) -> None:
    place.mgl("sweep", "--set", "lora.rank=2,4", "--print", "--name", "r")
    assert place.mgl("rename", "r-rank2", "small").stdout == "r-rank2 is now small\n"
    assert place.mgl("comment", "small", "the groove").stdout == "small: the groove\n"
    assert "the groove" in place.mgl("runs").stdout
    assert {run["name"]: run["comment"] for run in place.json("runs")} == {"small": "the groove", "r-rank4": None}  # type: ignore[attr-defined]
    assert "small" in place.mgl("runs", "--disk").stdout
    assert place.mgl("archive", "small", "r-rank4").returncode == 0
    assert place.mgl("archive", "r-rank4").stdout.strip() == str(place.runs / "r-rank4")
    refused = place.mgl("delete", "small")
    assert (refused.returncode, "Nothing is removed" in refused.stderr) == (1, True)
    assert (place.runs / "archive" / "small").is_dir()
    assert place.mgl("clean", "--archive", "--yes").stdout.endswith("The archive is empty.\n")
    assert not (place.runs / "archive" / "small").exists()
    assert "nothing that could go" in place.mgl("clean").stdout
    assert place.mgl("delete", "r-rank4", "--yes").returncode == 0
    assert place.json("runs") == []
