/*
 * magic-ip-netlink: what the agent asks the kernel by netlink, in memory that does not grow with what others have there.
 *
 * It takes the place of `nft monitor` and `nft -i`, which keep every rule of the node in memory (88 MB beside 24,000
 * rules), of `nft list`, which reads other tables, and of `conntrack`, whose listing the agent would have to hold.
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
