/* Mount primitives: make or clone a mount by fd, then attach it by fd. */
#ifndef AGENTFW_MOUNT_H
#define AGENTFW_MOUNT_H

#include <sys/stat.h>

#include "spec.h"

/* The view while it is being built. Lives in init, before the pivot. */
struct view {
	const struct spec *spec;
	int root;      /* O_PATH: the topmost mount at newroot */
	dev_t *tmpfs;  /* filesystems made by this view: free to create in */
	size_t ntmpfs;
	uint64_t *overlay_mounts; /* per operation: mount id, 0 for none */
};

struct mount_option {
	const char *key, *value;
};

/* A new filesystem as a detached mount. `attrs`: K_MOUNT_*. */
int mount_new(const char *type, const struct mount_option *options,
	      unsigned attrs, struct fault *f);
int mount_tmpfs(mode_t mode, uint64_t size, unsigned attrs, struct fault *f);
/* A detached recursive copy of what is at `source`. */
int mount_clone(int source, unsigned attrs, struct fault *f);
int mount_attach(int mount, int at, const char *dst, struct fault *f);
/* No file below gives privileges, set-id bits or capabilities. */
int mount_no_suid(int at, struct fault *f);
int mount_read_only(int at, const char *dst, struct fault *f);

/* Opens DST in the view (O_PATH), following no symlink. */
int view_open(const struct view *v, const char *dst);
/* Opens the parent of DST; *name is its last component. */
int view_parent(const struct view *v, const char *dst, const char **name);
/* Opens DST for a mount; on a tmpfs of this view it is made if missing. */
int view_place(const struct view *v, const char *dst, bool directory,
	       struct fault *f);
/* Remembers that things may be made on this mount's filesystem. */
void view_own(struct view *v, int mount);

/* Opens a host path once, its last component no symlink. */
int host_open(const char *path, struct stat *st, struct fault *f);
uint64_t mount_id(int fd);

/* The operations, by file. */
int op_overlay(struct view *v, const struct op *o, struct fault *f);
int op_dev(struct view *v, const struct op *o, struct fault *f);
int op_proc(struct view *v, const struct op *o, struct fault *f);
int op_hide(struct view *v, const struct op *o, struct fault *f);
int op_shim(struct view *v, const struct op *o, struct fault *f);
int hide_at(int at, const char *dst, struct fault *f);

#endif
