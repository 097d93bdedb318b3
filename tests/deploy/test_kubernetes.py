"""deploy/kubernetes against Kubernetes' own schemas and against the image it runs; no cluster is here."""

from __future__ import annotations

import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from src.settings import Settings
from tests.deploy import tools

_FILE = tools.DEPLOY / "kubernetes" / "stoker.yaml"
_VERSIONS = ("1.30", "1.34")


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(_FILE.read_text(encoding="utf-8")))


def only(kind: str) -> dict[str, Any]:
    (found,) = [document for document in documents() if document["kind"] == kind]
    return found


def container() -> dict[str, Any]:
    (found,) = only("Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(found)


def settings() -> Settings:
    return Settings(_env_file=None, **{name.lower(): value for name, value in only("ConfigMap")["data"].items()})


@pytest.mark.parametrize("version", _VERSIONS)
def test_every_document_is_what_its_schema_says(version: str) -> None:
    """No unknown field either."""
    kinds = [document["kind"] for document in documents()]
    assert {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"} <= set(kinds)
    for document in documents():
        kubernetes_validate.validate(document, version, strict=True)


def test_a_wrong_document_is_refused() -> None:
    wrong = only("Deployment") | {"spec": only("Deployment")["spec"] | {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, _VERSIONS[-1], strict=True)


def test_its_settings_exist_and_a_stop_has_time() -> None:
    """A setting nobody knows would be set aside in silence; a pod is killed when its grace is over."""
    assert {name.lower() for name in only("ConfigMap")["data"]} <= set(Settings.model_fields)
    grace = only("Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > settings().stop_seconds


def test_it_fits_the_image() -> None:
    """Its user, its port, and a volume for every folder that it writes: its root is read-only."""
    image = (tools.DEPLOY / "container" / "Dockerfile").read_text()
    pod = only("Deployment")["spec"]["template"]["spec"]
    assert f"--uid {pod['securityContext']['runAsUser']} " in image
    assert [f"EXPOSE {port['containerPort']}" in image for port in container()["ports"]] == [True]
    folders = set(re.findall(r"_DIR=(\S+)", image)) | {"/tmp"}  # noqa: S108  # HF_HOME's
    mounted = {mount["mountPath"]: mount["name"] for mount in container()["volumeMounts"]}
    assert folders <= set(mounted)
    assert set(mounted.values()) == {volume["name"] for volume in pod["volumes"]}


def test_a_pod_is_never_restarted_for_its_model() -> None:
    probes = {name: container()[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert probes == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz?chat"}
