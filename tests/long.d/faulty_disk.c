/*
 * A library to load before a program's own: calls on files below a directory fail as a faulty disk makes them fail.
 *
 *   FAULT_DIRECTORY   the directory; other files are not touched
 *   FAULT_CALLS       which calls, separated by commas, or "all"
 *   FAULT_AT          the number of the call that fails, from 1; 0 only counts
 *   FAULT_ERROR       EIO, ENOSPC, EMFILE, EINTR, EROFS, EDQUOT; or SHORT: a write takes half of its bytes
 *   FAULT_STICKY      1: every call from that one on fails
 *   FAULT_LOG         a file with one line for each call that failed, or, when only counting, for each call
 *
 * Build: cc -shared -fPIC -O2 -o faulty_disk.so faulty_disk.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH_BYTES 4096

static const char *directory, *calls;
static long fault_at;
static int fault_error, sticky, is_short, log_file = -1;
static atomic_long counted;
/* Our own calls are not counted. */
static __thread int inside;

/* The function that would have been called without this library. */
#define REAL(name)                                    \
    ({                                                \
        static void *found;                           \
        if (!found) found = dlsym(RTLD_NEXT, #name);  \
        (__typeof__(&name))found;                     \
    })

static int error_of(const char *name) {
    static const struct { const char *name; int error; } known[] = {
        {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EMFILE", EMFILE}, {"EINTR", EINTR}, {"EROFS", EROFS}, {"EDQUOT", EDQUOT},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name)) return known[i].error;
    return EIO;
}

__attribute__((constructor)) static void configure(void) {
    const char *text;
    directory = getenv("FAULT_DIRECTORY");
    calls = getenv("FAULT_CALLS");
    fault_at = (text = getenv("FAULT_AT")) ? atol(text) : 0;
    sticky = (text = getenv("FAULT_STICKY")) && *text == '1';
    text = getenv("FAULT_ERROR");
    is_short = text && !strcmp(text, "SHORT");
    fault_error = error_of(text ? text : "EIO");
    if ((text = getenv("FAULT_LOG"))) {
        inside = 1;
        log_file = REAL(open)(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        inside = 0;
    }
}

static int is_below(const char *path) {
    size_t length = directory ? strlen(directory) : 0;
    return length && !strncmp(path, directory, length) && (path[length] == '/' || !path[length]);
}

static int is_wanted(const char *call) {
    if (!calls || !strcmp(calls, "all")) return 1;
    size_t length = strlen(call);
    for (const char *found = calls; (found = strstr(found, call)); found += length)
        if ((found == calls || found[-1] == ',') && (!found[length] || found[length] == ',')) return 1;
    return 0;
}

/* Counts a call. Returns whether it is to fail. */
static int fails(const char *call, const char *path) {
    if (inside || !is_below(path) || !is_wanted(call)) return 0;
    long number = atomic_fetch_add(&counted, 1) + 1;
    int fails = fault_at && (number == fault_at || (sticky && number >= fault_at));
    if (log_file >= 0 && (fails || !fault_at)) {
        char line[PATH_BYTES + 100];
        int length = snprintf(line, sizeof line, "%ld %s %s\n", number, call, path);
        inside = 1;
        if (REAL(write)(log_file, line, (size_t)length) < 0) { /* The log is for people; the fault happens without it. */ }
        inside = 0;
    }
    return fails;
}

static int path_of(int descriptor, char *path) {
    int saved = errno;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_BYTES - 1);
    errno = saved;
    path[length > 0 ? length : 0] = 0;
    return length > 0;
}

static int fails_on(const char *call, int descriptor) {
    char path[PATH_BYTES];
    return !inside && directory && path_of(descriptor, path) && fails(call, path);
}

static void absolute(const char *path, char *into) {
    if (*path == '/' || !getcwd(into, PATH_BYTES / 2)) {
        snprintf(into, PATH_BYTES, "%s", path);
        return;
    }
    size_t length = strlen(into);
    snprintf(into + length, PATH_BYTES - length, "/%s", path);
}

static int fails_at(const char *call, const char *path) {
    char whole[PATH_BYTES];
    if (inside || !directory) return 0;
    absolute(path, whole);
    return fails(call, whole);
}

#define ON_DESCRIPTOR(type, name, parameters, arguments)                     \
    type name parameters {                                                   \
        if (fails_on(#name, descriptor)) {                                   \
            errno = fault_error;                                             \
            return -1;                                                       \
        }                                                                    \
        return REAL(name) arguments;                                         \
    }

/* A write that fails, or takes half of what it is given. */
#define WRITING(name, parameters, arguments)                                 \
    ssize_t name parameters {                                                \
        if (fails_on(#name, descriptor)) {                                   \
            if (!is_short) {                                                 \
                errno = fault_error;                                         \
                return -1;                                                   \
            }                                                                \
            if (count > 1) count /= 2;                                       \
        }                                                                    \
        return REAL(name) arguments;                                         \
    }

WRITING(write, (int descriptor, const void *bytes, size_t count), (descriptor, bytes, count))
WRITING(pwrite, (int descriptor, const void *bytes, size_t count, off_t at), (descriptor, bytes, count, at))
WRITING(pwrite64, (int descriptor, const void *bytes, size_t count, off64_t at), (descriptor, bytes, count, at))
ON_DESCRIPTOR(ssize_t, writev, (int descriptor, const struct iovec *parts, int count), (descriptor, parts, count))
ON_DESCRIPTOR(int, fsync, (int descriptor), (descriptor))
ON_DESCRIPTOR(int, fdatasync, (int descriptor), (descriptor))
ON_DESCRIPTOR(int, sync_file_range, (int descriptor, off64_t at, off64_t count, unsigned flags),
              (descriptor, at, count, flags))
ON_DESCRIPTOR(int, ftruncate, (int descriptor, off_t length), (descriptor, length))
ON_DESCRIPTOR(int, ftruncate64, (int descriptor, off64_t length), (descriptor, length))
ON_DESCRIPTOR(ssize_t, read, (int descriptor, void *bytes, size_t count), (descriptor, bytes, count))
ON_DESCRIPTOR(ssize_t, pread64, (int descriptor, void *bytes, size_t count, off64_t at), (descriptor, bytes, count, at))

#define OPENING(name)                                                        \
    int name(const char *path, int flags, ...) {                             \
        mode_t mode = 0;                                                     \
        if (flags & (O_CREAT | __O_TMPFILE)) {                               \
            va_list rest;                                                    \
            va_start(rest, flags);                                           \
            mode = va_arg(rest, mode_t);                                     \
            va_end(rest);                                                    \
        }                                                                    \
        if (fails_at((flags & (O_WRONLY | O_RDWR)) ? "open_to_write" : "open_to_read", path)) { \
            errno = fault_error;                                             \
            return -1;                                                       \
        }                                                                    \
        return REAL(name)(path, flags, mode);                                \
    }

OPENING(open)
OPENING(open64)

int rename(const char *from, const char *to) {
    if (fails_at("rename", to)) {
        errno = fault_error;
        return -1;
    }
    return REAL(rename)(from, to);
}

int unlink(const char *path) {
    if (fails_at("unlink", path)) {
        errno = fault_error;
        return -1;
    }
    return REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
    if (fails_at("mkdir", path)) {
        errno = fault_error;
        return -1;
    }
    return REAL(mkdir)(path, mode);
}
