from pathlib import Path

import pytest

from advtag.side_by_side import names_of


def test_names_are_the_shortest_ends_that_differ():
    assert names_of(Path("a/demo"), Path("b/demo")) == ("a/demo", "b/demo")
    assert names_of(Path("a/first"), Path("a/second")) == ("first", "second")


def test_a_production_is_not_compared_with_itself():
    with pytest.raises(ValueError, match="compared with itself: name two productions"):
        names_of(Path("a"), Path("a"))
