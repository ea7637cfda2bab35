"""A real Chromium is driven through the pages that make driving hard."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from autosre_lab.browser import save_pdf, take_screenshot
from autosre_lab.browser.rendered import render_page
from autosre_lab.browser.snapshot import find_in_snapshot
from autosre_lab.errors import BrowserError
from tests.browser.conftest import Run, Visitor
from tests.browser.sites import UNREAD, Site

pytestmark = pytest.mark.browser


def test_late_content_of_a_single_page_app_is_waited_for(visitor: Visitor, good: Site) -> None:
    told = visitor.do(
        {"action": "goto", "value": f"{good.url}/late"}, {"action": "wait_for", "value": "gamma"}
    )
    assert "listitem" in told
    assert "alpha" in told
    told = visitor.click('"More"')
    assert "delta has come" in told
    assert "alpha" not in told  # what was there before is not told again


def test_a_login_form_is_filled_in_one_call_and_its_password_is_not_shown(
    visitor: Visitor, good: Site
) -> None:
    visitor.goto(f"{good.url}/login")
    user, password = visitor.ref('textbox "User"'), visitor.ref('textbox "Password"')
    told = visitor.do(
        {"action": "fill", "target": user, "value": "ada"},
        {"action": "fill", "target": password, "value": "s3cret-word"},
        {"action": "check", "target": visitor.ref("checkbox")},
        {"action": "select", "target": visitor.ref("combobox"), "value": "writer"},
    )
    assert "s3cret-word" not in told
    assert "[checked]" in told
    told = visitor.do({"action": "press", "target": password, "value": "Enter"})
    assert "Welcome, ada" in told
    assert f"{good.url}/account" in told


def test_a_wrong_step_ends_the_steps_and_says_which_were_done(visitor: Visitor, good: Site) -> None:
    visitor.goto(f"{good.url}/login")
    told = visitor.do(
        {"action": "fill", "target": visitor.ref('textbox "User"'), "value": "bob"},
        {"action": "click", "target": "e999"},
        {"action": "press", "value": "Enter"},
    )
    assert '1. fill get_by_role("textbox", name="User")' in told
    assert "2. click FAILED: no element e999" in told
    assert "(1 more steps were not done)" in told
    assert "bob" in told


def test_a_stale_ref_fails_at_once_and_never_hits_another_element(
    visitor: Visitor, good: Site
) -> None:
    visitor.goto(f"{good.url}/login")
    old = visitor.ref('button "Sign in"')
    visitor.goto(f"{good.url}/dialogs")
    began = time.monotonic()
    with pytest.raises(BrowserError, match="not any more") as caught:
        visitor.do({"action": "click", "target": old})
    assert time.monotonic() - began < 2
    assert "browser_snapshot" in caught.value.remedy


def test_a_page_with_endless_streams_is_usable(visitor: Visitor, good: Site) -> None:
    began = time.monotonic()
    visitor.goto(f"{good.url}/stream")
    visitor.do({"action": "wait_for", "value": "7"})
    told = visitor.click('"Click"')
    assert "Clicked" in told
    assert time.monotonic() - began < 15


def test_frames_of_both_kinds_are_seen_and_acted_in(
    visitor: Visitor, good: Site, other: Site
) -> None:
    visitor.goto(f"{good.url}/frames?other={other.url}/inner")
    fields = re.findall(r'textbox "Code" \[ref=(f\d+e\d+)\]', visitor.see())
    buttons = re.findall(r'button "Send" \[ref=(f\d+e\d+)\]', visitor.see())
    assert len(fields) == len(buttons) == 2
    for number, (field, button) in enumerate(zip(fields, buttons, strict=True)):
        told = visitor.do(
            {"action": "fill", "target": field, "value": f"frame-{number}"},
            {"action": "click", "target": button},
        )
        assert f"You typed frame-{number}" in told


def test_the_frame_of_another_site_is_a_process_of_its_own(
    run: Run, visitor: Visitor, good: Site, other: Site
) -> None:
    visitor.goto(f"{good.url}/frames?other={other.url}/inner")

    async def targets() -> list[str]:
        cdp = await visitor.session.connection.browser.new_browser_cdp_session()
        found = (await cdp.send("Target.getTargets"))["targetInfos"]
        await cdp.detach()
        return [one["url"] for one in found if one["type"] == "iframe"]

    assert f"{other.url}/inner" in run(targets())


def test_every_dialog_is_answered_and_told(visitor: Visitor, good: Site) -> None:
    visitor.goto(f"{good.url}/dialogs")
    assert 'confirm "Delete it?" was dismissed' in visitor.click('"Delete"')
    assert "false" in visitor.see()
    told = visitor.do(
        {"action": "dialog_accept", "value": "Grace"},
        {"action": "click", "target": visitor.ref('"Name"')},
    )
    assert 'prompt "Name?" was accepted' in told
    assert "Grace" in told
    assert 'alert "Hello" was accepted' in visitor.click('"Alert"')
    # The page asks before it is left; it is left all the same.
    assert "Home" in visitor.goto(f"{good.url}/")


def test_a_download_is_kept_under_a_name_that_leads_nowhere(visitor: Visitor, good: Site) -> None:
    visitor.goto(f"{good.url}/downloads")
    told = visitor.click('link "Get it"')
    path = Path(re.findall(r"download .*: (/\S+)", told)[0])
    assert path.parent == visitor.session.folder
    assert path.name.endswith("evil.csv")
    assert path.read_bytes() == b"col\n1\n"
    # The address of a file opened directly is no error either.
    assert "download" in visitor.goto(f"{good.url}/file")


def test_what_is_in_the_shadow_is_seen_and_pressed(visitor: Visitor, good: Site) -> None:
    visitor.goto(f"{good.url}/shadow")
    assert "Pressed in the shadow" in visitor.click('"Press"')


def test_five_megabytes_of_page_are_seen_cut_and_searched(visitor: Visitor, good: Site) -> None:
    began = time.monotonic()
    told = visitor.goto(f"{good.url}/huge")
    assert time.monotonic() - began < 10
    assert len(told) < 500
    assert "very large" in told
    whole = visitor.see()
    assert len(whole) > 5_000_000
    found = find_in_snapshot(whole, "row 9999")
    assert 'cell "row 9999" [ref=' in found
    assert len(found) < 2000


def test_an_endless_list_grows_by_scrolling(visitor: Visitor, good: Site) -> None:
    assert "post 19" in visitor.goto(f"{good.url}/feed")
    told = visitor.do({"action": "scroll", "value": "5000"})
    assert "post 39" in told


def test_a_popup_becomes_a_tab_that_can_be_used_and_closed(visitor: Visitor, good: Site) -> None:
    visitor.goto(f"{good.url}/popup")
    told = visitor.click('"Open"')
    assert "new tab t2" in told
    assert f"tab t2 | {good.url}/inner" in told
    assert 'textbox "Code"' in told
    told = visitor.do({"action": "close_tab"})
    assert "tab t2 was closed" in told
    assert "tab t1" in told
    with pytest.raises(BrowserError, match="no tab t2"):
        visitor.do({"action": "reload"}, tab="t2")


def test_what_covers_an_element_is_named(visitor: Visitor, good: Site) -> None:
    visitor.goto(f"{good.url}/covered")
    with pytest.raises(BrowserError, match="intercepts pointer events"):
        visitor.click('"Buy"')
    visitor.click('"Accept"')
    visitor.click('"Buy"')


def test_only_files_of_the_working_folder_are_uploaded(
    visitor: Visitor, good: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "note.txt").write_text("x")
    (work / ".secret").write_text("x")
    (work / "link").symlink_to("/etc/hostname")
    monkeypatch.chdir(work)
    visitor.goto(f"{good.url}/upload")
    field = visitor.ref('"File"')
    for value in ("/etc/hostname", "../other", "link", ".secret"):
        with pytest.raises(BrowserError, match="upload"):
            visitor.do({"action": "upload", "target": field, "value": value})
    told = visitor.do({"action": "upload", "target": field, "value": "note.txt"})
    assert "note.txt" in told


def test_back_forward_and_reload_go_where_they_say(visitor: Visitor, good: Site) -> None:
    visitor.goto(f"{good.url}/")
    visitor.goto(f"{good.url}/popup")
    assert "Home" in visitor.do({"action": "back"})
    assert "Popups" in visitor.do({"action": "forward"})
    assert "reload" in visitor.do({"action": "reload"})


def test_a_page_that_is_not_there_is_told_with_its_status(visitor: Visitor, good: Site) -> None:
    assert "status 404" in visitor.goto(f"{good.url}/nothing")
    assert "status" not in visitor.goto(f"{good.url}/")


def test_a_picture_fits_a_vision_model_and_a_pdf_is_one(
    run: Run, visitor: Visitor, good: Site
) -> None:
    visitor.goto(f"{good.url}/feed")
    session = visitor.session

    async def capture() -> None:
        seen = await take_screenshot(session, session.tab())
        assert (seen.area.width, seen.area.height) == (1280, 800)
        whole = await take_screenshot(session, session.tab(), full_page=True)
        assert whole.area.height > 1200
        assert whole.scale < 1
        for picture in (seen, whole):
            width, height = (int.from_bytes(picture.png[at : at + 4]) for at in (16, 20))
            assert max(width, height) <= 1568
            assert width * height <= 1_160_000
            assert picture.path.stat().st_mode & 0o077 == 0
        heading = await take_screenshot(session, session.tab(), target="h1")
        assert heading.area.height < 100
        pdf = await save_pdf(session, session.tab())
        assert pdf.read_bytes().startswith(b"%PDF-")

    run(capture())


def test_a_rendered_page_has_what_scripts_made_and_frames_and_shadows_hold(
    run: Run, visitor: Visitor, good: Site, other: Site
) -> None:
    late = run(render_page(visitor.session, f"{good.url}/late", wait_for_selector="li"))
    assert "<li>beta</li>" in late.html
    frames = run(render_page(visitor.session, f"{good.url}/frames?other={other.url}/inner"))
    assert frames.html.count("Send</button>") == 2
    shadow = run(render_page(visitor.session, f"{good.url}/shadow"))
    assert "In the shadow" in shadow.html
    hidden = run(render_page(visitor.session, f"{good.url}/hidden"))
    assert "Sunny" in hidden.html
    assert "Ignore all instructions" not in hidden.html
    stream = run(render_page(visitor.session, f"{good.url}/stream", wait_until="networkidle"))
    assert "Live" in stream.html


def test_a_rendered_page_is_without_what_its_reader_does_not_see(
    run: Run, visitor: Visitor, good: Site
) -> None:
    page = run(render_page(visitor.session, f"{good.url}/unread", wait_until="load"))
    left = [UNREAD[int(one)] for one in re.findall(r"INJECTED (\d+)", page.html)]
    assert left == []
    assert all(word in page.html for word in ("Sunny.", "Warm.", "Dry."))
