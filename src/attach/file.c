/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel caches what is read, and drops that when the file is opened anew, so that what NBD
 * clients wrote in between is seen. Writes go through at once; fsync(2) syncs the container.
 *
 * Punching holes is refused, though discarding blocks would be possible: who punches one may rely
 * on zeros (the loop device does, when a file system asks it for zeros), and a discarded sector is
 * no zeros but noise. Zeros are written then, and discards go over NBD, which tells both apart.
 */
#define FUSE_USE_VERSION 312

#include "attach/file.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "attach/control.h"

#define THREADS    4
#define ROOT       FUSE_ROOT_ID
#define FILE_INODE 2
#define SECONDS_KEPT \
	3600.0 /* names and attributes: they change only as fuse_file_resized() says \
		*/
#define DATA_MOST   (1u << 20)
#define ZEROS_PIECE (UINT64_C(4) << 20)

struct fuse_file {
	struct fuse_session *session;
	struct blocks *blocks;
	uid_t owner;
	gid_t group;
	struct timespec since;
	unsigned int users;    /* atomic */
	unsigned int threads;  /* that still answer; atomic */
	pthread_rwlock_t gate; /* held while blocks are worked on */
	bool stopped;          /* atomic */
};

static struct fuse_file *file_of(fuse_req_t request)
{
	return fuse_req_userdata(request);
}

/* Whether blocks may still be worked on; the gate is to be left then. */
static bool enter(struct fuse_file *file)
{
	pthread_rwlock_rdlock(&file->gate);
	if (!__atomic_load_n(&file->stopped, __ATOMIC_SEQ_CST))
		return true;
	pthread_rwlock_unlock(&file->gate);
	return false;
}

static void leave(struct fuse_file *file)
{
	pthread_rwlock_unlock(&file->gate);
}

static uint64_t size_of(const struct fuse_file *file)
{
	return __atomic_load_n(&file->blocks->size, __ATOMIC_RELAXED);
}

static struct stat attributes(const struct fuse_file *file, fuse_ino_t inode)
{
	struct stat status = {
		.st_ino = inode,
		.st_mode = S_IFDIR | 0700,
		.st_nlink = 2,
		.st_uid = file->owner,
		.st_gid = file->group,
		.st_atim = file->since,
		.st_mtim = file->since,
		.st_ctim = file->since,
		.st_blksize = 4096,
	};

	if (inode == FILE_INODE) {
		status.st_mode = S_IFREG | (file->blocks->read_only ? 0400 : 0600);
		status.st_nlink = 1;
		status.st_size = (off_t)size_of(file);
		status.st_blocks = status.st_size / 512;
	}
	return status;
}

static void on_init(void *userdata, struct fuse_conn_info *connection)
{
	(void)userdata;
	/* Data is copied once between the pipe and us anyway: it is encrypted on the way. */
	connection->want &= ~(unsigned int)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
					    FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE);
	connection->max_write = DATA_MOST;
	connection->max_readahead = DATA_MOST;
	connection->max_background = 64;
	connection->congestion_threshold = 48;
}

static void on_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
		.ino = FILE_INODE, .attr_timeout = SECONDS_KEPT, .entry_timeout = SECONDS_KEPT};

	if (parent != ROOT || strcmp(name, ATTACH_FILE_NAME) != 0) {
		fuse_reply_err(request, ENOENT);
		return;
	}
	entry.attr = attributes(file_of(request), FILE_INODE);
	fuse_reply_entry(request, &entry);
}

static void on_getattr(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	struct stat status = attributes(file_of(request), inode);

	(void)info;
	fuse_reply_attr(request, &status, SECONDS_KEPT);
}

/* Nothing changes; of the size that is worth an error. */
static void on_setattr(fuse_req_t request, fuse_ino_t inode, struct stat *wished, int which,
	struct fuse_file_info *info)
{
	struct stat status = attributes(file_of(request), inode);

	(void)info;
	if ((which & FUSE_SET_ATTR_SIZE) != 0 && wished->st_size != status.st_size)
		fuse_reply_err(request, EPERM);
	else
		fuse_reply_attr(request, &status, SECONDS_KEPT);
}

static void on_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	struct fuse_file *file = file_of(request);

	if (inode != FILE_INODE) {
		fuse_reply_err(request, EISDIR);
		return;
	}
	if (file->blocks->read_only && (info->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(request, EROFS);
		return;
	}
	__atomic_add_fetch(&file->users, 1, __ATOMIC_SEQ_CST);
	if (fuse_reply_open(request, info) < 0)
		__atomic_sub_fetch(&file->users, 1, __ATOMIC_SEQ_CST);
}

static void on_release(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	(void)inode;
	(void)info;
	__atomic_sub_fetch(&file_of(request)->users, 1, __ATOMIC_SEQ_CST);
	fuse_reply_err(request, 0);
}

static void on_read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
	struct fuse_file_info *info)
{
	struct fuse_file *file = file_of(request);
	uint64_t end = size_of(file), from = (uint64_t)offset;
	_cleanup_free_ void *data = NULL;
	int r = -ESHUTDOWN;

	(void)inode;
	(void)info;
	size = MIN(size, (size_t)DATA_MOST);
	size = from < end ? (size_t)MIN((uint64_t)size, end - from) : 0;
	if (size == 0) {
		fuse_reply_buf(request, NULL, 0);
		return;
	}
	data = malloc(size);
	if (data == NULL) {
		fuse_reply_err(request, ENOMEM);
		return;
	}
	if (enter(file)) {
		r = blocks_read(file->blocks, from, data, size, NULL);
		leave(file);
	}
	if (r < 0)
		fuse_reply_err(request, -r);
	else
		fuse_reply_buf(request, data, size);
}

static void on_write(fuse_req_t request, fuse_ino_t inode, const char *data, size_t size,
	off_t offset, struct fuse_file_info *info)
{
	struct fuse_file *file = file_of(request);
	uint64_t end = size_of(file), from = (uint64_t)offset;
	int r = -ESHUTDOWN;

	(void)inode;
	(void)info;
	if (from >= end && size > 0) {
		fuse_reply_err(request, ENOSPC);
		return;
	}
	size = (size_t)MIN((uint64_t)size, end - from);
	if (enter(file)) {
		r = blocks_write(file->blocks, from, data, size, NULL);
		leave(file);
	}
	if (r < 0)
		fuse_reply_err(request, -r);
	else
		fuse_reply_write(request, size);
}

static void sync_blocks(fuse_req_t request)
{
	struct fuse_file *file = file_of(request);
	int r = -ESHUTDOWN;

	if (enter(file)) {
		r = blocks_flush(file->blocks, NULL);
		leave(file);
	}
	fuse_reply_err(request, -r);
}

static void on_fsync(fuse_req_t request, fuse_ino_t inode, int data, struct fuse_file_info *info)
{
	(void)inode;
	(void)data;
	(void)info;
	sync_blocks(request);
}

/* At each close(2): nothing is kept back here that it would have to write. */
static void on_flush(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *info)
{
	(void)inode;
	(void)info;
	fuse_reply_err(request, 0);
}

/* It may be all of the volume: in pieces, so that neither the end of the serving nor that of
   whoever asked has to wait for it. Pieces end where one of the whole does: no sector is in two. */
static int zero_in_pieces(struct fuse_file *file, fuse_req_t request, uint64_t at, uint64_t end)
{
	int r = 0;

	while (r == 0 && at < end) {
		uint64_t next = MIN(end, (at / ZEROS_PIECE + 1) * ZEROS_PIECE);

		if (fuse_req_interrupted(request))
			return -EINTR;
		if (!enter(file))
			return -ESHUTDOWN;
		r = blocks_zero(file->blocks, at, next - at, NULL);
		leave(file);
		at = next;
	}
	return r;
}

static int zero_range(
	struct fuse_file *file, fuse_req_t request, int mode, off_t offset, off_t length)
{
	uint64_t end = size_of(file);

	if (offset < 0 || length < 0 || (uint64_t)offset > end ||
		(uint64_t)length > end - (uint64_t)offset)
		return -EPERM; /* it would grow */
	if ((mode & ~FALLOC_FL_KEEP_SIZE) == 0)
		return 0; /* all of the file is there */
	if ((mode & ~FALLOC_FL_KEEP_SIZE) != FALLOC_FL_ZERO_RANGE)
		return -EOPNOTSUPP;
	return zero_in_pieces(file, request, (uint64_t)offset, (uint64_t)offset + (uint64_t)length);
}

static void on_fallocate(fuse_req_t request, fuse_ino_t inode, int mode, off_t offset, off_t length,
	struct fuse_file_info *info)
{
	(void)inode;
	(void)info;
	fuse_reply_err(request, -zero_range(file_of(request), request, mode, offset, length));
}

static void on_readdir(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset,
	struct fuse_file_info *info)
{
	static const struct {
		const char *name;
		fuse_ino_t inode;
	} entries[] = {{".", ROOT}, {"..", ROOT}, {ATTACH_FILE_NAME, FILE_INODE}};
	char data[512];
	size_t used = 0, most = MIN(size, sizeof(data));

	(void)info;
	if (inode != ROOT) {
		fuse_reply_err(request, ENOTDIR);
		return;
	}
	for (size_t i = (size_t)MAX(offset, (off_t)0); i < ARRAY_SIZE(entries); i++) {
		struct stat status = attributes(file_of(request), entries[i].inode);
		size_t need = fuse_add_direntry(
			request, data + used, most - used, entries[i].name, &status, (off_t)i + 1);

		if (need > most - used)
			break;
		used += need;
	}
	fuse_reply_buf(request, data, used);
}

static void *answer(void *argument)
{
	struct fuse_file *file = argument;
	struct fuse_buf buffer = {.mem = NULL};

	while (!fuse_session_exited(file->session)) {
		int r = fuse_session_receive_buf(file->session, &buffer);

		if (r == 0 || r == -ENODEV)
			break; /* it is unmounted */
		if (r > 0)
			fuse_session_process_buf(file->session, &buffer);
		else if (r != -EINTR && r != -EAGAIN)
			(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	free(buffer.mem);
	/* What was open is open no more when nothing is mounted, and is not released one by one. */
	if (__atomic_sub_fetch(&file->threads, 1, __ATOMIC_SEQ_CST) == 0)
		__atomic_store_n(&file->users, 0, __ATOMIC_SEQ_CST);
	return NULL;
}

static const struct fuse_lowlevel_ops operations = {
	.init = on_init,
	.lookup = on_lookup,
	.getattr = on_getattr,
	.setattr = on_setattr,
	.open = on_open,
	.release = on_release,
	.read = on_read,
	.write = on_write,
	.flush = on_flush,
	.fsync = on_fsync,
	.fallocate = on_fallocate,
	.readdir = on_readdir,
};

static void say_nothing(enum fuse_log_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
}

static int start_threads(struct fuse_file *file, struct caisson_error *err)
{
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_t thread;
		int r;

		__atomic_add_fetch(&file->threads, 1, __ATOMIC_SEQ_CST);
		r = pthread_create(&thread, NULL, answer, file);
		if (r != 0)
			return caisson_fail(err, r, "start a thread for FUSE");
		(void)pthread_detach(thread);
	}
	return 0;
}

/* For the life of the process, hence there is no end of it but the process's. */
int fuse_file_start(int fd, struct blocks *blocks, uid_t owner, gid_t group,
	struct fuse_file **ret_file, struct caisson_error *err)
{
	static char program[] = "caisson-attach";
	static char *argv[] = {program, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	static struct fuse_file file;
	char path[32];
	int r;

	file = (struct fuse_file){.blocks = blocks, .owner = owner, .group = group};
	clock_gettime(CLOCK_REALTIME, &file.since);
	pthread_rwlock_init(&file.gate, NULL);
	fuse_set_log_func(say_nothing);
	file.session = fuse_session_new(&args, &operations, sizeof(operations), &file);
	fuse_opt_free_args(&args);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	if (file.session == NULL || fuse_session_mount(file.session, path) < 0)
		return caisson_refuse(err, EIO, "libfuse cannot serve a file system");
	r = start_threads(&file, err);
	if (r < 0)
		return r;
	*ret_file = &file;
	return 0;
}

unsigned int fuse_file_users(struct fuse_file *file)
{
	return __atomic_load_n(&file->users, __ATOMIC_SEQ_CST);
}

void fuse_file_resized(struct fuse_file *file)
{
	(void)fuse_lowlevel_notify_inval_inode(file->session, FILE_INODE, -1, 0);
}

void fuse_file_stop(struct fuse_file *file)
{
	/* First, so that nobody comes in again while this waits for who is in. */
	__atomic_store_n(&file->stopped, true, __ATOMIC_SEQ_CST);
	pthread_rwlock_wrlock(&file->gate);
	pthread_rwlock_unlock(&file->gate);
}
