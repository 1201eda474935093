"""The manifests of a deployment as one resource of the engine: server-side apply by kubectl, no plugin to download.

`live` is an input that is always `as applied`; `read` puts what it sees there, so that a refresh shows objects that
were changed or removed by hand, and the next `up` mends them.
"""

from collections.abc import Iterator

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

from infra.targets.kubernetes.kubectl import ANSWER_SECONDS, ClusterError, complaints, kubectl
from infra.targets.shown import Props, in_one_sentence, own, say

COMPARED = ("plain", "secrets", "live", "deleteData")
"""Properties that make an update when they change."""
AS_APPLIED, CHANGED = "as applied", "changed in the cluster"
WORKLOADS = ("statefulset/redis", "statefulset/sentinel", "deployment/session", "deployment/exporter")
ROLLOUT_SECONDS = 600
"""For one kind of pods; each waits until the one before it has copied everything."""


class ManifestsProvider(ResourceProvider):
    """Makes a cluster agree with rendered manifests."""

    serialize_as_secret_always = False  # a class name is no secret

    def check(self, _olds: Props, news: Props) -> CheckResult:
        """Refuse, in a preview already, a cluster that is away or lacks the class of the volumes."""
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
    def update(self, _id: str, _olds: Props, news: Props) -> UpdateResult:
        """Apply everything and wait until the pods have been replaced, one by one."""
        _apply(news)
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
        if props["storageClass"]:
            kubectl("get", "storageclass", props["storageClass"], timeout=ANSWER_SECONDS)
    except ClusterError as error:
        yield f"{error}\nThe cluster is that of `kubectl config current-context`; KUBECONFIG chooses another file."


def _apply(props: Props) -> None:
    namespace = props["namespace"]
    say(f"applying the manifests to the namespace {namespace}")
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=_every(props), timeout=120)
    for workload in WORKLOADS:
        say(f"waiting for {workload}")
        words = ("rollout", "status", workload, f"--timeout={ROLLOUT_SECONDS}s")
        try:
            kubectl("--namespace", namespace, *words, timeout=ROLLOUT_SECONDS)
        except ClusterError as error:
            reasons = "\n".join(f"  {reason}" for reason in complaints(namespace))
            raise ClusterError(f"{error}\n{reasons}\nCorrect it, then run up again: it goes on from here.") from None


def _every(props: Props) -> str:
    """All manifests: the namespace first, then Secrets, which the pods wait for."""
    namespace, *plain = (text for _, text in sorted(props["plain"].items()))
    return "".join([namespace, props["secrets"], *plain])
