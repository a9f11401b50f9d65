#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a guest holds, listed by nothing of fluid's, and what two listings differ in that a playbook did not name.

    trees.py list ROOT [NEWER-THAN]            one line of JSON for each path, account and package; hashes only of files that
                                               changed after the time of that file
    trees.py compare WANTED GOT LEFT-OUT.json  prints each difference that LEFT-OUT.json does not name; status 1 where there is one

Times are not compared. Text in which a byte may be anything is Latin-1.
"""

import base64
import fnmatch
import hashlib
import json
import os
import re
import stat
import sys

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket",
         stat.S_IFCHR: "char", stat.S_IFBLK: "block"}
SKIPPED = {b"proc", b"sys", b"dev", b"run", b"tmp", b"lost+found"}

# What changes by itself wherever something is done, or belongs to one machine. Not fluid's own list.
NOISE = (
    "/var/log/*", "/var/tmp/*", "/var/cache/*", "/root/.cache*", "/root/.ansible*", "/home/*/.cache/*", "*/__pycache__*",
    "/var/lib/apt/*", "/var/lib/dpkg/*", "/var/lib/ucf/*", "/var/lib/systemd/*", "/var/lib/private*", "/var/lib/logrotate/*",
    "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-", "/etc/.pwd.lock", "/etc/.updated",
    "/var/.updated", "/etc/ld.so.cache", "/etc/machine-id", "/etc/hostname", "/etc/ssh/ssh_host_*", "/etc/resolv.conf",
    # Compared as accounts.
    "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid")


IS_NOISE = re.compile("|".join(fnmatch.translate(pattern) for pattern in NOISE))


def text(raw):
    return raw.decode("latin-1")


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def entry(path, shown, newer_than):
    st = os.lstat(path)
    kind = KINDS[stat.S_IFMT(st.st_mode)]
    item = {"path": text(shown), "kind": kind, "uid": st.st_uid, "gid": st.st_gid}
    if kind == "symlink":
        item["target"] = text(os.readlink(path))
        return item
    item["mode"] = stat.S_IMODE(st.st_mode)
    if kind == "file":
        item.update(size=st.st_size, links=st.st_nlink)
    if st.st_ctime_ns <= newer_than:
        return item
    if kind == "file":
        item["sha256"] = sha256(path)
    if names := os.listxattr(path, follow_symlinks=False):
        item["xattrs"] = {name: text(os.getxattr(path, name, follow_symlinks=False)) for name in sorted(names)}
    return item


def walk(root, newer_than):
    device = os.lstat(root or b"/").st_dev
    pending = [b""]
    while pending:
        below = pending.pop()
        for name in sorted(os.listdir(root + below or b"/")):
            shown = below + b"/" + name
            if not below and name in SKIPPED or IS_NOISE.match(text(shown)):
                continue
            item = entry(root + shown, shown, newer_than)
            yield item
            if item["kind"] == "directory" and os.lstat(root + shown).st_dev == device:
                pending.append(shown)


def lines(root, path):
    try:
        with open(root + path, "rb") as file:
            return text(file.read()).splitlines()
    except FileNotFoundError:
        return []


def accounts(root):
    members = {}
    for line in lines(root, b"/etc/group"):
        name, _, gid, users = line.split(":")
        yield {"group": name, "gid": gid}
        for user in filter(None, users.split(",")):
            members.setdefault(user, []).append(name)
    for line in lines(root, b"/etc/passwd"):
        name, _, uid, gid, comment, home, shell = line.split(":")
        yield {"user": name, "uid": uid, "gid": gid, "comment": comment, "home": home, "shell": shell, "groups": sorted(members.pop(name, []))}
    for line in lines(root, b"/etc/shadow"):
        name, password, changed, *ages, _ = line.split(":")
        yield {"password": name, "is": password, "ages": [changed == "0", *ages]}
    for user, groups in members.items():
        yield {"stray": user, "groups": sorted(groups)}


def packages(root):
    fields = {}
    for line in lines(root, b"/var/lib/dpkg/status") + [""]:
        if line and line[0] not in " \t":
            key, _, value = line.partition(": ")
            fields[key] = value
        elif not line and fields:
            yield {"package": fields["Package"], "version": fields.get("Version", ""), "status": fields["Status"]}
            fields = {}


def list_all(root, newer_than):
    for source in (walk(root, newer_than), accounts(root), packages(root)):
        for item in source:
            print(json.dumps(item, sort_keys=True))


# -- comparing

KEYS = ("path", "user", "group", "package", "password", "stray")


def load(path):
    items = {}
    with open(path, encoding="ascii") as file:
        for line in file:
            item = json.loads(line)
            kind = next(key for key in KEYS if key in item)
            items[kind, item[kind]] = item
    return items


def load_left_out(path):
    named = {}
    with open(path, encoding="utf-8") as file:
        for item in json.load(file)["left_out"]:
            key = ("path", text(base64.b64decode(item["path_b64"]))) if "path_b64" in item else (item["what"], item["name"])
            named.setdefault(key, set()).add(item["rule"])
    return named


def explained(kind, name, differs, named):
    """The keys that differ and that nobody has said in advance would."""
    rules = named.get(("user" if kind == "password" else kind, name), set())
    if kind == "password":
        return differs - {"is" if "passwords" in rules else "", "ages" if "password-days" in rules else ""}
    if kind == "user":
        return set() if "accounts" in rules else differs - rules  # "comment" is the name of the field, too
    if ("all", "hard links") in named:
        differs = differs - {"links"}
    if "extended-attributes" in rules:
        differs, rules = differs - {"xattrs"}, rules - {"extended-attributes"}
    return set() if rules else differs


def compare(wanted, got, named):
    differences = []
    for kind, name in sorted(wanted.keys() | got.keys()):
        a, b = wanted.get((kind, name)), got.get((kind, name))
        if a == b:
            continue
        differs = {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)} if a and b else {"is missing" if a else "is too much"}
        differs = explained(kind, name, differs, named)
        if differs:
            differences.append(f"{kind} {name!r}: {', '.join(sorted(differs))}: wanted {a}, got {b}")
    return differences


def main():
    if len(sys.argv) in (3, 4) and sys.argv[1] == "list":
        list_all(os.fsencode(sys.argv[2].rstrip("/")), os.lstat(sys.argv[3]).st_ctime_ns if len(sys.argv) == 4 else 0)
        return 0
    wanted, got, left_out = sys.argv[2:]
    differences = compare(load(wanted), load(got), load_left_out(left_out))
    for difference in differences:
        print(difference)
    return len(differences) > 0


if __name__ == "__main__":
    sys.exit(main())
