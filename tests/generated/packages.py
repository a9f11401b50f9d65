# SPDX-License-Identifier: MIT
"""A repository of small Debian packages, made with dpkg-deb: what installing, upgrading, removing and purging can do."""

import hashlib
import pathlib
import subprocess

APT = ["apt-get", "-y", "-q", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"]

CONFIG = """# {name}.conf {version}
# $Id: {{{{ x }}}} %s \\1 [a-z]* (b|c)+ ^d$ $
listen 80
listen 443 ssl
workers 1
[section one]
key = value
key = value
  indented = yes
\ttabbed\t= yes
path = /srv/{name}
regex = ^/(.*)\\.php$
template = {{{{ not_ours }}}}
percent = 100%
quote = "double" 'single'
semicolon = a;b;c
utf8 = é

[section two]
key = other
# last = comment
last = line
"""

SERVICE = "[Unit]\nDescription={name}\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"

ENABLE = """#!/bin/sh
set -e
if [ "$1" = configure ]; then
	deb-systemd-helper unmask {name}.service >/dev/null || true
	if deb-systemd-helper --quiet was-enabled {name}.service; then deb-systemd-helper enable {name}.service >/dev/null || true
	else deb-systemd-helper update-state {name}.service >/dev/null || true; fi
	systemctl --system daemon-reload >/dev/null || true
	deb-systemd-invoke start {name}.service >/dev/null || true
fi
"""
DISABLE = """#!/bin/sh
set -e
if [ "$1" = remove ]; then systemctl --system daemon-reload >/dev/null || true; fi
if [ "$1" = purge ]; then deb-systemd-helper purge {name}.service >/dev/null || true; rm -rf /var/lib/{name}; fi
"""
STOP = "#!/bin/sh\nset -e\nif [ \"$1\" = remove ]; then deb-systemd-invoke stop {name}.service >/dev/null || true; fi\n"

USER = """#!/bin/sh
set -e
if [ "$1" = configure ] && ! getent passwd {name} >/dev/null; then
	groupadd --system {name}
	useradd --system --gid {name} --home-dir /var/lib/{name} --no-create-home --shell /usr/sbin/nologin {name}
fi
mkdir -p /var/lib/{name}
chown {name}:{name} /var/lib/{name}
chmod 750 /var/lib/{name}
"""
ALTERNATIVE = "#!/bin/sh\nset -e\nupdate-alternatives --install /usr/bin/gen-tool gen-tool /usr/bin/{name}-tool {priority}\n"
NO_ALTERNATIVE = "#!/bin/sh\nset -e\n[ \"$1\" = upgrade ] || update-alternatives --remove gen-tool /usr/bin/{name}-tool\n"


def conf(name, version):
    return {f"etc/{name}.conf": CONFIG.format(name=name, version=version)}


def service(name):
    return {f"lib/systemd/system/{name}.service": SERVICE.format(name=name)}


def with_service(name):
    return {"postinst": ENABLE.format(name=name), "prerm": STOP.format(name=name), "postrm": DISABLE.format(name=name)}


def tool(name, priority):
    return {"postinst": ALTERNATIVE.format(name=name, priority=priority), "prerm": NO_ALTERNATIVE.format(name=name)}


def data(name, version):
    return {f"usr/share/{name}/data": f"{name} {version}\n", f"usr/share/{name}/numbers": "\n".join(map(str, range(200)))}


# name, version, fields, files, scripts
PACKAGES = [
    ("gen-alpha", "1.0-1", {}, {**conf("gen-alpha", "1"), **data("gen-alpha", "1.0")}, {}),
    ("gen-alpha", "1.1-1", {}, {**conf("gen-alpha", "1"), **data("gen-alpha", "1.1")}, {}),
    ("gen-alpha", "2.0-1", {}, {**conf("gen-alpha", "2"), **data("gen-alpha", "2.0")}, {}),
    ("gen-beta", "1.0", {}, {**conf("gen-beta", "1"), **service("gen-beta")}, with_service("gen-beta")),
    ("gen-gamma", "1:3.0~rc1+b1-2", {"Depends": "gen-delta (>= 1.0)"}, data("gen-gamma", "3.0"), {}),
    ("gen-delta", "1.0", {}, {**conf("gen-delta", "1"), **data("gen-delta", "1.0")}, {}),
    ("gen-epsilon", "1.0", {}, data("gen-epsilon", "1.0"), {"postinst": USER.format(name="gen-epsilon")}),
    ("gen-zeta", "1.0", {}, {"usr/bin/gen-zeta-tool": "#!/bin/sh\n"}, tool("gen-zeta", 10)),
    ("gen-eta", "1.0", {}, {"usr/bin/gen-eta-tool": "#!/bin/sh\n"}, tool("gen-eta", 20)),
    ("gen-theta", "1.0", {}, {"etc/cron.d/gen-theta": "0 4 * * * root /bin/true\n", "etc/gen-theta.d/10-x.conf": "x = 1\n",
                             "etc/gen-theta.d/20-y.conf": "y = 1\n"}, {}),
    ("gen-iota", "1.0", {}, {**conf("gen-iota", "1"), **service("gen-iota")}, with_service("gen-iota")),
    ("gen-iota", "1.2", {}, {**conf("gen-iota", "1"), **service("gen-iota")}, with_service("gen-iota")),
]
# Those that a second repository has, which the agent adds itself.
MORE = [("gen-kappa", "5.1", {}, {**conf("gen-kappa", "5"), **data("gen-kappa", "5")}, {}),
        ("gen-alpha", "3.0-1", {}, {**conf("gen-alpha", "3"), **data("gen-alpha", "3.0")}, {})]
INSTALLED = ["gen-alpha=1.1-1", "gen-gamma", "gen-delta", "gen-zeta", "gen-theta", "gen-iota=1.0"]


def build(package, into, scratch):
    name, version, fields, files, scripts = package
    tree = scratch / f"{name}_{version}"
    control = tree / "DEBIAN"
    control.mkdir(parents=True)
    head = {"Package": name, "Version": version, "Architecture": "all", "Maintainer": "fluid <fluid@example.org>", **fields,
            "Description": "for a test"}
    (control / "control").write_text("".join(f"{key}: {value}\n" for key, value in head.items()))
    for path, content in files.items():
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o755 if content.startswith("#!") else 0o644)
    for script, text in scripts.items():
        (control / script).write_text(text)
        (control / script).chmod(0o755)
    conffiles = [f"/{path}\n" for path in files if path.startswith("etc/")]
    if conffiles:
        (control / "conffiles").write_text("".join(conffiles))
    (control / "md5sums").write_text("".join(f"{hashlib.md5(content.encode()).hexdigest()}  {path}\n"
                                             for path, content in files.items() if not path.startswith("etc/")))
    deb = into / f"{name}_{version.replace(':', '%3a')}_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, deb], check=True, capture_output=True)
    blob = deb.read_bytes()
    fields = subprocess.run(["dpkg-deb", "-f", deb], check=True, capture_output=True, text=True).stdout
    return f"{fields}Filename: ./{deb.name}\nSize: {len(blob)}\nSHA256: {hashlib.sha256(blob).hexdigest()}\n\n"


def make_repository(packages, into, scratch):
    into.mkdir(parents=True)
    (into / "Packages").write_text("".join(build(package, into, scratch / into.name) for package in packages))


def make_repositories(into):
    """INTO/repository, which is there from the beginning, and INTO/more."""
    into = pathlib.Path(into)
    scratch = into / "scratch"
    make_repository(PACKAGES, into / "repository", scratch)
    make_repository(MORE, into / "more", scratch)
    subprocess.run(["rm", "-r", scratch], check=True)
