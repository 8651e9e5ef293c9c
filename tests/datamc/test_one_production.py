"""Results that are read together: made alike or refused, whatever it is in which they differ."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from advtag.production import read_null, read_results
from datamc.one_production import (
    DATASET_KEYS,
    OPTIONAL_SETTINGS,
    SETTINGS,
    Named,
    require_one_production,
    require_same_networks,
)
from datamc.results import Result, write_result

CONFIG: dict[str, Any] = {
    "selection": "dy",
    "profile": "btv20001",
    "year": "2017",
    "seed": 1,
    "jets": "probe",
    "golden_json": {"file": "golden.json", "sha256": "1" * 64},
    "corrections": {"mode": "none"},
    "taggers": [{"name": "basic", "epoch": 3, "sha256": "a" * 64}],
}
OTHERWISE: dict[str, Any] = {
    "profile": "btvnano",
    "year": "2018UL",
    "seed": 2,
    "jets": "all",
    "golden_json": None,
    "corrections": {"mode": "total"},
    "held_out": "0.5:1",
    "scale_factors": {"file": "sf.json", "sha256": "2" * 64, "systematic": "central"},
}
OTHER_RECORD: dict[str, Any] = {
    "is_data": False,
    "process": "other",
    "cross_section_pb": 7.0,
    "luminosity_pb": 41.5,
    "simulated": False,
    "same_events": True,
}

Two = tuple[Result, Result]


@pytest.fixture(scope="module")
def two(make_result: Callable[..., Result]) -> Two:
    """The results of W+c and of top pairs, with the same datasets of data and simulation."""
    options: dict[str, Any] = {"taggers": ["basic"], "epochs": [3], "variants": ["raw"], "scores": ["CvsL"]}
    first, other = (replace(make_result(name, **options), config=CONFIG) for name in ("wc", "ttsemilep"))
    # Each made up its own cross sections.
    shared = {name: record for name, record in first.datasets.items() if name in other.datasets}
    assert len(shared) == 3
    return first, replace(other, datasets=other.datasets | shared)


def test_results_made_alike_belong_together(two: Two) -> None:
    first, other = two
    require_one_production([Named("wc.zip", first), Named("tt.zip", other)])
    # Another selection may have another tagger, too, and older results do not tell everything.
    more = CONFIG | {"taggers": [*CONFIG["taggers"], {"name": "basic", "epoch": 4, "sha256": "b" * 64}]}
    silent = {key: value for key, value in more.items() if key not in ("jets", "corrections")}
    require_one_production([Named("wc.zip", first), Named("tt.zip", replace(other, config=silent))])


@pytest.mark.parametrize("key", [*SETTINGS, *OPTIONAL_SETTINGS])
def test_every_setting_counts(two: Two, key: str) -> None:
    first, other = two
    different = replace(other, config=CONFIG | {key: OTHERWISE[key]})
    with pytest.raises(ValueError, match=rf"wc.zip and tt.zip were not made alike: .*{key}"):
        require_one_production([Named("wc.zip", first), Named("tt.zip", different)])


@pytest.mark.parametrize("key", DATASET_KEYS)
def test_every_property_of_a_dataset_counts(two: Two, key: str) -> None:
    first, other = two
    name = next(name for name, record in first.datasets.items() if record.is_data)
    record = replace(first.datasets[name], **{key: OTHER_RECORD[key]})
    different = replace(other, datasets=other.datasets | {name: record})
    with pytest.raises(ValueError, match=rf"wc.zip and tt.zip hold the dataset {name} with .*{key}"):
        require_one_production([Named("wc.zip", first), Named("tt.zip", different)])


def test_a_name_means_one_network(two: Two) -> None:
    first, other = two
    retrained = [{"name": "basic", "epoch": 3, "sha256": "c" * 64}]
    different = replace(other, config=CONFIG | {"taggers": retrained})
    with pytest.raises(ValueError, match=r"basic, epoch 3, .*wc.zip .*aaaa.* tt.zip \(cccc"):
        require_one_production([Named("wc.zip", first), Named("tt.zip", different)])
    require_same_networks([("here", {("basic", 3): "a"}), ("there", {("basic", 4): "b"})])


def test_files_are_named_where_they_do_not_fit_together(two: Two, tmp_path: Path) -> None:
    first, other = two
    write_result(first, tmp_path / "first.zip")
    write_result(replace(other, config=CONFIG | {"year": "2018"}), tmp_path / "second.zip")
    with pytest.raises(ValueError, match=r"first.zip and .*second.zip .*year '2017' and '2018'"):
        read_results([tmp_path])
    # Two parts of one selection with the same events
    write_result(first, tmp_path / "second.zip")
    with pytest.raises(ValueError, match=r"first.zip, .*second.zip: .*held twice"):
        read_results([tmp_path])


def test_null_data_are_made_like_the_data(two: Two, tmp_path: Path) -> None:
    first, _ = two
    # Null data have another luminosity, and their own simulation.
    records = {name: replace(record, luminosity_pb=3.0) for name, record in first.datasets.items()}
    write_result(replace(first, datasets=records), tmp_path / "null.zip")
    assert list(read_null([tmp_path], {"wc": first})) == ["wc"]
    assert read_null(None, {"wc": first}) == {}
    with pytest.raises(ValueError, match=r"the result of wc and the null data of wc .*profile"):
        read_null([tmp_path], {"wc": replace(first, config=CONFIG | {"profile": "legacy"})})
