"""The snippets of the documents that need a deployment on Kubernetes, run as a reader would."""

from pathlib import Path

import pytest

from tests.cluster.kit import Deployment
from tests.docs.running import run_shell
from tests.docs.snippets import Snippet, cluster_snippets

pytestmark = [pytest.mark.engine, pytest.mark.cluster]


@pytest.mark.parametrize("snippet", cluster_snippets(), ids=str)
def test_a_snippet_works_on_a_cluster(deployment: Deployment, snippet: Snippet, tmp_path: Path) -> None:
    deployment.primary()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_bytes(deployment.kubeconfig.read_bytes())
    environment = {"KUBECONFIG": str(kubeconfig)}
    namespaced = f"kubectl config set-context --current --namespace {deployment.namespace} >/dev/null\n{snippet.text}"
    run_shell(Snippet(snippet.path, snippet.line, snippet.needs, snippet.language, namespaced), environment)
