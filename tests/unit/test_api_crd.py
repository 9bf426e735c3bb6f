"""The CRD as a file, its copy in the chart, the reference page, and the command that writes them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from remora_api import crd, meta
from remora_api.__main__ import ROOT, difference, generated, main
from remora_api.reference import reference


def test_what_is_in_the_tree_is_what_the_models_say() -> None:
    assert difference(ROOT) == ""


def test_fits_into_the_annotation_of_a_plain_apply_with_room() -> None:
    assert len(crd.as_yaml(crd.crd()).encode()) < 200 * 1024


def test_is_a_file_of_plain_yaml_without_anchors() -> None:
    text = crd.as_yaml(crd.crd())
    assert yaml.safe_load(text) == crd.crd()
    assert "&id" not in text
    assert text.startswith("# Generated")


def test_can_be_asked_for_by_short_name_and_category() -> None:
    names = crd.crd()["spec"]["names"]
    assert names["shortNames"] == ["sapp"]
    assert names["categories"] == ["all", "remora"]
    assert crd.crd()["metadata"]["name"] == "serveapplications.remora.dev"


def test_scale_and_columns_point_at_fields_that_exist() -> None:
    version = crd.crd()["spec"]["versions"][0]
    scale = version["subresources"]["scale"]
    paths = [*scale.values(), *(column["jsonPath"] for column in version["additionalPrinterColumns"])]
    for path in paths:
        schema = version["schema"]["openAPIV3Schema"]
        for part in path.split("[")[0].strip(".").split("."):
            if part == "metadata":
                break
            schema = schema["properties"][part]


def test_a_plain_listing_fits_on_a_line() -> None:
    assert [column["name"] for column in crd.COLUMNS if "priority" not in column] == [
        "Ready",
        "Reason",
        "Replicas",
        "URL",
        "Age",
    ]


def test_the_charts_copy_is_the_crd_behind_two_switches() -> None:
    text = crd.as_chart_template(crd.crd())
    assert text.count("{{-") == 4
    assert "{{- if .Values.crds.install }}\n" in text
    plain = yaml.safe_load("".join(line for line in text.splitlines(keepends=True) if "{{" not in line))
    annotations = plain["metadata"].pop("annotations")
    assert plain == crd.crd()
    assert annotations == {
        "helm.sh/resource-policy": "keep",
        "argocd.argoproj.io/sync-options": "ServerSideApply=true",
    }


def test_the_charts_copy_escapes_what_helm_would_run() -> None:
    assert crd.as_chart_template({"description": "{{ evil }}"}).count('{{ "{{" }} evil') == 1


def test_the_page_names_every_field_and_every_condition() -> None:
    page = reference()
    for word in ("importPath", "maxOngoingRequests", "observedGeneration", *meta.ConditionType, *meta.Reason):
        assert f"| `{word}` |" in page


def test_the_page_has_one_row_a_line() -> None:
    for line in reference().splitlines():
        if line.startswith("|"):
            assert line.endswith("|")
            assert line.replace("\\|", "").count("|") in (3, 4, 5)


def test_check_is_silent_after_generate_and_shows_a_diff_after_a_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "--root", str(tmp_path), "--check"]) == 1
    assert main(["generate", "--root", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["generate", "--root", str(tmp_path), "--check"]) == 0
    assert capsys.readouterr().out == ""

    path = tmp_path / next(iter(generated()))
    path.write_text(path.read_text().replace("Namespaced", "Cluster"))
    assert main(["generate", "--root", str(tmp_path), "--check"]) == 1
    shown = capsys.readouterr()
    assert "-  scope: Cluster\n+  scope: Namespaced\n" in shown.out
    assert "run `python -m remora_api generate`" in shown.err


def test_generate_leaves_alone_what_is_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["generate", "--root", str(tmp_path)])
    capsys.readouterr()
    main(["generate", "--root", str(tmp_path)])
    assert capsys.readouterr().out == ""
