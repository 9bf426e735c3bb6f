"""Images: builds what changed with buildah and keeps it in an OCI layout, from where nodes are loaded."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from .archive import Layout
from .binaries import Binaries
from .commands import ClusterError, run, succeeds
from .places import Places
from .progress import step
from .recipes import BASE, COREDNS, PAUSE, Recipe, ours

DEBIAN = "bookworm"
# What the Dockerfiles would install by apt, which in the build has no way to a mirror.
IN_BASE = ("ca-certificates", "python3", "python3-venv")
NOT_IN_BASE = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt/lists", "var/cache/apt")
CERTIFICATES = Path("/etc/ssl/certs")
# Settings of pip that say where from and how, and mean the same inside a build.
PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries", "cert")


@dataclass(frozen=True, slots=True)
class Images:
    """The images of one cache folder."""

    places: Places
    binaries: Binaries

    @property
    def layout(self) -> Layout:
        return Layout(self.places.images)

    def build_system(self) -> None:
        """Build what the cluster itself needs, if it is not there."""
        for recipe in self._system():
            self.build_one(recipe)

    def build(self) -> None:
        """Build our images whose inputs have changed."""
        for recipe in ours():
            self.build_one(recipe)

    def take(self, image: str) -> None:
        """Put an image that buildah knows into the layout."""
        run(*self._buildah(), "push", "--quiet", "--disable-compression", image, f"oci:{self.places.images}:{image}")
        self.layout.sweep()

    def build_one(self, recipe: Recipe) -> None:
        """Build one image, if its inputs have changed, and put it into the layout."""
        record = self.places.cache / "built.json"
        built: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
        wanted = recipe.fingerprint()
        if built.get(recipe.image) == wanted and self.layout.digest(recipe.image):
            return
        if f"FROM {BASE}" in recipe.dockerfile.read_text():
            self._base()
        with step(f"building {recipe.image}", "seconds after a change of code, a minute after one of dependencies"):
            run(
                *(
                    *self._buildah(),
                    "build",
                    "--layers",
                    "--force-rm",
                    "--pull-never",
                    "--isolation",
                    "chroot",
                ),
                *("--network", "host", "--format", "oci", *self._mounts()),
                *("--ignorefile", _ignorefile(recipe), "--file", recipe.dockerfile, "--tag", recipe.image),
                recipe.context,
            )
            self.take(recipe.image)
            # What the tag has left; layers that the new image stands on have a child and stay.
            run(*self._buildah(), "rmi", "--prune", check=False)
        record.write_text(json.dumps({**built, recipe.image: wanted}, indent=1))

    def _base(self) -> None:
        """Debian under the very name that our Dockerfiles start from, so that they serve here and elsewhere."""
        if succeeds(*self._buildah(), "inspect", "--type", "image", BASE):
            return
        root = self.places.cache / f"debian-{DEBIAN}" / "root"
        if not root.exists():
            with step(f"bootstrapping Debian {DEBIAN}", "40 s"):
                bootstrap(root)
        with step(f"making {BASE}"):
            container = run(*self._buildah(), "from", "scratch").strip()
            run(*self._buildah(), "add", "--quiet", container, root, "/")
            run(*self._buildah(), "config", "--cmd", "bash", container)
            run(*self._buildah(), "commit", "--quiet", "--rm", "--format", "oci", container, BASE)

    def _system(self) -> tuple[Recipe, ...]:
        """Pause and CoreDNS: one static file each."""
        pause = self.places.cache / "pause" / "pause"
        if not pause.exists():
            pause.parent.mkdir(parents=True, exist_ok=True)
            run("gcc", "-Os", "-static", "-s", "-o", pause, Path(__file__).parent / "pause" / "pause.c")
        return (_of_one_file(PAUSE, pause), _of_one_file(COREDNS, self.binaries.coredns))

    def _buildah(self) -> tuple[str, ...]:
        storage = self.places.buildah
        return ("buildah", "--root", f"{storage}/root", "--runroot", f"{storage}/run", "--storage-driver", "overlay")

    def _mounts(self) -> list[str]:
        """This machine's certificates and way to packages, for the time of the build only."""
        settings = self.places.cache / "pip.conf"
        settings.write_text(pip_settings(run("python3", "-m", "pip", "config", "list", check=False)))
        sources = {settings: "/etc/pip.conf", CERTIFICATES: str(CERTIFICATES)}
        return [f"--volume={source}:{target}:ro" for source, target in sources.items() if source.exists()]


def pip_settings(listing: str) -> str:
    """Turn what `pip config list` says into a pip.conf.

    Example: "global.timeout='60'" → "[global]\\ntimeout = 60"; the environment's come last and win.
    """
    found = re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", listing, re.M)
    settings = {name: value for name, value in found if name in PIP_SETTINGS}
    return "\n".join(["[global]", *(f"{name} = {value}" for name, value in settings.items()), ""])


def mirror(sources: str) -> str | None:
    """Find this machine's Debian mirror in its apt sources, of the old style or the new.

    Example: "URIs: http://host/debian" or "deb http://host/debian bookworm main" → "http://host/debian".
    """
    found = re.search(r"^(?:URIs:|deb(?: \[[^\]]*\])?)\s+(https?://\S+/debian)/?(?:\s|$)", sources, re.M)
    return found[1] if found else None


def bootstrap(root: Path) -> None:
    """Install a minimal Debian into a folder; the folder is there when it is whole."""
    folder = Path("/etc/apt")
    files = [folder / "sources.list", *folder.glob("sources.list.d/*")]
    found = mirror("\n".join(file.read_text() for file in files if file.is_file()))
    if found is None:
        raise ClusterError("no Debian mirror is in /etc/apt/sources.list or sources.list.d: debootstrap needs one")
    work = root.with_name("work")
    if work.exists():
        shutil.rmtree(work)
    work.parent.mkdir(parents=True, exist_ok=True)
    run("debootstrap", "--variant=minbase", f"--include={','.join(IN_BASE)}", DEBIAN, work, found)
    for path in NOT_IN_BASE:
        shutil.rmtree(work / path, ignore_errors=True)
    work.rename(root)


def _of_one_file(image: str, program: Path) -> Recipe:
    dockerfile = program.with_name(f"{program.name}.Dockerfile")
    dockerfile.write_text(f'FROM scratch\nCOPY {program.name} /{program.name}\nENTRYPOINT ["/{program.name}"]\n')
    return Recipe(image, dockerfile, program.parent, (program,))


def _ignorefile(recipe: Recipe) -> Path:
    """The list beside the Dockerfile; Docker finds it by itself, buildah is told."""
    beside = recipe.dockerfile.with_name(f"{recipe.dockerfile.name}.dockerignore")
    return beside if beside.exists() else Path("/dev/null")
