"""A Kubernetes cluster: 3 Redis, 3 Sentinels, the session service and the exporter in a namespace of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.dynamic import Resource

from infra.components.certificates import Certificates
from infra.components.credentials import Credentials, stack_secrets
from infra.render.kubernetes import Cluster, Object
from infra.render.kubernetes.charts import chart_of
from infra.render.kubernetes.documents import manifest
from infra.render.kubernetes.names import CHART_PODS
from infra.render.kubernetes.objects import digest
from infra.render.passwords import ADMIN_TOKEN, USERS
from infra.render.session_settings import login_secrets
from infra.spec import DeploymentSpec
from infra.targets.kubernetes.exported import outputs
from infra.targets.kubernetes.manifests import Manifests, check_names, manifests
from infra.targets.kubernetes.provider import ManifestsProvider, PreflightProvider, identity
from infra.targets.kubernetes.resources import WORKLOADS, resources, with_secrets

NAMES = ("passwords", "ca", "certificates", "given")
"""Of the parameters of `manifests`, in their order."""


class Preflight(Resource, module="kubernetes", name="Preflight"):
    """What has to be in the cluster before anything is made there."""

    cluster: pulumi.Output[str]
    """Its unique id; empty if that may not be looked at."""

    def __init__(self, name: str, props: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        """`props` as PreflightProvider takes them."""
        super().__init__(PreflightProvider(), name, {**props, "cluster": None}, opts)


class AppliedManifests(Resource, module="kubernetes", name="AppliedManifests"):
    """That what was applied runs. The name is that of the resource that once applied it, and takes its place."""

    def __init__(self, name: str, props: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        """`props` as ManifestsProvider takes them."""
        super().__init__(ManifestsProvider(), name, dict(props), opts)


class KubernetesDeployment(pulumi.ComponentResource):
    """A deployment on the cluster of the user's kubeconfig."""

    outputs: Mapping[str, Any]
    """As infra.outputs describes them."""

    def __init__(self, name: str, spec: DeploymentSpec, opts: pulumi.ResourceOptions | None = None) -> None:
        """Deploy `spec` to the namespace of `name`."""
        super().__init__("redis-session-kit:kubernetes:KubernetesDeployment", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        cluster = Cluster(spec, name)
        check_names(cluster)
        certificates = Certificates(f"{name}-tls", cluster.own_certificates, child)
        authority = cluster.target.certificate_authority or certificates.ca_pem
        passwords, *others = _passwords(name, cluster.target.password_generation, child)
        rendered = pulumi.Output.all(
            passwords=dict(passwords),
            others=[dict(each) for each in others],
            ca=authority,
            certificates={part: [each.cert_pem, each.key_pem] for part, each in certificates.nodes.items()},
            given=stack_secrets(login_secrets(spec).values()),
        ).apply(lambda known: manifests(cluster, *(known[name] for name in NAMES), *known["others"]))
        shape = with_secrets(cluster, "").every
        stateful_sets = manifest([each for each in shape if each["kind"] == "StatefulSet"])
        where = {"context": cluster.target.context, "namespace": cluster.namespace}
        preflight = Preflight(
            f"{name}-preflight",
            {**where, "needs": _needs(cluster), "statefulSets": stateful_sets},
            child,
        )
        made = resources(cluster, preflight.cluster, rendered, preflight, child)
        AppliedManifests(
            f"{name}-manifests",
            {
                **where,
                "cluster": preflight.cluster,
                "objects": [identity(each) for each in shape],
                "workloads": _workloads(cluster, shape),
                "manifests": pulumi.Output.unsecret(rendered.apply(lambda known: _digest(cluster, known))),
            },
            pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=made)),
        )
        self.outputs = outputs(cluster, authority, passwords)
        self.register_outputs(dict(self.outputs))


def _passwords(name: str, generation: int, child: pulumi.ResourceOptions) -> list[Mapping[str, pulumi.Output[str]]]:
    """Passwords of a generation, and of the one before and the next: nodes take all, whoever is replaced first.

    The service's own token has no generations; it stands among the first.
    """
    neighbours = range(max(1, generation - 1), generation + 2)
    first = Credentials(f"{name}-users", [*(USERS if 1 in neighbours else ()), ADMIN_TOKEN], child).passwords
    known = {
        each: first if each == 1 else Credentials(f"{name}-users-{each}", USERS, child).passwords for each in neighbours
    }
    now = {**known[generation], ADMIN_TOKEN: first[ADMIN_TOKEN]}
    return [now, *(each for number, each in known.items() if number != generation)]


def _workloads(cluster: Cluster, shape: Sequence[Object]) -> list[str]:
    """What runs at the end, as kubectl names it, in the order in which one waits for another."""
    own = [f"{each['kind'].lower()}/{each['metadata']['name']}" for each in shape if each["kind"] in WORKLOADS]
    return [f"statefulset/{CHART_PODS[cluster.chart][0]}", *own] if cluster.chart else own


def _digest(cluster: Cluster, rendered: Manifests) -> str:
    """Of all that decides what pods are like."""
    if not cluster.chart:
        return digest(rendered.every)
    chart = chart_of(cluster)
    return digest([*rendered.every, rendered.values, chart.reference, chart.repository, chart.version])


def _needs(cluster: Cluster) -> list[str]:
    """What must be in the cluster before, as kubectl names it."""
    classes = {
        "namespace": "" if cluster.target.create_namespace else cluster.namespace,
        "storageclass": cluster.target.storage_class,
        "priorityclass": cluster.target.priority_class,
        "ingressclass": cluster.target.ingress_class,
    }
    issuer_kind, _, issuer = cluster.target.certificate_issuer.partition("/")
    if issuer_kind == "ClusterIssuer":  # an Issuer is in the namespace, which may be yet to come
        classes["clusterissuer.cert-manager.io"] = issuer
    return [f"{kind}/{name}" for kind, name in classes.items() if name]
