"""The compose project as one resource of the engine: real check, diff, read, update and delete, no plugin to download.

Its inputs say how things are to be, its state how they were made. `containers` is an input that is always `running`;
`read` puts what it sees there, so that a refresh shows a stopped or altered container and the next `up` mends it.
"""

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from infra.targets.compose import files
from infra.targets.compose.engine import EngineError
from infra.targets.compose.observed import RUNNING, states
from infra.targets.compose.preflight import image_ids, refusals
from infra.targets.compose.rollout import RolloutError, roll, start, stop
from infra.targets.compose.wanted import Wanted
from infra.targets.shown import Props, in_one_sentence, own, say

COMPARED = ("files", "secretFiles", "imageIds", "containers", "deleteData")
"""Properties that make an update when they change."""

EXPECTED = (RolloutError, EngineError, OSError)


class ComposeProvider(ResourceProvider):
    """Moves rendered text into a compose project."""

    serialize_as_secret_always = False  # a class name is no secret

    @in_one_sentence(*EXPECTED)
    def check(self, olds: Props, news: Props) -> CheckResult:
        """Refuse, in a preview already, what cannot work; find out which images would run."""
        wanted = Wanted.of(news)
        failures = [CheckFailure("", reason) for reason in refusals(wanted, olds.get("imageIds") or {})]
        ids = {} if failures else image_ids(wanted.images)
        containers = dict.fromkeys(wanted.parts.all_names, RUNNING)
        return CheckResult({**news, "imageIds": ids, "containers": containers}, failures)

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        """Compare with what was made, or seen by the last refresh; another deployment is another project."""
        replaced = ["deployment"] if olds.get("deployment") != news.get("deployment") else []
        changed = any(olds.get(name) != news.get(name) for name in COMPARED)
        return DiffResult(changes=changed or bool(replaced), replaces=replaced, delete_before_replace=True)

    @in_one_sentence(*EXPECTED)
    def create(self, props: Props) -> CreateResult:
        """Write the files and start everything; also what a broken `up` has left half-made."""
        wanted = Wanted.of(props)
        try:
            files.write(wanted.project.directory, wanted.files)
            start(wanted.project, wanted.parts, say)
        except EXPECTED:
            say("removing what was started: a deployment that never came up is in no state and could not be destroyed")
            _remove(wanted, [])
            raise
        return CreateResult(wanted.project.name, _outs(props))

    @in_one_sentence(*EXPECTED)
    def read(self, id_: str, props: Props) -> ReadResult:
        """See what runs."""
        wanted = Wanted.of(props)
        seen = own(props) | {"containers": states(wanted)}
        return ReadResult(id_, dict(seen), dict(seen))

    @in_one_sentence(*EXPECTED)
    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        """Bring the deployment to its new files, node by node; back to the old ones if that does not work."""
        before, wanted = Wanted.of(olds), Wanted.of(news)
        one_by_one = _one_by_one(before, wanted)
        if not one_by_one:
            _stop(before)  # refused where a write could be lost: then everything runs on as it was
        try:
            _bring_up(wanted, one_by_one=one_by_one)
        except EXPECTED as error:
            _go_back(wanted, before, error)
        return UpdateResult(_outs(news))

    @in_one_sentence(*EXPECTED)
    def delete(self, _id: str, props: Props) -> None:
        """Stop and remove everything; the volumes with the sessions only where `deleteData` says so."""
        wanted = Wanted.of(props)
        files.write(wanted.project.directory, wanted.files)
        _remove(wanted, ["--volumes"] if wanted.delete_data else [])


def _remove(wanted: Wanted, data: list[str]) -> None:
    wanted.project.compose("down", "--remove-orphans", "--timeout", "30", *data)
    files.remove(wanted.project.directory)


def _one_by_one(before: Wanted, wanted: Wanted) -> bool:
    """Whether containers can be replaced one after the other.

    Compose cannot make a network internal, or public, while containers use it.
    """
    return wanted.parts.same_nodes(before.parts) and bool(wanted.ports) == bool(before.ports)


def _stop(running: Wanted) -> None:
    files.write(running.project.directory, running.files)
    stop(running.project, running.parts, say)


def _bring_up(wanted: Wanted, *, one_by_one: bool) -> None:
    files.write(wanted.project.directory, wanted.files)
    if one_by_one:
        roll(wanted.project, wanted.parts, states(wanted), say)
    else:
        start(wanted.project, wanted.parts, say)


def _go_back(wanted: Wanted, before: Wanted, error: Exception) -> None:
    say("that did not work: putting the previous files back")
    try:
        if not (one_by_one := _one_by_one(wanted, before)):
            _stop(wanted)
        _bring_up(before, one_by_one=one_by_one)
    except EXPECTED as second:
        message = f"{error}\nPutting the previous files back failed as well: {second}\nCorrect it, then run up again."
    else:
        message = f"{error}\nThe previous files are back in place, and what ran before runs again."
    raise RolloutError(message) from None


def _outs(props: Props) -> Props:
    return own(props) | {"imageIds": image_ids(props["images"])}
