"""Histograms: structs of weights, binning and isdensity."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygama_core.errors import LH5Error
from pygama_core.lh5.datatypes import HISTOGRAM_FIELDS
from pygama_core.lh5.node import Node
from pygama_core.lh5.types import Array, Axis, Histogram, LH5Object, Scalar, Struct


def is_histogram(node: Node) -> bool:
    """Whether a struct is a histogram: by its members, and by what the binning is made of."""
    if set(node.names()) != HISTOGRAM_FIELDS or not node.datatype.startswith("struct{"):
        return False
    binning = node.child("binning")
    axes = [binning.child(name) for name in binning.names()]
    return bool(axes) and all(axis.has("binedges") and axis.has("closedleft") for axis in axes)


def from_struct(weights: Any, node: Node) -> Histogram:
    """Make the histogram of its weights and the rest of its struct; raise LH5Error if they do not fit together."""
    binning = node.child("binning")
    # axis_2 before axis_10; Python counts from 0, Julia from 1
    names = sorted(binning.names(), key=lambda name: (len(name), name))
    axes = tuple(_axis(binning.child(name)) for name in names)
    is_density = bool(node.child("isdensity").value())
    if not isinstance(weights, Array):
        raise LH5Error(f"{node.where}: weights are a {type(weights).__name__}; a histogram needs an array")
    try:
        return Histogram(weights.values, axes, is_density, {**weights.attrs, **node.attrs})
    except LH5Error as error:
        raise LH5Error(f"{node.where}: {error}") from error


def _axis(node: Node) -> Axis:
    edges = node.child("binedges")
    closed_left = bool(node.child("closedleft").value())
    attrs = {**node.attrs, **edges.attrs}
    if not edges.is_group:
        return Axis(np.asarray(edges.value()), closed_left, attrs)
    values = {name: edges.child(name).value().item() for name in edges.names()}
    return Axis(_regular(values, edges), closed_left, attrs)


def _regular(values: dict[str, Any], node: Node) -> tuple[float, float, float]:
    """Return first, last, step of the three ways in which ranges are written."""
    match values:
        case {"first": first, "last": last, "step": step}:
            return first, last, step
        case {"first": first, "last": last, "length": length} if length > 1:
            return first, last, (last - first) / (length - 1)  # points, not bins
        case {"first": first, "last": last}:
            return first, last, 1
    raise LH5Error(f"{node.where} has {', '.join(values)}; edges need first and last with step or length, or a list")


def to_struct(histogram: Histogram) -> Struct:
    """Return the histogram as it is stored; axes count from 1, as the specification and Julia have it."""
    binning: dict[str, LH5Object] = {f"axis_{k}": _axis_struct(axis) for k, axis in enumerate(histogram.axes, start=1)}
    weights = Array(histogram.weights, {}, f"array<{histogram.weights.ndim}>{{real}}")
    members: dict[str, LH5Object] = {
        "binning": Struct(binning),
        "weights": weights,
        "isdensity": Scalar(histogram.is_density),
    }
    return Struct(members, histogram.attrs)


def _axis_struct(axis: Axis) -> Struct:
    if isinstance(axis.edges, tuple):
        named = zip(("first", "last", "step"), axis.edges, strict=True)
        edges: Struct | Array = Struct({name: Scalar(value) for name, value in named}, axis.attrs)
    else:
        edges = Array(axis.edges, axis.attrs)
    return Struct({"binedges": edges, "closedleft": Scalar(axis.closed_left)})
