"""A processor without AVX-512, as most people's are."""

import os
import sys

PLAIN = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


def use_plain() -> None:
    """Starts this program anew with the libraries told so, which read it when they are loaded."""
    if os.environ.get("ONEDNN_MAX_CPU_ISA") != PLAIN["ONEDNN_MAX_CPU_ISA"]:
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | PLAIN)
