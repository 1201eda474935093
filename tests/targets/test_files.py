"""The rendered project on disk."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.targets.compose import files

RENDERED = {"compose.yaml": "services: {}\n", "redis-1/redis.conf": "port 0\n", "redis-1/tls/node.key": "key\n"}


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file of this process can grow beyond `limit` bytes: a write fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_only_the_directory_guards_the_files_which_other_users_in_containers_must_read(tmp_path: Path) -> None:
    files.write(tmp_path / "stack", RENDERED)

    assert (tmp_path / "stack").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "stack" / "redis-1").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "stack" / "redis-1" / "tls" / "node.key").stat().st_mode & 0o777 == 0o444


def test_a_file_that_is_no_longer_rendered_goes(tmp_path: Path) -> None:
    files.write(tmp_path, RENDERED)
    files.write(tmp_path, {"compose.yaml": "services: {}\n"})

    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [".env", "compose.yaml"]


def test_an_unchanged_file_is_not_written_again(tmp_path: Path) -> None:
    files.write(tmp_path, RENDERED)
    before = (tmp_path / "redis-1" / "redis.conf").stat().st_ino
    files.write(tmp_path, RENDERED | {"compose.yaml": "services: {a: {}}\n"})

    assert (tmp_path / "redis-1" / "redis.conf").stat().st_ino == before


def test_the_services_whose_files_were_altered_or_lost_are_named(tmp_path: Path) -> None:
    files.write(tmp_path, RENDERED)
    (tmp_path / "redis-1" / "redis.conf").unlink()

    assert files.altered(tmp_path, RENDERED) == {"redis-1"}

    (tmp_path / "compose.yaml").chmod(0o600)
    (tmp_path / "compose.yaml").write_text("")
    assert files.altered(tmp_path, RENDERED) == {"redis-1", ""}


def test_a_half_written_directory_is_completed(tmp_path: Path) -> None:
    files.write(tmp_path, RENDERED)
    (tmp_path / "redis-1" / "tls" / "node.key").unlink()
    (tmp_path / "redis-1" / ".redis.conf.half").write_text("por")

    files.write(tmp_path, RENDERED)

    assert files.altered(tmp_path, RENDERED) == set()
    assert not (tmp_path / "redis-1" / ".redis.conf.half").exists()


def test_a_full_disk_leaves_each_file_old_or_new_and_no_remains(tmp_path: Path) -> None:
    files.write(tmp_path, RENDERED)
    larger = RENDERED | {"redis-1/redis.conf": "port 0\n" * 100}

    with pytest.raises(OSError, match="too large"), full_disk(64):
        files.write(tmp_path, larger)

    assert (tmp_path / "redis-1" / "redis.conf").read_text() == RENDERED["redis-1/redis.conf"]
    assert [path.name for path in tmp_path.rglob(".*") if path.name != ".env"] == []


def test_a_changed_secret_changes_the_hash_of_its_service_alone() -> None:
    before = files.hashes(RENDERED | {"redis-2/auth.conf": "a"})
    after = files.hashes(RENDERED | {"redis-2/auth.conf": "b"})

    assert before.splitlines()[0] == after.splitlines()[0]
    assert before.splitlines()[1] != after.splitlines()[1]
