from pathlib import Path

import pytest

from condor.sites import read_site, site_names


@pytest.mark.parametrize("name", ["local", "lxplus", "naf", "rwth", "lpc"])
def test_shipped_profiles_are_valid(name: str) -> None:
    assert name in site_names()
    assert read_site(name).name == name


def test_the_first_queue_that_is_long_enough_is_taken() -> None:
    site = read_site("lxplus")
    assert [site.queue_for(minutes).name for minutes in (5, 20, 21, 481, 99999)] == [  # type: ignore[union-attr]
        "espresso", "espresso", "microcentury", "tomorrow", "nextweek",
    ]  # fmt: skip
    assert read_site("local").queue_for(5) is None


def test_memory_grows_up_to_what_a_site_has() -> None:
    site = read_site("local")  # factor 1.5, at most 16000
    assert [site.memory_after_failure(memory) for memory in (2000, 12000, 20000)] == [3000, 16000, 20000]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nscheduler: pbs\n", "key 'scheduler': Input should be 'htcondor' or 'slurm'"),
        ("name: x\nscheduler: slurm\nqueue: y\n", "unknown key 'queue': choose from name, description"),
        ("name: x\nscheduler: slurm\ntransfer: condor\n", "transfer 'condor' needs the scheduler htcondor"),
        (
            "name: x\nscheduler: htcondor\nqueues: [{name: a, minutes: 1}]\n",
            "queues need the key 'queue_key'",
        ),
        ("name: x\nscheduler: slurm\nenvironment: {kind: tarball}\n", "a tarball needs the key 'path'"),
        *(
            (f"name: x\nscheduler: htcondor\nqueue_key: +F\n{key}", "is not one line of printable characters")
            for key in (
                'lines: {"+Group": "a\\nexecutable = b"}\n',
                'lines: {"+Group = a\\nexecutable": b}\n',
                'queues: [{name: "a\\nb", minutes: 1}]\n',
                'environment: {path: "/a\\nb"}\n',
            )
        ),
        ('name: x\nscheduler: slurm\nqueue_key: "a\\tb"\n', "is not one line of printable characters"),
        (
            "name: x\nscheduler: htcondor\nenvironment: {kind: tarball, path: 'a,b.tar'}\n",
            "a comma in the path of a tarball",
        ),
        ("- a\n", "expected keys and values"),
        ("a: [\n", "not valid YAML"),
    ],
)
def test_a_wrong_profile_is_one_sentence(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_site(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_site_lists_the_choices() -> None:
    with pytest.raises(
        FileNotFoundError, match="nowhere: no such site or file: choose from local, lpc, lxplus"
    ):
        read_site("nowhere")
