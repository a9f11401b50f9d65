# SPDX-License-Identifier: MIT
"""What the tests of fluid-diff's command line share: cases in TAP, and images made by e2fsprogs."""

import json
import os
import shutil
import subprocess
import tempfile

os.environ["PATH"] += ":/usr/sbin:/sbin"
FLUID_DIFF = os.path.abspath(os.path.join(os.environ.get("FLUID_BUILD", "build"), "fluid-diff"))

state = {"n": 0, "failed": 0}


def ok(good, sentence, note=""):
    state["n"] += 1
    state["failed"] += not good
    print(f"{'' if good else 'not '}ok {state['n']} - {sentence}", flush=True)
    if not good and note:
        print("# " + str(note)[:2000].replace("\n", "\n# "))


def skip(sentence, why):
    state["n"] += 1
    print(f"ok {state['n']} - {sentence} # SKIP {why}", flush=True)


def done():
    print(f"1..{state['n']}")
    return 1 if state["failed"] else 0


def fluid_diff(*args, text=True, **kwargs):
    return subprocess.run([FLUID_DIFF, *args], capture_output=True, check=False, text=text, timeout=60,
                          **kwargs)


def refused(result, status, words, sentence):
    errors = result.stderr if isinstance(result.stderr, str) else result.stderr.decode()
    good = result.returncode == status and words in errors
    good = good and errors.count("\n") == 1 and errors.startswith("fluid-diff: ")
    ok(good, sentence, f"{result.returncode} {errors}")


def document(*args, raw=True):
    """The document of a comparison of images, raw ones unless it is said otherwise."""
    formats = ["--old-format", "raw", "--new-format", "raw"] if raw else []
    result = fluid_diff("--json", *formats, *args)
    if result.returncode != 0:
        print(f"# fluid-diff {args}: {result.stderr}")
        return {"filesystems": [], "changes": [], "disks": [], "not_read": [], "failed": result.stderr}
    return json.loads(result.stdout)


def run(*argv, **kwargs):
    return subprocess.run(argv, check=True, capture_output=True, text=True, **kwargs)


def qemu_img(*args):
    run("qemu-img", *args)


def debugfs(image, commands):
    run("debugfs", "-w", "-f", "-", image, input="\n".join(commands) + "\n")


def workspace():
    """A directory of the test's own, in memory where there is some: images come and go."""
    directory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return tempfile.TemporaryDirectory(prefix="fluid-diff-", dir=directory)


def tree(name, files):
    """A directory of files: a path with its text, its directory (None), or its link (a tuple)."""
    for path, text in files.items():
        full = os.path.join(name, path)
        os.makedirs(full if text is None else os.path.dirname(full), exist_ok=True)
        if isinstance(text, tuple):
            os.symlink(text[0], full)
        elif text is not None:
            with open(full, "wb") as f:
                f.write(text if isinstance(text, bytes) else text.encode())
    return name


def make_fs(image, size, files, uuid, kind="ext4", label=""):
    """`uuid` is two hexadecimal digits that are repeated."""
    source = tree(image + ".tree", {**{"lost+found": None}, **files})
    full = f"{uuid * 4}-{uuid * 2}-{uuid * 2}-{uuid * 2}-{uuid * 6}"
    run("mke2fs", "-q", "-F", "-t", kind, "-U", full, "-L", label, "-d", source, image,
        f"{size >> 10}k")
    shutil.rmtree(source)
    return full


def patch(path, offset, data):
    """Writes bytes, or all of another file, at `offset`."""
    if isinstance(data, str):
        with open(data, "rb") as f:
            data = f.read()
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(data)


def make_disk(path, size, script="", parts=()):
    """A raw disk with sfdisk's table and (offset, file or bytes) in it."""
    with open(path, "wb") as f:
        f.truncate(size)
    if script:
        run("sfdisk", "-q", path, input=script)
    for offset, data in parts:
        patch(path, offset, data)
    return path
