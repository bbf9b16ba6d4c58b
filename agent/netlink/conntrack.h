/* The entries of the kernel's connection tracking: read as they stream, ended by what makes each the one it is. */
#ifndef CONNTRACK_H
#define CONNTRACK_H

#include "judge.h"
#include "message.h"

/* Which entries are asked for. */
struct question {
	uint8_t family;
	/* Of IPv4; NULL: whatever was dialed. */
	const struct ip *to;
	/* -1: every protocol. */
	int protocol;
	/* Only those that have seen packets one way; Linux before 5.17 does not filter by it. */
	bool unanswered;
};

/* Deletions that wait to be sent in one piece. */
struct deletions {
	struct channel channel;
	struct request request;
	/* The sequence of the first, and where the last begins. */
	uint32_t first;
	size_t last;
	unsigned waiting;
};

/* false: an entry of another datapath's zone, or one that is no flow. */
bool parse_flow(const struct nlmsghdr *message, struct flow *flow);
/* Whether it has the address and protocol of the question. */
bool is_asked(const struct question *question, const struct flow *flow);

/*
 * Hands over the entries. The kernel filters them since Linux 5.8 (cb8aa9a3affb); before, it sends them all.
 * Returns 0, what the handler returned, or a negative errno.
 */
int list_flows(const struct question *question, bool filtered, message_handler handler, void *context);
/* The number of entries, or a negative errno. */
long long count_flows(void);

/* 0, or a negative errno. */
int deletions_open(struct deletions *deletions);
/* Ends this entry, and not one that took its place, sooner or later: at the latest with deletions_flush. */
int deletions_add(struct deletions *deletions, const struct nlmsghdr *message);
int deletions_flush(struct deletions *deletions);
void deletions_close(struct deletions *deletions);

#endif
