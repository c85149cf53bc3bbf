/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The three documents of an OCI image, whichever the input is. */
#include "base/macros.h"
#include "fuzz.h"
#include "image/oci.h"

static void try_index(const uint8_t *data, size_t size)
{
	_cleanup_oci_descriptors_ struct oci_descriptors index = OCI_DESCRIPTORS_NONE;
	const struct oci_descriptor *chosen;
	struct caisson_error err = {0};

	if (oci_index_parse(data, size, "an index", &index, &err) < 0)
		return;
	(void)oci_index_select(&index, NULL, false, "an index", &chosen, &err);
	(void)oci_index_select(&index, NULL, true, "an index", &chosen, &err);
	(void)oci_index_select(&index, "latest", false, "an index", &chosen, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_oci_manifest_ struct oci_manifest manifest = OCI_MANIFEST_NONE;
	_cleanup_oci_config_ struct oci_config config = OCI_CONFIG_NONE;
	struct caisson_error err = {0};

	try_index(data, size);
	(void)oci_manifest_parse(data, size, "a manifest", &manifest, &err);
	(void)oci_config_parse(data, size, "a configuration", &config, &err);
	return 0;
}
