/* The entries of the kernel's connection tracking: read one by one from a dump, deleted by their tuple and id. */
#ifndef CONNTRACK_H
#define CONNTRACK_H

#include "judge.h"
#include "message.h"

/* Which entries are asked for. */
struct question {
	uint8_t family;
	/* IPv4 only; NULL: any destination. */
	const struct ip *to;
	/* -1: every protocol. */
	int protocol;
	/* Only entries without a reply; Linux before 5.17 does not filter by this. */
	bool unanswered;
};

/* Deletions that wait to be sent in one batch. */
struct deletions {
	struct channel channel;
	struct request request;
	/* The sequence of the first deletion, and the offset of the last one. */
	uint32_t first;
	size_t last;
	unsigned waiting;
};

/* false: an entry of another datapath's zone, or one that is no flow. */
bool parse_flow(const struct nlmsghdr *message, struct flow *flow);
/* Whether the flow has the family, address and protocol of the question. */
bool is_asked(const struct question *question, const struct flow *flow);

/*
 * Passes the entries to the handler. The kernel filters them since Linux 5.8 (cb8aa9a3affb); before, it sends them all.
 * Returns 0, what the handler returned, or a negative errno.
 */
int list_flows(const struct question *question, bool filtered, message_handler handler, void *context);
/* The number of entries, or a negative errno. */
long long count_flows(void);

/* 0, or a negative errno. */
int deletions_open(struct deletions *deletions);
/* Queues the deletion of this entry, not of a later one with its tuple; deletions_flush sends all that are queued. */
int deletions_add(struct deletions *deletions, const struct nlmsghdr *message);
int deletions_flush(struct deletions *deletions);
void deletions_close(struct deletions *deletions);

#endif
