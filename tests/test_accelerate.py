"""The compiled-code cache: keyed by what it depends on, filled once by processes that start together."""

import os
import subprocess
import sys
from pathlib import Path

KERNEL = '''
from pygama_core.accelerate import jit

@jit("float64(float64)")
def twice(x):
    return 2 * x

if __name__ == "__main__":
    stats = twice.stats
    print(twice(2.0), sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
'''


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


def test_changed_source_has_its_own_cache(monkeypatch, tmp_path):
    from pygama_core import accelerate

    source = tmp_path / "kernels.py"
    source.write_text("from pygama_core.accelerate import jit")
    monkeypatch.setattr(accelerate, "PACKAGE", tmp_path)
    before = accelerate._cache_key()
    assert accelerate._cache_key() == before
    source.write_text("from pygama_core.accelerate import jit  # changed")
    assert accelerate._cache_key() != before


def test_complete_cache_is_not_locked(monkeypatch, tmp_path):
    from pygama_core import accelerate

    monkeypatch.setattr(accelerate, "CACHE", tmp_path)
    with accelerate._compile_lock(start):
        assert list(tmp_path.glob("*.lock"))
    next(tmp_path.glob("*.lock")).unlink()
    accelerate.mark_complete()
    with accelerate._compile_lock(start):
        assert not list(tmp_path.glob("*.lock"))
