/* Faults of a disk and of a clock, for LD_PRELOAD. Files in the folder $POSTERN_FAULTS switch them on:
 *
 *   sync        fsync and fdatasync of the spool's log fail with EIO, and what had not reached the disk before is gone,
 *               as Linux has it: the pages are marked clean, and the next sync of the same file succeeds
 *   read-only   nothing can be written, created or removed: EROFS, as after errors=remount-ro
 *   clock       the time of day is off by so many seconds
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/* How much of each file had reached the disk. */
static struct { ino_t file; off_t size; } synced[4096];

static int is_on(const char *fault) {
    char path[4096];
    const char *folder = getenv("POSTERN_FAULTS");
    if (!folder) return 0;
    snprintf(path, sizeof path, "%s/%s", folder, fault);
    return access(path, F_OK) == 0;
}

static int is_log(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strstr(path, "/spool/log/") != NULL;
}

static int sync_with(int fd, int (*real)(int)) {
    struct stat status;
    if (!is_log(fd) || fstat(fd, &status)) return real(fd);
    size_t slot = status.st_ino % (sizeof synced / sizeof *synced);
    int result = 0;
    pthread_mutex_lock(&mutex);
    off_t before = synced[slot].file == status.st_ino ? synced[slot].size : 0;
    if (is_on("sync")) {
        char path[64], zeros[4096] = {0};
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        int again = open(path, O_WRONLY);
        for (off_t at = before; at < status.st_size; at += sizeof zeros) {
            off_t left = status.st_size - at;
            if (REAL(pwrite64)(again, zeros, left < (off_t)sizeof zeros ? (size_t)left : sizeof zeros, at) < 0) abort();
        }
        close(again);
        errno = EIO;
        result = -1;
    } else {
        result = real(fd);
        synced[slot].file = status.st_ino;
        synced[slot].size = status.st_size;
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

int fsync(int fd) { return sync_with(fd, REAL(fsync)); }
int fdatasync(int fd) { return sync_with(fd, REAL(fdatasync)); }

#define READ_ONLY if (is_on("read-only")) { errno = EROFS; return -1; }

ssize_t pwrite64(int fd, const void *octets, size_t length, off64_t at) {
    READ_ONLY
    return REAL(pwrite64)(fd, octets, length, at);
}
int ftruncate64(int fd, off64_t length) {
    READ_ONLY
    return REAL(ftruncate64)(fd, length);
}
int unlink(const char *path) {
    READ_ONLY
    return REAL(unlink)(path);
}
int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = va_arg(arguments, mode_t);
    va_end(arguments);
    if (flags & (O_CREAT | O_WRONLY | O_RDWR)) READ_ONLY
    return REAL(open64)(path, flags, mode);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = REAL(clock_gettime)(clock, now);
    char path[4096], text[32] = {0};
    const char *folder = getenv("POSTERN_FAULTS");
    if (clock != CLOCK_REALTIME || !folder) return result;
    snprintf(path, sizeof path, "%s/clock", folder);
    int file = REAL(open64)(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return result;
    if (read(file, text, sizeof text - 1) > 0) now->tv_sec += atol(text);
    close(file);
    return result;
}
