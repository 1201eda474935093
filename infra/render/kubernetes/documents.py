"""Objects as text."""

import re
from collections.abc import Sequence

import yaml

from infra.render.kubernetes.objects import Object

OTHER_READERS = re.compile(r"[yYnN]|[-+]?\.?[0-9][0-9._]*([eE][-+]?[0-9_]+)?|[-+]?0[oObBxX][0-9a-fA-F_]+")
"""Texts that PyYAML reads as such without quotes, and Kubernetes as truth values or numbers, such as 7123e45."""


def manifest(objects: Sequence[Object]) -> str:
    """Objects as documents of one YAML file."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=120, explicit_start=True)


class _Dumper(yaml.SafeDumper):
    """Writes every use of an object in full (Kubernetes reads aliases, but people do not), and texts as they are."""

    def ignore_aliases(self, _data: object) -> bool:
        """Never an alias."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else "'" if OTHER_READERS.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
