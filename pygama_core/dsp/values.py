"""What an expression of a configuration can be, and arithmetic among constants."""

from __future__ import annotations

import logging
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from pygama_core.dsp.plan import Grid, Shape, Use
from pygama_core.dsp.units import Quantity
from pygama_core.errors import ConfigError

LOG = logging.getLogger(__name__)
Kind: TypeAlias = Literal["plain", "time", "duration"]
Number: TypeAlias = "bool | int | float"


@dataclass(frozen=True)
class Ref:
    """A variable, or a part of one, with what is known about it.

    A ``time`` is stored as a sample index of ``grid``, a ``duration`` as a number of its samples; ``axis`` belongs to
    the last axis of an array.
    """

    use: Use
    shape: Shape
    dtype: str
    constant: bool = False
    kind: Kind = "plain"
    grid: Grid | None = None
    axis: Grid | None = None
    unit: str | None = None
    length: Ref | None = None  # number of valid elements of the last axis

    @property
    def time_axis(self) -> Grid | None:
        """The grid that tells a processor what its indices mean."""
        return self.axis or (self.grid if self.kind != "plain" else None)


@dataclass(frozen=True)
class Offset:
    """Start of a grid: a constant [ns] and, for waveforms, each row's t0."""

    value: float
    t0: str | None


Value: TypeAlias = "Number | str | tuple[Value, ...] | Quantity | Offset | Grid | Ref"

OPERATORS: dict[str, Callable[[float, float], float]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "power": lambda a, b: float(a) ** b,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}
ROUNDING: dict[str, tuple[str, Callable[[float], float]]] = {
    "round": ("rint", round),
    "floor": ("floor", math.floor),
    "ceil": ("ceil", math.ceil),
    "trunc": ("trunc", math.trunc),
}


def is_number(value: object) -> bool:
    """Whether the value is a plain number."""
    return isinstance(value, bool | int | float | np.number)


def quantity(value: Value) -> Quantity:
    """Return a number or quantity as a quantity; raise ConfigError for anything else."""
    if isinstance(value, Quantity):
        return value
    if isinstance(value, bool | int | float):
        return Quantity(value, 0)
    raise ConfigError(f"{describe(value)} where a number or a time is needed")


def plain(value: float, power: int) -> Value:
    """Return a quantity, or a number if the units cancelled."""
    return value if power == 0 else Quantity(value, power)


def describe(value: object) -> str:
    """Return what the value is, for messages."""
    if isinstance(value, Ref):
        return f"{value.kind} variable {value.use.variable!r} of shape {list(value.shape)}"
    return {Quantity: "a time", str: "text", tuple: "a list", Grid: "a grid", Offset: "a grid offset"}.get(
        type(value), "a number"
    )


def constant_arithmetic(name: str, a: Value, b: Value) -> Value:
    """Apply an operator of :data:`OPERATORS` to two constants.

    Raises
    ------
    ConfigError : if their units do not fit each other
    """
    if isinstance(b, Offset) and name == "add" and not isinstance(a, Offset):
        a, b = b, a
    if isinstance(a, Offset) and name in ("add", "subtract"):
        shift = quantity(b)
        if shift.power == 1:
            return Offset(OPERATORS[name](a.value, shift.value), a.t0)
    x, y = quantity(a), quantity(b)
    if name == "multiply":
        return plain(x.value * y.value, x.power + y.power)
    try:
        if name == "floor_divide" and y.power == 0:
            return plain(x.value // y.value, x.power)
        if name == "divide":
            return plain(x.value / y.value, x.power - y.power)
        if name == "power" and y.power == 0 and x.power == 0:
            return float(float(x.value) ** y.value)
        if x.power != y.power:
            raise ConfigError(f"{name}: one operand is a time and the other is not; write units on both or on none")
        result = OPERATORS[name](x.value, y.value)
    except ArithmeticError as error:
        raise ConfigError(f"{name}: {error}") from error
    return plain(result, x.power) if name in ("add", "subtract", "remainder") else result


def round_constant(name: str, value: Value, step: Value = 1) -> Value:
    """Round a constant to multiples of ``step``, half to even."""
    x, q = quantity(value), quantity(step)
    if x.power != q.power:
        raise ConfigError(f"{name}: value and step must both be times, or both numbers")
    result = ROUNDING[name][1](x.value / q.value)
    return plain(result if is_number(step) and step == 1 else result * q.value, x.power)


def whole_samples(value: Value, axis: Grid | None, what: str) -> int:
    """Return a constant as a whole number of samples of an axis.

    Raises
    ------
    ConfigError : if it is no number or time, or more than 1e-4 samples off a whole number
    """
    number = quantity(value)
    if number.power == 1 and axis is None:
        raise ConfigError(f"{what} is a time, but the array has no time axis; use a number of samples")
    samples = number.in_samples(axis.period) if axis and number.power else float(number.value)
    if not abs(samples - round(samples)) <= 1e-4:
        raise ConfigError(f"{what} is {samples:g} samples; need a whole number, use round(...)")
    return round(samples)


def nearest_samples(value: Value, axis: Grid | None, what: str, where: str) -> int:
    """Return a constant as the nearest number of samples of an axis; a warning tells when it is not a whole number.

    Raises
    ------
    ConfigError : if it is no number or time
    """
    number = quantity(value)
    if number.power == 1 and axis is None:
        raise ConfigError(f"{what} is a time, but the array has no time axis; use a number of samples")
    samples = number.in_samples(axis.period) if axis and number.power else float(number.value)
    if not math.isfinite(samples):
        raise ConfigError(f"{what} is {samples:g} samples; need a number")
    if abs(samples - round(samples)) > 1e-4:
        LOG.warning("%s: %s is %g samples; %d are taken", where, what, samples, round(samples))
    return round(samples)


def take_slice(ref: Ref, start: int | None, stop: int | None, step: int | None) -> Ref:
    """Return a part of the last axis as a view.

    Raises
    ------
    ConfigError : if the value is no array, the step is not positive, or nothing is left
    """
    if not ref.shape:
        raise ConfigError(f"{describe(ref)} has no samples to slice")
    if step is not None and step < 1:
        raise ConfigError(f"slice step {step}; need at least 1")
    first, last, stride = slice(start, stop, step).indices(ref.shape[-1])
    n = len(range(first, last, stride))
    if n == 0:
        raise ConfigError(f"slice {start}:{stop} of an array of {ref.shape[-1]} samples is empty")
    outer = ref.use.step
    begin = ref.use.start + first * outer
    use = replace(ref.use, start=begin, stop=begin + (n - 1) * stride * outer + 1, step=stride * outer)
    axis = ref.axis
    if axis is not None:
        axis = replace(axis, offset=axis.offset + first * axis.period, period=axis.period * stride)
    return replace(ref, use=use, shape=(*ref.shape[:-1], n), axis=axis, length=None)


def take_index(ref: Ref, index: int) -> Ref:
    """Return one sample of a one-dimensional array.

    Raises
    ------
    ConfigError : if the value is no such array or the index lies outside
    """
    if len(ref.shape) != 1 or not -ref.shape[0] <= index < ref.shape[0]:
        raise ConfigError(f"index {index} of {describe(ref)} is outside")
    position = ref.use.start + (index % ref.shape[0]) * ref.use.step
    return replace(ref, use=Use(ref.use.variable, index=position), shape=(), axis=None, length=None)
