"""The page of all processors is what the code says."""

import re

import pytest

from pygama_core.dsp import registry
from pygama_core.dsp.factories import FACTORIES
from pygama_core.dsp.reference_page import PAGE, main, page


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == page(), "run python -m pygama_core.dsp.reference_page"


def test_every_processor_and_factory_has_a_row():
    rows = re.findall(r"^\| `(\w+)` \|", page(), re.MULTILINE)
    assert set(rows) >= set(registry.load_all()) | set(FACTORIES)


def test_the_command_writes_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["reference_page", str(tmp_path / "p.md")])
    main()
    assert (tmp_path / "p.md").read_text() == page()


@pytest.mark.parametrize("name", sorted(registry.FAMILY_OF))
def test_documented_arguments_are_the_real_ones(name):
    processor = registry.get(name)
    assert processor.doc
    if "Parameters\n" in processor.doc:
        section = re.split(r"\n(?:Raises|Notes)\n-", processor.doc.split("Parameters\n", 1)[1])[0]
        entries = [n.strip() for line in re.findall(r"^(\w[\w, ]*) :", section, re.MULTILINE) for n in line.split(",")]
        assert entries == list(processor.arguments)
