"""A deployment on a real cluster loses no acknowledged session, whatever happens to its pods. In this order, on one."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.kit import Deployment, Stream, Writer, eventually
from tests.docs.running import run_shell
from tests.docs.snippets import Snippet, cluster_snippets

pytestmark = [pytest.mark.engine, pytest.mark.cluster]
CHANGED = ("redisMaxmemory=272mb", "kubernetes.passwordGeneration=2")
NODES = [*Deployment.pods("redis"), *Deployment.pods("sentinel")]
PORTS = {"redis": "6379", "sentinel": "26379"}


def check(deployment: Deployment, writer: Writer) -> None:
    """What holds after every fault: nothing is lost, and there is one primary."""
    failed = Counter(writer.failures)
    print(f"{len(writer.succeeded)} acknowledged, longest gap {writer.longest_gap:.1f} s, failed: {failed}")
    assert writer.lost() == []
    assert deployment.primaries() == [deployment.primary()]


@contextmanager
def no_request_fails(deployment: Deployment) -> Iterator[None]:
    """That holds for the service meanwhile, and for some requests more."""
    with Stream(deployment, "verify") as requests:
        yield
        requests.wait_for(50)
    print(f"{len(requests.said)} requests, longest gap {requests.longest_gap:.1f} s")
    assert requests.failures == []


def password_of_sessions(deployment: Deployment) -> str:
    """Of the ACL user `sessions`, in its present generation."""
    return str(json.loads((deployment.out / "secrets.json").read_text())["passwords"]["sessions"])


@pytest.fixture(name="first_password", scope="module")
def _first_password(deployment: Deployment) -> str:
    """That of the first generation: of whoever asks first."""
    return password_of_sessions(deployment)


def answers(deployment: Deployment, password: str, pods: Sequence[str] = NODES) -> list[str]:
    """What each node says to a password of the user `sessions`: OK, WRONGPASS, or nothing where it does not run."""

    def answer(pod: str) -> str:
        login = ("--tls", "--cacert", "/run/kit/tls/ca.crt", "-p", PORTS[pod.partition("-")[0]], "AUTH", "sessions")
        said = deployment.kubectl("exec", pod, "--", "redis-cli", *login, password, check=False)
        return said.partition(" ")[0].strip()

    return [answer(pod) for pod in pods]


def failovers(deployment: Deployment) -> tuple[int, int]:
    """How many the Sentinels were asked for, and how many they have begun, by their logs (sentinel.c)."""
    logs = "".join(deployment.kubectl("logs", pod) for pod in deployment.pods("sentinel"))
    return logs.count("Executing user requested FAILOVER"), logs.count("+try-failover")


def test_a_first_session_goes_through_the_session_service(deployment: Deployment) -> None:
    session = json.loads(deployment.in_client("first"))
    assert session["user"] == session["wanted"]
    assert session["durable"] is True


def test_what_was_applied_is_what_is_there(deployment: Deployment) -> None:
    assert deployment.kubectl("diff", "--server-side", *deployment.files) == ""


def test_a_primary_whose_pod_is_deleted_hands_over_without_a_failed_login(deployment: Deployment) -> None:
    primary = deployment.primary()
    before = failovers(deployment)
    with Writer(deployment) as writer:
        deployment.kubectl("delete", "pod", primary, timeout=120)
        writer.wait_for(100)
        assert deployment.primary() != primary
    assert writer.failures == []
    assert failovers(deployment) == (before[0] + 1, before[1] + 1), "the hook has asked for one, and there was no other"
    assert deployment.warnings("FailedPreStopHook") == []
    check(deployment, writer)


def test_a_handover_that_fails_is_in_the_log_of_the_node_and_fails_the_hook(deployment: Deployment) -> None:
    primary = deployment.primary()
    pod = json.loads(deployment.kubectl("get", "pod", primary, "--output", "json"))
    hook = pod["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    with pytest.raises(AssertionError, match="exit code 1"):
        deployment.kubectl("exec", primary, "--", "env", "SENTINELS=nowhere.invalid:1", *hook)
    assert "not handed over before the stop: failed" in deployment.kubectl("logs", primary, "--tail", "20")
    assert deployment.primary() == primary


def test_a_primary_that_is_killed_is_replaced(deployment: Deployment) -> None:
    primary = deployment.primary()
    with Writer(deployment) as writer:
        deployment.faults.inject("kill", primary)
        writer.wait_for(100)
        assert deployment.primary() != primary
    check(deployment, writer)


def test_all_pods_at_once(deployment: Deployment) -> None:
    deployment.primary()
    with Writer(deployment) as writer:
        deployment.kubectl("delete", "pod", *NODES, timeout=180)
        writer.wait_for(100, 150)
    check(deployment, writer)


def test_a_changed_setting_and_new_passwords_replace_the_nodes_one_by_one_without_a_failed_login(
    deployment: Deployment, first_password: str
) -> None:
    """The files of running pods change a minute before the pods: what they run with must not, nor their hooks."""
    deployment.primary()
    deployment.render(*CHANGED)
    second = password_of_sessions(deployment)
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
        # Whoever is replaced first: nodes of before take the new password already.
        assert first_password != second
        assert set(answers(deployment, second)) == {"OK"}
        deployment.apply()
        deployment.rolled_out(300)
        for pod in deployment.pods("redis"):
            running = deployment.kubectl("exec", pod, "--", "cat", "/run/kit/redis.conf")
            assert re.search(maxmemory, running), pod
        writer.wait_for(100)
    assert writer.failures == []
    check(deployment, writer)


def test_a_changed_setting_of_the_service_fails_no_request(deployment: Deployment) -> None:
    deployment.render(*CHANGED, "sessionTtlSeconds=7200")
    with no_request_fails(deployment):
        deployment.apply()
        deployment.rolled_out()


@pytest.mark.long
def test_an_autoscaler_comes_and_goes_without_a_failed_request(deployment: Deployment) -> None:
    """It gets the number of instances, which its manifest leaves to it, and leaves them where it is taken away."""

    def instances() -> int:
        return int(deployment.kubectl("get", "deployment", "session", "--output", "jsonpath={.spec.replicas}"))

    wanted = instances()
    with no_request_fails(deployment):
        deployment.render(*CHANGED, "sessionTtlSeconds=7200", "kubernetes.serviceMaxReplicas=4")
        deployment.apply()
        print(f"{wanted} instances, {instances()} after the apply")
        scaled = "jsonpath={.status.desiredReplicas}"
        eventually(
            "the autoscaler has the number",
            lambda: deployment.kubectl("get", "hpa", "session", "--output", scaled) == str(wanted) == str(instances()),
        )
        deployment.rolled_out()
        deployment.render(*CHANGED, "sessionTtlSeconds=7200")
        deployment.apply()
        deployment.kubectl("delete", "hpa", "session")
        assert instances() == wanted


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


def test_passwords_of_the_generation_before_the_last_are_refused(deployment: Deployment, first_password: str) -> None:
    """By nodes that are replaced, here the first ones; those of the last generation are taken beside the present."""
    second = password_of_sessions(deployment)
    assert set(answers(deployment, first_password)) == {"OK"}
    deployment.render("redisMaxmemory=272mb", "kubernetes.passwordGeneration=3")
    third = password_of_sessions(deployment)
    replaced = ["redis-2", "sentinel-2"]
    with Writer(deployment) as writer:
        deployment.apply()
        eventually(
            "they are refused", lambda: answers(deployment, first_password, replaced) == ["WRONGPASS", "WRONGPASS"]
        )
        assert answers(deployment, second, replaced) == answers(deployment, third, replaced) == ["OK", "OK"]
        writer.wait_for(100)
    assert writer.failures == []
