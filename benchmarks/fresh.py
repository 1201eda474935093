"""Measures what a newcomer waits for: a clone of HEAD with an empty HOME, on this machine as it is.

    python3 -m benchmarks.fresh            make up, again without a change, and as a new deployment with the tools there
    python3 -m benchmarks.fresh --test     and the whole of make test, as CI runs it

Needs nothing but Python, git and make: what `make up` has to install is a part of the figure, so the report says what
was here before. Removes the deployment afterwards, also its volumes; what was installed for the whole machine stays.
Writes docs/reports/fresh.json and docs/reports/fresh.md.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PROJECT = "redis-session-kit-dev"
CACHES = ("VIRTUAL_ENV", "GOPATH", "GOCACHE", "GOMODCACHE", "PULUMI_HOME", "PULUMI_BACKEND_URL", "KIT_CACHE")
STEPS = (
    ("up", "`make up`, a clone with an empty HOME"),
    ("up", "`make up` again, nothing changed"),
    ("down", "`make down`"),
    ("up", "`make up`, a new deployment with tools and images there"),
    ("down", "`make down`"),
)
TEST = ("test", "`make test`, tools and images there")


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", action="store_true", help="measure make test as well")
    options = parser.parse_args()
    if output("docker", "ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}"):
        sys.exit(f"{PROJECT} runs here already: make down, then try again")
    command = "python3 -m benchmarks.fresh" + (" --test" if options.test else "")
    before = already_here()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        report = {
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command,
            "commit": output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"),
            "environment": {"cores": os.cpu_count(), "kernel": platform.release()} | before,
            "steps": measure(Path(place), [*STEPS, *([TEST] if options.test else [])]),
        }
    reports = ROOT / "docs" / "reports"
    (reports / "fresh.json").write_text(json.dumps(report, indent=2) + "\n")
    (reports / "fresh.md").write_text(as_text(report))
    print(as_text(report))


def already_here() -> dict[str, str]:
    """Return which of the slow things need not be installed."""
    images = output("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").split()
    return {
        "Docker engine": "was here" if output("docker", "info", "--format", "{{.ServerVersion}}") else "was not here",
        "Pulumi": "was here" if shutil.which("pulumi") else "was not here",
        "image redis:8": "was here" if "redis:8" in images else "was not here",
    }


def measure(place: Path, steps: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Run the steps in a new clone; each with its seconds, its last line, and how many files git sees changed."""
    clone, home = place / "kit", place / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    inherited = {name: value for name, value in os.environ.items() if name not in CACHES}
    done = []
    try:
        for target, what in steps:
            print(f"--- {what}", flush=True)
            began = time.monotonic()
            lines = run(["make", target], clone, {**inherited, "HOME": str(home), "CI": "true"})
            status = output("git", "-C", str(clone), "status", "--porcelain").splitlines()
            seconds = round(time.monotonic() - began, 1)
            done.append({"what": what, "seconds": seconds, "changed_files": len(status), "last_line": lines[-1]})
    finally:
        subprocess.run(["make", "down"], cwd=clone, env={**inherited, "HOME": str(home)}, check=False)
        volumes = output("docker", "volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}")
        subprocess.run(["docker", "volume", "rm", *volumes.split()], capture_output=True, check=False)
        subprocess.run(["chmod", "-R", "u+w", str(home)], check=False)  # modules of Go are read-only
    return done


def run(command: list[str], place: Path, environment: dict[str, str]) -> list[str]:
    """Run a command and show what it prints; its lines.

    Raises:
        SystemExit: it failed.
    """
    lines = [""]
    with subprocess.Popen(
        command,
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.strip():
                lines.append(line.strip())
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed with exit code {process.returncode}: no report is written")
    return lines


def output(*command: str) -> str:
    """Return what a command prints, or nothing where it fails or is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def as_text(report: dict[str, Any]) -> str:
    """Return the report for a reader."""
    known = ", ".join(f"{name} {value}" for name, value in report["environment"].items())
    rows = [f"| {step['what']} | {step['seconds']} s | {step['changed_files']} |" for step in report["steps"]]
    tests = [step["last_line"].strip("= ") for step in report["steps"] if step["what"] == TEST[1]]
    return "\n".join(
        [
            "# A fresh clone",
            "",
            f"Made by `{report['command']}` on {report['made']} at commit {report['commit']}: {known}.",
            "",
            "| what | time | files that git sees changed afterwards |",
            "|---|---|---|",
            *rows,
            *(f"\nThe tests' last line: {line}." for line in tests),
            "",
        ]
    )


if __name__ == "__main__":
    main()
