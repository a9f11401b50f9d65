/* SPDX-License-Identifier: MIT */
#include "guestfs/scratch.h"

#include "base/cleanup.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

int scratch_find_user(ScratchUser *ret, Fault *f)
{
        static const char *const names[] = {"fluid-guestfs", "nobody"};

        if (geteuid() != 0) {
                *ret = (ScratchUser){geteuid(), getegid(), NULL};
                return 0;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                const struct passwd *entry = getpwnam(names[i]);

                if (!entry)
                        continue;
                *ret = (ScratchUser){entry->pw_uid, entry->pw_gid, names[i]};
                return 0;
        }
        return fault_set(f, FAULT_IO, "there is neither a user fluid-guestfs nor nobody");
}

int scratch_become(const ScratchUser *user, Fault *f)
{
        if (!user->name)
                return 0;
        if (initgroups(user->name, user->gid) < 0 ||
            setresgid(user->gid, user->gid, user->gid) < 0 ||
            setresuid(user->uid, user->uid, user->uid) < 0)
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot become user '%s'",
                                       user->name);
        return 0;
}

static int give(const ScratchUser *user, const char *path, Fault *f)
{
        if (user->name && chown(path, user->uid, user->gid) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot give '%s' to '%s'", path,
                                       user->name);
        return 0;
}

int scratch_make(const ScratchUser *user, char **ret, Fault *f)
{
        const char *base = getenv("TMPDIR");
        g_autofree char *path =
                g_strconcat(base && *base ? base : "/var/tmp", "/fluid-diff-guestfs-XXXXXX", NULL);

        if (!mkdtemp(path))
                return fault_set_errno(f, FAULT_IO, errno, "cannot make the directory '%s'", path);
        int r = give(user, path, f);
        if (r < 0) {
                (void) rmdir(path);
                return r;
        }
        *ret = TAKE_PTR(path);
        return 0;
}

int scratch_listen(const ScratchUser *user, const char *path, int *ret, Fault *f)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path))
                return fault_set(f, FAULT_IO,
                                 "the path '%s' is too long for a socket; TMPDIR names another "
                                 "directory",
                                 path);
        if (fd < 0 || bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 ||
            listen(fd, BACKLOG) < 0)
                return fault_set_errno(f, FAULT_IO, errno, "cannot listen on '%s'", path);
        int r = give(user, path, f);
        if (r == 0)
                *ret = TAKE_FD(fd);
        return r;
}
