/*
 * flows: deletes conntrack entries to pods that are no longer targets of their binding. No listing is kept: each entry
 * is judged when it is read and, where it is stale, deleted with the next batch. Commands on standard input:
 *
 *     7 pass datagrams    then the lines of judge.h, then `.`: {"id":7,"ok":true,"seen":225001,"ended":{"udp":12,…},
 *                         "milliseconds":31,"stopped":false}; before it {"id":7,"seen":65536} each 65,536 entries
 *     8 pass connections  the same
 *     stop                ends the running pass early, with "stopped":true
 *     9 count             {"id":9,"ok":true,"entries":4711}
 *
 * The first pass deletes the flows that reach a new pod only after their entry is deleted: UDP, echo requests and flows
 * that no pod has answered. The kernel filters them, so that they do not wait until 200,000 connections are read
 * (0.6 s). Connections can wait: the rules refuse them where their pod is gone.
 */
#include "modes.h"

#include "conntrack.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* Return values of a handler that are no (negative) errno. */
#define STOPPED 1
#define UNFILTERED 2
#define UNFILTERED_STATUS 3
/*
 * Up to this number, the magic IPs of a family are asked for one by one. The kernel walks its whole table for each of
 * them (30 ms with 225,000 entries); to send every entry takes it as long as 8 such walks.
 */
#define FEW_IPS 4
/* Attempts at a dump that the kernel could not finish. */
#define ATTEMPTS 3
/* Entries between two checks of standard input: about half of a dump's part. */
#define LOOK_EACH 64
/* Entries between two progress lines. */
#define TELL_EACH 65536

/* Entries that may get their first reply after the kernel has filtered them and before it copies them. */
#define FEW_ANSWERED 16

struct pass {
	const char *id;
	struct flow_table table;
	struct deletions deletions;
	struct question question;
	bool filtered;
	unsigned long long seen;
	unsigned answered;
	unsigned long long udp, tcp, sctp, other;
};

/* Whether the kernel filters dumps; false from the first entry that was not asked for, or the first refusal, on. */
static bool kernel_filters = true;
static bool kernel_filters_status = true;

static int take_entry(const struct nlmsghdr *message, void *context)
{
	struct pass *pass = context;
	struct flow flow;

	if (++pass->seen % LOOK_EACH == 0 && input_waits())
		return STOPPED;
	if (pass->seen % TELL_EACH == 0) {
		say("{\"id\":%s,\"seen\":%llu}\n", pass->id, pass->seen);
		flush();
	}
	if (!parse_flow(message, &flow))
		return 0;
	if (pass->filtered && !is_asked(&pass->question, &flow))
		return UNFILTERED;
	/*
	 * A few entries are answered while the kernel dumps them; more of them mean that it does not filter by status.
	 */
	if (pass->filtered && pass->question.unanswered && flow.answered && ++pass->answered > FEW_ANSWERED)
		return UNFILTERED_STATUS;
	const struct magic_ip *ip = find_ip(&pass->table, &flow.to);

	if (!ip || !is_stale(&pass->table, ip, &flow))
		return 0;
	if (flow.protocol == IPPROTO_UDP)
		pass->udp++;
	else if (flow.protocol == IPPROTO_TCP)
		pass->tcp++;
	else if (flow.protocol == IPPROTO_SCTP)
		pass->sctp++;
	else
		pass->other++;
	return deletions_add(&pass->deletions, message);
}

static int ask(struct pass *pass, const struct question *question)
{
	int result = -EINTR;

	pass->question = *question;
	for (int attempt = 0; attempt < ATTEMPTS && (result == -EINTR || result == -ENOBUFS); attempt++)
		result = list_flows(question, pass->filtered, take_entry, pass);
	/* Stale entries are deleted even when the dump failed or stopped: no rule is written before the answer. */
	int flushed = deletions_flush(&pass->deletions);

	return result != 0 ? result : flushed;
}

/*
 * Asks for all magic IPs of a family at once, or for one after the other. It asks for IPv6 at once, because the
 * kernel's filter by an IPv6 address sends every flow but the wanted ones (ctnetlink_filter_match_tuple takes the
 * result of ipv6_addr_cmp, which is 0 for equal addresses, for their equality; tried with Linux 6.18).
 */
static int ask_family(struct pass *pass, struct question question)
{
	const struct magic_ip *ips = pass->table.ips.items;
	size_t count = 0;
	int result = 0;

	for (size_t index = 0; index < pass->table.ips.count; index++)
		count += ips[index].ip.family == question.family;
	if (count > FEW_IPS || (count > 0 && (!pass->filtered || question.family == AF_INET6)))
		return ask(pass, &question);
	for (size_t index = 0; index < pass->table.ips.count && count > 0 && result == 0; index++) {
		if (ips[index].ip.family != question.family)
			continue;
		question.to = &ips[index].ip;
		result = ask(pass, &question);
	}
	return result;
}

static int ask_families(struct pass *pass, int protocol, bool unanswered)
{
	struct question question = { .family = AF_INET, .protocol = protocol, .unanswered = unanswered };
	int result = ask_family(pass, question);

	question.family = AF_INET6;
	return result != 0 ? result : ask_family(pass, question);
}

/*
 * Asks for each protocol that the table has ports of, except UDP, or for all protocols at once where it has whole IPs.
 */
static int ask_rest(struct pass *pass, bool unanswered)
{
	int result = 0;

	if (pass->table.any_protocol)
		return ask_families(pass, -1, unanswered);
	for (int protocol = 0; result == 0 && protocol < 256; protocol++)
		if (pass->table.protocols[protocol] && protocol != IPPROTO_UDP)
			result = ask_families(pass, protocol, unanswered);
	return result;
}

static int ask_datagrams(struct pass *pass)
{
	const struct flow_table *table = &pass->table;
	int result = 0;

	if (table->any_protocol || table->protocols[IPPROTO_UDP])
		result = ask_families(pass, IPPROTO_UDP, false);
	if (result == 0 && table->any_protocol)
		result = ask_family(pass, (struct question){ .family = AF_INET, .protocol = IPPROTO_ICMP });
	if (result == 0 && table->any_protocol)
		result = ask_family(pass, (struct question){ .family = AF_INET6, .protocol = IPPROTO_ICMPV6 });
	if (result != 0 || !kernel_filters_status)
		return result;
	result = ask_rest(pass, true);
	if (result == UNFILTERED_STATUS) {
		kernel_filters_status = false;
		return 0;
	}
	return result;
}

/* A kernel that does not filter is asked for every entry once, in the pass of the datagrams. */
static int ask_all(struct pass *pass, bool connections)
{
	int result = 0;

	pass->filtered = kernel_filters;
	if (!pass->filtered)
		return connections ? 0 : ask_families(pass, -1, false);
	result = connections ? ask_rest(pass, false) : ask_datagrams(pass);
	if (result != UNFILTERED && result != -EINVAL && result != -EOPNOTSUPP)
		return result;
	kernel_filters = false;
	pass->filtered = false;
	return ask_families(pass, -1, false);
}

static long long milliseconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void run_pass(struct pass *pass, bool connections)
{
	const char *id = pass->id;
	long long began = milliseconds_now();
	int result = deletions_open(&pass->deletions);

	if (result != 0)
		return answer_error(id, result, "no netlink socket for connection tracking");
	result = ask_all(pass, connections);
	deletions_close(&pass->deletions);
	if (result < 0)
		return answer_error(id, result, strerror(-result));
	say("{\"id\":%s,\"ok\":true,\"seen\":%llu,\"ended\":{\"udp\":%llu,\"tcp\":%llu,\"sctp\":%llu,\"other\":%llu},"
	    "\"milliseconds\":%lld,\"stopped\":%s}\n",
	    id, pass->seen, pass->udp, pass->tcp, pass->sctp, pass->other, milliseconds_now() - began,
	    result == STOPPED ? "true" : "false");
	flush();
}

/* Reads the table and makes the pass; false: the input has ended. */
static bool take_pass(const char *id, bool connections)
{
	struct pass pass = { .id = id };
	struct words words;
	bool open;
	int result = 0;

	while ((open = read_words(&words)) && !(words.count == 1 && strcmp(words.at[0], ".") == 0))
		if (result == 0)
			result = table_line(&pass.table, &words);
	if (result == 0)
		result = table_ready(&pass.table);
	if (open && result == 0)
		run_pass(&pass, connections);
	else if (open)
		answer_error(id, result, result == -E2BIG ? "more bindings, targets and pods than fit" : "no flow table");
	table_free(&pass.table);
	return open;
}

static void take_count(const char *id)
{
	long long entries = count_flows();

	if (entries < 0)
		return answer_error(id, entries, strerror(-entries));
	say("{\"id\":%s,\"ok\":true,\"entries\":%lld}\n", id, entries);
	flush();
}

int flows_main(int count, char **unused)
{
	struct words words;
	bool open = true;

	(void)unused;
	if (count != 0) {
		fprintf(stderr, "usage: magic-ip-netlink flows\n");
		return 2;
	}
	while (open && read_words(&words)) {
		/* `id` stays valid: the table's lines are read into another buffer. */
		const char *id = words.count > 0 && number_of(words.at[0]) >= 0 ? words.at[0] : NULL;
		const char *command = words.count > 1 ? words.at[1] : "";
		const char *what = words.count > 2 ? words.at[2] : "";

		/* A `stop` that came after the pass has ended. */
		if (!id)
			continue;
		if (strcmp(command, "pass") == 0 && strcmp(what, "datagrams") == 0)
			open = take_pass(id, false);
		else if (strcmp(command, "pass") == 0 && strcmp(what, "connections") == 0)
			open = take_pass(id, true);
		else if (strcmp(command, "count") == 0)
			take_count(id);
		else
			answer_error(id, -EINVAL, "no command of flows");
	}
	return 0;
}
