from pathlib import Path

import pytest

from pygama_core.channelmap import Channel
from pygama_core.sim.settings import SimulationSettings, load_channelmap, load_settings

CONFIG = Path(__file__).resolve().parents[2] / "config"


@pytest.fixture(scope="session")
def settings() -> SimulationSettings:
    return load_settings(CONFIG / "simulation.yaml")


@pytest.fixture(scope="session")
def channels() -> dict[str, Channel]:
    return load_channelmap(CONFIG / "channelmap.yaml")


@pytest.fixture(scope="session")
def small(settings) -> SimulationSettings:
    """The demo experiment with few events in each cycle."""
    runs = [run.model_copy(update={"events": 300 if run.datatype == "cal" else 40}) for run in settings.runs]
    return settings.model_copy(update={"runs": runs})
