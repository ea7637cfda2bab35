"""What came, made into text by its type: HTML, PDF, JSON, plain text; anything else is refused."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from autosre_lab.errors import MissingExtraError, UnreadableError
from autosre_lab.web.address_guard import shown_url
from autosre_lab.web.decoding import decode
from autosre_lab.web.extraction import extract_html
from autosre_lab.web.guarded_client import Reply
from autosre_lab.web.hygiene import one_line, strip_unseen

__all__ = ["Document", "is_readable_type", "is_risky", "read_document"]

MOST_PDF_PAGES = 300
MOST_PDF_CHARS = 2_000_000

_TEXT_TYPES = re.compile(
    r"text/.*|application/(.*\+)?(json|xml|yaml)|application/(x-)?(javascript|ndjson|yaml|toml|"
    r"sh|sql|tex|httpd-php|www-form-urlencoded|json5|jsonlines|graphql)|message/.*"
    r"|image/svg\+xml"
)
_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_UNTOLD = frozenset({"", "application/octet-stream", "binary/octet-stream", "unknown/unknown"})
_LOOKS_LIKE_HTML = re.compile(rb"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A page's text in the formats that it has.

    Attributes:
        title: Its title; empty where it has none.
        kind: html, pdf, json or text.
        markdown: Its text as Markdown where it is HTML, otherwise the same as `text`.
        text: Its text, plain.
        raw: Its source as it came; for a PDF the same as `text`.
        notes: What a reader should know of how it was read.
    """

    title: str
    kind: str
    markdown: str
    text: str
    raw: str
    notes: tuple[str, ...] = ()


def is_readable_type(content_type: str) -> bool:
    """Whether a body of a media type is worth being read."""
    return (
        content_type in _UNTOLD
        or content_type == "application/pdf"
        or content_type in _HTML_TYPES
        or _TEXT_TYPES.fullmatch(content_type) is not None
    )


def read_document(reply: Reply) -> Document:
    """Return the text of what came.

    Raises:
        UnreadableError: There is none in it.
    """
    kind = _kind(reply)
    if kind is None:
        raise _unreadable(reply)
    return _READERS[kind](reply)


def is_risky(reply: Reply) -> bool:
    """Whether reading it is a library's work, which a page may be made to draw out."""
    return _kind(reply) in ("html", "pdf")


def _kind(reply: Reply) -> str | None:
    if reply.is_unwanted:
        return None
    told = reply.content_type
    body = reply.body
    if told == "application/pdf" or body.startswith(b"%PDF-"):
        return "pdf"
    if told in _HTML_TYPES:
        return "html"
    if told in _UNTOLD and _LOOKS_LIKE_HTML.search(body[:4096]):
        return "html"
    if b"\0" in body[:4096] and not body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None
    if told.endswith("json"):
        return "json"
    return "text"


def _read_html(reply: Reply) -> Document:
    source = decode(reply.body, charset=_charset(reply), may_declare=True)
    extracted = extract_html(source, url=reply.url)
    notes = []
    if extracted.hidden:
        notes.append(f"{extracted.hidden} hidden elements were left out")
    if not extracted.text and len(source) > 200:
        notes.append("no text without JavaScript: browser_render_markdown shows what it makes")
    return Document(
        title=extracted.title,
        kind="html",
        markdown=extracted.markdown,
        text=extracted.text,
        raw=strip_unseen(source),
        notes=tuple(notes),
    )


def _read_pdf(reply: Reply) -> Document:
    if reply.is_cut:
        raise UnreadableError(
            f"{shown_url(reply.url)} is a PDF of more than {len(reply.body):,} bytes",
            remedy="look for the same text as HTML, or for a part of it",
        )
    try:
        import pypdf
    except ImportError as error:
        raise MissingExtraError("reading PDF files", extra="web") from error
    try:
        reader = pypdf.PdfReader(io.BytesIO(reply.body))
        count = len(reader.pages)
        title = str((reader.metadata and reader.metadata.title) or "")
        pages = _pdf_pages(reader, min(count, MOST_PDF_PAGES))
    # A PDF is read by its own program of sorts; broken ones raise anything.
    except Exception as error:
        raise UnreadableError(
            f"{shown_url(reply.url)} is a PDF that cannot be read ({type(error).__name__}): "
            "it is encrypted or broken",
            remedy="look for the same text as HTML",
        ) from error
    text = strip_unseen("\n\n".join(pages)).strip()
    if not re.search(r"\w", re.sub(r"## Page \d+", "", text)):
        raise UnreadableError(
            f"{shown_url(reply.url)} is a PDF of {count} pages without text; they are pictures",
            remedy="look for the same text as HTML; nothing here reads pictures",
        )
    notes = [f"PDF of {count} pages"]
    if len(pages) < count:
        notes.append(f"only the first {len(pages)} were read")
    return Document(
        title=one_line(title, 200),
        kind="pdf",
        markdown=text,
        text=text,
        raw=text,
        notes=tuple(notes),
    )


def _pdf_pages(reader: object, count: int) -> list[str]:
    pages: list[str] = []
    size = 0
    for number in range(count):
        page = reader.pages[number].extract_text()  # type: ignore[attr-defined]
        pages.append(f"## Page {number + 1}\n\n{page.strip()}")
        size += len(page)
        if size > MOST_PDF_CHARS:
            break
    return pages


def _read_json(reply: Reply) -> Document:
    raw = strip_unseen(decode(reply.body, charset=_charset(reply)))
    notes: tuple[str, ...] = ()
    try:
        text = strip_unseen(json.dumps(json.loads(raw), indent=2, ensure_ascii=False))
    except (ValueError, RecursionError):
        text, notes = raw, ("it is not valid JSON and is shown as it came",)
    return Document(title="", kind="json", markdown=text, text=text, raw=raw, notes=notes)


def _read_text(reply: Reply) -> Document:
    may_declare = "xml" in reply.content_type
    text = strip_unseen(decode(reply.body, charset=_charset(reply), may_declare=may_declare))
    return Document(title="", kind="text", markdown=text, text=text, raw=text)


_READERS: dict[str, Callable[[Reply], Document]] = {
    "html": _read_html,
    "json": _read_json,
    "pdf": _read_pdf,
    "text": _read_text,
}


def _charset(reply: Reply) -> str:
    match = re.search(
        r"charset\s*=\s*[\"']?([^\s;\"']+)", reply.headers.get("content-type", ""), re.I
    )
    return match[1] if match else ""


def _unreadable(reply: Reply) -> UnreadableError:
    length = reply.headers.get("content-length", "")
    size = f", {int(length):,} bytes" if length.isdecimal() else ""
    told = one_line(reply.content_type, 80) or "of no known type"
    remedy = "look for a page about it"
    if told.startswith(("image/", "video/", "audio/")):
        remedy = "look for a page that describes it"
    elif "zip" in told or "tar" in told or "octet-stream" in told:
        remedy = "download it with Bash (curl -LO) if it is needed"
    return UnreadableError(
        f"{shown_url(reply.url)} is {told}{size}: nothing in it can be read as text",
        remedy=remedy,
    )
