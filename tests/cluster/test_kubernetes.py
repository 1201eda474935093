"""A deployment on a real cluster loses no acknowledged session, whatever happens to its pods. In this order, on one."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.cluster.kit import Deployment, Stream, Writer, eventually
from tests.docs.running import run_shell
from tests.docs.snippets import Snippet, cluster_snippets

pytestmark = [pytest.mark.engine, pytest.mark.cluster]


def check(deployment: Deployment, writer: Writer) -> None:
    """What holds after every fault: nothing is lost, there is one primary, and every hook has run."""
    print(f"{len(writer.succeeded)} acknowledged, longest gap {writer.longest_gap:.1f} s, failed: {writer.failures}")
    assert writer.lost() == []
    assert deployment.primaries() == [deployment.primary()]
    assert deployment.warnings("FailedPreStopHook") == []


def test_a_first_session_goes_through_the_session_service(deployment: Deployment) -> None:
    session = json.loads(deployment.in_client("first"))
    assert session["user"] == session["wanted"]
    assert session["durable"] is True


def test_what_was_applied_is_what_is_there(deployment: Deployment) -> None:
    command = deployment.command("diff", "--server-side", *deployment.files)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_a_primary_whose_pod_is_deleted_hands_over_without_a_failed_login(deployment: Deployment) -> None:
    primary = deployment.primary()
    with Writer(deployment) as writer:
        deployment.kubectl("delete", "pod", primary, timeout=120)
        writer.wait_for(100)
        assert deployment.primary() != primary
    assert writer.failures == []
    check(deployment, writer)


def test_a_primary_that_is_killed_is_replaced(deployment: Deployment) -> None:
    primary = deployment.primary()
    with Writer(deployment) as writer:
        deployment.faults.inject("kill", primary)
        writer.wait_for(100)
        deployment.primary()
    check(deployment, writer)


def test_all_pods_at_once(deployment: Deployment) -> None:
    deployment.primary()
    everything = [*deployment.pods("redis"), *deployment.pods("sentinel")]
    with Writer(deployment) as writer:
        deployment.kubectl("delete", "pod", *everything, timeout=180)
        writer.wait_for(100, 150)
    check(deployment, writer)


def test_a_changed_setting_replaces_the_nodes_one_by_one_without_a_failed_login(deployment: Deployment) -> None:
    """The files of running pods change a minute before the pods: what they run with must not, nor their hooks."""
    deployment.primary()
    deployment.render("redisMaxmemory=272mb")
    files = [each for each in deployment.objects("20-redis.yaml") if each["kind"] == "ConfigMap"]
    shown = "/run/files/redis-0/redis.conf"
    with Writer(deployment) as writer:
        deployment.kubectl("apply", "--server-side", "-f", "-", text=json.dumps(files[0]))
        maxmemory = re.escape(f"maxmemory {272 * 1024 * 1024}")
        eventually(
            "the changed file shows in a running pod",
            lambda: re.search(maxmemory, deployment.kubectl("exec", "redis-0", "--", "cat", shown)),
            150,
        )
        deployment.apply()
        deployment.rolled_out(300)
        for pod in deployment.pods("redis"):
            running = deployment.kubectl("exec", pod, "--", "cat", "/run/kit/redis.conf")
            assert re.search(maxmemory, running), pod
        writer.wait_for(100)
    assert writer.failures == []
    check(deployment, writer)


def test_a_changed_setting_of_the_service_fails_no_request(deployment: Deployment) -> None:
    deployment.render("redisMaxmemory=272mb", "sessionTtlSeconds=7200")
    with Stream(deployment, "verify") as requests:
        deployment.apply()
        deployment.rolled_out()
        requests.wait_for(50)
    print(f"{len(requests.said)} requests, longest gap {requests.longest_gap:.1f} s")
    assert requests.failures == []


def test_a_replica_that_loses_its_volume_copies_everything_again(deployment: Deployment) -> None:
    primary = deployment.primary()
    replica = next(pod for pod in deployment.pods("redis") if pod != primary)
    claim = f"data-{replica}"
    before = deployment.kubectl("get", "pvc", claim, "--output", "jsonpath={.metadata.uid}")
    with Writer(deployment) as writer:
        deployment.kubectl("delete", "pvc", claim, "--wait=false")
        deployment.kubectl("delete", "pod", replica, timeout=120)
        deployment.rolled_out()
        writer.wait_for(100)
        assert deployment.primary() == primary
    assert deployment.kubectl("get", "pvc", claim, "--output", "jsonpath={.metadata.uid}") != before
    check(deployment, writer)


@pytest.mark.parametrize("snippet", cluster_snippets(), ids=str)
def test_a_snippet_of_the_documents_works(deployment: Deployment, snippet: Snippet, tmp_path: Path) -> None:
    deployment.primary()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_bytes(deployment.kubeconfig.read_bytes())
    namespaced = f"kubectl config set-context --current --namespace {deployment.namespace} >/dev/null\n{snippet.text}"
    mine = Snippet(snippet.path, snippet.line, snippet.needs, snippet.language, namespaced)
    run_shell(mine, {"KUBECONFIG": str(kubeconfig)})
