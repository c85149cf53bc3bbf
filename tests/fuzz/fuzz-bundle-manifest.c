/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bundle's manifest, out of a stranger's folder: what is read is written and read again. */
#include <stdlib.h>

#include "base/macros.h"
#include "bundle/manifest.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_manifest_ struct manifest manifest = MANIFEST_NONE, again = MANIFEST_NONE;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct caisson_error err = {0};

	if (manifest_parse((const char *)data, size, "a manifest", &manifest, &err) < 0)
		return 0;
	for (size_t i = 0; i < manifest.file_count; i++) {
		const struct manifest_file *file = &manifest.files[i];

		if (file->path[0] != '/' || manifest_find(&manifest, file->path) != file)
			abort();
	}
	if (manifest_format(&manifest, &text, &err) < 0 ||
		manifest_parse(text.data, text.size, "it again", &again, &err) < 0 ||
		again.file_count != manifest.file_count ||
		again.program_count != manifest.program_count)
		abort();
	return 0;
}
