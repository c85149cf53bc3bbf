/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/image.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/macros.h"

/* Of the setup header; Documentation/arch/x86/boot.rst, "Details of Header Fields". */
enum {
	SETUP_SECTS = 0x1f1,
	HEADER_MAGIC = 0x202,
	HEADER_VERSION = 0x206,
	HEADER_RELEASE = 0x20e,
	PAYLOAD_OFFSET = 0x248,
	PAYLOAD_LENGTH = 0x24c,
	HEADER_END = 0x250,
	SECTOR = 512,
};

enum { SCAN_CHUNK = 1 << 20 };
static const uint64_t scan_most = 512ull << 20;

/* Copies the word at @text, which ends at a space or NUL within @size bytes. */
static bool take_release(const uint8_t *text, size_t size, char ret_release[KERNEL_RELEASE_SIZE])
{
	char release[KERNEL_RELEASE_SIZE];
	size_t length = 0;

	while (length < size && length < sizeof(release) - 1 && text[length] > ' ')
		length++;
	if (length == size || text[length] > ' ')
		return false;
	memcpy(release, text, length);
	release[length] = '\0';
	if (!kernel_release_valid(release))
		return false;
	memcpy(ret_release, release, sizeof(release));
	return true;
}

static int read_bzimage(int fd, const char *what, const uint8_t header[static HEADER_END],
	struct kernel_image *image, struct caisson_error *err)
{
	uint64_t setup = (header[SETUP_SECTS] != 0 ? header[SETUP_SECTS] : 4) + 1u;
	uint64_t at = get_le16(header + HEADER_RELEASE) + 0x200u;
	uint8_t release[KERNEL_RELEASE_SIZE + 1] = {0};
	int r;

	image->form = KERNEL_IMAGE_BZIMAGE;
	setup *= SECTOR;
	if (setup > image->size)
		return caisson_refuse(err, ENOEXEC, "%s is cut: its setup code is not whole", what);
	if (get_le16(header + HEADER_RELEASE) == 0 || at >= setup)
		return caisson_refuse(err, ENOEXEC, "%s does not say which release it is", what);
	r = pread_all(fd, release, MIN(setup - at, (uint64_t)KERNEL_RELEASE_SIZE), at, what, err);
	if (r < 0)
		return r;
	if (!take_release(release, sizeof(release), image->release))
		return caisson_refuse(err, ENOEXEC, "%s does not say which release it is", what);
	if (get_le16(header + HEADER_VERSION) < 0x208)
		return 0;
	image->payload_offset = setup + get_le32(header + PAYLOAD_OFFSET);
	image->payload_size = get_le32(header + PAYLOAD_LENGTH);
	if (image->payload_offset > image->size ||
		image->payload_size > image->size - image->payload_offset)
		return caisson_refuse(err, ENOEXEC,
			"%s is cut: its header speaks of %llu bytes at %llu, and the file has %llu",
			what, (unsigned long long)image->payload_size,
			(unsigned long long)image->payload_offset, (unsigned long long)image->size);
	return 0;
}

int kernel_image_read(
	int fd, const char *what, struct kernel_image *ret_image, struct caisson_error *err)
{
	struct kernel_image image = {0};
	uint8_t header[HEADER_END];
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", what);
	if (!S_ISREG(st.st_mode))
		return caisson_refuse(err, EINVAL, "%s is not a regular file", what);
	image.size = (uint64_t)st.st_size;
	if (image.size < sizeof(header))
		return caisson_refuse(err, ENOEXEC, "%s is too short for a kernel", what);
	r = pread_all(fd, header, sizeof(header), 0, what, err);
	if (r < 0)
		return r;
	if (memcmp(header, ELFMAG, SELFMAG) == 0) {
		image.form = KERNEL_IMAGE_VMLINUX;
	} else if (memcmp(header + HEADER_MAGIC, "HdrS", 4) == 0) {
		r = read_bzimage(fd, what, header, &image, err);
		if (r < 0)
			return r;
	} else {
		return caisson_refuse(err, ENOEXEC, "%s is neither a bzImage nor a vmlinux", what);
	}
	*ret_image = image;
	return 0;
}

/* The build appends the payload's uncompressed size, four bytes, except for gzip, whose own last
   four bytes say the same (scripts/Makefile.lib, "size_append"). */
int kernel_image_payload(int fd, const struct kernel_image *image, const char *what,
	struct kernel_payload *ret_payload, struct caisson_error *err)
{
	uint8_t magic[2], end[4];
	int r;

	if (image->payload_size < 16)
		return caisson_refuse(err, EBADMSG, "%s has no payload", what);
	r = pread_all(fd, magic, sizeof(magic), image->payload_offset, what, err);
	if (r == 0)
		r = pread_all(fd, end, sizeof(end),
			image->payload_offset + image->payload_size - sizeof(end), what, err);
	if (r < 0)
		return r;
	ret_payload->offset = image->payload_offset;
	ret_payload->size = image->payload_size;
	if (magic[0] != 0x1f || magic[1] != 0x8b)
		ret_payload->size -= sizeof(end);
	ret_payload->said = get_le32(end);
	return 0;
}

/* Looks for the banner in @size bytes that @more of the file may follow. */
static bool scan_chunk(const uint8_t *data, size_t size, char ret_release[KERNEL_RELEASE_SIZE])
{
	static const char banner[] = "Linux version ";
	const uint8_t *end = data + size;

	for (;;) {
		const uint8_t *found = memmem(data, (size_t)(end - data), banner, strlen(banner));

		if (found == NULL)
			return false;
		data = found + strlen(banner);
		if (take_release(data, (size_t)(end - data), ret_release))
			return true;
	}
}

int kernel_image_find_release(
	int fd, const char *what, struct kernel_image *image, struct caisson_error *err)
{
	/* What is kept of a chunk, so that a banner across two of them is seen whole. */
	enum { OVERLAP = 128 };
	_cleanup_free_ uint8_t *chunk = malloc(SCAN_CHUNK);
	uint64_t most = MIN(image->size, scan_most);

	if (chunk == NULL)
		return caisson_fail(err, ENOMEM, "read %s", what);
	for (uint64_t at = 0; at < most;) {
		size_t size = (size_t)MIN(most - at, (uint64_t)SCAN_CHUNK);
		int r = pread_all(fd, chunk, size, at, what, err);

		if (r < 0)
			return r;
		if (scan_chunk(chunk, size, image->release))
			return 0;
		at += size < SCAN_CHUNK ? size : size - OVERLAP;
	}
	return caisson_refuse(err, ENOEXEC,
		"%s does not say which release it is (no \"Linux version\" in it)", what);
}

/* The notes of one PT_NOTE segment. Xen's note 18 is 4-byte aligned, as all of the kernel's are. */
static bool notes_have_pvh(const uint8_t *notes, size_t size)
{
	enum { XEN_ELFNOTE_PHYS32_ENTRY = 18 };
	size_t at = 0;

	while (size - at >= sizeof(Elf64_Nhdr)) {
		uint32_t name_size = get_le32(notes + at);
		uint32_t desc_size = get_le32(notes + at + 4);
		uint32_t type = get_le32(notes + at + 8);
		uint64_t name = at + sizeof(Elf64_Nhdr);
		uint64_t desc = name + (((uint64_t)name_size + 3) & ~3ull);
		uint64_t next = desc + (((uint64_t)desc_size + 3) & ~3ull);

		if (desc > size || desc_size > size - desc)
			return false;
		if (type == XEN_ELFNOTE_PHYS32_ENTRY && name_size == 4 && desc_size >= 4 &&
			memcmp(notes + name, "Xen", 4) == 0)
			return true;
		if (next >= size)
			return false;
		at = (size_t)next;
	}
	return false;
}

static int segment_has_pvh(int fd, const char *what, const Elf64_Phdr *segment, uint64_t file_size,
	struct caisson_error *err)
{
	enum { NOTES_MOST = 1 << 20 };
	_cleanup_free_ uint8_t *notes = NULL;
	int r;

	if (segment->p_type != PT_NOTE || segment->p_filesz == 0)
		return 0;
	if (segment->p_offset > file_size || segment->p_filesz > file_size - segment->p_offset ||
		segment->p_filesz > NOTES_MOST)
		return caisson_refuse(err, ENOEXEC, "%s has notes that are not inside it", what);
	notes = malloc(segment->p_filesz);
	if (notes == NULL)
		return caisson_fail(err, ENOMEM, "read %s", what);
	r = pread_all(fd, notes, segment->p_filesz, segment->p_offset, what, err);
	if (r < 0)
		return r;
	return notes_have_pvh(notes, segment->p_filesz);
}

int kernel_image_has_pvh(int fd, const char *what, struct caisson_error *err)
{
	enum { SEGMENTS_MOST = 256 };
	_cleanup_free_ Elf64_Phdr *segments = NULL;
	Elf64_Ehdr header;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", what);
	if ((uint64_t)st.st_size < sizeof(header))
		return caisson_refuse(err, ENOEXEC, "%s is too short for an ELF file", what);
	r = pread_all(fd, &header, sizeof(header), 0, what, err);
	if (r < 0)
		return r;
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
		header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
		header.e_machine != EM_X86_64)
		return caisson_refuse(err, ENOEXEC, "%s is no ELF file for x86-64", what);
	if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > SEGMENTS_MOST ||
		header.e_phoff > (uint64_t)st.st_size ||
		header.e_phnum * sizeof(Elf64_Phdr) > (uint64_t)st.st_size - header.e_phoff)
		return caisson_refuse(
			err, ENOEXEC, "%s has program headers that are not inside it", what);
	segments = calloc(header.e_phnum + 1u, sizeof(*segments));
	if (segments == NULL)
		return caisson_fail(err, ENOMEM, "read %s", what);
	r = pread_all(fd, segments, header.e_phnum * sizeof(*segments), header.e_phoff, what, err);
	for (size_t i = 0; r == 0 && i < header.e_phnum; i++)
		r = segment_has_pvh(fd, what, &segments[i], (uint64_t)st.st_size, err);
	return r;
}
