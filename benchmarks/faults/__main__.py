"""Every kind of fault, or those named, one after the other.

    python -m benchmarks.faults [KIND...]

The exit code is 1 if one of them found a fault.
"""

import subprocess
import sys
from pathlib import Path

KINDS = ("kills", "disk", "files", "archives", "tables", "tampering", "surroundings")


def main(kinds: list[str]) -> int:
    """Runs each kind in a process of its own, as some of them change theirs."""
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise SystemExit(f"{unknown[0]}: no such kind; known are {', '.join(KINDS)}")
    failed = False
    for kind in kinds or KINDS:
        print(f"== {kind}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.faults.{kind}"]
        failed |= subprocess.run(command, cwd=Path(__file__).parents[2], check=False).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
