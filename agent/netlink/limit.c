/* limit BYTES -- COMMAND…: a tool that needs more memory than that fails, so that the agent's container does not. */
#include "modes.h"

#include "lines.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <signal.h>
#include <unistd.h>

int limit_main(int count, char **words)
{
	long long bytes = count > 2 ? number_of(words[0]) : -1;

	if (bytes <= 0 || strcmp(words[1], "--") != 0) {
		fprintf(stderr, "usage: magic-ip-netlink limit BYTES -- COMMAND [ARGUMENT…]\n");
		return 2;
	}
	struct rlimit limit = { .rlim_cur = bytes, .rlim_max = bytes };

	/* RLIMIT_DATA counts private writable memory (since Linux 4.7), which counts against the container's limit. */
	if (setrlimit(RLIMIT_DATA, &limit) < 0) {
		perror("setrlimit");
		return 126;
	}
	execvp(words[2], words + 2);
	int error = errno;

	fprintf(stderr, "%s: %s\n", words[2], strerror(error));
	return error == ENOENT ? 127 : 126;
}
