/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What configure would find for libdevmapper of lvm2 2.03 where the static form is built and runs:
   glibc and Linux; no udev, no SELinux. */
#define DEFAULT_DM_ADD_NODE      DM_ADD_NODE_ON_RESUME
#define DEFAULT_DM_NAME_MANGLING DM_STRING_MANGLING_AUTO
#define DEFAULT_DM_RUN_DIR       "/run"
#define DM_DEVICE_GID            0
#define DM_DEVICE_MODE           0600
#define DM_DEVICE_UID            0
#define DM_IOCTLS                1
#define DM_LIB_VERSION           "1.02 static"
#define HAVE_LINUX_MAGIC_H       1
#define HAVE_REALTIME            1
#define HAVE_SYS_IOCTL_H         1
#define HAVE_SYS_STATVFS_H       1
#define HAVE_SYS_TIMERFD_H       1
#define HAVE_SYS_VFS_H           1
