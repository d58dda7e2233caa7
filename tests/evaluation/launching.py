"""Python processes of their own: with several virtual devices, or joined over loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]
RUNNING = str(TESTS / "evaluation" / "running.py")
"""What runs scenarios."""

LIMIT = 280
"""Seconds after which a process hangs."""


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    errors: str


def environment(devices: int = 1) -> dict[str, str]:
    """What a process is to know: this nirjax, the tests, so many virtual devices, and not to take long to compile."""
    return os.environ | {
        "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }


def launch(commands: list[list[str]], devices: int = 1) -> list[Ended]:
    """Runs Python with each list of arguments, all at the same time, each with so many virtual devices."""
    started = [
        subprocess.Popen([sys.executable, *command], env=environment(devices), stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    try:
        errors = [process.communicate(timeout=LIMIT)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    return [Ended(process.returncode, error) for process, error in zip(started, errors, strict=True)]


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
