"""Messages for a browser name files and never folders of the server."""

from pathlib import Path

import pytest

import vit_engine as ve
from dashboard.services.checkpoints.paths import errors_without_paths, without_paths


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/srv/models/run/w.pth is empty.", "w.pth is empty."),
        ("w.pth is empty.", "w.pth is empty."),
        ("run/w.pth#teacher has no heads", "run/w.pth#teacher has no heads"),
        ("cannot be read: '/srv/a/b.json'.", "cannot be read: 'b.json'."),
        ("Free some of /srv/models, or", "Free some of models, or"),
        ("https://host.example/a/b.pth: timed out", "https://host.example/a/b.pth: timed out"),
        ("http://127.0.0.1:80/a/b.pth, /srv/a/b.pth", "http://127.0.0.1:80/a/b.pth, b.pth"),
        ("see https://host/x-/b/c.pth and [/srv/a/b.pth]", "see https://host/x-/b/c.pth and [b.pth]"),
        (
            "'https://host/srv/a.pth' or \"http://[::1]/srv/a.pth\"",
            "'https://host/srv/a.pth' or \"http://[::1]/srv/a.pth\"",
        ),
        ("path='/srv/my dir/with space/x.pth' gone", "path='x.pth' gone"),
        ('"/srv/bob\'s dir/x y.pth" and `/srv/a (b)/`', '"x y.pth" and `a (b)`'),
        ("denied:/srv/a/b.pth", "denied:b.pth"),
        ("it isn't '/srv/a b/c.pth', it's '/srv/d e/f.pth'", "it isn't 'c.pth', it's 'f.pth'"),
        ("file:///etc/passwd, FILE:/srv/a/b.pth", "passwd, b.pth"),
        ("'file:///srv/my dir/x.pth'", "'x.pth'"),
        (r"C:\Users\bob\x.pth, D:/runs/x.pth", "x.pth, x.pth"),
        (r"'C:\\Users\\bob the first\\x.pth'", "'x.pth'"),
        (r"\\server\share\x.pth is empty", "x.pth is empty"),
        ("'/x.pth' and 'a/b'", "'/x.pth' and 'a/b'"),
        ("24×24 px, 3/4 of them, and/or none", "24×24 px, 3/4 of them, and/or none"),
        ("/cache of John/w.pth.part: no space", "w.pth.part: no space"),
        ("put it at /cache of John/w.pth by hand", "put it at w.pth by hand"),
        ("5 MB are needed in /cache of John and none is free", "5 MB are needed in the cache folder and none is free"),
        ("/cache of John: Permission denied", "the cache folder: Permission denied"),
    ],
)
def test_paths_are_cut_to_names(text: str, shown: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "cache of John"
    monkeypatch.setenv("VIT_ENGINE_HOME", str(home))
    assert without_paths(text.replace("/cache of John", str(home))) == shown


@pytest.mark.parametrize("mirror", ["/srv/mine/mirror-of", "file:///srv/mine/mirror-of"])
def test_folders_of_the_environment_are_called_what_they_are(mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIT_ENGINE_CHECKPOINTS", "/srv/check points/of bob")
    monkeypatch.setenv("VIT_ENGINE_MIRROR", f"https://mirror.example/srv/w {mirror}")
    assert without_paths("/srv/check points/of bob/run/w.pth is in /srv/check points/of bob.") == (
        "run/w.pth is in the checkpoint folder."
    )
    assert without_paths("/srv/mine/mirror-of: no URL") == "the mirror: no URL"
    assert without_paths("https://mirror.example/srv/w/x.pth") == "https://mirror.example/srv/w/x.pth"


def test_errors_keep_their_class_and_those_without_a_path_are_untouched() -> None:
    first = ve.ResourceError("too little memory")
    with pytest.raises(ve.ResourceError) as untouched, errors_without_paths():
        raise first
    assert untouched.value is first
    with pytest.raises(ve.DownloadError, match=r"^w\.pth: disk full$"), errors_without_paths():
        raise ve.DownloadError("/srv/cache/w.pth: disk full")
