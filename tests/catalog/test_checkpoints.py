"""Weights files: every form that fits, and a sentence for each that does not."""

from __future__ import annotations

import argparse
import contextlib
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pruneviz.catalog.checkpoints import PREFIXES, WRAPPERS, read_weights, unwrap
from pruneviz.catalog.fitting import load_into
from pruneviz.errors import WeightsError


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


class RunsCode:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "pth", "th"])
@pytest.mark.parametrize("wrapper", [None, *WRAPPERS])
@pytest.mark.parametrize("prefix", ["", *PREFIXES, "module._orig_mod."])
def test_reads_every_form(tmp_path, suffix, wrapper, prefix):
    state = small().state_dict()
    saved = OrderedDict((prefix + key, value) for key, value in state.items())
    path = tmp_path / f"weights.{suffix}"
    if suffix == "safetensors":
        safetensors.torch.save_file(dict(saved), path)
    else:
        torch.save({wrapper: saved, "epoch": 3, "best": 0.9} if wrapper else saved, path)

    read = read_weights(path)

    assert set(read) == set(state)
    assert all(torch.equal(read[key], state[key]) for key in state)


def test_reads_the_old_format_of_torch(tmp_path):
    state = small().state_dict()
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    read = read_weights(tmp_path / "old.pt")
    assert all(torch.equal(read[key], state[key]) for key in state)


def test_content_decides_not_the_suffix(tmp_path):
    safetensors.torch.save_file(small().state_dict(), tmp_path / "weights.pt")
    assert "0.weight" in read_weights(tmp_path / "weights.pt")


names = st.text("abc.01_", min_size=1, max_size=6)


@given(keys=st.sets(names, min_size=1, max_size=5), wrapper=st.sampled_from([None, *WRAPPERS]))
def test_unwrap_keeps_names_without_a_common_prefix(keys, wrapper):
    state = {key: torch.zeros(1) for key in keys}
    loaded = {wrapper: state, "epoch": 1} if wrapper else state
    assert set(unwrap(loaded, "file")) == keys


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"hello, this is no weights file", "is not a weights file"),
        (b"\xff\xd8\xff\xe0" + b"jpeg" * 100, "is not a weights file"),
        (pickle.dumps({"state": [1, 2, 3]}), "is not a weights file"),
        (b"PK\x03\x04" + bytes(100), "truncated or damaged"),
        (b"\x80\x02", "truncated or damaged"),
    ],
)
def test_not_weights(tmp_path, content, says):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=says):
        read_weights(path)


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "old.pt"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
def test_truncated(tmp_path, suffix, part):
    path = tmp_path / f"weights.{suffix}"
    state = {"weight": torch.ones(1000)}
    if suffix == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=suffix == "pt")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(WeightsError, match="save or copy it again"):
        read_weights(path)


@given(cut=st.integers(0, 2000), noise=st.binary(max_size=20))
def test_a_damaged_file_never_raises_anything_else(tmp_path_factory, cut, noise):
    path = tmp_path_factory.getbasetemp() / "damaged.pt"
    torch.save({"weight": torch.ones(300)}, path, _use_new_zipfile_serialization=cut % 2 == 0)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut] + noise + whole[cut + len(noise) :])
    with contextlib.suppress(WeightsError):
        read_weights(path)


@pytest.mark.parametrize("new", [True, False])
def test_a_pickle_that_wants_to_run_code_does_not(tmp_path, new):
    marker = tmp_path / "ran"
    path = tmp_path / "evil.pt"
    torch.save(
        {"w": torch.ones(2), "x": RunsCode(marker)}, path, _use_new_zipfile_serialization=new
    )
    with pytest.raises(WeightsError, match="could run code"):
        read_weights(path)
    assert not marker.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_plain_pickle_does_not_run_code_either(tmp_path):
    marker = tmp_path / "ran"
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(RunsCode(marker)))
    with pytest.raises(WeightsError):
        read_weights(tmp_path / "evil.pkl")
    assert not marker.exists()


def test_whole_models_and_settings_are_refused_with_their_name(tmp_path):
    torch.save(small(), tmp_path / "model.pt")
    with pytest.raises(WeightsError, match=r"torch\.nn\.modules.*state_dict\(\)"):
        read_weights(tmp_path / "model.pt")
    torch.save({"model": small().state_dict(), "args": argparse.Namespace()}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"argparse\.Namespace"):
        read_weights(tmp_path / "a.pt")


@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_refused(tmp_path):
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "script.pt")
    with pytest.raises(WeightsError, match="TorchScript"):
        read_weights(tmp_path / "script.pt")


def test_missing_file_folder_and_file_without_tensors(tmp_path):
    with pytest.raises(WeightsError, match="There is no weights file"):
        read_weights(tmp_path / "none.pt")
    with pytest.raises(WeightsError, match="is a folder"):
        read_weights(tmp_path)
    torch.save({"epoch": 3}, tmp_path / "epoch.pt")
    with pytest.raises(WeightsError, match="no named tensors"):
        read_weights(tmp_path / "epoch.pt")
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="no named tensors"):
        read_weights(tmp_path / "list.pt")


def test_a_zip_that_is_not_torchs_and_one_that_unpacks_to_too_much(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.pt", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(WeightsError, match="not a weights file"):
        read_weights(tmp_path / "photos.pt")
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    with pytest.raises(WeightsError, match="unpack to 10,000,000 bytes"):
        read_weights(tmp_path / "bomb.pt")


def load(state, model=None):
    model = small() if model is None else model
    load_into(model, state, network="'small'", where="file.pt")
    return model


def test_load_into_gives_the_same_network_also_from_half_precision():
    state = {
        key: value.half() if value.is_floating_point() else value
        for key, value in small().state_dict().items()
    }
    state["3.weight"] = state["3.weight"] + 1
    loaded = load(state).state_dict()
    assert all(torch.equal(loaded[key], state[key].to(loaded[key].dtype)) for key in state)
    assert loaded["3.weight"].dtype == torch.float32


def test_counters_of_batches_may_be_missing():
    state = small().state_dict()
    del state["1.num_batches_tracked"]
    assert load(state).state_dict()["1.num_batches_tracked"] == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s | {"3.weight": torch.zeros(5, 4)},
         r"3\.weight is 2×4 in 'small' and 5×4 in the file"),
        (lambda s: s | {"extra.weight": torch.zeros(1)}, r"'small' has no extra\.weight"),
        (lambda s: {k: v for k, v in s.items() if k != "0.bias"}, r"it lacks 0\.bias"),
        (lambda s: {"features.0": torch.zeros(1)}, "another architecture.*features.0.*0.weight"),
        (lambda s: s | {"0.weight": torch.full((4, 3, 3, 3), torch.nan)},
         r"not finite \(NaN or infinity\) in 0\.weight"),
        (lambda s: s | {"0.weight": torch.full((4, 3, 3, 3), 1e300, dtype=torch.float64)},
         "not finite"),
        (lambda s: s | {"1.running_var": torch.tensor([1, 2, torch.inf, 3])}, "not finite"),
        (lambda s: s | {"1.running_var": torch.tensor([1, 2, -0.1, 3])},
         r"variances below zero in 1\.running_var"),
        (lambda s: s | {"0.weight": torch.zeros(4, 3, 3, 3, dtype=torch.int8)}, "torch.int8"),
        (lambda s: s | {"3.weight": torch.zeros(2, 4).to_sparse()}, "sparse"),
        (lambda s: s | {"0.weight": torch.zeros(1).expand(10**6, 10**6, 1, 1)}, "1000000×1000000"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit(change, says):
    model = small()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(WeightsError, match=says):
        load(change(dict(before)), model)
    after = model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_weights_of_a_pruned_network_are_recognised():
    state = small().state_dict() | {"0.weight": torch.zeros(3, 3, 3, 3), "0.bias": torch.zeros(3)}
    with pytest.raises(WeightsError, match="look pruned: prune the network by their plan first"):
        load(state)
    with pytest.raises(WeightsError, match="Choose the architecture"):
        load(state | {"3.weight": torch.zeros(5, 4)})


def test_a_long_list_of_differences_is_cut():
    state = {f"other.{i}": torch.zeros(1) for i in range(9)} | dict(small().state_dict())
    with pytest.raises(WeightsError, match="and 6 more"):
        load(state)
