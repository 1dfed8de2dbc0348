"""Where Prefect's pages are seen and ask for their data; the pages themselves are looked at in tests/e2e/prefect."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prefect import settings
from prefect.server.api.server import create_ui_app
from prefect.settings import temporary_settings

from pipeline.errors import UserError
from pipeline.flows.ui import META, address, environment, keep_private


@pytest.mark.parametrize(
    ("asked", "api", "pages", "data"),
    [
        (("127.0.0.1", 4301), "http://127.0.0.1:4301/api", "http://127.0.0.1:4301", "/api"),
        (("0.0.0.0", 80), "http://127.0.0.1:80/api", "http://127.0.0.1:80", "/api"),
        (("::", 4200), "http://[::1]:4200/api", "http://[::1]:4200", "/api"),
        (("lab", 4200, "https://lab.example"), "http://lab:4200/api", "https://lab.example", "/api"),
        (
            ("127.0.0.1", 4200, "https://lab.example:8443/tools/prefect/"),
            *(
                "http://127.0.0.1:4200/tools/prefect/api",
                "https://lab.example:8443/tools/prefect",
                "/tools/prefect/api",
            ),
        ),
    ],
)
def test_pages_ask_the_host_that_they_come_from(
    asked: tuple[str, int], api: str, pages: str, data: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    at = address(*asked)
    assert (at.api, at.pages) == (api, pages)
    told = environment(at)
    assert told["PREFECT_UI_API_URL"] == data
    assert told["PREFECT_UI_URL"] == pages
    assert Path(told["PREFECT_UI_STATIC_DIRECTORY"]).is_relative_to(tmp_path)
    assert told.get("PREFECT_SERVER_API_BASE_PATH", "/api") == data
    assert told.get("PREFECT_UI_SERVE_BASE", "") + "/api" == data


@pytest.mark.parametrize(
    "public_url",
    ["lab.example/prefect", "ftp://lab.example", "https://", "https://lab.example/?a", "http://a:0x/", "http://a/b c"],
)
def test_an_address_that_is_none_is_refused(public_url: str) -> None:
    with pytest.raises(UserError, match="--public-url"):
        address("127.0.0.1", 4200, public_url)


def test_the_copied_pages_ask_nobody_else_and_stay_so(tmp_path: Path) -> None:
    assets = tmp_path / "v2" / "assets"
    assets.mkdir(parents=True)
    (tmp_path / "v2" / "index.html").write_text("<html><head></head></html>")
    (assets / "index-A.js").write_text("function a(){return`0123456789abcdef0123456789abcdef`}function b(){}")
    for _ in range(2):
        keep_private(tmp_path)
        assert (tmp_path / "v2" / "index.html").read_text() == f"<html><head>{META}</head></html>"
        assert (assets / "index-A.js").read_text() == "function a(){return``}function b(){}"


def test_prefects_own_pages_lie_below_the_path_of_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    told = environment(address("127.0.0.1", 4200, "https://lab.example/tools"))
    with temporary_settings({getattr(settings, name): value for name, value in told.items()}):
        pages = TestClient(create_ui_app(ephemeral=False))
        assert pages.get("/tools/ui-settings").json()["api_url"] == "/tools/api"
    keep_private(Path(told["PREFECT_UI_STATIC_DIRECTORY"]))
    for base in ("/tools", "/tools/v2"):
        page = pages.get(f"{base}/", headers={"cookie": f"prefect_ui_version={'v2' if 'v2' in base else 'v1'}"}).text
        assert META in page
        (script,) = re.findall(rf'src="({base}/assets/index-[^"]+\.js)"', page)
        content = pages.get(script).text
        assert "import" in content
        assert not re.search(r"`[0-9a-f]{32}`", content)
