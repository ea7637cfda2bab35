"""Checks rendered objects without a cluster, against Kubernetes' own schemas."""

from __future__ import annotations

from collections.abc import Iterable

from autosre_lab.chart.rendering import Object
from autosre_lab.errors import MissingExtraError

__all__ = ["invalid_objects"]

KUBERNETES_VERSION = "1.33"


def invalid_objects(
    objects: Iterable[Object], *, kubernetes_version: str = KUBERNETES_VERSION
) -> list[str]:
    """Return what is wrong with objects, a line each; unknown keys count.

    Args:
        objects: What `render` returned.
        kubernetes_version: Whose schemas, such as ``1.33``.

    Raises:
        MissingExtraError: kubernetes-validate is not installed.
    """
    try:
        import kubernetes_validate
    except ImportError as error:
        raise MissingExtraError("validating objects offline", extra="cluster") from error

    problems = []
    for obj in objects:
        name = f"{obj.get('kind')}/{obj.get('metadata', {}).get('name')}"
        try:
            kubernetes_validate.validate(obj, kubernetes_version, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = ".".join(str(part) for part in error.path)
            problems.append(f"{name}: {where}: {error.message}")
    return problems
