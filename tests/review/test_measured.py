"""Measures in words: units, order, what is not known, means."""

from __future__ import annotations

from tui.review import measured


def test_a_clip_is_described_in_the_order_of_what_is_asked_first_and_without_what_is_not_known() -> None:
    measures = {"dc_offset": 0.0012, "tempo_bpm": None, "silence_share": 0.251, "lufs": -14.23, "new_measure": 1.5}
    assert measured.of_clip(measures) == [
        "loudness -14.2 LUFS", "silence 25 %", "DC 0.001", "new_measure 1.5000",
    ]  # fmt: skip
    assert measured.of_clip({}) == []


def test_rows_are_means_of_what_is_known_a_column_a_run() -> None:
    columns = [[{"lufs": -10.0}, {"lufs": -20.0}, {"lufs": None}], [], [{"lufs": None, "onset_rate": 2.0}]]
    assert measured.rows(columns) == [
        ("loudness", ["-15.0 LUFS", "–", "–"]),
        ("onsets", ["–", "–", "2.0 a second"]),
    ]
