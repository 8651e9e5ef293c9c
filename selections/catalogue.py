"""The selection functions by name."""

from collections.abc import Callable, Mapping

from selections import dy, inclusive, ttsemilep, wc
from selections.selected import Selected

SELECT: Mapping[str, Callable[..., Selected]] = {
    "dy": dy.select,
    "wc": wc.select,
    "ttsemilep": ttsemilep.select,
    "inclusive": inclusive.select,
}
"""Each takes (events, parameters, *, good_luminosity); `parameters_of` gives the row for it."""
