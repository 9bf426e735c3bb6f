"""What the operator relies on of an API server: the same tests for the fake and for the real one.

A test module takes them by `class TestX(ClusterContract)` and a fixture `api` that returns a cluster and a namespace.
"""

from __future__ import annotations

from typing import TypeAlias

import pytest

from remora_operator.cluster import Cluster
from remora_operator.errors import Permanent, Transient
from remora_operator.kinds import CONFIG_MAP, SERVE_APPLICATION, Manifest

Api: TypeAlias = tuple[Cluster, str]


def config_map(namespace: str, name: str = "settings", **data: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"remora.dev/application": "hello"}},
        "data": data,
    }


def resource(namespace: str) -> Manifest:
    return {
        "apiVersion": "remora.dev/v1alpha1",
        "kind": "ServeApplication",
        "metadata": {"name": "hello", "namespace": namespace},
        "spec": {"importPath": "hello:app", "suspend": True},
    }


class ClusterContract:
    """The contract of `remora_operator.cluster.Cluster`."""

    async def test_what_does_not_exist_is_none(self, api: Api) -> None:
        cluster, namespace = api
        assert await cluster.get(CONFIG_MAP, namespace, "nothing") is None
        assert await cluster.merge(CONFIG_MAP, namespace, "nothing", {"data": {"a": "1"}}) is None
        await cluster.delete(CONFIG_MAP, namespace, "nothing", uid="no-such")

    async def test_apply_creates_and_then_changes_and_an_equal_apply_is_no_change(self, api: Api) -> None:
        cluster, namespace = api
        made = await cluster.apply(CONFIG_MAP, config_map(namespace, a="1", b="2"))
        same = await cluster.apply(CONFIG_MAP, config_map(namespace, a="1", b="2"))
        assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        changed = await cluster.apply(CONFIG_MAP, config_map(namespace, a="3", b="2"))
        assert changed["data"] == {"a": "3", "b": "2"}
        assert changed["metadata"]["uid"] == made["metadata"]["uid"]

    async def test_a_listing_is_of_those_with_the_labels_and_the_fields(self, api: Api) -> None:
        cluster, namespace = api
        for name in ("settings", "code"):
            await cluster.create(CONFIG_MAP, config_map(namespace, name))
        labelled = await cluster.list(CONFIG_MAP, namespace, selector="remora.dev/application=hello")
        assert {it["metadata"]["name"] for it in labelled.items} == {"settings", "code"}
        named = await cluster.list(CONFIG_MAP, namespace, fields="metadata.name=code")
        assert [it["metadata"]["name"] for it in named.items] == ["code"]

    async def test_create_never_touches_what_exists(self, api: Api) -> None:
        cluster, namespace = api
        assert await cluster.create(CONFIG_MAP, config_map(namespace, a="1"))
        assert not await cluster.create(CONFIG_MAP, config_map(namespace, a="2"))
        found = await cluster.get(CONFIG_MAP, namespace, "settings")
        assert found is not None
        assert found["data"] == {"a": "1"}

    async def test_merge_sets_and_takes_away(self, api: Api) -> None:
        cluster, namespace = api
        await cluster.create(CONFIG_MAP, config_map(namespace, a="1", b="2"))
        merged = await cluster.merge(CONFIG_MAP, namespace, "settings", {"data": {"a": None, "c": "3"}})
        assert merged is not None
        assert merged["data"] == {"b": "2", "c": "3"}

    async def test_replace_wants_the_version_that_was_read(self, api: Api) -> None:
        cluster, namespace = api
        await cluster.create(CONFIG_MAP, config_map(namespace, a="1"))
        read = await cluster.get(CONFIG_MAP, namespace, "settings")
        assert read is not None
        assert await cluster.replace(CONFIG_MAP, read | {"data": {"a": "2"}}) is not None
        assert await cluster.replace(CONFIG_MAP, read | {"data": {"a": "3"}}) is None

    async def test_delete_is_for_one_uid_only(self, api: Api) -> None:
        cluster, namespace = api
        made = await cluster.apply(CONFIG_MAP, config_map(namespace, a="1"))
        await cluster.delete(CONFIG_MAP, namespace, "settings", uid="another")
        assert await cluster.get(CONFIG_MAP, namespace, "settings") is not None
        await cluster.delete(CONFIG_MAP, namespace, "settings", uid=made["metadata"]["uid"])
        assert await cluster.get(CONFIG_MAP, namespace, "settings") is None

    async def test_list_selects_by_label_and_has_a_version(self, api: Api) -> None:
        cluster, namespace = api
        await cluster.apply(CONFIG_MAP, config_map(namespace, "ours"))
        stranger = config_map(namespace, "theirs")
        del stranger["metadata"]["labels"]
        made = await cluster.apply(CONFIG_MAP, stranger)
        listing = await cluster.list(CONFIG_MAP, namespace, selector="remora.dev/application")
        assert [it["metadata"]["name"] for it in listing.items] == ["ours"]
        assert listing.version >= int(made["metadata"]["resourceVersion"])

    async def test_status_goes_through_its_own_door_and_only_to_the_version_that_was_read(self, api: Api) -> None:
        cluster, namespace = api
        await cluster.create(SERVE_APPLICATION, resource(namespace))
        made = await cluster.get(SERVE_APPLICATION, namespace, "hello")
        assert made is not None
        # With the version that was read: a status apply does not look at the uid.
        read = made["metadata"]["resourceVersion"]
        metadata = {"name": "hello", "namespace": namespace, "resourceVersion": read}
        status = resource(namespace) | {"metadata": metadata, "status": {"observedGeneration": 1, "ready": "1/1"}}
        del status["spec"]
        written = await cluster.apply(SERVE_APPLICATION, status, subresource="status")
        assert written["status"]["ready"] == "1/1"
        assert written["spec"]["importPath"] == "hello:app"
        status["status"]["ready"] = "2/2"
        with pytest.raises(Transient, match="hello"):
            await cluster.apply(SERVE_APPLICATION, status, subresource="status")

    async def test_what_can_never_work_is_permanent(self, api: Api) -> None:
        cluster, namespace = api
        with pytest.raises(Permanent, match="ConfigMap"):
            await cluster.apply(CONFIG_MAP, config_map(namespace, "Not_A_Name"))
