"""`python -m remora_api generate`: writes the files that are made of the models, or with `--check` compares them.

Last step of the way `v1alpha1` → `schema` → `crd`, `reference` → files; the only module of the package that writes any.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from remora_api import crd, meta
from remora_api.reference import reference

ROOT = Path(__file__).resolve().parents[2]


def generated() -> Mapping[Path, str]:
    """Return what has to stand in each generated file, by its path below the repository's root."""
    manifest = crd.crd()
    return {
        Path(f"crds/{meta.GROUP}_{meta.PLURAL}.yaml"): crd.as_yaml(manifest),
        Path("charts/remora/templates/crd.yaml"): crd.as_chart_template(manifest),
        Path(f"docs/reference/{meta.SINGULAR}.md"): reference(),
    }


def write(root: Path) -> list[Path]:
    """Write the files that differ; return their paths."""
    stale = [path for path, text in generated().items() if _present(root / path) != text]
    for path in stale:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(generated()[path])
    return stale


def difference(root: Path) -> str:
    """Return a diff from what stands in the files to what has to; empty when nothing is stale."""
    return "".join(
        line
        for path, text in generated().items()
        for line in difflib.unified_diff(
            _present(root / path).splitlines(keepends=True),
            text.splitlines(keepends=True),
            fromfile=str(path),
            tofile=f"{path} (generated)",
        )
    )


def _present(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m remora_api", description="Files made of the resource's models.")
    commands = parser.add_subparsers(required=True)
    generate = commands.add_parser("generate", help="write the CRD, its copy in the chart, and the reference page")
    generate.add_argument("--check", action="store_true", help="write nothing; show what is stale and exit with 1")
    generate.add_argument("--root", type=Path, default=ROOT, help="the repository (default: where this file is)")
    options = parser.parse_args(arguments)
    if not options.check:
        for path in write(options.root):
            print(f"wrote {path}")  # noqa: T201 (a command line's output)
        return 0
    stale = difference(options.root)
    if not stale:
        return 0
    sys.stdout.write(stale)
    sys.stderr.write("Generated files are stale: run `python -m remora_api generate` and commit the result.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
