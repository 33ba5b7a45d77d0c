"""Equality of LH5 objects: kind, type, attributes and every value."""

import numpy as np

from pygama_core import lh5


def assert_same(found, expected):
    """Assert that two objects are equal in everything."""
    assert type(found) is type(expected)
    assert found.attrs == expected.attrs
    {
        lh5.Scalar: _scalar,
        lh5.Array: _array,
        lh5.VectorOfVectors: _ragged,
        lh5.Histogram: _histogram,
        lh5.Struct: lambda a, b: _members(a.members, b.members),
        lh5.Table: _members,
    }[type(expected)](found, expected)


def _scalar(found, expected):
    assert type(found.value) is type(expected.value)
    assert found.value == expected.value
    assert found.element == expected.element


def _array(found, expected):
    assert found.values.dtype == expected.values.dtype
    assert found.datatype == expected.datatype
    np.testing.assert_array_equal(found.values, expected.values)


def _ragged(found, expected):
    np.testing.assert_array_equal(found.cumulative_length, expected.cumulative_length)
    assert found.element == expected.element
    if isinstance(expected.flattened_data, lh5.VectorOfVectors):
        assert_same(found.flattened_data, expected.flattened_data)
    else:
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found.flattened_data, expected.flattened_data)


def _histogram(found, expected):
    np.testing.assert_array_equal(found.weights, expected.weights)
    assert found.is_density == expected.is_density
    for a, b in zip(found.axes, expected.axes, strict=True):
        assert (a.closed_left, a.attrs) == (b.closed_left, b.attrs)
        assert isinstance(a.edges, tuple) == isinstance(b.edges, tuple)
        np.testing.assert_array_equal(a.bin_edges, b.bin_edges)


def _members(found, expected):
    assert set(found) == set(expected)
    for name in expected:
        assert_same(found[name], expected[name])
