"""The demo's parts, on a small part of its data. CI runs the whole demo beside the tests."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nirjax
from nirjax.assets import DIGITS_DATA, DIGITS_GRAPH
from nirjax.cli import demo
from nirjax.cli.demo import Report, decisions, play, spikes_of
from nirjax.cli.demo_task import encode, task, telling_sample, turned


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def report(lines) -> Report:
    return Report(lambda text="", style=None: lines.append(text), quiet=True)


def test_encode_spikes_more_for_brighter_pixels():
    image = np.array([[0, 2, 3, 16], [7, 11, 15, 14]])
    spikes = encode(image, steps_per_row=4, silent_steps=3)
    assert spikes.shape == (11, 4)
    assert spikes.dtype == np.uint8
    np.testing.assert_array_equal(spikes[:4].sum(0), [0, 0, 1, 4])
    np.testing.assert_array_equal(spikes[4:8].sum(0), [2, 3, 4, 3])
    assert not spikes[8:].any()
    np.testing.assert_array_equal(spikes[:4, 2], [1, 0, 0, 0])


def test_turned_is_a_quarter_and_four_are_a_whole():
    images = np.arange(2 * 8 * 8).reshape(2, 8, 8)
    np.testing.assert_array_equal(turned(images)[0, :, 0], images[0, 0, ::-1])
    np.testing.assert_array_equal(turned(turned(turned(turned(images)))), images)


def test_the_parts_of_the_task_do_not_overlap():
    data, file = task(0), np.load(DIGITS_DATA)
    for split in (data.known, data.turned):
        assert len(split.test.y) == 500
        assert len(split.train.y) + len(split.valid.y) == 1297
    images = encode(file["images"][file["test_index"]], 4, 8)
    np.testing.assert_array_equal(data.known.test.x, images)
    np.testing.assert_array_equal(data.known.test.y, data.turned.test.y)
    assert (task(1).known.valid.y != data.known.valid.y).any()
    np.testing.assert_array_equal(task(0).turned.train.x, data.turned.train.x)


def test_telling_sample():
    labels = np.array([0, 1, 2, 3])
    first, second = np.array([0, 1, 0, 3]), np.array([0, 9, 9, 9])
    assert telling_sample(labels, (first, True), (second, False)) == 1
    assert telling_sample(labels, (second, True), (first, False)) == 2
    assert telling_sample(labels, (first, True), (labels, False)) == 0


def test_every_decision_is_the_home_framework_s():
    data = task(0)
    model = nirjax.from_nir(DIGITS_GRAPH, dt=1e-4)
    counts, prediction = decisions(spikes_of(model, data.known.test))
    np.testing.assert_array_equal(counts, data.home.counts)
    np.testing.assert_array_equal(prediction, data.home.prediction)
    assert (prediction == data.known.test.y).mean() == data.home.accuracy


def test_all_parts_in_small(report, lines, small_task, tmp_path):
    play(report, tmp_path, small_task, epochs=1)
    kept = report.promises
    assert kept.pop("at least 80 % of the lost accuracy is won back") in (True, False)
    assert len(kept) == 4
    assert all(kept.values())
    assert report.figures["equal_decisions"] == 40
    assert report.figures["unequal_spikes"] == 0
    assert set(report.figures["differences"]) <= {f"{n}.{f}" for n in ("0", "1.w_rec", "2") for f in ("weight", "bias")}
    names = {"digits.nir", "tuned.nir", "demo.png", "train.npz", "test.npz", "turned-train.npz", "turned-test.npz"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert [line[1] for line in (text.lstrip("\n") for text in lines) if line[:1].isdigit()] == [" "] * 6


def test_without_matplotlib_everything_but_the_picture_is_done(report, lines, small_task, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    model = demo.read_part(report, tmp_path)
    figures = {"accuracy": 1.0, "shifted_accuracy": 0.1, "tuned_accuracy": 0.9}
    report.figures.update(figures)
    demo.picture_part(report, tmp_path, model, model, small_task)
    assert report.figures["picture"] is None
    assert "pip install 'nirjax[plot]'" in lines[-1]
    assert not (tmp_path / "demo.png").exists()


@pytest.mark.parametrize(("kept", "code"), [(True, 0), (False, 1)])
def test_a_broken_promise_is_exit_code_one(kept, code, monkeypatch, tmp_path, nirjax_command):
    def small_play(report: Report, *_: object, **__: object) -> None:
        report.figures["accuracy"] = 0.5
        report.promise("the sky is blue", kept)

    monkeypatch.setattr(demo, "play", small_play)
    found, out, _ = nirjax_command("demo", "--out", str(tmp_path), "--json")
    assert found == code
    assert json.loads(out)["promises"] == {"the sky is blue": kept}
    found, out, _ = nirjax_command("demo", "--out", str(tmp_path))
    assert found == code
    assert f"{int(kept)} of 1 promises kept" in out
    assert ("BROKEN: the sky is blue" in out) is not kept
