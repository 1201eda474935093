"""Faults of a compose project that the suite has rendered itself, so that files and disks are its own."""

from collections.abc import Callable, Iterable
from pathlib import Path

from conformance.faults import Heal
from conformance.faults.docker import DockerFaults, docker, once

BALLAST = "/data/conformance-ballast"


class RenderedFaults(DockerFaults):
    """Docker's faults; certificates that are renewed, nodes that are replaced by their new files, and full disks."""

    def __init__(
        self, project: str, nodes: Iterable[str], directory: Path, renew_certificates: Callable[[], object]
    ) -> None:
        """Keep the rendered directory, and what renders it again with new certificates."""
        super().__init__(project, nodes)
        self._directory = directory
        self._renew_certificates = renew_certificates

    @property
    def abilities(self) -> frozenset[str]:
        """More than Docker can do with a project of others."""
        return super().abilities | {"fill_disk", "renew_certificates"}

    def inject(self, fault: str, node: str) -> Heal:
        """Renewed certificates reach a node when it is replaced (`replace`); they are not taken back."""
        if fault == "fill_disk":
            return self._fill_disk(node)
        if fault == "renew_certificates":
            self._renew_certificates()
            return lambda: None
        if fault == "replace":
            docker("compose", "--project-directory", str(self._directory), "up", "--detach", "--no-deps", node)
            return lambda: None
        return super().inject(fault, node)

    def _fill_disk(self, node: str) -> Heal:
        """Write until nothing more fits; the volume is bounded, so nobody else's disk is."""
        inside = ("exec", self.container(node))
        docker(*inside, "sh", "-c", f"dd if=/dev/zero of={BALLAST} bs=4k 2>/dev/null; sync {BALLAST}")
        return once(lambda: docker(*inside, "rm", "-f", BALLAST))
