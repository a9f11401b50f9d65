/* SPDX-License-Identifier: MIT */
#include "guest/identity-files.h"
#include "host/guest-identity.h"

/* A write to /dev/urandom goes into the kernel's pool at once, but the numbers that programs get
 * come from a key that is drawn from the pool only now and then: for a minute and more the copies
 * of one memory would all get the same. Only an ioctl makes the kernel draw at once, and no shell
 * has one. This is an ELF program for x86-64 of 188 bytes, the struct timespec at its end included,
 * in printf's notation. It also saves the start of a date and a rm, which take far longer:
 *
 *     status = -ioctl(0, RNDRESEEDCRNG) || -clock_settime(CLOCK_REALTIME, &time);
 *     while (*argv) unlink(*argv++);
 *     exit(status);                                                                            */
#define RENEW_PROGRAM \
        "\\177ELF\\2\\1\\1\\0\\0\\0\\0\\0\\0\\0\\0\\0"     /* identification */ \
        "\\2\\0>\\0\\1\\0\\0\\0"                           /* type, machine, version */ \
        "x\\0@\\0\\0\\0\\0\\0@\\0\\0\\0\\0\\0\\0\\0"       /* entry, program header's offset */ \
        "\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0"             /* no section header, flags */ \
        "@\\0\\70\\0\\1\\0\\0\\0\\0\\0\\0\\0"              /* sizes and numbers of headers */ \
        "\\1\\0\\0\\0\\5\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0" /* load, to be run, offset */ \
        "\\0\\0@\\0\\0\\0\\0\\0\\0\\0@\\0\\0\\0\\0\\0"     /* addresses */ \
        "\\274\\0\\0\\0\\0\\0\\0\\0\\274\\0\\0\\0\\0\\0\\0\\0" /* sizes in file and memory */ \
        "\\0\\20\\0\\0\\0\\0\\0\\0"                            /* alignment */ \
        "\\61\\377\\276\\7R\\0\\0"   /* xor edi, edi; mov esi, RNDRESEEDCRNG */ \
        "j\\20X\\17\\5"              /* push 16; pop rax; syscall */ \
        "\\205\\300u\\14"            /* test eax, eax; jnz done */ \
        "\\276\\254\\0@\\0"          /* mov esi, time */ \
        "\\270\\343\\0\\0\\0\\17\\5" /* mov eax, 227; syscall */ \
        "\\223\\367\\333X"           /* done: xchg ebx, eax; neg ebx; pop rax */ \
        "_H\\205\\377t\\7"           /* next: pop rdi; test rdi, rdi; jz end */ \
        "jWX\\17\\5\\353\\363"       /* push 87; pop rax; syscall; jmp next */ \
        "\\211\\337j<X\\17\\5"       /* end: mov edi, ebx; push 60; pop rax; syscall */

/* $1 below which directory, $2 hostname, $3 machine id, $4 $5 $6 the time as the program's
 * timespec, with a fraction, and as whole seconds; each may be empty. Standard input is the seed in
 * base64, the private key with an empty line behind it, the public key. What fails is named at the
 * end and does not stop the rest.
 *
 * Starting a program is what takes an emulated guest its time: all is done by what is built into
 * dash, bash, and busybox, but for chmod and the program above. That is made where others may make
 * files too, hence the noclobber. It fails with EINVAL before Linux 4.17 or where no clock is to be
 * set, with ENODATA where the kernel has not drawn any key yet; where it does not run at all, perl
 * or python, date and rm do its work. The pool takes the seed as it comes: base64 has the entropy
 * of its bytes. The clock comes before the rest, which takes time. `read` takes a byte per system
 * call, so the end of a long /etc/hosts is left to cat. */
#define PATTERN(directory, prefix, rest, suffix) " \"$root\"" directory prefix rest suffix

const char guest_identity_script[] =
        "root=$1 host=$2 machine=$3 time=$4 precise=$5 whole=$6 key= has_ssh= status= failed= tab='\t' line_end='\n"
        "'\n"
        "umask 022\n"
        "fail() { failed=\"$failed${failed:+, }$1\"; }\n"
        "put() { printf '%s\\n' \"$2\" >\"$root$1\" || fail \"$1\"; }\n"
        "rename() {\n"
        "        new= rest=$line\n"
        "        while :; do\n"
        "                case $rest in *\"$old\"*) ;; *) break ;; esac\n"
        "                left=${rest%%\"$old\"*} rest=${rest#*\"$old\"} word=$old\n"
        "                case $left in *[\" $tab\"])\n"
        "                        case $rest in ''|[\" $tab.#\"]*) word=$host ;; esac ;;\n"
        "                esac\n"
        "                new=$new$left$word\n"
        "        done\n"
        "        line=$new$rest\n"
        "}\n"
        "rename_in_hosts() {\n"
        "        text= before= count=0\n"
        "        while IFS= read -r line || [ -n \"$line\" ]; do\n"
        "                before=$before$line$line_end\n"
        "                rename\n"
        "                text=$text$line$line_end count=$((count + 1))\n"
        "                [ $count -ge 200 ] || continue\n"
        "                rest=$(cat)\n"
        "                [ -z \"$rest\" ] || text=$text$rest$line_end before=$before$rest$line_end\n"
        "                break\n"
        "        done <\"$root" IDENTITY_HOSTS "\"\n"
        "        [ \"$text\" = \"$before\" ] || printf %s \"$text\" >\"$root" IDENTITY_HOSTS
        "\" || fail " IDENTITY_HOSTS "\n"
        "}\n"
        "run() {\n"
        "        for program in \"$root/run\" \"$root/dev/shm\"; do\n"
        "                program=$program/.fluid-$$\n"
        "                umask 077\n"
        "                set -C\n"
        "                printf '" RENEW_PROGRAM
        "'\"$time\" >\"$program\" && chmod 700 \"$program\" &&\n"
        "                        \"$program\" \"$@\" <\"$root/dev/urandom\"\n"
        "                status=$?\n"
        "                set +C\n"
        "                umask 022\n"
        "                case $status in 0|22|61) break ;; esac\n"
        "                [ ! -e \"$program\" ] || rm -f \"$program\"\n"
        "        done\n"
        "}\n"
        "reseed() {\n"
        "        perl -e 'exit !ioctl(STDIN, 0x5207, 0)' <\"$root/dev/urandom\" ||\n"
        "                python3 -c 'import fcntl; fcntl.ioctl(0, 0x5207)' <\"$root/dev/urandom\"\n"
        "}\n"
        "IFS= read -r seed\n"
        "while IFS= read -r line && [ -n \"$line\" ]; do key=$key$line$line_end; done\n"
        "IFS= read -r public\n"
        "set --\n"
        "if [ -n \"$key\" ]; then\n"
        "        [ ! -x \"$root" IDENTITY_SSHD "\" ] || has_ssh=1\n"
        "        for file in \"$root\"" IDENTITY_SSH_KEY_DIRECTORY IDENTITY_SSH_KEY_PREFIX "*; do\n"
        "                [ -e \"$file\" ] || continue\n"
        "                has_ssh=1\n"
        "                set -- \"$@\" \"$file\"\n"
        "        done\n"
        "fi\n"
        "for file in" IDENTITY_LEASES(
                PATTERN) "; do\n"
                         "        [ ! -f \"$file\" ] || set -- \"$@\" \"$file\"\n"
                         "done\n"
                         "if [ -n \"$seed\" ]; then\n"
                         "        put " IDENTITY_URANDOM " \"$seed\"\n"
                         "        run \"$@\" 2>/dev/null\n"
                         "        case $status in\n"
                         "        0) whole= ;;\n"
                         "        22|61) ;;\n"
                         "        *) reseed 2>/dev/null || fail '" IDENTITY_FAILED_RANDOM "' ;;\n"
                         "        esac\n"
                         "fi\n"
                         "if [ -n \"$whole\" ]; then\n"
                         "        if [ \"$root/bin/date\" -ef \"$root/bin/busybox\" ] || ! date -u -s \"@$precise\" >/dev/null 2>&1; then\n"
                         "                date -u -s \"@$whole\" >/dev/null || fail '" IDENTITY_FAILED_CLOCK
                         "'\n"
                         "        fi\n"
                         "fi\n"
                         "for file do\n"
                         "        shift\n"
                         "        [ ! -e \"$file\" ] || set -- \"$@\" \"$file\"\n"
                         "done\n"
                         "[ $# -eq 0 ] || rm -f -- \"$@\" || fail '" IDENTITY_FAILED_REMOVAL "'\n"
                         "if [ -n \"$host\" ]; then\n"
                         "        old=\n"
                         "        read -r old <\"$root" IDENTITY_HOSTNAME_KERNEL "\"\n"
                         "        put " IDENTITY_HOSTNAME_KERNEL " \"$host\"\n"
                         "        put " IDENTITY_HOSTNAME " \"$host\"\n"
                         "        case $old in\n"
                         "        ''|\"$host\"|localhost|localhost.*|*[!A-Za-z0-9._-]*) ;;\n"
                         "        *) [ ! -f \"$root" IDENTITY_HOSTS "\" ] || rename_in_hosts ;;\n"
                         "        esac\n"
                         "fi\n"
                         "if [ -n \"$machine\" ]; then\n"
                         "        [ ! -e \"$root" IDENTITY_MACHINE_ID
                         "\" ] || put " IDENTITY_MACHINE_ID " \"$machine\"\n"
                         "        file=" IDENTITY_MACHINE_ID_DBUS "\n"
                         "        if [ -f \"$root$file\" ] && [ ! -L \"$root$file\" ]; then put \"$file\" \"$machine\"; fi\n"
                         "fi\n"
                         "if [ \"$has_ssh\" ]; then\n"
                         "        file=" IDENTITY_SSH_KEY "\n"
                         "        umask 077\n"
                         "        printf %s \"$key\" >\"$root$file\" || fail \"$file\"\n"
                         "        umask 022\n"
                         "        put \"$file.pub\" \"$public\"\n"
                         "        pid= name=\n"
                         "        if [ -f \"$root" IDENTITY_SSHD_PID
                         "\" ] && read -r pid <\"$root" IDENTITY_SSHD_PID "\" &&\n"
                         "                [ -f \"$root/proc/$pid/comm\" ] && read -r name <\"$root/proc/$pid/comm\" && [ \"$name\" = sshd ]; then\n"
                         "                kill -HUP \"$pid\" || fail sshd\n"
                         "        fi\n"
                         "fi\n"
                         "[ -z \"$failed\" ] || { printf '%s\\n' \"$failed\" >&2; exit 1; }\n";
