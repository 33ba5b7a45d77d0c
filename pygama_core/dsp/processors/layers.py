"""Layers of small neural networks, and a support vector machine; weights are columns or ``db.`` values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pygama_core.dsp.processors._block import blank, letter, missing
from pygama_core.dsp.registry import processor
from pygama_core.errors import ProcessorError

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "s": lambda x: 1 / (1 + np.exp(-x)),
    "r": lambda x: np.maximum(x, 0),
    "l": lambda x: np.where(x < 0, 0.01 * x, x),
    "m": lambda x: np.logaddexp(0, x),
    "t": np.tanh,
}


def _activate(x: np.ndarray, function: np.ndarray) -> np.ndarray:
    name = letter(function)
    if name not in ACTIVATIONS:
        raise ProcessorError("unknown activation; there are s sigmoid, r ReLU, l leaky ReLU, m log(1 + exp(x)), t tanh")
    return ACTIVATIONS[name](x)


@processor("(n),(n,m),()->(m)", "f,f,i1->f", compiled=False)
def dense_layer_no_bias(x_in: np.ndarray, kernel: np.ndarray, activation_func: np.ndarray, x_out: np.ndarray) -> None:
    """Dense layer, ``f(x W)``.

    Parameters
    ----------
    x_in : (n,)
    kernel : (n, m); weights
    activation_func : character; s sigmoid, r ReLU, l leaky ReLU (slope 0.01), m log(1 + exp(x)), t tanh
    x_out : (m,); all NaN if any input is

    Raises
    ------
    ProcessorError : if the activation is unknown
    """
    x_out[...] = _activate((x_in[..., np.newaxis, :] @ kernel)[..., 0, :], activation_func)
    blank(x_out, missing(x_in))


@processor("(n),(n,m),(m),()->(m)", "f,f,f,i1->f", compiled=False)
def dense_layer_with_bias(
    x_in: np.ndarray, kernel: np.ndarray, bias: np.ndarray, activation_func: np.ndarray, x_out: np.ndarray
) -> None:
    """Dense layer, ``f(x W + b)``; see :func:`dense_layer_no_bias`.

    Parameters
    ----------
    x_in : (n,)
    kernel : (n, m); weights
    bias : (m,)
    activation_func : character; as for dense_layer_no_bias
    x_out : (m,); all NaN if any input is

    Raises
    ------
    ProcessorError : if the activation is unknown
    """
    x_out[...] = _activate((x_in[..., np.newaxis, :] @ kernel)[..., 0, :] + bias, activation_func)
    blank(x_out, missing(x_in))


@processor("(n),(n),()->()", "f,f,i1->f", compiled=False)
def classification_layer_no_bias(
    x_in: np.ndarray, kernel: np.ndarray, activation_func: np.ndarray, x_out: np.ndarray
) -> None:
    """Last layer with one output, ``f(x . w)``; see :func:`dense_layer_no_bias`.

    Parameters
    ----------
    x_in : (n,)
    kernel : (n,); weights
    activation_func : character; as for dense_layer_no_bias
    x_out : NaN if any input is

    Raises
    ------
    ProcessorError : if the activation is unknown
    """
    x_out[...] = _activate((x_in * kernel).sum(axis=-1), activation_func)


@processor("(n),(n),(),()->()", "f,f,f,i1->f", compiled=False)
def classification_layer_with_bias(
    x_in: np.ndarray, kernel: np.ndarray, bias: np.ndarray, activation_func: np.ndarray, x_out: np.ndarray
) -> None:
    """Last layer with one output, ``f(x . w + b)``; see :func:`dense_layer_no_bias`.

    Parameters
    ----------
    x_in : (n,)
    kernel : (n,); weights
    bias : one number
    activation_func : character; as for dense_layer_no_bias
    x_out : NaN if any input is

    Raises
    ------
    ProcessorError : if the activation is unknown
    """
    x_out[...] = _activate((x_in * kernel).sum(axis=-1) + bias, activation_func)


@processor("(n),(n),(n)->(n)", "f,f,f->f", compiled=False)
def normalisation_layer(x_in: np.ndarray, means: np.ndarray, variances: np.ndarray, x_out: np.ndarray) -> None:
    """Normalise inputs, ``(x - mean) / sqrt(variance)``.

    Parameters
    ----------
    x_in, means, variances : (n,)
    x_out : (n,); NaN where x_in is
    """
    x_out[...] = (x_in - means) / np.sqrt(variances)


@processor("(n),(v,n),(d,v),(p),(c),(c),()->()", "f,f8,f8,f8,f8,f8,f8->f", compiled=False)
def svm_vote(  # noqa: PLR0913 (what defines the machine)
    x_in: np.ndarray,
    vectors: np.ndarray,
    weights: np.ndarray,
    intercepts: np.ndarray,
    counts: np.ndarray,
    classes: np.ndarray,
    gamma: np.ndarray,
    label: np.ndarray,
) -> None:
    """Class of a support vector machine with radial kernel: each pair of classes votes, the lowest wins a tie.

    The factory svm_predict gives everything but ``x_in``.

    Parameters
    ----------
    x_in : (n,)
    vectors : (v, n); support vectors, sorted by class
    weights : (c - 1, v); their coefficients against each other class
    intercepts : (c (c - 1) / 2,); of the pairs 01, 02, ... 12, ...
    counts, classes : (c,); number of vectors and label of each class
    gamma : of the kernel ``exp(-gamma |x - y|**2)``
    label : one of ``classes``; NaN if any value of x_in is

    Notes
    -----
    Source: Chang and Lin, ACM Trans. Intell. Syst. Technol. 2 (2011) 27, doi:10.1145/1961189.1961199.
    """
    vectors, weights, intercepts, counts, classes = (
        a.reshape(a.shape[-k:]) for a, k in ((vectors, 2), (weights, 2), (intercepts, 1), (counts, 1), (classes, 1))
    )
    x = x_in.astype(np.float64)
    distance = (x * x).sum(axis=-1)[..., np.newaxis] + (vectors**2).sum(axis=-1) - 2 * x @ vectors.T
    similarity = np.exp(-gamma[..., np.newaxis] * distance)
    ends = np.concatenate([[0], np.cumsum(counts).astype(int)])
    parts = [slice(ends[i], ends[i + 1]) for i in range(len(classes))]
    votes = np.zeros((*x.shape[:-1], len(classes)))
    pairs = [(i, j) for i in range(len(classes)) for j in range(i + 1, len(classes))]
    for (i, j), intercept in zip(pairs, intercepts, strict=True):
        decision = similarity[..., parts[i]] @ weights[j - 1, parts[i]]
        decision += similarity[..., parts[j]] @ weights[i, parts[j]] + intercept
        votes[..., i] += decision > 0
        votes[..., j] += decision <= 0
    label[...] = np.where(missing(x), np.nan, classes[votes.argmax(axis=-1)])


@processor("(n)->()", "f->f", compiled=False)
def no_result(x_in: np.ndarray, out: np.ndarray) -> None:
    """NaN; what svm_predict and tf_model give without a file."""
    out[...] = np.nan
