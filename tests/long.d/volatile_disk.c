/*
 * A library to load before a program's own: what a directory would hold if the power were cut now is held in a second one.
 *
 *   VOLATILE_DIRECTORY   the directory that the program works in
 *   VOLATILE_SHADOW      its durable state; a copy of the directory at the beginning
 *   VOLATILE_CLOCK       seconds by which the wall clock is ahead, or behind when negative
 *   VOLATILE_FAIL_AT     the number of the sync that fails with EIO, from 1; what it was to bring to disk is lost for ever, although
 *                        it can still be read, and later syncs of the file do not fail for it: as Linux does
 *   VOLATILE_FAILS       how many syncs fail from that one on; 1 by default
 *   VOLATILE_SLOW        microseconds that each range of bytes takes to become durable, the latest first: a cut finds syncs under
 *                        way, with a part of the bytes there without what was written before
 *
 * Bytes become durable by fsync or fdatasync of their file, with its length and its present name. By sync_file_range nothing
 * becomes durable, because the disk may lose its cache. Names that were given, changed or removed become durable by fsync of their
 * directory: it is compared with its shadow then, files and folders being known by their numbers, because some programs rename
 * without the C library. Mapped writes are not seen; no engine makes them.
 *
 * Build: cc -shared -fPIC -O2 -o volatile_disk.so volatile_disk.c -ldl -lpthread
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define NODES_MAX 16384

/* The function that would have been called without this library. */
#define REAL(name)                                    \
    ({                                                \
        static void *found;                           \
        if (!found) found = dlsym(RTLD_NEXT, #name);  \
        (__typeof__(&name))found;                     \
    })

struct range { off_t at; size_t bytes; };
/* A file or folder: its name in the shadow, below it, and what was written since the last sync. */
struct node { unsigned long long number; int is_in_shadow; char name[PATH_MAX]; struct range *written; int count, capacity; };

static const char *directory = "/nonexistent", *shadow = "/nonexistent";
static size_t directory_bytes;
static long clock_ahead, fail_at, fails = 1, slow;
static atomic_long syncs;
static struct node *nodes[NODES_MAX];
static int node_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Our own calls change nothing here. */
static __thread int inside;

__attribute__((constructor)) static void configure(void) {
    const char *text;
    if ((text = getenv("VOLATILE_DIRECTORY"))) directory = text;
    if ((text = getenv("VOLATILE_SHADOW"))) shadow = text;
    if ((text = getenv("VOLATILE_CLOCK"))) clock_ahead = atol(text);
    if ((text = getenv("VOLATILE_FAIL_AT"))) fail_at = atol(text);
    if ((text = getenv("VOLATILE_FAILS"))) fails = atol(text);
    if ((text = getenv("VOLATILE_SLOW"))) slow = atol(text);
    directory_bytes = strlen(directory);
}

/* The name of an open file below the directory; 0 when it is elsewhere, or has no name. */
static int name_of(int fd, char *name) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t bytes = readlink(link, path, sizeof path - 1);
    if (bytes <= 0) return 0;
    path[bytes] = 0;
    if (strncmp(path, directory, directory_bytes) || (path[directory_bytes] && path[directory_bytes] != '/')) return 0;
    if (strstr(path, " (deleted)")) return 0;
    snprintf(name, PATH_MAX, "%s", path + directory_bytes);
    return 1;
}

static char *join(const char *root, const char *name) {
    static char paths[4][2 * PATH_MAX];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, 2 * PATH_MAX, "%s%s", root, name);
    return path;
}

/* A number that no other file has, nor one that is made when this one is gone. */
static unsigned long long number_of(int fd, const char *path) {
    struct statx facts;
    if (statx(fd, path, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &facts)) return 0;
    unsigned long long made = facts.stx_btime.tv_sec * 1000000000ULL + facts.stx_btime.tv_nsec;
    return facts.stx_ino * 1000003ULL ^ made;
}

static struct node *find(unsigned long long number, const char *name) {
    for (int i = 0; i < node_count; i++)
        if (nodes[i]->number == number) return nodes[i];
    if (!name) return NULL;
    if (node_count == NODES_MAX) abort();
    struct node *node = calloc(1, sizeof *node);
    if (!node) abort();
    struct stat facts;
    node->number = number;
    node->is_in_shadow = !lstat(join(shadow, name), &facts);
    snprintf(node->name, PATH_MAX, "%s", name);
    return nodes[node_count++] = node;
}

/* Gives a file or folder its present name in the shadow, and with a folder all that is below it. */
static void move(struct node *node, const char *name) {
    char old[PATH_MAX];
    if (!strcmp(node->name, name)) return;
    snprintf(old, sizeof old, "%s", node->name);
    if (node->is_in_shadow) REAL(rename)(join(shadow, old), join(shadow, name));
    size_t bytes = strlen(old);
    for (int i = 0; i < node_count; i++) {
        char *its = nodes[i]->name, moved[PATH_MAX];
        if (strncmp(its, old, bytes) || (its[bytes] && its[bytes] != '/')) continue;
        if (snprintf(moved, sizeof moved, "%s%s", name, its + bytes) >= PATH_MAX) abort();
        memcpy(its, moved, sizeof moved);
    }
}

/* The folders above a name are in the shadow, under their present names. */
static void make_folders(const char *name) {
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", name);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        struct stat facts;
        *slash = 0;
        if (!stat(join(directory, part), &facts)) {
            struct node *folder = find(number_of(AT_FDCWD, join(directory, part)), part);
            move(folder, part);
            REAL(mkdir)(join(shadow, part), facts.st_mode & 0777);
            folder->is_in_shadow = 1;
        }
        *slash = '/';
    }
}

static void remove_all(const char *path) {
    if (!REAL(unlink)(path)) return;
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        char below[PATH_MAX];
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (snprintf(below, sizeof below, "%s/%s", path, entry->d_name) < PATH_MAX) remove_all(below);
    }
    if (folder) closedir(folder);
    REAL(rmdir)(path);
}

/* Makes the names in a folder durable. */
static void settle_folder(const char *name) {
    char below[PATH_MAX];
    struct stat facts;
    struct dirent *entry;
    DIR *folder = opendir(join(directory, name));
    while (folder && (entry = readdir(folder))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (snprintf(below, sizeof below, "%s/%s", name, entry->d_name) >= PATH_MAX) abort();
        if (lstat(join(directory, below), &facts)) continue;
        struct node *node = find(number_of(AT_FDCWD, join(directory, below)), NULL);
        if (node) move(node, below);
        else if (S_ISDIR(facts.st_mode)) {
            REAL(mkdir)(join(shadow, below), facts.st_mode & 0777);
            find(number_of(AT_FDCWD, join(directory, below)), below);
        }
        if (S_ISREG(facts.st_mode) && (!node || !node->is_in_shadow)) {
            /* Its name is durable, its bytes are not. */
            int made = REAL(open)(join(shadow, below), O_WRONLY | O_CREAT, facts.st_mode & 0777);
            if (made < 0) abort();
            close(made);
            find(number_of(AT_FDCWD, join(directory, below)), below)->is_in_shadow = 1;
        }
    }
    if (folder) closedir(folder);
    folder = opendir(join(shadow, name));
    while (folder && (entry = readdir(folder))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (snprintf(below, sizeof below, "%s/%s", name, entry->d_name) >= PATH_MAX) abort();
        if (lstat(join(directory, below), &facts)) {
            char gone[PATH_MAX];
            snprintf(gone, sizeof gone, "%s", join(shadow, below));
            remove_all(gone);
        }
    }
    if (folder) closedir(folder);
}

static void copy(int from, int to, off_t at, size_t bytes) {
    static char buffer[1 << 20];
    while (bytes > 0) {
        ssize_t got = pread(from, buffer, bytes < sizeof buffer ? bytes : sizeof buffer, at);
        if (got <= 0) return;
        if (REAL(pwrite)(to, buffer, got, at) != got) abort();
        at += got;
        bytes -= got;
    }
}

/* Makes the bytes of a file durable, or the names in a folder. */
static void synced(int fd) {
    char name[PATH_MAX];
    struct stat facts, present;
    if (inside || !name_of(fd, name)) return;
    inside = 1;
    pthread_mutex_lock(&lock);
    /* Its length now: while this thread waited, another one may have brought a longer file to the shadow. */
    if (fstat(fd, &facts)) abort();
    make_folders(name);
    if (S_ISDIR(facts.st_mode)) {
        if (*name) REAL(mkdir)(join(shadow, name), facts.st_mode & 0777);
        settle_folder(name);
    } else if (S_ISREG(facts.st_mode)) {
        struct node *node = find(number_of(fd, ""), name);
        move(node, name);
        int from = REAL(open)(join(directory, name), O_RDONLY);
        int to = REAL(open)(join(shadow, name), O_WRONLY | O_CREAT, facts.st_mode & 0777);
        if (to < 0) abort();
        if (from >= 0) {
            fstat(to, &present);
            if (present.st_size != facts.st_size && ftruncate(to, facts.st_size)) abort();
            for (int i = 0; i < node->count; i++) {
                struct range *range = &node->written[slow ? node->count - 1 - i : i];
                if (slow) usleep(slow);
                copy(from, to, range->at, range->bytes);
            }
            node->count = 0;
            close(from);
        }
        node->is_in_shadow = 1;
        close(to);
    }
    pthread_mutex_unlock(&lock);
    inside = 0;
}

/* Whether this sync is to fail; then the bytes that it was to bring to disk are forgotten. */
static int fails_now(int fd) {
    char name[PATH_MAX];
    if (inside || !fail_at || !name_of(fd, name)) return 0;
    long number = ++syncs;
    if (number < fail_at || number >= fail_at + fails) return 0;
    inside = 1;
    pthread_mutex_lock(&lock);
    struct node *node = find(number_of(fd, ""), NULL);
    if (node) node->count = 0;
    pthread_mutex_unlock(&lock);
    inside = 0;
    return 1;
}

static void note_written(int fd, off_t at, ssize_t bytes) {
    char name[PATH_MAX];
    struct stat facts;
    if (inside || bytes <= 0 || !name_of(fd, name) || fstat(fd, &facts) || !S_ISREG(facts.st_mode)) return;
    inside = 1;
    pthread_mutex_lock(&lock);
    struct node *node = find(number_of(fd, ""), name);
    if (node->count == node->capacity) {
        node->capacity = node->capacity ? node->capacity * 2 : 64;
        node->written = realloc(node->written, node->capacity * sizeof *node->written);
        if (!node->written) abort();
    }
    node->written[node->count++] = (struct range){at, bytes};
    pthread_mutex_unlock(&lock);
    inside = 0;
}

/* ----------- The calls ----------- */

#define WRITE_AT(name, data, count_type, offset_type)                          \
    ssize_t name(int fd, data from, count_type count, offset_type at) {        \
        ssize_t done = REAL(name)(fd, from, count, at);                        \
        int error = errno;                                                     \
        note_written(fd, at, done);                                            \
        errno = error;                                                         \
        return done;                                                           \
    }
WRITE_AT(pwrite, const void *, size_t, off_t)
WRITE_AT(pwrite64, const void *, size_t, off64_t)
WRITE_AT(pwritev, const struct iovec *, int, off_t)
WRITE_AT(pwritev64, const struct iovec *, int, off64_t)

#define WRITE_HERE(name, data, count_type)                                     \
    ssize_t name(int fd, data from, count_type count) {                        \
        ssize_t done = REAL(name)(fd, from, count);                            \
        int error = errno;                                                     \
        if (done > 0 && fd > 2 && !inside) {                                   \
            off_t end = lseek(fd, 0, SEEK_CUR);                                \
            if (end >= done) note_written(fd, end - done, done);               \
        }                                                                      \
        errno = error;                                                         \
        return done;                                                           \
    }
WRITE_HERE(write, const void *, size_t)
WRITE_HERE(writev, const struct iovec *, int)

#define SYNC(name)                                                             \
    int name(int fd) {                                                         \
        if (fails_now(fd)) {                                                   \
            errno = EIO;                                                       \
            return -1;                                                         \
        }                                                                      \
        int failed = REAL(name)(fd), error = errno;                            \
        if (!failed) synced(fd);                                               \
        errno = error;                                                         \
        return failed;                                                         \
    }
SYNC(fsync)
SYNC(fdatasync)

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = REAL(clock_gettime)(clock, time);
    if (!failed && clock == CLOCK_REALTIME) time->tv_sec += clock_ahead;
    return failed;
}
