"""Tools that Anthropic defined and the client runs: a type and a name, without a schema.

Anthropic's models know them by heart; any other model has to be told. The parameters are those of
Anthropic's tool reference (https://docs.claude.com/en/docs/agents-and-tools/tool-use), described
in our words.
"""

from __future__ import annotations

from typing import Any

__all__ = ["definition_of"]

_Schema = dict[str, Any]


def definition_of(type_: str, extra: dict[str, Any]) -> tuple[str, _Schema] | None:
    """Return description and schema of a tool that Anthropic defined, or None for other types.

    Args:
        type_: Its versioned type, "bash_20250124".
        extra: What else the client says of it: the size of a screen, the longest view of a file.
    """
    family, _, version = type_.rpartition("_")
    if family == "bash":
        return _BASH
    if family == "text_editor":
        return _text_editor(version, extra)
    if family == "memory":
        return _MEMORY
    if family == "computer":
        return _computer(version, extra)
    return None


def _text(description: str, *choices: str) -> _Schema:
    schema: _Schema = {"type": "string", "description": description}
    return {**schema, "enum": list(choices)} if choices else schema


def _number(description: str) -> _Schema:
    return {"type": "integer", "description": description}


def _numbers(description: str, length: int = 2) -> _Schema:
    return {
        "type": "array",
        "items": {"type": "integer"},
        "minItems": length,
        "maxItems": length,
        "description": description,
    }


def _object(required: list[str], **properties: _Schema) -> _Schema:
    return {"type": "object", "properties": properties, "required": required}


_BASH = (
    "Run commands in a bash shell that stays open: variables and the working directory are kept "
    "from one call to the next.",
    _object(
        [],
        command=_text("The command to run. Needed unless the shell is restarted."),
        restart={"type": "boolean", "description": "True starts the shell again."},
    ),
)

_MEMORY = (
    "Keep notes in files below /memories, which are there again in later conversations. Look at "
    "what is there before starting to work.",
    _object(
        ["command"],
        command=_text("What to do.", "view", "create", "str_replace", "insert", "delete", "rename"),
        path=_text("The file or folder, below /memories. Not for rename."),
        view_range=_numbers("For view: first and last line, from 1."),
        file_text=_text("For create: the whole text."),
        old_str=_text("For str_replace: the text to replace; it occurs once."),
        new_str=_text("For str_replace: what stands there afterwards."),
        insert_line=_number("For insert: the line behind which to insert; 0 is the beginning."),
        insert_text=_text("For insert: the text."),
        old_path=_text("For rename: the present path."),
        new_path=_text("For rename: the new path."),
    ),
)


def _text_editor(version: str, extra: dict[str, Any]) -> tuple[str, _Schema]:
    commands = ["view", "create", "str_replace", "insert"]
    if version < "20250429":
        commands.append("undo_edit")
    properties = {
        "command": _text("What to do.", *commands),
        "path": _text("Absolute path of the file or folder."),
        "view_range": _numbers("For view: first and last line, from 1; -1 is the last line."),
        "file_text": _text("For create: the whole text."),
        "old_str": _text("For str_replace: the text to replace; it occurs exactly once."),
        "new_str": _text("For str_replace, and for insert: the new text."),
        "insert_line": _number("For insert: the line behind which to insert; 0 is the beginning."),
    }
    if version >= "20250728":
        properties["insert_text"] = _text("For insert: the text.")
    longest = extra.get("max_characters")
    about = "View, create and change text files."
    if isinstance(longest, int):
        about += f" A view shows at most {longest} characters."
    return about, _object(["command", "path"], **properties)


_FIRST_ACTIONS = (
    "key",
    "type",
    "mouse_move",
    "left_click",
    "left_click_drag",
    "right_click",
    "middle_click",
    "double_click",
    "screenshot",
    "cursor_position",
)
_LATER_ACTIONS = (
    "left_mouse_down",
    "left_mouse_up",
    "scroll",
    "hold_key",
    "wait",
    "triple_click",
)


def _computer(version: str, extra: dict[str, Any]) -> tuple[str, _Schema]:
    later = version >= "20250124"
    actions = [*_FIRST_ACTIONS, *(_LATER_ACTIONS if later else ())]
    properties = {
        "coordinate": _numbers("x and y in pixels from the upper left corner."),
        "text": _text("For type and key: the text or key; with a click: the key that is held."),
    }
    if later:
        properties |= {
            "start_coordinate": _numbers("For left_click_drag: where the drag begins."),
            "scroll_direction": _text("For scroll.", "up", "down", "left", "right"),
            "scroll_amount": _number("For scroll: clicks of the wheel."),
            "duration": {"type": "number", "description": "For hold_key and wait: seconds."},
        }
    if extra.get("enable_zoom"):
        actions.append("zoom")
        properties["region"] = _numbers("For zoom: x1, y1, x2, y2 in pixels.", 4)
    width, height = extra.get("display_width_px"), extra.get("display_height_px")
    screen = f" The screen is {width} by {height} pixels." if width and height else ""
    about = f"Use a screen, a mouse and a keyboard. Take a screenshot to see what there is.{screen}"
    return about, _object(["action"], action=_text("What to do.", *actions), **properties)
