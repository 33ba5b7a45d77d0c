"""The processors by name: their layout, their types, and the module that must be imported to have them.

A processor is declared once, by a decorator that names its layout (as NumPy's generalised ufuncs do, but dimensions
may occur in outputs only) and its types, where ``f`` stands for the working float type of the chain::

    @processor("(n),(),()->(n)", "f,i4,i4->f")
    def trap_norm(w_in, rise, flat, w_out): ...

Kernels get rows that are contiguous in memory; :class:`Processor` called directly takes care of that.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pygama_core.accelerate import defer, gufunc
from pygama_core.dsp.families import FAMILIES, REWRITTEN_OF
from pygama_core.dsp.families import FAMILY_OF as FAMILY_OF
from pygama_core.errors import ConfigError, ProcessorError

Dims = tuple[str, ...]
FLOATS = ("f4", "f8")
COMPLEX = {"f4": "c8", "f8": "c16"}
WIDE = ("f8", "c16")
PACKAGE = "pygama_core.dsp.processors"

_LOADED: dict[str, Processor] = {}


@dataclass(frozen=True)
class Layout:
    """Core dimensions of each input and output, () for scalars."""

    inputs: tuple[Dims, ...]
    outputs: tuple[Dims, ...]

    @classmethod
    def parse(cls, text: str) -> Layout:
        """Parse ``(n),()->(m)``."""
        sides = [
            tuple(tuple(filter(None, dims.split(","))) for dims in re.findall(r"\(([^)]*)\)", side))
            for side in text.replace(" ", "").split("->")
        ]
        return cls(sides[0], sides[1])

    @property
    def free(self) -> frozenset[str]:
        """Dimensions that occur in outputs only and must be declared by the configuration."""
        return frozenset(d for dims in self.outputs for d in dims) - {d for dims in self.inputs for d in dims}


@dataclass(frozen=True, eq=False)
class Processor:
    """One signal processor; ``kernel(*inputs, *outputs)`` works on blocks of rows along the first axis."""

    name: str
    layout: Layout
    types: tuple[str, ...]  # of inputs, then outputs; "f" is the working float type, "c" its complex one
    arguments: tuple[str, ...]
    kernel: Callable[..., Any]
    doc: str
    order: tuple[int, ...] = ()  # argument that each position of a configuration's args means; default: the same
    label: str = ""  # of a function of another module, whose name says all about its call

    def arranged(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a configuration's arguments with inputs first."""
        if len(args) != len(self.order):
            return args
        return tuple(arg for _, arg in sorted(zip(self.order, args, strict=True), key=lambda pair: pair[0]))

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.label or self.name

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return len(self.layout.inputs)

    def dtypes(self, working: str) -> tuple[str, ...]:
        """Return the types of all arguments when the working float type is ``working``."""
        names = {"f": working, "c": COMPLEX[working]}
        return tuple(names.get(token, token) for token in self.types)

    def __call__(self, *arguments: Any) -> Any:
        """Run on any array-likes; outputs are allocated and returned, or given as the last arguments.

        The working float type is float64 if any array is, else float32; integers are converted.
        """
        n_out = len(self.layout.outputs)
        if len(arguments) not in (self.n_in, self.n_in + n_out):
            raise ProcessorError(f"{self.name}: {len(arguments)} arguments; it takes {', '.join(self.arguments)}")
        given = [np.asarray(a) for a in arguments]
        dims = self.layout.inputs + self.layout.outputs
        floats = [(a, d) for a, d, token in zip(given, dims, self.types, strict=False) if token in ("f", "c")]
        arrays = [a for a, d in floats if d] or [a for a, _ in floats]
        working = "f8" if any(a.dtype.str[1:] in WIDE or a.dtype.str[1:] in ("i8", "u8") for a in arrays) else "f4"
        dtypes = self.dtypes(working)
        given = given[: self.n_in]
        inputs = [
            np.ascontiguousarray(a, t) if a.ndim else np.asarray(a, t) for a, t in zip(given, dtypes, strict=False)
        ]
        outputs = list(arguments[self.n_in :]) or self._allocate(inputs, dtypes[self.n_in :])
        with np.errstate(all="ignore"):
            self.kernel(*inputs, *outputs)
        results = tuple(out[()] for out in outputs)
        return results[0] if len(results) == 1 else results

    def _allocate(self, inputs: list[np.ndarray], dtypes: tuple[str, ...]) -> list[np.ndarray]:
        sizes = {
            d: length
            for a, dims in zip(inputs, self.layout.inputs, strict=True)
            for d, length in zip(dims, a.shape[a.ndim - len(dims) :], strict=True)
        }
        if any(d not in sizes for dims in self.layout.outputs for d in dims):
            raise ProcessorError(f"{self.name}: the length of an output cannot be deduced; pass the output arrays too")
        loops = [a.shape[: a.ndim - len(dims)] for a, dims in zip(inputs, self.layout.inputs, strict=True)]
        loop = np.broadcast_shapes(*loops)
        return [
            np.empty((*loop, *(sizes[d] for d in dims)), dtype)
            for dims, dtype in zip(self.layout.outputs, dtypes, strict=True)
        ]


def processor(
    layout: str, types: str, *, compiled: bool = True, order: tuple[int, ...] = ()
) -> Callable[[Callable[..., Any]], Processor]:
    """Register the decorated kernel under its name.

    Parameters
    ----------
    layout : core dimensions, e.g. ``(n),()->(m)``
    types : NumPy type of each argument, e.g. ``f,i4->f``; ``f`` makes a float32 and a float64 version
    compiled : False for a function of whole blocks written with NumPy, ``kernel(*inputs, *outputs)``
    order : for configurations that list outputs before inputs, see :class:`Processor`

    Raises
    ------
    ConfigError : if a processor of that name exists already
    """

    def register(function: Callable[..., Any]) -> Processor:
        name = function.__name__
        if name in _LOADED:
            raise ConfigError(f"processor {name}: registered twice; choose another name")
        parsed = Layout.parse(layout)
        tokens = tuple(filter(None, re.split(r"->|,", types.replace(" ", ""))))
        kernel = Kernel(function, parsed, layout, tokens) if compiled else function
        arguments = tuple(inspect.signature(function).parameters)
        made = Processor(name, parsed, tokens, arguments, kernel, inspect.getdoc(function) or "", order)
        _LOADED[name] = made
        return made

    return register


class Kernel:
    """A compiled kernel, one version for each working float type; a version is compiled or loaded when first used.

    A chain uses a third of the processors and one float type; loading the others would double a job's start-up.
    """

    def __init__(self, function: Callable[..., Any], layout: Layout, text: str, tokens: tuple[str, ...]) -> None:
        n_in = len(layout.inputs)
        axes = [len(dims) or int(i >= n_in) for i, dims in enumerate(layout.inputs + layout.outputs)]
        self.signatures: dict[str, str] = {}
        for working in FLOATS:
            resolved = [working if token == "f" else token for token in tokens]
            arguments = ", ".join(t + _index(n) for t, n in zip(resolved, axes, strict=True))
            self.signatures[working] = f"void({arguments})"
        # outputs with free dimensions must pass NumPy as inputs, which it hands on as they are
        self.layout = text.replace("->", ",") if layout.free else text
        self.function = function
        # an output's type tells the working type; inputs may be plain numbers
        self._telling = next((i for i in range(len(tokens) - 1, -1, -1) if tokens[i] == "f"), None)
        self._compiled: dict[str, Callable[..., Any]] = {}
        self._lock = threading.Lock()
        defer(function, functools.partial(self.version, FLOATS[0]))  # float64 chains are rare: compiled when met

    def __call__(self, *arguments: Any) -> None:
        working = "f4" if self._telling is None else arguments[self._telling].dtype.str[1:]
        (self._compiled.get(working) or self.version(working))(*arguments)

    def version(self, working: str) -> Callable[..., Any]:
        """Return NumPy's own ufunc object for a working type: the call without numba's dispatcher."""
        with self._lock:
            if working not in self._compiled:
                self._compiled[working] = gufunc([self.signatures[working]], self.layout)(self.function).ufunc
            return self._compiled[working]


def _index(n_axes: int) -> str:
    """Return how numba's signatures write a contiguous array of so many axes."""
    return f"[{':,' * (n_axes - 1)}::1]" if n_axes else ""


@functools.cache
def numpy_ufunc(name: str) -> Processor:
    """Return NumPy's ufunc ``name`` (the last part of ``numpy.add``) as a processor.

    Raises
    ------
    ConfigError : if NumPy has no such ufunc
    """
    kernel = getattr(np, name, None)
    if not isinstance(kernel, np.ufunc) or kernel.signature is not None:
        raise ConfigError(f"numpy.{name} is not a NumPy ufunc; use one of the registered processors")
    types = ",".join("f" if kind in "fd" else kind for kind in _float_loop(kernel))
    layout = Layout(((),) * kernel.nin, ((),) * kernel.nout)
    arguments = tuple(f"x{i + 1}" for i in range(kernel.nin)) + tuple(f"out{i + 1}" for i in range(kernel.nout))
    n_in = kernel.nin

    def with_outputs(*operands: Any) -> None:
        kernel(*operands[:n_in], out=operands[n_in:])

    return Processor(f"numpy.{name}", layout, tuple(types.split(",")), arguments, with_outputs, kernel.__doc__ or "")


def _float_loop(kernel: np.ufunc) -> str:
    """Return the type letters of the float32 loop, or of the first loop if there is none."""
    for types in kernel.types:
        inputs, outputs = types.split("->")
        if set(inputs) == {"f"}:
            return inputs + outputs
    return str(kernel.types[0]).replace("->", "")


def get(name: str) -> Processor:
    """Return a processor by its registered name, as ``numpy.<ufunc>`` or as a foreign call; it is imported now.

    Raises
    ------
    ConfigError : if there is none of that name
    """
    if name.startswith("foreign:"):
        from pygama_core.dsp.foreign import foreign_processor

        return foreign_processor(name)
    if name.startswith("numpy."):
        return numpy_ufunc(name.removeprefix("numpy."))
    family = FAMILY_OF.get(name) or REWRITTEN_OF.get(name)
    if name not in _LOADED and family is not None:
        importlib.import_module(f"{PACKAGE}.{family}")
    if name not in _LOADED:
        close = difflib.get_close_matches(name, FAMILY_OF, 3)
        hint = f"did you mean {', '.join(close)}?" if close else f"there are {', '.join(sorted(FAMILY_OF))}"
        raise ConfigError(f"unknown processor {name!r}; {hint}")
    return _LOADED[name]


def load_all() -> list[str]:
    """Import every family; return the names of all processors."""
    for family in FAMILIES:
        importlib.import_module(f"{PACKAGE}.{family}")
    return sorted(name for name in _LOADED if name in FAMILY_OF)
