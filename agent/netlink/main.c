/*
 * magic-ip-netlink: the agent's requests to the kernel by netlink. Its memory does not grow with other programs' rules.
 *
 * It replaces `nft monitor` and `nft -i`, which keep every rule of the node in memory (88 MB with 24,000 rules),
 * `nft list`, which reads other tables, and `conntrack`, whose listing the agent would have to keep in memory.
 * It ends when its standard input ends, and with the agent (PR_SET_PDEATHSIG).
 */
#include "modes.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const struct {
	const char *name;
	int (*run)(int count, char **words);
} modes[] = {
	{ "rules", rules_main },
	{ "watch", watch_main },
	{ "flows", flows_main },
	{ "routes", routes_main },
	{ "limit", limit_main },
};

int main(int count, char **words)
{
	pid_t parent = getppid();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		return 1;
	for (size_t index = 0; count > 1 && index < sizeof(modes) / sizeof(modes[0]); index++)
		if (strcmp(words[1], modes[index].name) == 0)
			return modes[index].run(count - 2, words + 2);
	fprintf(stderr, "usage: magic-ip-netlink rules | watch TABLE | flows | routes | limit BYTES -- COMMAND…\n");
	return 2;
}
