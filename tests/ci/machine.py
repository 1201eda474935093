"""A machine for the scripts of ci/: those are real, in a copy of the checkout; the commands around them are not."""

import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
REAL_COMMANDS = (
    "base64 basename bash cat chmod cksum cp cut date dirname env find flock git grep head id install ln ls mkdir "
    "mktemp mv realpath rm sed setsid sh sha256sum sleep sort tail tar touch tr uname wc xargs"
)


class Machine:
    """A checkout, a home directory and a PATH that has the ordinary small commands and what a test puts there."""

    def __init__(self, root: Path) -> None:
        self.checkout = root / "checkout"
        self.home = root / "home"
        self.bin = root / "bin"
        self.calls = root / "calls"
        for directory in (self.home, self.bin):
            directory.mkdir()
        shutil.copytree(CHECKOUT / "ci", self.checkout / "ci")
        (self.checkout / "stacks").mkdir()
        (self.checkout / "stacks" / "Pulumi.dev.yaml").write_text("config:\n  redis-session-kit:target: compose\n")
        for file in ("pyproject.toml", "requirements.lock", "Pulumi.yaml", ".gitignore", ".gitattributes"):
            shutil.copy(CHECKOUT / file, self.checkout / file)
        for name in REAL_COMMANDS.split():
            (self.bin / name).symlink_to(str(shutil.which(name)))
        self.environment = {"HOME": str(self.home), "PATH": str(self.bin), "CALLS": str(self.calls)}

    @property
    def cache(self) -> Path:
        """Where the scripts put what they install."""
        return self.home / ".cache" / "redis-session-kit"

    def command(self, name: str, body: str) -> None:
        """Put a command on the PATH: a shell script that first writes its name and arguments to the file of calls."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"$CALLS"\n{body}\n')
        path.chmod(0o755)

    def called(self) -> list[str]:
        """All calls of such commands so far, in order."""
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Start a script (a path below ci/) or, with `-c`, a piece of bash that has sourced lib.sh."""
        if command[0] == "-c":
            arguments = ["bash", "-c", f"set -euo pipefail; . ci/lib.sh; {command[1]}"]
        else:
            arguments = ["bash", f"ci/{command[0]}", *command[1:]]
        return subprocess.Popen(
            arguments,
            cwd=self.checkout,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, **environment: str) -> tuple[int, str]:
        """Run such a script; its exit code, and all that it said."""
        process = self.start(*command, **environment)
        said, _ = process.communicate(timeout=60)
        return process.returncode, said
