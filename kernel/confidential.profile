# SPDX-License-Identifier: LGPL-2.1-or-later
# Memory that the host cannot read: SEV-SNP and TDX guests, TPM, nothing to debug with
include minimal
fragment confidential
fragment tpm
fragment verity
fragment integrity
