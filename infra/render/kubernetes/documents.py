"""Objects as text."""

from collections.abc import Sequence

import yaml

from infra.render.kubernetes.objects import Object


def manifest(objects: Sequence[Object]) -> str:
    """Objects as documents of one YAML file."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=120, explicit_start=True)


class _Dumper(yaml.SafeDumper):
    """Writes every use of an object in full (Kubernetes reads aliases, but people do not), and texts as they are."""

    def ignore_aliases(self, _data: object) -> bool:
        """Never an alias."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
