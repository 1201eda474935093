"""A resource of Pulumi's provider for Kubernetes for each object of a deployment."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.helm.v4 import Chart, RepositoryOptsArgs

from infra.render.kubernetes import Cluster, Object
from infra.render.kubernetes.charts import chart_of
from infra.render.passwords import ADMIN_TOKEN, USERS
from infra.targets.kubernetes.manifests import Manifests, chart_values, manifests

FORCED = {"pulumi.com/patchForce": "true"}
"""What others have changed is set right, as by kubectl's `--force-conflicts`; so is what a former version applied."""
NOT_AWAITED = {"pulumi.com/skipAwait": "true"}
"""Pods wait for each other, and a Service or an Ingress for pods or a controller: one that is awaited keeps others from
being made. All are waited for at the end (`ManifestsProvider`)."""
GONE_AT_ONCE = {"pulumi.com/deletionPropagationPolicy": "background"}
"""Else an object that is not awaited is left in deletion, and an `up` meanwhile would apply it to no effect."""
CHECKOUT = Path(__file__).parents[3]
WORKLOADS = ("StatefulSet", "Deployment")


def resources(
    cluster: Cluster,
    identifier: pulumi.Output[str],
    rendered: pulumi.Output[Manifests],
    needed: pulumi.Resource,
    child: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Every object of `rendered`, once `needed` is there: the namespace, what pods read and are reached by, then pods.

    ConfigMaps and Secrets change in place: by default a change replaces them, and with them all that depends on them.
    So does another address of the cluster, unless its `identifier` is the same.
    """
    provider = kubernetes.Provider(
        f"{cluster.name}-cluster",
        context=cluster.target.context or None,
        cluster_identifier=identifier,
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        opts=child,
    )

    def after(before: Sequence[pulumi.Resource], *, kept: bool = False) -> pulumi.ResourceOptions:
        own = pulumi.ResourceOptions(provider=provider, depends_on=[*before], retain_on_delete=kept)
        return pulumi.ResourceOptions.merge(child, own)

    inputs = _inputs(cluster, rendered)
    namespaces = [each for each in inputs if each["kind"] == "Namespace"]  # none where others have made it
    pods = [each for each in inputs if each["kind"] in WORKLOADS]
    read = [each for each in inputs if each["kind"] not in ("Namespace", *WORKLOADS)]
    made: list[pulumi.Resource] = [needed]
    made += [_resource(cluster, each, after(made, kept=not cluster.target.delete_data)) for each in namespaces]
    made += [_resource(cluster, each, after(made)) for each in read]
    made += [_resource(cluster, each, after(made)) for each in pods]
    return [*made, _installed(cluster, after(made))] if cluster.chart else made


def _installed(cluster: Cluster, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    """The objects of the deployment's chart; a path begins at the checkout."""
    chart = chart_of(cluster)
    path = chart.reference.startswith((".", "/"))
    return Chart(
        f"{cluster.name}-chart",
        name=cluster.name,
        namespace=cluster.namespace,
        chart=str((CHECKOUT / chart.reference).resolve()) if path else chart.reference,
        repository_opts=RepositoryOptsArgs(repo=chart.repository) if chart.repository else None,
        version=chart.version,
        values=chart_values(cluster),
        skip_await=True,
        opts=opts,
    )


def _inputs(cluster: Cluster, rendered: pulumi.Output[Manifests]) -> list[dict[str, Any]]:
    """All objects, as inputs: what secrets decide is an output, and a preview shows all else before there are any."""
    one, other = (with_secrets(cluster, text).every for text in ("one", "other"))
    return [_input(rendered, (i,), one[i], other[i], secret=one[i]["kind"] == "Secret") for i in range(len(one))]


def with_secrets(cluster: Cluster, text: str) -> Manifests:
    """All objects where every secret is `text`."""
    texts: Mapping[str, str] = defaultdict(lambda: text)
    passwords = dict.fromkeys((*USERS, ADMIN_TOKEN), text)
    return manifests(cluster, passwords, text, defaultdict(lambda: (text, text)), texts)


def _input(rendered: pulumi.Output[Manifests], path: Sequence[Any], one: Any, other: Any, *, secret: bool) -> Any:  # noqa: ANN401 - any part of an object
    """What stands at `path`: `one`, if `other`, which other secrets made, is the same."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return {key: _input(rendered, (*path, key), one[key], other[key], secret=secret) for key in one}
    if one == other:
        return one
    real = rendered.apply(lambda known: reduce(_part, path, known.every))
    return pulumi.Output.secret(real) if secret else pulumi.Output.unsecret(real)


def _part(whole: Any, key: Any) -> Any:  # noqa: ANN401 - any part of an object
    return whole[key]


def _resource(cluster: Cluster, inputs: Object, opts: pulumi.ResourceOptions) -> pulumi.CustomResource:
    name, api, kind = f"{cluster.name}-{inputs['metadata']['name']}", inputs["apiVersion"], inputs["kind"]
    fields = {key: value for key, value in inputs.items() if key not in ("apiVersion", "kind", "metadata")}
    annotations = inputs["metadata"].get("annotations", {}) | FORCED
    if kind in (*WORKLOADS, "Service", "Ingress"):
        annotations |= NOT_AWAITED
    if kind in WORKLOADS:
        annotations |= GONE_AT_ONCE
    metadata = inputs["metadata"] | {"annotations": annotations}
    group, _, version = api.rpartition("/")
    package = getattr(kubernetes, group.removesuffix(".k8s.io") or "core", None)
    if package is None:  # of an extension, such as the Gateway API
        made: pulumi.CustomResource = kubernetes.apiextensions.CustomResource(
            name, api_version=api, kind=kind, metadata=metadata, opts=opts, **fields
        )
    else:
        made = getattr(getattr(package, version), kind)(name, metadata=metadata, opts=opts, **fields)
    return made
