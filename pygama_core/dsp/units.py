"""Time units in expressions and on columns; every other unit is a label that is only carried along."""

from __future__ import annotations

from dataclasses import dataclass

TIME_UNITS = {"ps": 1e-3, "ns": 1.0, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9}  # [ns]
FREQUENCY_UNITS = {"Hz": 1e-9, "kHz": 1e-6, "MHz": 1e-3, "GHz": 1.0}  # [1/ns]
LONG_NAMES = {"nanosecond": "ns", "microsecond": "us", "millisecond": "ms", "second": "s"}


@dataclass(frozen=True)
class Quantity:
    """A number with a unit of time: ``value`` in ns**power."""

    value: float
    power: int

    def in_samples(self, period: float) -> float:
        """Return the number of samples (of ``period`` [ns]) to the same power."""
        return float(self.value / period**self.power)


def unit_quantity(name: str) -> Quantity | None:
    """Return one unit called ``name``, or None if expressions know no such unit."""
    name = LONG_NAMES.get(name, name)
    if name in TIME_UNITS:
        return Quantity(TIME_UNITS[name], 1)
    return Quantity(FREQUENCY_UNITS[name], -1) if name in FREQUENCY_UNITS else None


def time_factor(label: str | None) -> float | None:
    """Return the length [ns] of a column unit, or None if it is not a unit of time."""
    if label is None:
        return None
    return TIME_UNITS.get(LONG_NAMES.get(label, label))
