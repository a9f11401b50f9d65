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
        command_timeout:
            description: Seconds that one command may take, before all its processes are killed.
            type: int
            default: 3600
            vars:
                - name: ansible_fluid_command_timeout
            env:
                - name: FLUID_COMMAND_TIMEOUT
"""

import os

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

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self._connect()
        limit = self.get_option("command_timeout")
        options = {"timeout_usec": dbus.UInt64(limit * 1000000)}
        user = self.get_option("remote_user")
        if user and user != "root":
            options["user"] = user
        if in_data:
            if len(in_data) > INPUT_MAX:
                raise AnsibleError("a module of more than 1 MiB cannot be piped: set ansible_pipelining to false")
            options["input"] = dbus.ByteArray(to_bytes(in_data))
        display.vvv(f"EXEC {to_text(cmd)}", host=self._where())
        status, out, err, details = self._call(
            "cannot run a command", SANDBOX, "Run", "asa{sv}",
            ["/bin/sh", "-c", to_text(cmd, errors="surrogate_or_strict")],
            dbus.Dictionary(options, signature="sv"), timeout=limit + GRACE_SEC)
        if details.get("timed_out"):
            raise AnsibleError(f"a command in sandbox '{self._where()}' took longer than {limit} s and was killed")
        if details.get("stdout_truncated"):
            raise AnsibleError(f"a command in sandbox '{self._where()}' printed more than can be taken")
        return int(status), bytes(out), bytes(err)

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
