"""Memory of a conversion does not depend on the size of the file."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "daq"))
from daq_streams import fcio_config, fcio_messages

CONVERT = """
import sys
from pathlib import Path
from pygama_core.tiers.daq_to_raw import daq_to_raw
summary = daq_to_raw(Path(sys.argv[1]), Path(sys.argv[2]))
# getrusage would tell the largest of this process and of the one that started it
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(sum(summary.rows.values()), int(status["VmHWM"].split()[0]) // 1024)
"""


def convert(tmp_path, n_bytes):
    """Convert a file of about ``n_bytes``; return the rows and the most memory that was used [MB]."""
    marker, config, event = fcio_messages(1, fcio_config(n_samples=20_000))
    daq, raw = tmp_path / "x.fcio", tmp_path / "x.lh5"
    n_events = n_bytes // len(event) // 50 * 50
    with daq.open("wb") as file:
        file.write(marker + config)
        for _ in range(n_events // 50):
            file.write(event * 50)
    result = subprocess.run(
        [sys.executable, "-c", CONVERT, str(daq), str(raw)], capture_output=True, text=True, check=True
    )
    n_rows, megabytes = map(int, result.stdout.split())
    assert n_rows == 3 * n_events
    daq.unlink()
    raw.unlink()
    return megabytes


def test_a_file_three_times_as_large_takes_as_much_memory(tmp_path):
    small = convert(tmp_path, 400_000_000)
    large = convert(tmp_path, 1_200_000_000)
    assert large - small < 150
    assert large < 1000
