import resource

import pytest

from storage.memory import memory_limit, memory_limit_beyond_now


def test_what_goes_beyond_is_an_error_and_the_limit_ends_with_the_block():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(MemoryError), memory_limit_beyond_now(200_000_000):
        bytearray(2_000_000_000)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    with memory_limit_beyond_now(200_000_000):
        assert len(bytearray(50_000_000)) == 50_000_000


def test_a_lower_limit_stays():
    with memory_limit_beyond_now(500_000_000):
        outer = resource.getrlimit(resource.RLIMIT_DATA)
        with memory_limit(10**15):
            assert resource.getrlimit(resource.RLIMIT_DATA) == outer
        with memory_limit(None):
            assert resource.getrlimit(resource.RLIMIT_DATA) == outer
