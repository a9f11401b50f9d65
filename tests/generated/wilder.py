# SPDX-License-Identifier: MIT
"""What an agent does less often: each function gives the operations of one case, or none where it cannot be done any more.

They get the Changes of generate-changes, whose random, slot(), fresh(), content() and touched they use.
"""

import packages

INSTANCE = "[Unit]\nDescription=generated %i\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
SOCKET = "[Socket]\nListenStream=/run/{name}.sock\nAccept=no\n[Install]\nWantedBy=sockets.target\nAlias={name}-alias.socket\n"


def run(*argv):
    return {"op": "run", "argv": list(argv)}


def write(path, content, **more):
    return {"op": "write", "path": path, "content": content, **more}


def once(changes, word):
    if word in changes.touched:
        return False
    changes.touched.add(word)
    return True


def hold(changes):
    return [run("apt-mark", "hold", "gen-delta")] if once(changes, "hold") else []


def override(changes):
    if not once(changes, "data"):
        return []
    return [run("dpkg-statoverride", "--update", "--add", "root", "www-data", "0750", "/usr/share/gen-delta/data")]


def divert(changes):
    if not once(changes, "data"):
        return []
    path = "/usr/share/gen-delta/data"
    return [run("dpkg-divert", "--local", "--rename", "--divert", path + ".orig", "--add", path), write(path, "diverted\n", mode=0o644)]


def alternative(changes):
    if not (once(changes, "gen-eta") and once(changes, "gen-zeta")):
        return []
    operations = [run(*packages.APT, "install", "gen-eta"), run("update-alternatives", "--set", "gen-tool", "/usr/bin/gen-zeta-tool")]
    # Chosen before, the link is never another one.
    return operations if changes.seed % 2 else operations[::-1]


def damaged(changes):
    """A package is installed, and something of it changed at once."""
    if not once(changes, "gen-beta"):
        return []
    return [run(*packages.APT, "install", "gen-beta"), changes.random.choice([
        {"op": "remove", "path": "/etc/gen-beta.conf"}, {"op": "attributes", "path": "/etc/gen-beta.conf", "mode": 0o600, "uid": 33, "gid": 33},
        write("/etc/gen-beta.conf", ""), write("/etc/gen-beta.conf", "crlf\r\n"), write("/etc/gen-beta.conf", "no end")])]


def conffile_swapped(changes):
    if not once(changes, "gen-delta"):
        return []
    path = "/etc/gen-delta.conf"
    return [{"op": "rename", "path": path, "target": path + ".real"}, {"op": "symlink", "path": path, "target": "gen-delta.conf.real"}]


def recreated(changes):
    if not once(changes, "gen-theta"):
        return []
    return [run(*packages.APT, changes.random.choice(["remove", "purge"]), "gen-theta"),
            write("/etc/cron.d/gen-theta", "0 5 * * * root /bin/false\n", mode=0o644)]


def through_link(changes):
    """A directory becomes a link to another one, in which something is written through it."""
    path, other = changes.slot("dir"), changes.slot("dir")
    if not path or not other:
        return []
    return [{"op": "remove", "path": path}, {"op": "symlink", "path": path, "target": other}, write(path + "/through", "x\n")]


def deep_swap(changes):
    path = changes.slot("file")
    if not path:
        return []
    return [{"op": "remove", "path": path}, {"op": "mkdir", "path": path}, {"op": "mkdir", "path": path + "/{{ a }}"},
            {"op": "symlink", "path": path + "/{{ a }}/self", "target": "."}, write(path + "/{{ a }}/-rf", "x"),
            {"op": "attributes", "path": path + "/{{ a }}", "mode": 0, "uid": 4242, "gid": 33}]


def inner_swap(changes):
    path = changes.slot("dir")
    return [{"op": "remove", "path": path + "/inner"}, {"op": "mkdir", "path": path + "/inner"}, write(path + "/inner/more", "x\n")] if path else []


def orphaned(changes):
    path = changes.fresh()
    if not path or not changes.users:
        return []
    i = changes.users.pop()
    return [write(path, "whose\n", uid=1900 + i, gid=1900 + i, mode=0o640), run("userdel", f"gen-user{i}")]


def renamed_account(changes):
    if not changes.users:
        return []
    i = changes.users.pop()
    return [changes.random.choice([run("usermod", "--login", f"gen-renamed{i}", f"gen-user{i}"), run("usermod", "--gid", "gen-crew", f"gen-user{i}"),
                                   run("groupmod", "--gid", str(1950 + i), f"gen-user{i}"), run("groupmod", "--new-name", f"gen-other{i}", f"gen-user{i}")])]


def twin(changes):
    return [run("useradd", "--non-unique", "--uid", "1900", "--no-create-home", "--gid", "gen-team", "gen-twin")] if once(changes, "twin") else []


def instance(changes):
    n = next(changes.numbers)
    return [write(f"/etc/systemd/system/gen-inst{n}@.service", INSTANCE, mode=0o644), run("systemctl", "daemon-reload"),
            run("systemctl", "enable", "--now", f"gen-inst{n}@one.service")]


def socket(changes):
    name = f"gen-sock{next(changes.numbers)}"
    return [write(f"/etc/systemd/system/{name}.socket", SOCKET.format(name=name), mode=0o644),
            write(f"/etc/systemd/system/{name}.service", "[Service]\nExecStart=/bin/sleep infinity\n", mode=0o644),
            run("systemctl", "daemon-reload"), run("systemctl", "enable", "--now", f"{name}.socket")]


def default_target(changes):
    return [run("systemctl", "set-default", "multi-user.target")] if once(changes, "default") else []


def of_users(changes):
    name = f"gen-global{next(changes.numbers)}"
    return [write(f"/etc/systemd/user/{name}.service", "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=default.target\n", mode=0o644, parents=True),
            run("systemctl", "--global", "enable", f"{name}.service")]


def drop_in(changes):
    return [write("/etc/systemd/system/nginx.service.d/{{ x }}.conf", "[Service]\nNice=5\n", parents=True)] if once(changes, "drop-in") else []


def masked_own(changes):
    """A unit of the agent's own, which is masked for the time being, elsewhere than where it is."""
    name = f"gen-mask{next(changes.numbers)}"
    return [write(f"/usr/local/lib/systemd/system/{name}.service", "[Service]\nExecStart=/bin/true\n", parents=True, mode=0o644),
            run("systemctl", "daemon-reload"), run("systemctl", "mask", f"{name}.service")]


DAYS = [["--maxdays", "90"], ["--mindays", "1", "--maxdays", "-1"], ["--mindays", "-1"], ["--warndays", "3"], ["--inactive", "7"], ["--expiredate", "0"],
        ["--expiredate", "2030-01-01"], ["--expiredate", "1", "--maxdays", "30"], ["--expiredate", "99999999"]]


def days(changes):
    """How long accounts and passwords are good: of one that was there, and of a new one."""
    n = next(changes.numbers)
    system = changes.random.choice([["--uid", str(2700 + n)], ["--system", "--uid", str(400 + n)], ["--uid", str(400 + n)]])
    operations = [run("useradd", "--no-create-home", *system, f"gen-days{n}"), run("chage", *changes.random.choice(DAYS), f"gen-days{n}")]
    if n % 3 == 0:
        operations.append(run("chage", "--lastday", "0", f"gen-days{n}"))
    if changes.users:
        operations.append(run("chage", *changes.random.choice(DAYS), f"gen-user{changes.random.choice(changes.users)}"))
    return operations


WEIGHTS = {hold: 1, override: 1, divert: 1, alternative: 2, damaged: 3, conffile_swapped: 2, recreated: 2, through_link: 3, deep_swap: 3,
           inner_swap: 3, orphaned: 2, renamed_account: 4, twin: 1, instance: 2, socket: 2, default_target: 1, of_users: 1,
           drop_in: 1, masked_own: 1}
