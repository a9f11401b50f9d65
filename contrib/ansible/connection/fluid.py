# SPDX-License-Identifier: MIT
"""Ansible's connection to a sandbox of fluid's: D-Bus to fluid-hostd, no SSH, nothing in the guest but its agent.

dbus-python rather than busctl: files travel as descriptors, which busctl cannot pass, and content as bytes, which it would
put on a command line one by one.
"""

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

DOCUMENTATION = """
    name: fluid
    short_description: run tasks in a sandbox of fluid's
    description:
        - Runs commands and moves files through C(fluid-hostd)'s D-Bus interface, C(sh.fluid.Host1).
        - Needs neither SSH nor a network in the sandbox, only its guest agent and, as always, Python.
        - Commands run as root unless O(remote_user) says otherwise; C(become) is not needed.
    author: fluid
    version_added: "0.3"
    requirements:
        - python3-dbus on the controller
        - to be root there, or in the group C(fluid)
    extends_documentation_fragment:
        - connection_pipelining
    options:
        remote_addr:
            description: Name or id of the sandbox.
            default: inventory_hostname
            vars:
                - name: inventory_hostname
                - name: ansible_host
                - name: ansible_fluid_sandbox
        remote_user:
            description: User in the sandbox that commands run as; files are written by root and given to no other user.
            default: root
            vars:
                - name: ansible_user
                - name: ansible_fluid_user
            env:
                - name: ANSIBLE_REMOTE_USER
            ini:
                - section: defaults
                  key: remote_user
            keyword:
                - name: remote_user
        bus_address:
            description: D-Bus address of the bus that fluid-hostd is on. The system bus, unless given.
            vars:
                - name: ansible_fluid_bus_address
            env:
                - name: FLUID_BUS_ADDRESS
        keep_python:
            description:
                - Whether one Python process stays in the sandbox, while the playbook runs and a minute longer, from which modules
                  are forked. It has the libraries loaded already and remembers what it compiled, which otherwise is most of what a
                  task takes. Each task is a command of its own as before.
                - Used where O(pipelining) is, commands are root's and the task has no O(environment); otherwise nothing is different.
            type: bool
            default: true
            vars:
                - name: ansible_fluid_keep_python
            env:
                - name: FLUID_KEEP_PYTHON
        command_timeout:
            description: Seconds that one command may take, before all its processes are killed.
            type: int
            default: 3600
            vars:
                - name: ansible_fluid_command_timeout
            env:
                - name: FLUID_COMMAND_TIMEOUT
"""

import fcntl
import os
import re
import shlex

from ansible import constants
from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_native, to_text
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

try:
    import dbus
    import dbus.bus

    DBUS_ERROR = None
except ImportError as error:
    DBUS_ERROR = error

BUS_NAME = "sh.fluid.Host1"
ROOT = "/sh/fluid/Host1"
MANAGER = "sh.fluid.Host1.Manager"
SANDBOX = "sh.fluid.Host1.Sandbox"
ERRORS = "sh.fluid.Host1.Error."

INPUT_MAX = 1 << 20
QUICK_SEC = 25
# What the bus adds to a command's own time before the caller gives up.
GRACE_SEC = 30

display = Display()

# How ansible-core pipes a module into Python.
PIPED = re.compile(r"(/[\w./+-]*python[\d.]*) && sleep 0")

# Runs in the sandbox. A command that writes its process's number to "ask" gets the script that it has as input executed, with
# its output and errors (its descriptors 7 to 9), and reads the exit status from "answer". If
# it goes away before, the script is killed.
KEEPER = r"""
import ast, base64, collections.abc, copy, ctypes, datetime, errno, fcntl, fnmatch, glob, grp, hashlib, importlib.resources, importlib.util
import io, json, locale, logging, operator, os, pathlib, pkgutil, platform, pwd, random, re, runpy, select, selectors, shlex, shutil, signal
import socket, stat, string, struct, subprocess, sys, syslog, tempfile, textwrap, threading, time, traceback, types, typing, uuid, zipfile
import zipimport

PIDFD_GETFD = 438
compiled, compile_source = {}, getattr(zipimport, "_compile_source", None)


def remember(path, source):
    key = hashlib.sha256(source).digest()
    if key not in compiled:
        compiled[key] = compile_source(path, source)
    return compiled[key]


def learn(script):
    # Ansible's libraries come with each module. Children compile nothing that their parent has compiled.
    packed = re.search(rb'ZIPDATA = "{3}([A-Za-z0-9+/=]+)"{3}', script)
    if not packed or not compile_source:
        return
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(packed.group(1)))) as archive:
        for name in archive.namelist():
            if name.endswith(".py"):
                remember(name, archive.read(name))


def become(streams):
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, 256)
    os.chdir("/")
    random.seed()


def follow(child, asker):
    gone = os.pidfd_open(asker)
    ended = os.pidfd_open(child)
    if ended not in select.select([ended, gone], [], [])[0]:
        os.killpg(child, signal.SIGKILL)
    os.close(gone)
    os.close(ended)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status if status >= 0 else 128 - status


def take(process, number):
    stream = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, process, number, 0)
    if stream < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return stream


def serve(asker):
    # The script, in the process that has to execute it; None in the keeper.
    process = os.pidfd_open(asker)
    try:
        streams = [take(process, number) for number in (7, 8, 9)]
    finally:
        os.close(process)
    with open(streams[0], "rb", closefd=False) as source:
        script = source.read()
    try:
        learn(script)
    except Exception:
        pass  # it says itself what is wrong with it
    child = os.fork()
    if not child:
        become(streams)
        return script
    for stream in streams:
        os.close(stream)
    os.write(answer, b"%d\n" % follow(child, asker))
    return None


def serve_until_idle(seconds):
    while select.select([ask], [], [], seconds)[0]:
        for asker in os.read(ask, 4096).split():
            try:
                script = serve(int(asker))
            except (OSError, ValueError):
                continue  # whoever asked is gone
            if script is not None:
                return script
    return None


def go_into_background():
    keeper = os.fork()
    if keeper:
        os.write(1, b"%d" % keeper)
        os._exit(0)
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.close(null)


# For whoever asks, with this directory and this process, which alone holds "answer" open: where it dies, the answer is an end.
RUN = '''
exec 7<&0 8>&1 9>&2
if ! { cd "$1" && kill -0 "$2" && echo $$ >ask; } 2>/dev/null; then
	echo no keeper >&2
	exit 1
fi
read -r status <answer || { echo the keeper died >&2; exit 1; }
exit "$status"
'''

# Not where Python or the kernel is too old for it.
os.close(take(os.pidfd_open(os.getpid()), 0))
if compile_source:
    zipimport._compile_source = remember
ask, answer = os.open("ask", os.O_RDWR), os.open("answer", os.O_RDWR)
pathlib.Path("run").write_text(RUN)
go_into_background()
script = serve_until_idle(60)
if script is None:
    # Who comes now does not find it; who came a moment ago is served.
    shutil.rmtree(os.getcwd())
    script = serve_until_idle(1)
if script is not None:
    # From here on as any interpreter that has a script as input, to the end of its exit handlers.
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv, sys.path[0] = [""], ""
    exec(compile(script, "<stdin>", "exec", dont_inherit=True), main.__dict__)
"""

# With the directory that it gets, and Python. Prints the keeper's process.
START_KEEPER = 'umask 077; rm -rf "$1"; mkdir "$1" && cd "$1" && cat >keeper && mkfifo ask answer && exec "$2" keeper </dev/null'

# With its directory, and its process. What is in "run" never returns.
ASK_KEEPER = '[ -e "$1/run" ] && . "$1/run"; echo no keeper >&2; exit 1'

# The daemon's answers after which nothing else can be done in this sandbox.
UNREACHABLE = {"NotFound", "WrongState", "AgentUnavailable", "AgentMisbehaved", "HypervisorUnavailable"}


class Connection(ConnectionBase):
    """One sandbox."""

    transport = "fluid"
    has_pipelining = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._bus = None
        self._sandbox = None

    def _where(self):
        return self.get_option("remote_addr")

    def _fail(self, what, error):
        """Raises what a D-Bus error means."""
        name, text = error.get_dbus_name() or "", to_text(error.get_dbus_message() or "")
        message = f"{what} in sandbox '{self._where()}': {text or name}"
        if name.startswith(ERRORS):
            kind = name[len(ERRORS):]
            raise (AnsibleConnectionFailure if kind in UNREACHABLE else AnsibleError)(f"{message} ({kind})") from error
        if name.endswith((".ServiceUnknown", ".NameHasNoOwner")):
            message = "fluid-hostd does not run: systemctl start fluid-hostd"
        elif name.endswith(".AccessDenied"):
            message = "the bus does not let you talk to fluid-hostd: be root or in the group fluid"
        elif name.endswith((".NoReply", ".Timeout", ".TimedOut")):
            message = f"{what} in sandbox '{self._where()}': fluid-hostd did not answer in time, or went away"
        raise AnsibleConnectionFailure(message) from error

    def _call(self, what, interface, method, signature, *arguments, path=None, timeout=QUICK_SEC):
        try:
            return self._bus.call_blocking(
                BUS_NAME, path or self._sandbox, interface, method, signature, arguments, timeout=timeout, byte_arrays=True)
        except dbus.DBusException as error:
            return self._fail(what, error)

    def _connect(self):
        if self._connected:
            return self
        if DBUS_ERROR:
            raise AnsibleError(f"the connection 'fluid' needs python3-dbus on the controller: {DBUS_ERROR}")
        address = self.get_option("bus_address")
        try:
            # Private: a fork of Ansible's must not share it.
            self._bus = dbus.bus.BusConnection(address) if address else dbus.SystemBus(private=True)
        except dbus.DBusException as error:
            raise AnsibleConnectionFailure(f"cannot connect to the bus: {error.get_dbus_message()}") from error
        self._bus.set_exit_on_disconnect(False)
        self._sandbox = self._call("cannot look", MANAGER, "GetSandbox", "s", self._where(), path=ROOT)
        display.vvv("connected to a sandbox", host=self._where())
        self._connected = True
        return self

    def _run(self, argv, in_data=None):
        limit = self.get_option("command_timeout")
        options = {"timeout_usec": dbus.UInt64(limit * 1000000)}
        if not self._is_root():
            options["user"] = self.get_option("remote_user")
        if in_data:
            if len(in_data) > INPUT_MAX:
                raise AnsibleError("a module of more than 1 MiB cannot be piped: set ansible_pipelining to false")
            options["input"] = dbus.ByteArray(to_bytes(in_data))
        status, out, err, details = self._call(
            "cannot run a command", SANDBOX, "Run", "asa{sv}", argv,
            dbus.Dictionary(options, signature="sv"), timeout=limit + GRACE_SEC)
        if details.get("timed_out"):
            raise AnsibleError(f"a command in sandbox '{self._where()}' took longer than {limit} s and was killed")
        if details.get("stdout_truncated"):
            raise AnsibleError(f"a command in sandbox '{self._where()}' printed more than can be taken")
        return int(status), bytes(out), bytes(err)

    def _is_root(self):
        return self.get_option("remote_user") in (None, "", "root")

    def _ask_keeper(self, python, script, notes):
        """Has the script executed by the sandbox's keeper, which is started where there is none. None where it cannot be."""
        # Of this run of Ansible's alone: its directory has a name of its own.
        directory = "/run/fluid-" + re.sub(r"[^\w-]", "", os.path.basename(constants.DEFAULT_LOCAL_TMP))
        for _ in range(2):
            notes.seek(0)
            known, _, keeper = notes.read().partition(" ")
            if known != python:
                status, out, _ = self._run(["/bin/sh", "-c", START_KEEPER, "-", directory, python], KEEPER.encode())
                keeper = to_text(out) if status == 0 and out.isdigit() else ""
                notes.truncate(0)
                notes.write(f"{python} {keeper}")
                notes.flush()
            if not keeper:
                return None
            status, out, err = self._run(["/bin/sh", "-c", ASK_KEEPER, "-", directory, keeper], script)
            if err == b"the keeper died\n":
                raise AnsibleConnectionFailure(f"a task's process in sandbox '{self._where()}' was killed")
            if err != b"no keeper\n":
                return status, out, err
            # It was idle for too long, or was killed.
            notes.truncate(0)
        return None

    def _exec_kept(self, cmd, in_data):
        """What the keeper made of it; None where it is nothing for it."""
        if not in_data or not self._is_root() or not self.get_option("keep_python"):
            return None
        words = shlex.split(to_text(cmd, errors="surrogate_or_strict"))
        piped = PIPED.fullmatch(words[2]) if len(words) == 3 and words[:2] == ["/bin/sh", "-c"] else None
        if not piped:
            return None
        name = f"keeper-{os.path.basename(self._sandbox)}"
        with open(os.path.join(constants.DEFAULT_LOCAL_TMP, name), "a+", encoding="ascii") as notes:
            try:
                # It does one thing at a time. Whoever finds it busy does without.
                fcntl.flock(notes, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            return self._ask_keeper(piped.group(1), in_data, notes)

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self._connect()
        display.vvv(f"EXEC {to_text(cmd)}", host=self._where())
        return self._exec_kept(cmd, in_data) or self._run(["/bin/sh", "-c", to_text(cmd, errors="surrogate_or_strict")], in_data)

    def put_file(self, in_path, out_path):
        super().put_file(in_path, out_path)
        self._connect()
        display.vvv(f"PUT {to_text(in_path)} TO {to_text(out_path)}", host=self._where())
        try:
            source = open(to_bytes(in_path, errors="surrogate_or_strict"), "rb")
        except FileNotFoundError as error:
            raise AnsibleFileNotFound(f"there is no file '{to_native(in_path)}'") from error
        except OSError as error:
            raise AnsibleError(f"cannot read '{to_native(in_path)}': {error.strerror}") from error
        with source:
            self._call(
                f"cannot write '{to_native(out_path)}'", SANDBOX, "PushFile", "sha{sv}", to_text(out_path),
                dbus.types.UnixFd(source), dbus.Dictionary({}, signature="sv"), timeout=self.get_option("command_timeout"))

    def fetch_file(self, in_path, out_path):
        super().fetch_file(in_path, out_path)
        self._connect()
        display.vvv(f"FETCH {to_text(in_path)} TO {to_text(out_path)}", host=self._where())
        partial = to_bytes(out_path, errors="surrogate_or_strict") + b".part"
        try:
            with open(partial, "wb") as target:
                self._call(
                    f"cannot read '{to_native(in_path)}'", SANDBOX, "PullFile", "sh", to_text(in_path),
                    dbus.types.UnixFd(target), timeout=self.get_option("command_timeout"))
            os.rename(partial, to_bytes(out_path, errors="surrogate_or_strict"))
        except OSError as error:
            raise AnsibleError(f"cannot write '{to_native(out_path)}': {error.strerror}") from error
        finally:
            if os.path.exists(partial):
                os.unlink(partial)

    def close(self):
        if self._bus is not None:
            self._bus.close()
        self._bus = None
        self._connected = False

    def reset(self):
        self.close()
        self._connect()
