from storage.wording import few


def test_the_first_are_named_and_the_others_counted() -> None:
    assert few([]) == ""
    assert few(["a"]) == "a"
    assert few([1, 2, 3], most=3) == "1; 2; 3"
    assert few([1, 2, 3, 4], most=2, joint=", ") == "1, 2 and 2 more"
