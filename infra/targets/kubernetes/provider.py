"""What Pulumi's provider for Kubernetes does not do: look whether it can work, and wait for the whole.

A wait that ends in an error names the objects that are in its way, and why, long before a timeout of ten minutes.
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

from infra.outputs import place
from infra.targets.kubernetes.kubectl import (
    ANSWER_SECONDS,
    ClusterError,
    Complaint,
    Place,
    cluster_id,
    complaints,
    kubectl,
    try_again,
)
from infra.targets.shown import Props, in_one_sentence, own, say

ROLLOUT_SECONDS = 600
"""For one kind of pods; each waits until the one before it has copied everything."""
LOOK_SECONDS, LASTING_LOOKS = 15, 5
"""How often it is looked why pods do not run, and how often in a row something lasting is seen before it is told."""
FORMER = "plain"
"""Of a deployment that a former version made in one piece, by kubectl: its state holds the manifests."""


class PreflightProvider(ResourceProvider):
    """Makes nothing: refuses, in a preview already, what cannot work, and notes which cluster the stack is on."""

    serialize_as_secret_always = False  # a class name is no secret

    def check(self, _olds: Props, news: Props) -> CheckResult:
        """Refuse a cluster that is away, lacks a class that pods or volumes name, or has volumes of another form."""
        return CheckResult(news, [CheckFailure("", reason) for reason in _refusals(news)])

    @in_one_sentence(ClusterError)
    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        """Refuse another cluster than the one that is noted; note one if none is."""
        return DiffResult(changes=bool(_same_cluster(olds, news)) and not olds.get("cluster"))

    def create(self, props: Props) -> CreateResult:
        """Note the cluster."""
        return CreateResult("preflight", _noting(props))

    def update(self, _id: str, _olds: Props, news: Props) -> UpdateResult:
        """Note the cluster."""
        return UpdateResult(_noting(news))

    @in_one_sentence(ClusterError)
    def read(self, _id: str, props: Props) -> ReadResult:
        """Refuse a refresh from another cluster: it would find nothing, and forget everything."""
        _same_cluster(props, props)
        return ReadResult(_id, own(props))


class ManifestsProvider(ResourceProvider):
    """Waits until what was applied runs, and takes over what a former version has applied."""

    serialize_as_secret_always = False  # a class name is no secret

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        """Compare what was applied; another namespace is another deployment."""
        replaced = ["namespace"] if olds.get("namespace") != news.get("namespace") else []
        changed = any(olds.get(each, "") != news.get(each, "") for each in ("manifests", "cluster", "context"))
        return DiffResult(changes=changed or bool(replaced), replaces=replaced, delete_before_replace=True)

    @in_one_sentence(ClusterError)
    def create(self, props: Props) -> CreateResult:
        """Wait for everything."""
        _wait_for_all(props)
        return CreateResult(props["namespace"], own(props))

    @in_one_sentence(ClusterError)
    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        """Wait until the pods have been replaced, one by one."""
        if FORMER in olds:
            _take_over(olds, place(news), news["objects"])
        _wait_for_all(news)
        return UpdateResult(own(news))

    @in_one_sentence(ClusterError)
    def delete(self, _id: str, props: Props) -> None:
        """Remove what a former version has made: all else are resources of their own, which go after this one.

        On another cluster, none of them may go.
        """
        _same_cluster(props, props)
        if FORMER in props:
            kept = [each for each in _former(props) if props["deleteData"] or each["kind"] != "Namespace"]
            words = ("delete", "--ignore-not-found", "--wait", "-f", "-")
            kubectl(*place(props), *words, text=yaml.safe_dump_all(kept), timeout=300)


def identity(manifest: Props) -> str:
    """API group, kind and name; the namespace is the same for all."""
    return f"{manifest['apiVersion'].rpartition('/')[0]}/{manifest['kind']}/{manifest['metadata']['name']}"


def _noting(props: Props) -> Props:
    """The state with these inputs, and the id of the cluster."""
    return own(props) | {"cluster": cluster_id(place(props))}


def _same_cluster(noted: Props, props: Props) -> str:
    """The id of the cluster at `props`, empty if unknown.

    Raises:
        ClusterError: it is not the one that is noted.

    """
    found, wanted = cluster_id(place(props)), noted.get("cluster", "")
    if found and wanted and found != wanted:
        raise ClusterError(
            f"this stack is on another cluster: the namespace kube-system has the uid {wanted} there, and {found} here"
            "\nChoose that cluster with KUBECONFIG, or its context with kubernetes.context. If it is gone for good, "
            "docs/kubernetes.md says how the stack forgets it."
        )
    return found


def _refusals(props: Props) -> Iterator[str]:
    where = place(props)
    try:
        kubectl(*where, "get", "--raw", "/version", timeout=ANSWER_SECONDS)
        for needed in props["needs"]:
            _look_for(where, needed)
    except ClusterError as error:
        yield f"{error}\nIt is the cluster of kubernetes.context, or the current one; KUBECONFIG chooses another file."
        return
    try:
        if props["statefulSets"] and kubectl(
            *where, "get", "namespace", props["namespace"], "--ignore-not-found", timeout=ANSWER_SECONDS
        ):
            words = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-")
            kubectl(*where, *words, text=props["statefulSets"], timeout=ANSWER_SECONDS)
    except ClusterError as error:
        yield f"{error}\nWhat it cannot change has to stay as it was set; an existing volume keeps its size and class."


def _look_for(where: Place, needed: str) -> None:
    """Refuse what is not there; who may not look at objects of the whole cluster does not know."""
    try:
        kubectl(*where, "get", needed, timeout=ANSWER_SECONDS)
    except ClusterError as error:
        if "(Forbidden)" not in str(error):
            raise


def _wait_for_all(props: Props) -> None:
    where = place(props)
    try_again(where)
    for workload in props["workloads"]:
        say(f"waiting for {workload}")
        _wait(where, workload)


def _wait(where: Place, workload: str) -> None:
    """Wait until a workload is rolled out; what waiting does not help is not waited for as long.

    Raises:
        ClusterError: it is not in time; with the objects that are in its way, and why.

    """
    looks = ROLLOUT_SECONDS // LOOK_SECONDS
    lasting = 0
    for look in range(looks):
        try:
            words = ("rollout", "status", workload, f"--timeout={LOOK_SECONDS}s")
            kubectl(*where, *words, timeout=LOOK_SECONDS)
        except ClusterError as error:
            found = complaints(where)
            _let_go(where, found)
            lasting = lasting + 1 if any(each.lasting and not each.outdated for each in found) else 0
            if look + 1 < looks and lasting < LASTING_LOOKS:
                continue
            reasons = "\n".join(f"  {each}" for each in found)
            raise ClusterError(f"{error}\n{reasons}\nCorrect it, then run up again: it goes on from here.") from None
        return


def _let_go(where: Place, found: Sequence[Complaint]) -> None:
    """Delete pods of a former form that never can run: the new ones wait for these, and would wait for ever.

    The last one of each kind at a time: its StatefulSet makes it anew in the former form while later ones have that.
    """
    hopeless = sorted(each.about for each in found if each.outdated and each.lasting)
    last = {about.rpartition("-")[0]: about for about in hopeless}
    if last:
        kubectl(*where, "delete", "--wait=false", *last.values(), timeout=ANSWER_SECONDS)


def _take_over(olds: Props, where: Place, wanted: Sequence[str]) -> None:
    """Remove what is wanted no more, and give up kubectl's part in the rest, which Pulumi has applied now.

    What both have applied stays; what kubectl alone has applied, such as a field that is wanted no more, goes.
    """
    say("taking over what a former version has applied")
    former = list(_former(olds))
    gone = [each for each in former if identity(each) not in wanted]
    if gone:
        kubectl(*where, "delete", "--ignore-not-found", "-f", "-", text=yaml.safe_dump_all(gone), timeout=60)
    names = [
        {key: each[key] for key in ("apiVersion", "kind")}
        | {"metadata": {key: each["metadata"][key] for key in ("name", "namespace") if key in each["metadata"]}}
        for each in former
        if identity(each) in wanted
    ]
    kubectl(*where, "apply", "--server-side", "-f", "-", text=yaml.safe_dump_all(names), timeout=120)


def _former(props: Props) -> Iterator[Props]:
    """Every object of a former version's state."""
    for text in (*props["plain"].values(), props["secrets"]):
        yield from yaml.safe_load_all(text)
