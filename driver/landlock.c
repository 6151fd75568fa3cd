/*
 * Landlock scopes. The agent shares its process group with the caller's job,
 * so kill(0, …) would reach it; a pid namespace doesn't prevent that.
 * Filesystem rights are left alone: they would forbid every mount, and with
 * it the agents' own sandboxes.
 */
#define _GNU_SOURCE
#include "landlock.h"

#include "sys.h"

enum { ABI_WITH_SCOPES = 6 };

int landlock_abi(void)
{
	long abi = syscall(NR_landlock_create_ruleset, NULL, 0,
			   K_LANDLOCK_VERSION);

	return abi > 0 ? (int)abi : 0;
}

int landlock_scope(bool abstract_sockets, struct fault *f)
{
	struct k_landlock_attr attr = {
		.scoped = K_SCOPE_SIGNAL |
			  (abstract_sockets ? K_SCOPE_ABSTRACT : 0)};
	int abi = landlock_abi();
	AUTO_FD int rules = -1;

	if (abi < ABI_WITH_SCOPES) {
		fault(f, "signal-scope",
		      "Landlock scopes need Linux 6.12 with Landlock enabled "
		      "(ABI 6, here %d): the agent can signal the processes "
		      "of the job that it was started in%s",
		      abi,
		      abstract_sockets
			      ? ", and reach the host's abstract sockets "
				"(X11, D-Bus) where it has the host's network"
			      : "");
		return 1;
	}
	rules = (int)syscall(NR_landlock_create_ruleset, &attr, sizeof(attr),
			     0);
	if (rules < 0 || syscall(NR_landlock_restrict_self, rules, 0))
		return fault_errno(f, "landlock",
				   "can't apply Landlock scopes");
	return 0;
}
