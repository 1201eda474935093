"""The manifests of a deployment as one resource of the engine: server-side apply by kubectl, no plugin to download.

`live` is an input that is always `as applied`; `read` puts what it sees there, so that a refresh shows objects that
were changed or removed by hand, and the next `up` mends them.
"""

from collections.abc import Iterator, Sequence

import yaml
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from infra.targets.kubernetes.kubectl import ANSWER_SECONDS, ClusterError, Complaint, complaints, kubectl
from infra.targets.shown import Props, in_one_sentence, own, say

COMPARED = ("plain", "secrets", "live", "deleteData")
"""Properties that make an update when they change."""
AS_APPLIED, CHANGED = "as applied", "changed in the cluster"
WORKLOADS = ("statefulset/redis", "statefulset/sentinel", "deployment/session", "deployment/exporter")
ROLLOUT_SECONDS = 600
"""For one kind of pods; each waits until the one before it has copied everything."""
LOOK_SECONDS, LASTING_LOOKS = 15, 5
"""How often it is looked why pods do not run, and how often in a row something lasting is seen before it is told."""


class ManifestsProvider(ResourceProvider):
    """Makes a cluster agree with rendered manifests."""

    serialize_as_secret_always = False  # a class name is no secret

    def check(self, _olds: Props, news: Props) -> CheckResult:
        """Refuse, in a preview already, a cluster that is away or lacks a class that pods or volumes name."""
        failures = [CheckFailure("", reason) for reason in _refusals(news)]
        return CheckResult({**news, "live": AS_APPLIED}, failures)

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        """Compare with what was applied, or seen by the last refresh; another namespace is another deployment."""
        replaced = ["namespace"] if olds.get("namespace") != news.get("namespace") else []
        changed = any(olds.get(name) != news.get(name) for name in COMPARED)
        return DiffResult(changes=changed or bool(replaced), replaces=replaced, delete_before_replace=True)

    @in_one_sentence(ClusterError)
    def create(self, props: Props) -> CreateResult:
        """Apply everything and wait for it; what a broken `up` has left half-made is completed."""
        _apply(props)
        return CreateResult(props["namespace"], own(props))

    @in_one_sentence(ClusterError)
    def read(self, id_: str, props: Props) -> ReadResult:
        """See whether the cluster has what was applied."""
        difference = kubectl("diff", "--server-side", "-f", "-", text=_every(props), codes=(0, 1))
        seen = own(props) | {"live": CHANGED if difference else AS_APPLIED}
        return ReadResult(id_, dict(seen), dict(seen))

    @in_one_sentence(ClusterError)
    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        """Apply everything, wait until the pods have been replaced, one by one, and remove what is wanted no more."""
        _apply(news)
        _remove(olds, news)
        return UpdateResult(own(news))

    @in_one_sentence(ClusterError)
    def delete(self, _id: str, props: Props) -> None:
        """Remove everything; the namespace, with the volumes in it, only where `deleteData` says so."""
        words = ("delete", "--ignore-not-found", "--wait", "-f", "-")
        kept = [each for each in yaml.safe_load_all(_every(props)) if each["kind"] != "Namespace"]
        kubectl(*words, text=_every(props) if props["deleteData"] else yaml.safe_dump_all(kept), timeout=300)


def _refusals(props: Props) -> Iterator[str]:
    try:
        kubectl("get", "--raw", "/version", timeout=ANSWER_SECONDS)
        for needed in props["needs"]:
            kubectl("get", needed, timeout=ANSWER_SECONDS)
    except ClusterError as error:
        yield f"{error}\nThe cluster is that of `kubectl config current-context`; KUBECONFIG chooses another file."


def _apply(props: Props) -> None:
    say(f"applying the manifests to the namespace {props['namespace']}")
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=_every(props), timeout=120)
    for workload in WORKLOADS:
        say(f"waiting for {workload}")
        _wait(props["namespace"], workload)


def _wait(namespace: str, workload: str) -> None:
    """Wait until a workload is rolled out; what waiting does not help is not waited for as long.

    Raises:
        ClusterError: it is not in time; with the objects that are in its way, and why.

    """
    looks = ROLLOUT_SECONDS // LOOK_SECONDS
    lasting = 0
    for look in range(looks):
        try:
            words = ("rollout", "status", workload, f"--timeout={LOOK_SECONDS}s")
            kubectl("--namespace", namespace, *words, timeout=LOOK_SECONDS)
        except ClusterError as error:
            found = complaints(namespace)
            _let_go(namespace, found)
            lasting = lasting + 1 if any(each.lasting and not each.outdated for each in found) else 0
            if look + 1 < looks and lasting < LASTING_LOOKS:
                continue
            reasons = "\n".join(f"  {each}" for each in found)
            raise ClusterError(f"{error}\n{reasons}\nCorrect it, then run up again: it goes on from here.") from None
        return


def _let_go(namespace: str, found: Sequence[Complaint]) -> None:
    """Delete pods of a former form that never can run: the new ones wait for these, and would wait for ever.

    The last one of each kind at a time: its StatefulSet makes it anew in the former form while later ones have that.
    """
    hopeless = sorted(each.about for each in found if each.outdated and each.lasting)
    last = {about.rpartition("-")[0]: about for about in hopeless}
    if last:
        kubectl("--namespace", namespace, "delete", "--wait=false", *last.values(), timeout=ANSWER_SECONDS)


def _remove(olds: Props, news: Props) -> None:
    """Remove what was applied once and is in the manifests no more, such as an Ingress that is not wanted now."""
    kept = {_identity(each) for each in yaml.safe_load_all(_every(news))}
    gone = [each for each in yaml.safe_load_all(_every(olds)) if _identity(each) not in kept]
    if gone:
        kubectl("delete", "--ignore-not-found", "-f", "-", text=yaml.safe_dump_all(gone), timeout=60)


def _identity(manifest: Props) -> tuple[str, str, str]:
    """API group, kind and name; the namespace is the same for all."""
    return manifest["apiVersion"].rpartition("/")[0], manifest["kind"], manifest["metadata"]["name"]


def _every(props: Props) -> str:
    """All manifests: the namespace first, then Secrets, which the pods wait for."""
    namespace, *plain = (text for _, text in sorted(props["plain"].items()))
    return "".join([namespace, props["secrets"], *plain])
