# SPDX-License-Identifier: LGPL-2.1-or-later
# Unlock and run: encrypted volumes, the image, the network and the host
fragment virtio
fragment boot
fragment filesystems
fragment encryption
fragment network
fragment programs
fragment platform
fragment security
fragment mitigations
fragment build
fragment bare

#: base: the kernel's messages come out on the serial port
argument console=ttyS0
#: base: a kernel that has failed ends the machine at once
argument panic=-1
#: mmio: without ACPI and a keyboard controller, a triple fault is what restarts a machine
argument reboot=t
#: mmio: there is no PCI to look for
argument pci=off
#: base: nothing waits for randomness that the processor has
argument random.trust_cpu=on
#: base: only warnings are printed: each letter on the serial port is an exit to the host
argument quiet
