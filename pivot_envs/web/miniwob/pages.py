"""TaskPages, MiniWoB++'s task pages, each made one self-contained file and kept.

The pages come from the ``miniwob`` package if it is installed, else from its wheel, which is
fetched once from the index that pip is set up with: the wheel is 1.9 MB, while installing the
package brings Selenium and its browser driver along, which nothing here needs.
"""

import base64
import importlib.util
import io
import mimetypes
import posixpath
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_dir

from pivot_envs.coding.index import download_release, read_pip_settings
from pivot_envs.errors import SourceError, StoreError
from pivot_envs.files import replace_file
from pivot_envs.snapshot import sha256

VERSION = "1.1.0"
WHEEL_SHA256 = "297006e84219d56ad037e843527ed773a4a82509dc43b6031ec4a3ad3e3e61d9"

_HTML = "miniwob/html/"
_SCRIPT = re.compile(r'<script[^>]*\bsrc="([^"]+)"[^>]*>\s*</script>')
_STYLE = re.compile(r'<link[^>]*\brel="stylesheet"[^>]*>')
_HREF = re.compile(r'\bhref="([^"]+)"')
_URL = re.compile(r"""url\(\s*(["']?)(?!data:)([^"')]+)\1\s*\)""")
_SOURCE = re.compile(r"""(["'])(\.\./[\w./-]+\.(?:png|gif|jpg))\1""")
# '../folder/' + name + '.png'
_BUILT = re.compile(r"""'(\.\./[\w./-]+/)'\s*\+\s*([^;,()]+?)\s*\+\s*'(\.png|\.gif|\.jpg)'""")
_HIDDEN = (
    '<meta charset="utf-8"><style>#reward-display, #click-canvas, #sync-task-cover '
    # The task's words keep their place: scripts count pixels from below them.
    "{display: none !important} #query {visibility: hidden !important}</style>"
)


class TaskPages:
    """The task pages as files, made when they are first asked for."""

    def __init__(self, cache_dir: str | Path | None = None) -> None:
        """Name the folder of pages, by default one in the user's cache; nothing is read yet."""
        self._folder = Path(cache_dir or user_cache_dir("pivotrl")) / "miniwob"
        self._files: Mapping[str, bytes] | None = None
        # What the pages are made from and how, so that a change of either makes new ones.
        self._digest = sha256(WHEEL_SHA256.encode() + Path(__file__).read_bytes())[:16]

    def path(self, name: str) -> Path:
        """Return the self-contained page of a task.

        Raises:
            SourceError: The pages cannot be fetched or kept.
        """
        path = self._folder / self._digest / f"{name}.html"
        if not path.is_file():
            page = self._inlined(f"miniwob/{name}.html").encode("utf-8")
            try:
                replace_file(path, [page], durable=False)
            except StoreError as error:
                raise SourceError(f"cannot keep MiniWoB++'s pages: {error}") from error
        return path

    def _inlined(self, page: str) -> str:
        folder = posixpath.dirname(page)
        text = self._text(page)
        text = _STYLE.sub(lambda match: self._style(match[0], folder), text)
        text = _SCRIPT.sub(lambda match: self._script(match[1], folder), text)
        text = self._with_images(text, folder)
        return text.replace("<head>", f"<head>{_HIDDEN}", 1)

    def _style(self, tag: str, folder: str) -> str:
        href = _HREF.search(tag)
        assert href is not None
        path = _joined(folder, href[1])
        css = self._with_images(self._text(path), posixpath.dirname(path))
        return f"<style>{css}</style>"

    def _script(self, source: str, folder: str) -> str:
        text = self._text(_joined(folder, source))
        return (
            "<script>" + re.sub("</script", r"<\\/script", text, flags=re.IGNORECASE) + "</script>"
        )

    def _with_images(self, text: str, folder: str) -> str:
        text = _URL.sub(lambda match: self._url(folder, match), text)
        text = _BUILT.sub(lambda match: self._images(folder, *match.groups()), text)
        return _SOURCE.sub(lambda match: match[1] + self._image(folder, match[2]) + match[1], text)

    def _images(self, folder: str, prefix: str, expression: str, suffix: str) -> str:
        """Return an expression that looks an image up among all that a page may name."""
        start = _joined(folder, prefix) + "/"
        names = [
            path for path in self._source() if path.startswith(start) and path.endswith(suffix)
        ]
        entries = ", ".join(
            f'"{path[len(start) : -len(suffix)]}": "{self._image("", path)}"' for path in names
        )
        return f"({{{entries}}})[{expression}]"

    def _url(self, folder: str, match: re.Match[str]) -> str:
        image = self._image(folder, match[2])
        return match[0] if image == match[2] else f'url("{image}")'

    def _image(self, folder: str, name: str) -> str:
        path = _joined(folder, name)
        content = self._source().get(path)
        if content is None:
            return name
        kind = mimetypes.guess_type(path)[0] or "image/png"
        return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"

    def _text(self, path: str) -> str:
        if path not in self._source():
            raise SourceError(f"MiniWoB++ {VERSION} has no {path}")
        return self._source()[path].decode("utf-8")

    def _source(self) -> Mapping[str, bytes]:
        if self._files is None:
            installed = _installed()
            self._files = _read_folder(installed) if installed else _read_wheel(self._wheel())
        return self._files

    def _wheel(self) -> bytes:
        path = self._folder / f"miniwob-{VERSION}.whl"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder / ".lock"):
                content = path.read_bytes() if path.is_file() else b""
                if sha256(content) != WHEEL_SHA256:
                    release = download_release("miniwob", VERSION, read_pip_settings(), binary=True)
                    content = release.content
                    replace_file(path, [content], durable=False)
        except OSError as error:
            raise SourceError(f"cannot keep MiniWoB++ in {self._folder}: {error}") from error
        if sha256(content) != WHEEL_SHA256:
            raise SourceError(
                f"miniwob {VERSION}: expected a wheel with SHA-256 {WHEEL_SHA256}, got "
                f"{sha256(content)}"
            )
        return content


def _installed() -> Path | None:
    """Return the installed package's pages if they are of the expected version."""
    try:
        from importlib.metadata import version

        if version("miniwob") != VERSION:
            return None
        spec = importlib.util.find_spec("miniwob")
    except ImportError:
        return None
    return Path(spec.origin).parent / "html" if spec is not None and spec.origin else None


def _read_folder(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for part in ("core", "common", "miniwob")
        for path in (folder / part).rglob("*")
        if path.is_file()
    }


def _read_wheel(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        return {
            name.removeprefix(_HTML): wheel.read(name)
            for name in wheel.namelist()
            if name.startswith(_HTML) and not name.startswith(f"{_HTML}flight/")
        }


def _joined(folder: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(folder, name.replace("%22", "").replace("%2F", "/")))
