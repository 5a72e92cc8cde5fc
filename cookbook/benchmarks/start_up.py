"""How long the command takes to begin: help, version, a completion, a usage error; and what it imports for that.

``python cookbook/benchmarks/start_up.py``; medians of so many runs as ``--repeat`` says.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

COMMAND = [sys.executable, "-m", "langchain_embedding_adapter.cli"]
COMPLETE = {"_EMBEDDING_ADAPTER_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
CASES = {
    "python -c pass": ([sys.executable, "-c", "pass"], {}),
    "--version": ([*COMMAND, "--version"], {}),
    "--help": ([*COMMAND, "--help"], {}),
    "run --help": ([*COMMAND, "run", "--help"], {}),
    "run --example": ([*COMMAND, "run", "--example"], {}),
    "completion in bash": (COMMAND, COMPLETE | {"COMP_WORDS": "embedding-adapter\ntrain\n--ad"}),
    "import of the library's trainer": ([sys.executable, "-c", "import langchain_embedding_adapter.trainer"], {}),
}
HEAVY = ("torch", "scipy", "numpy", "langchain_core", "langchain", "tqdm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    print("| what | seconds |\n|---|---:|")
    for name, (command, environment) in CASES.items():
        seconds = [once(command, {**os.environ, **environment}) for _ in range(repeat)]
        print(f"| {name} | {statistics.median(seconds):.2f} |")
    code = "import sys, langchain_embedding_adapter.cli; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    found = [name for name in HEAVY if name in imported.stdout.split()]
    print(f"\nimported before a command runs, of {', '.join(HEAVY)}: {', '.join(found) or 'none'}")


def once(command: list[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, env=environment, capture_output=True, check=False)  # noqa: S603
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
