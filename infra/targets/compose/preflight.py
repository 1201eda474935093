"""What must hold before anything is touched: an engine, images, free ports, and an engine that can read the data."""

import re
import socket
from collections.abc import Iterator, Mapping

from infra.targets.compose.engine import EngineError, docker, image_id
from infra.targets.compose.wanted import Wanted

NAME = re.compile("[a-z0-9][a-z0-9-]*")
RESERVED = ("pulumi", "passphrase")
"""What `.state` holds beside the deployments."""
OLDEST_COMPOSE = 2
NOT_PULLED = "not pulled yet"
LOOPBACK = "127.0.0.1"
MANIFEST_TIMEOUT = 30
"""Seconds for a registry's answer whether it has an image."""


def refusals(wanted: Wanted, running_ids: Mapping[str, str]) -> Iterator[str]:
    """Everything that stands in the way, each with its remedy.

    `running_ids` are the images of the deployment as it was made, if there is one.
    """
    if not NAME.fullmatch(wanted.name) or wanted.name in RESERVED:
        yield (
            f"{wanted.stack_file}: {wanted.name} cannot be the name of a deployment: small letters, digits and - only, "
            f"and none of {', '.join(RESERVED)}. Make a stack with another name: pulumi stack init NAME"
        )
        return
    try:
        docker("info", "--format", "{{.ServerVersion}}", timeout=20)
        version = docker("compose", "version", "--short").strip().lstrip("v")
    except EngineError as error:
        yield f"Docker does not answer ({error}). Start it (make tools, or Docker Desktop) and try again."
        return
    if int(version.partition(".")[0]) < OLDEST_COMPOSE:
        yield f"docker compose is {version}, but version 2 or newer is needed. Install it: make tools"
        return
    yield from _foreign_containers(wanted)
    missing = list(_missing_images(wanted))
    yield from missing
    yield from _taken_ports(wanted)
    if not missing and image_id(wanted.images["redisImage"]) != running_ids.get("redisImage", ""):
        yield from _other_engine(wanted)


def image_ids(images: Mapping[str, str]) -> dict[str, str]:
    """Id of each image by its configuration key: a rebuilt image of the same name is a change."""
    return {key: image_id(image) or NOT_PULLED for key, image in images.items()}


def _foreign_containers(wanted: Wanted) -> Iterator[str]:
    """Another checkout's deployment of the same name must not be taken over: it would get other passwords."""
    containers = wanted.project.inspect().values()
    places = {each["Config"]["Labels"].get("com.docker.compose.project.working_dir", "") for each in containers}
    for place in sorted(places - {str(wanted.project.directory)}):
        yield (
            f"{wanted.project.name} already runs from {place}. "
            "Stop it there (make down), or choose another name: make up STACK=NAME with a file stacks/Pulumi.NAME.yaml"
        )


def _missing_images(wanted: Wanted) -> Iterator[str]:
    for key, image in wanted.images.items():
        if image_id(image):
            continue
        try:
            docker("manifest", "inspect", image, timeout=MANIFEST_TIMEOUT)
        except EngineError as error:
            reason = str(error).splitlines()[-1]
            yield (
                f"{key}: {image} in {wanted.stack_file} is not on this host and cannot be pulled ({reason}). "
                "Pull or build it (make tools does for the default images), or choose another: "
                f"pulumi config set {key} IMAGE"
            )


def _taken_ports(wanted: Wanted) -> Iterator[str]:
    for name, port in wanted.ports.items():
        if _free(port):
            continue
        publish, own = f"publish={port}", f"label=com.docker.compose.project={wanted.project.name}"
        if docker("ps", "--quiet", "--filter", publish, "--filter", own):
            continue
        owners = docker("ps", "--filter", publish, "--format", "{{.Names}}").split()
        key, _, part = name.partition(" ")
        owner = f"container {owners[0]}" if owners else "another process"
        yield (
            f"{key}: port {port} of {part} in {wanted.stack_file} is in use by {owner} on {LOOPBACK}. "
            f"Stop that, or choose another port: pulumi config set --path {key} PORT"
        )


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _other_engine(wanted: Wanted) -> Iterator[str]:
    """Redis and Valkey do not read each other's newer files: data stays with the engine that wrote it."""
    image = wanted.images["redisImage"]
    volumes = [volume for volume in wanted.project.volumes() if "_redis-" in volume]
    if not volumes:
        return
    if not image_id(image):
        yield (
            f"redisImage: {image} in {wanted.stack_file} is not on this host yet, so nobody knows whether it can read "
            f"the data of this stack. Pull it, then try again: docker pull {image}"
        )
        return
    mounts = [f"--volume={volume}:/held/{volume}:ro" for volume in volumes]
    # Images of Valkey may carry links with Redis's names, so Valkey is looked for first.
    script = "cat /held/*/kit-engine 2>/dev/null | sort -u; command -v valkey-server || command -v redis-server"
    words = ["run", "--rm", "--network=none", "--user=999:999", *mounts, "--entrypoint=sh", image, "-c", script]
    lines = docker(*words).split()
    if len(lines) > 1 and lines[0] not in lines[1]:
        offered = lines[1].rpartition("/")[2].removesuffix("-server")
        yield (
            f"redisImage: {image} in {wanted.stack_file} is {offered}, but the data of this stack is of {lines[0]}. "
            f"Choose an image of {lines[0]}, or use a fresh stack and let the sessions move there."
        )
