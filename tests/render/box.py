"""A container in miniature for the entrypoints: the real script under a real shell, and a world of fakes around it.

The scripts run with a PATH of ordinary small commands and of four fakes: `redis-cli` answers from what a test has said
about the world, `redis-server` and `redis-sentinel` note how they were started, and `sleep` moves a clock of its own
instead of waiting. So a test may say what the world is like at second 0 and at second 7, and takes milliseconds.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from infra.render.entrypoints import script
from infra.render.topology import Node, topology
from tests.render.deployments import SPECS, every

PARTS = topology(SPECS["default"])
COMMANDS = "awk basename cat chmod cp cut env grep head kill mkdir mv od rm sed sha256sum sort stat tail tr uniq"
PRIMARY = "role:master\nconnected_slaves:0\nmaster_repl_offset:100"
REFUSED = None
"""Nobody listens there."""
HANGS = "!hang"
"""Somebody listens there and never answers."""
HELD_UP = "!held"
"""The question itself does not come to its end, as long as this test has patience."""
NOAUTH = "NOAUTH Authentication required."
NOBODY = "nobody"
DEFAULT_UNTIL = 8

Answers = Mapping[str, str | None]
"""Answer of one address by command; REFUSED for no listener."""


def replica(priority: int = 100) -> str:
    """INFO of a replica; priority 0 is what the entrypoint gives one that has not synced yet."""
    return f"role:slave\nmaster_link_status:down\nslave_priority:{priority}"


def waiting(held: int, votes: str = NOBODY) -> str:
    """A node in the waiting room that holds data of that time, 0 for none, and votes for the node of that name."""
    return f"!room {held}={votes if votes == NOBODY else node_called(votes)}"


FAKES = {
    "redis-cli": r"""
echo "redis-cli $*" >>"$BOX/argv"
address=$2:$4 user=$9; shift 10
if [ "$user" = local ]; then
  [ -e "$BOX/server.pid" ] || [ -e "$BOX/room.pid" ] || exit 1
  echo "$*" >>"$BOX/local"
  echo OK
  exit
fi
read -r second <"$BOX/clock"
while [ ! -d "$BOX/world/$second" ]; do second=$((second - 1)); done
IFS=_
answer=$BOX/world/$second/$address/$*
if [ -e "$answer!hang" ]; then
  if [ "$BOUNDED" ]; then exec "$REAL_SLEEP" 0.2; else exec "$REAL_SLEEP" 60; fi
fi
[ ! -e "$answer!held" ] || exec "$REAL_SLEEP" 60
[ -e "$answer" ] || exit 1
while IFS= read -r line; do printf '%s\n' "$line"; done <"$answer"
""",
    "redis-server": r"""
echo "redis-server $*" >>"$BOX/argv"
case $1 in
  */room/*)
    cp "$1" "$BOX/room.conf"; cp "${1%/*}/users.acl" "$BOX/room.acl"
    [ -e "$BOX/deaf" ] || echo $$ >"$BOX/room.pid"
    exec "$REAL_SLEEP" 60 ;;
esac
if [ -e "$BOX/room.pid" ] && kill -0 "$(cat "$BOX/room.pid")" 2>/dev/null; then echo yes >"$BOX/room.left"; fi
cp "$1" "$BOX/server.conf"
env >"$BOX/server.environ"
echo $$ >"$BOX/server.pid"
cat "$BOX/clock" >"$BOX/server.second"
[ "$SERVE" ] || exit 0
trap 'echo yes >"$BOX/stopped"; exit 0' TERM
idle=0
while [ "$idle" -lt 60 ] && ! grep -qs '^CONFIG SET' "$BOX/local"; do
  before=$(cat "$BOX/clock")
  "$REAL_SLEEP" 0.02
  if [ "$before" = "$(cat "$BOX/clock")" ]; then idle=$((idle + 1)); else idle=0; fi
done
""",
    # As of a file that is well formed, unless a test says otherwise.
    "redis-check-aof": r"""
echo "redis-check-aof $*" >>"$BOX/argv"
[ ! -e "$BOX/broken" ]
""",
    "redis-sentinel": r"""
echo "redis-sentinel $*" >>"$BOX/argv"
cp "$1" "$BOX/server.conf"
env >"$BOX/server.environ"
""",
    "timeout": r"""
command=${0%/*}/$2 BOUNDED=1
shift 2
. "$command"
""",
    # Each look at the clock takes a second.
    "date": r"""
[ "$1" = +%s ] || exec "$REAL_DATE" "$@"
read -r second <"$BOX/clock"
echo $((second + 1)) >"$BOX/clock"
echo "$second"
""",
    # A second is a step of the clock. Less than a second is a wait for a process, and that is real. At UNTIL the
    # container is told to stop.
    "sleep": r"""
case $1 in 0.*) exec "$REAL_SLEEP" 0.01 ;; esac
read -r second <"$BOX/clock"
second=$((second + $1))
echo "$second" >"$BOX/clock"
[ "$second" -lt "$UNTIL" ] || kill "$PPID"
""",
}


@dataclass(frozen=True)
class Shell:
    """A POSIX shell and the small commands that come with it."""

    name: str
    words: Sequence[str]

    def __str__(self) -> str:
        return self.name

    @property
    def multi_call(self) -> str | None:
        """The one program that all small commands are, or nothing where each is its own."""
        return self.words[0] if self.name == "busybox" else None


def shells() -> list[Shell]:
    """Every shell of this machine that a container might run the scripts with."""
    known = {"dash": ["dash"], "busybox": ["busybox", "sh"], "bash": ["bash", "--posix"]}
    return [
        Shell(name, [str(shutil.which(words[0])), *words[1:]])
        for name, words in known.items()
        if shutil.which(words[0])
    ]


@dataclass(frozen=True)
class Outcome:
    """What a script came to."""

    exit_code: int
    log: str
    output: str
    conf: str | None
    """The configuration that the server was started with, or nothing where it was not started."""
    environ: str
    second: int
    """Of the fake clock, when the server was started or the container stopped."""

    @property
    def stopped(self) -> bool:
        """Whether it was still waiting when the container was stopped."""
        return self.conf is None and self.exit_code in {-signal.SIGTERM, 128 + signal.SIGTERM}

    @property
    def role(self) -> str:
        """What came of a Redis node.

        `primary`, `replica of HOST PORT`, `candidate for HOST PORT` (a replica that may be promoted), `waiting`,
        or `failed`.
        """
        if self.conf is not None:
            lines = self.conf.splitlines()
            followed = [line.removeprefix("replicaof ") for line in lines if line.startswith("replicaof ")]
            if not followed:
                return "primary"
            return f"{'replica of' if 'replica-priority 0' in lines else 'candidate for'} {followed[0]}"
        return "waiting" if self.stopped else "failed"


class Box:
    """One node's container."""

    def __init__(self, root: Path, shell: Shell, node: Node, program: str) -> None:
        """Put the rendered files of `node` in place; `program` is the name of the script."""
        self.root, self.shell, self.node = root, shell, node
        self.itself = Node("127.0.0.1", node.port)
        self.kit, self.run_dir, self.data = root / "kit", root / "run", root / "data"
        self.data.mkdir(parents=True)
        for path, text in every("default").items():
            folder, _, name = path.partition("/")
            if folder == node.name:
                target = self.kit / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
                target.chmod(0o444)
        (root / "script.sh").write_text(script(program))
        (root / "clock").write_text("0")
        self._commands()
        self.world()

    def _commands(self) -> None:
        bin_dir = self.root / "bin"
        bin_dir.mkdir()
        for name in COMMANDS.split():
            if real := self.shell.multi_call or shutil.which(name):
                (bin_dir / name).symlink_to(real)
        for name, body in FAKES.items():
            (bin_dir / name).write_text(f"#!/bin/sh\n{body}")
            (bin_dir / name).chmod(0o755)

    def note_every_command(self) -> None:
        """Note the arguments of the small commands too, not only those of the fakes."""
        for path in (self.root / "bin").iterdir():
            if path.is_symlink():
                real = path.readlink()
                path.unlink()
                call = f"{real} {path.name}" if self.shell.multi_call else str(real)
                path.write_text(f'#!/bin/sh\nprintf "%s\\n" "{path.name} $*" >>"$BOX/argv"\nexec {call} "$@"\n')
                path.chmod(0o755)

    def use_engine(self, engine: str) -> None:
        """Put the fakes under the names of another engine's programs."""
        for name in ("cli", "server", "sentinel", "check-aof"):
            (self.root / "bin" / f"redis-{name}").rename(self.root / "bin" / f"{engine}-{name}")

    def world(self, at: int = 0, /, *, named: str | Sequence[str | None] | None = None, **nodes: str | None) -> None:
        """Say what the world is like from second `at` on.

        `named` is the node that the Sentinels call the primary: one name for all of them, or one for each of them;
        REFUSED for one that is not there. `nodes` are PRIMARY, replica(), waiting(), HANGS, NOAUTH or REFUSED, by
        name (`redis_2`); who is not mentioned is not there.
        """
        names = named if isinstance(named, Sequence) and not isinstance(named, str) else [named] * len(PARTS.sentinels)
        for sentinel, name in zip(PARTS.sentinels, names, strict=True):
            self.answers(sentinel, {f"SENTINEL GET-MASTER-ADDR-BY-NAME {PARTS.master_name}": naming(name)}, at)
        for each, state in nodes.items():
            node = node_called(each.replace("_", "-"))
            if state and state.startswith("!room "):
                room = Node(node.name, node.port + 10000)
                self.answers(room, {"GET kit:state": state.removeprefix("!room ")}, at)
            else:
                self.answers(node, {"INFO replication": state}, at)

    def answers(self, address: Node, by_command: Answers, at: int = 0) -> None:
        """Say how one address answers from second `at` on, beside what `world` says."""
        for command, text in by_command.items():
            folder = self.root / "world" / str(at) / str(address)
            folder.parent.mkdir(parents=True, exist_ok=True)
            if text is not None:
                folder.mkdir(exist_ok=True)
                file = command.replace(" ", "_") + (text if text in {HANGS, HELD_UP} else "")
                (folder / file).write_text(text.replace("\n", "\r\n") + "\r\n")

    def holds(self, time: int, name: str = "appendonly.aof.1.incr.aof") -> None:
        """Put an append-only file on the disk whose last write was at that Unix time."""
        path = self.data / "appendonlydir" / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (time, time))

    def does_not_hear_itself(self) -> None:
        """Let the waiting room refuse this node, as where its certificate is of another authority."""
        (self.root / "deaf").touch()

    def breaks(self) -> None:
        """Let the append-only file be one that the server refuses."""
        (self.root / "broken").touch()

    def run(self, *words: str, until: int = DEFAULT_UNTIL, serve: bool = False, **environment: str) -> Outcome:
        """Run the script to its end: a started server, an exit, or a stop of the container at second `until`.

        With `serve` the server runs on until its replica priority is set, or until nobody waits for anything.
        """
        settings = {
            "PATH": str(self.root / "bin"),
            "BOX": str(self.root),
            "REAL_SLEEP": str(shutil.which("sleep")),
            "REAL_DATE": str(shutil.which("date")),
            "BOUNDED": "",
            "UNTIL": str(until),
            "SERVE": "1" if serve else "",
            "KIT_DIR": str(self.kit),
            "KIT_RUN_DIR": str(self.run_dir),
            "KIT_DATA_DIR": str(self.data),
            "NODE": self.node.name,
            "NODES": " ".join(map(str, PARTS.redis)),
            "SENTINELS": " ".join(map(str, PARTS.sentinels)),
            "MASTER_NAME": PARTS.master_name,
            "SENTINEL_GRACE": "1",
            "ABSENT_GRACE": "2",
            "SYNC_GRACE": "3",
        }
        (self.root / "clock").write_text("0")
        for left in ("server.conf", "server.pid", "server.second", "room.pid", "local"):
            (self.root / left).unlink(missing_ok=True)
        process = subprocess.Popen(
            [*self.shell.words, str(self.root / "script.sh"), *words],
            env=settings | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        patience = Timer(30, kill_group, [process.pid])
        patience.start()
        try:
            process.wait()  # a wait with a timeout polls
        finally:
            patience.cancel()
            # Whatever has outlived it: the room of a script that failed, the watcher of a replica.
            kill_group(process.pid)
        output, log = process.communicate()
        return Outcome(
            exit_code=process.returncode,
            log=log,
            output=output,
            conf=self.noted("server.conf") or None,
            environ=self.noted("server.environ"),
            second=int(self.noted("server.second") or until),
        )

    @property
    def votes(self) -> list[str]:
        """Whom this node voted for, one after the other; NOBODY at first."""
        published = [line for line in self.noted("local").splitlines() if line.startswith("SET kit:state ")]
        return [line.partition("=")[2].partition(":")[0] for line in published]

    def noted(self, name: str) -> str:
        """What the fakes have noted under `name`, nothing if they have not."""
        path = self.root / name
        return path.read_text() if path.exists() else ""


def kill_group(pid: int) -> None:
    """End what is left of a process group."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def node_called(name: str) -> Node:
    """The node or Sentinel of that name."""
    return next(node for node in (*PARTS.redis, *PARTS.sentinels) if node.name == name)


def naming(name: str | None) -> str | None:
    """A Sentinel's answer that `name` is the primary; HANGS and NOAUTH are answers as they are."""
    if name in {REFUSED, HANGS, HELD_UP, NOAUTH}:
        return name
    return f"{name}\n{6378 + int(str(name).rpartition('-')[2])}"
