"""The function of each region; many rows of the table may share one."""

from collections.abc import Callable, Mapping

from selections import dy, inclusive, ttdilep, ttsemilep, wc
from selections.selected import Selected

Select = Callable[..., Selected]

SELECT: Mapping[str, Select] = {
    "dy": dy.select,
    "dy_electron": dy.select,
    "wc": wc.select,
    "wc_electron": wc.select,
    "ttsemilep": ttsemilep.select,
    "ttsemilep_electron": ttsemilep.select,
    "ttdilep_emu": ttdilep.select,
    "ttdilep_mumu": ttdilep.select,
    "inclusive": inclusive.select,
}
"""By name of a row. Each takes (events, parameters, *, good_luminosity); `parameters_of` gives the row."""
