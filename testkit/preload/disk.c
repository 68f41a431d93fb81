// Gives one process an unusual file system. Loads before the C library (LD_PRELOAD).
//
//   DISK_FSYNC_DIRECTORY=ERRNO   fsync of a directory fails
//   DISK_FSYNC_FILE=ERRNO        fsync of a file fails
//   DISK_FLOCK=ERRNO             flock fails
//   DISK_HANGS=FILE              while FILE exists, each access to `snapshot.json`,
//                                `status.json` or `lease` waits
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(const char *variable) {
    const char *number = getenv(variable);
    if (!number) return 0;
    errno = atoi(number);
    return 1;
}

int fsync(int fd) {
    struct stat file;
    int is_directory = fstat(fd, &file) == 0 && S_ISDIR(file.st_mode);
    if (fails(is_directory ? "DISK_FSYNC_DIRECTORY" : "DISK_FSYNC_FILE")) return -1;
    return syscall(SYS_fsync, fd);
}

int flock(int fd, int operation) {
    if (fails("DISK_FLOCK")) return -1;
    return syscall(SYS_flock, fd, operation);
}

static void wait_for(const char *path) {
    const char *hangs = getenv("DISK_HANGS");
    const char *name = path ? strrchr(path, '/') : NULL;
    if (!hangs || !name) return;
    if (strcmp(name, "/snapshot.json") && strcmp(name, "/status.json") && strcmp(name, "/lease")) return;
    while (syscall(SYS_access, hangs, F_OK) == 0) usleep(10000);
}

int statx(int directory, const char *restrict path, int flags, unsigned mask,
          struct statx *restrict found) {
    wait_for(path);
    return syscall(SYS_statx, directory, path, flags, mask, found);
}

int close(int fd) {
    char link[64], path[4096];
    ssize_t length;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = syscall(SYS_readlinkat, -100, link, path, sizeof path - 1);
    if (length > 0) {
        path[length] = 0;
        wait_for(path);
    }
    return syscall(SYS_close, fd);
}

int open64(const char *path, int flags, ...) {
    __builtin_va_list rest;
    __builtin_va_start(rest, flags);
    int mode = __builtin_va_arg(rest, int);
    __builtin_va_end(rest);
    wait_for(path);
    return syscall(SYS_openat, -100, path, flags, mode);
}
