"""The compiled-code cache: keyed by what it depends on, filled once by processes that start together."""

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from pygama_core import accelerate

KERNEL = """
from pygama_core.accelerate import jit

@jit("float64(float64)")
def twice(x):
    return 2 * x

if __name__ == "__main__":
    stats = twice.stats
    print(twice(2.0), sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def start(script: Path, cache: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYGAMA_CORE_CACHE": str(cache)}
    return subprocess.Popen([sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True)


def test_processes_that_start_together_compile_once(tmp_path):
    script = tmp_path / "kernel.py"
    script.write_text(KERNEL)
    jobs = [start(script, tmp_path / "cache") for _ in range(4)]
    results = [job.communicate()[0].split() for job in jobs]
    assert all(job.returncode == 0 for job in jobs)
    assert [value for value, _, _ in results] == ["4.0"] * 4
    assert sum(int(misses) for _, _, misses in results) == 1
    assert sum(int(hits) for _, hits, _ in results) == 3


@pytest.fixture
def package(monkeypatch, tmp_path):
    """Return a directory in the place of the package, with two kernel modules of which one imports the other."""
    directory = tmp_path / "pygama_core"
    directory.mkdir()
    (directory / "inner.py").write_text("from pygama_core.accelerate import jit\n")
    (directory / "outer.py").write_text("from pygama_core.accelerate import jit\nfrom pygama_core.inner import f\n")
    monkeypatch.setattr(accelerate, "PACKAGE", directory)
    monkeypatch.setenv("PYGAMA_CORE_CACHE", str(tmp_path / "cache"))
    accelerate.cache_directory.cache_clear()
    yield directory
    accelerate.cache_directory.cache_clear()


@pytest.mark.parametrize(("changed", "affected"), [("inner", {"inner", "outer"}), ("outer", {"outer"})])
def test_cache_changes_with_every_source_the_code_depends_on(package, changed, affected):
    paths = {name: package / f"{name}.py" for name in ("inner", "outer")}
    before = {name: accelerate.cache_directory(path) for name, path in paths.items()}
    paths[changed].write_text(paths[changed].read_text() + "# changed\n")
    accelerate.cache_directory.cache_clear()
    after = {name: accelerate.cache_directory(path) for name, path in paths.items()}
    assert {name for name in paths if before[name] != after[name]} == affected


def test_complete_cache_is_not_locked(package):
    path = package / "inner.py"
    function = types.FunctionType(compile("pass", str(path), "exec"), {})
    directory = accelerate.cache_directory(path)
    with accelerate.compiling(function):
        assert list(directory.glob("*.lock"))
    next(directory.glob("*.lock")).unlink()
    accelerate.mark_complete(path)
    with accelerate.compiling(function):
        assert not list(directory.glob("*.lock"))
