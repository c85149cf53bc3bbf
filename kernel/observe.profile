# SPDX-License-Identifier: LGPL-2.1-or-later
# Look into the guest: eBPF with BTF, probes and tracepoints
include minimal
fragment observability
