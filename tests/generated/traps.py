# SPDX-License-Identifier: MIT
"""Names and contents that an agent could leave behind and that YAML, Jinja, a shell or a terminal would act upon."""

PIPE = "{{ lookup('pipe','touch /tmp/canary') }}"

# Without '/' and NUL; at most 255 bytes.
NAMES = [name.encode() for name in (
    "{{ 7*7 }}", "{% if x %}", "{# x #}", "{{", "}}", "{% raw %}", "!!python x", "!unsafe x", "!vault |", "&a", "*a", "<<: *a",
    "@x", "`touch canary`", "$(touch canary)", ";touch canary;", "|touch canary", "a\nb: c", "\n", "\n\n", "- x", "? x", '"', "'",
    "\\", "\\x41", "\\u0041", "\\n", "tab\t", "cr\r", "\x1b[31mred\x1b[0m", "\x07", "é", "\U0001f600", "\u2028", "\ufeff", "\u202e",
    "\u0085", "~", "~root", "-rf", "--", "-", "*", "?", "[a]", " ", " lead", "trail ", "two  spaces", "#x", "a #b", "a: b", "a:",
    "null", "true", "yes", "1e3", "0x10", "0o17", "12:30:45", "%s", "%(x)s", "%n", "...", "---", "%YAML 1.1", "$", "a$", "$ x",
    "x" * 255, "é" * 127, "a,b", "a=b", "a;b", "a&b", "a\\ b", "e\u0301", "\u00e9", "C:\\x", "{}", "[]", "=", "<", ">", "\x7f",
    "omit", "item", "inventory_hostname", "{{ inventory_hostname }}", "__omit_place_holder__", "\u00a0", "A", "a.b.c",
    "src", "dest", "path", "\x01\x02", "'\"'\"'", "a'b\"c", "\u3000", "\uFFFD", "%0a", "&#x41;", "..x", ".hidden", "x~", "a b\tc\nd")]
NOT_SAID = [b"bad\xff", b"\xc3", b"\xed\xa0\x80", b"$HOME", b"a${HOME}b", b"$x", b"\xf4\x90\x80\x80", b"x\x80y"]

CONTENTS = [
    b"", b"\n", b"no newline", b"two\nlines", b"crlf\r\nlines\r\n", b"cr\ralone", b"\x00\x01\x02\xff" * 50, b"\xff\xfe", b"\xef\xbb\xbfbom\n",
    PIPE.encode() + b"\n", b"{% raw %}\n", b"{{ 1/0 }}", b"!!python/object/apply:os.system ['touch /tmp/canary']\n", b"---\n- a: &x 1\n  b: *x\n",
    b"%YAML 9.9\n", b"\t\tx\n   \n", b"\x1b[2Jgone\n", b"$ANSIBLE_VAULT;1.1;AES256\n3162\n", b"#!/bin/sh\necho hello\n",
    b"ANSIBLE_MODULE\n", b"#jinja2: trim_blocks: True\n{{ x }}\n", b"x" * 70000, b"line\n" * 5000, "é\u2028\u2029\x85\n".encode(),
    bytes(range(256)), b"trailing space \n", b"\n\n\nlast\n\n\n", b"a: b\n", b"null\n", b"true", b"0123",
]
