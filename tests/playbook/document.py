#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A diff document of two trees of files, as fluid-diff writes it, with sections added by hand.

    tests/diff/make-document OLD-TREE NEW-TREE [PREFIX [SECTIONS]]

PREFIX comes before each path in the document (default: none). SECTIONS is a file with the other members of the document, in
JSON, in which "paths" (with the prefix, "\\xNN" for a byte) stands for "changes", and "index_path" for "index".
"""

import base64
import hashlib
import json
import os
import stat
import sys

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo",
         stat.S_IFSOCK: "socket", stat.S_IFCHR: "char", stat.S_IFBLK: "block"}


def printable(raw):
    """As base/escape.h does, but for exotic Unicode."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1") if not raw.isascii() else raw.decode()
        return "".join(c if " " <= c < "\x7f" and c != "\\" else f"\\x{ord(c):02x}" for c in text)
    return "".join(
        c if c.isprintable() and c != "\\" else "".join(f"\\x{b:02x}" for b in c.encode()) for c in text)


def b64(raw):
    return base64.b64encode(raw).decode()


def walk(tree):
    """All paths below, as bytes, with a leading slash."""
    found = {}
    for directory, names, files in os.walk(os.fsencode(tree)):
        for name in names + files:
            full = os.path.join(directory, name)
            found[full[len(os.fsencode(tree)):]] = os.lstat(full)
    return found


def side(tree, path, info):
    kind = KINDS[stat.S_IFMT(info.st_mode)]
    full = os.fsencode(tree) + path
    state = {"size": info.st_size, "mode": f"{stat.S_IMODE(info.st_mode):04o}", "uid": info.st_uid, "gid": info.st_gid,
             "mtime": "2026-01-01T00:00:00.000000000Z"}
    if kind == "file":
        with open(full, "rb") as f:
            state["sha256"] = hashlib.sha256(f.read()).hexdigest()
    if kind == "symlink":
        target = os.readlink(full)
        state["target"] = printable(target)
        state["target_b64"] = b64(target)
    return kind, state


def changes(old, new, prefix=""):
    """The document's changes, sorted as it has them."""
    was, now = walk(old), walk(new)
    result = []
    for path in sorted(was.keys() | now.keys(), key=lambda p: p.split(b"/")):
        shown = os.fsencode(prefix) + path
        change = {"path": printable(shown), "path_b64": b64(shown)}
        old_kind, old_state = side(old, path, was[path]) if path in was else (None, None)
        kind, state = side(new, path, now[path]) if path in now else (None, None)
        if state is None:
            change |= {"change": "removed", "kind": old_kind, "old": old_state}
        elif old_state is None:
            change |= {"change": "added", "kind": kind, "new": state}
        elif kind != old_kind:
            change |= {"change": "type", "kind": kind, "old": {"kind": old_kind, **old_state}, "new": state}
        elif state.get("sha256") != old_state.get("sha256") or state.get("target") != old_state.get("target"):
            change |= {"change": "modified", "kind": kind, "old": old_state, "new": state}
        elif any(state[k] != old_state[k] for k in ("mode", "uid", "gid")):
            change |= {"change": "metadata", "kind": kind, "old": old_state, "new": state}
        else:
            continue
        result.append(change)
    return result


def with_indices(value, index):
    if isinstance(value, list):
        return [with_indices(item, index) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: with_indices(item, index) for key, item in value.items()}
    if "paths" in value:
        value["changes"] = [index[path] for path in value.pop("paths")]
    if "index_path" in value:
        value["index"] = index[value.pop("index_path")]
    return value


def document(old, new, prefix="", sections=None):
    found = changes(old, new, prefix)
    index = {change["path"]: i for i, change in enumerate(found)}
    return {"from": "before", "to": "after", "changes": found, **with_indices(sections or {}, index), "not_read": []}


def main():
    prefix = sys.argv[3] if len(sys.argv) > 3 else ""
    sections = {}
    if len(sys.argv) > 4:
        with open(sys.argv[4], encoding="utf-8") as f:
            sections = json.load(f)
    json.dump(document(sys.argv[1], sys.argv[2], prefix, sections), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
