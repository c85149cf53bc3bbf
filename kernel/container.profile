# SPDX-License-Identifier: LGPL-2.1-or-later
# Containers in the guest: namespaces, cgroups and what joins them
include minimal
fragment isolation
fragment fuse
