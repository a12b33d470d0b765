"""Results of the lab: read, tabled, drawn, and the same in the documentation."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pruneviz.commands.lab import main, table
from pruneviz.docs import chapter
from pruneviz.errors import InvalidValueError, UnknownNameError
from pruneviz.figures.lab_details import details_figure, pruned_figure
from pruneviz.studies.papers import (
    LabResult,
    claims,
    find_claim,
    results,
)
from pruneviz.studies.papers.request import Request
from pruneviz.studies.papers.result import Finding
from pruneviz.studies.papers.setting import finding


def made(values: tuple[float, float] = (0.5, 0.7)) -> LabResult:
    return LabResult(
        claim="oracle",
        network="vgg16",
        data="digits",
        scale="minutes",
        seeds=(0, 1),
        findings=(finding("taylor", list(values), extra=1),),
        readings=(("taylor 0.60 against l1 0.10", True), ("taylor 0.60 against l2 0.7", False)),
        settings={},
        command="python -m pruneviz.lab run oracle",
        commit="abc123",
        machine="a machine",
        seconds=3.0,
    )


def test_results_are_read_shown_and_tabled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"{made().name}.json").write_text(made().to_json())
    (found,) = results(tmp_path)
    assert found == made()
    assert not found.holds
    beside = replace(found, findings=(finding("a", [0.5, 0.7], macs=[0.2, 0.4], name="x"),))
    frame = beside.to_frame()
    assert frame.columns.tolist() == ["what", "mean", "std", "seeds", "macs"]
    assert frame["macs"].tolist() == pytest.approx([0.3])
    assert found.findings == (Finding("taylor", 0.6, (0.5, 0.7), {"extra": 1}),)
    assert "**no**" in table([found])
    assert "abc123" in table([found])
    assert main(["list", "--folder", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "DOES NOT HOLD: taylor 0.60 against l2 0.7" in shown
    assert all(claim.title in shown for claim in claims())
    info = found.figure()
    assert list(info.data[0].x) == [0.5, 0.7]
    assert list(info.data[1].x) == [0.6]
    assert info.data[2].name == "published: Taylor, VGG-16 on Birds-200"
    assert list(info.data[2].x) == [0.73, 0.73]


def test_a_result_of_an_earlier_form_of_the_test_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = find_claim("oracle")
    assert made().outdated == claim.changed != ""
    now = replace(made(), settings={"form": claim.form})
    assert now.outdated == ""
    assert "earlier version" in table([made()])
    assert "earlier version" not in table([now])
    (tmp_path / "a.json").write_text(made().to_json())
    assert main(["list", "--folder", str(tmp_path)]) == 0
    assert f"without: {claim.changed}" in capsys.readouterr().out


def test_what_is_stored_in_the_package_can_be_read() -> None:
    for result in results():
        assert find_claim(result.claim)
        assert len(result.seeds) >= 1
        assert result.commit
        assert "lab run " + result.claim in result.command
        for found in result.findings:
            assert len(found.seeds) == len(result.seeds)
        assert "/" not in result.machine


def test_bad_names_and_texts_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Choose one of"):
        find_claim("magic")
    with pytest.raises(InvalidValueError):
        LabResult.from_json("{}")
    with pytest.raises(InvalidValueError):
        LabResult.from_json("no")


def test_a_network_with_a_path_makes_one_file() -> None:
    request = Request("oracle", network="torchvision/vgg16")
    assert request.name == "oracle-torchvision-vgg16-digits-minutes"
    result = replace(made(), network="hf//home/me/my-net")
    assert result.name == "oracle-hf-home-me-my-net-digits-minutes"


def test_listing_needs_no_torch() -> None:
    code = "import sys, pruneviz.commands.lab as l; l.main(['list']); print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip().endswith("False")


def test_the_documentation_has_the_stored_results() -> None:
    shown = chapter("lab").text.split("<!-- lab -->")[1].split("<!-- /lab -->")[0]
    assert shown.strip() == table(results()), "put in what `pruneviz lab table` prints"


def test_pruned_accuracy_is_drawn_by_criterion() -> None:
    assert pruned_figure(made()) is None
    found = replace(made(), findings=(finding("taylor", [0.5, 0.7], pruned=[0.9, 0.5, 0.1]),))
    (curve,) = pruned_figure(found).data
    assert list(curve.x) == pytest.approx([0.25, 0.5, 0.75])
    assert list(curve.y) == [0.9, 0.5, 0.1]


def test_a_second_picture_where_there_is_more_to_see() -> None:
    oracle = replace(
        made(),
        findings=(
            finding("taylor", [0.5], by_layer={"a": 0.1, "b": 0.2}),
            finding("l1", [0.4], by_layer={"b": 0.3, "c": 0.4}),
        ),
    )
    heat = details_figure(oracle).data[0]
    assert list(heat.x) == ["a", "b", "c"]
    assert [list(row) for row in heat.z] == [[0.1, 0.2, None], [None, 0.3, 0.4]]
    curves = [[(0.0, 0.9, 0.8), (0.5, 0.7, 0.6)], [(0.0, 0.9, 0.9), (0.5, 0.7, 0.8)]]
    study = replace(
        made(),
        claim="pretraining",
        findings=(finding("pretrained", [0.5, 0.5], curves=curves),),
    )
    band, line = details_figure(study).data
    assert list(band.x) == [0.0, 0.5, 0.5, 0.0]
    assert list(band.y) == pytest.approx([0.85, 0.85, 0.84, 0.84])  # the mean of 0.8 and 0.9
    assert list(line.x) == [0.0, 0.5]
    assert list(line.y) == pytest.approx([0.85, 0.7])
    assert list(line.error_y.array) == pytest.approx([0.05 * 2**0.5, 0.1 * 2**0.5])
    assert details_figure(replace(made(), claim="soft")) is None
