"""Fixtures of the decoder tests."""

import pytest
from daq_streams import Decoded


@pytest.fixture
def decode(tmp_path):
    """Return a function that decodes bytes, or a list of them, as a file."""
    return lambda content, **options: Decoded(content, tmp_path, **options)
