/*
 * watch TABLE: one line when the watch begins, then one for
 *
 *     {"event":"rules"}     another program changed the table, another installation's table was deleted, or messages
 *                           were lost because the socket's buffer was full
 *     {"event":"network"}   an interface or a route has changed
 *
 * It stores no messages. However many changes there are, it writes at most one line of each event per `gap`.
 */
#include "lines.h"
#include "message.h"
#include "modes.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct watch {
	const char *table;
	/* Of the transaction whose messages are arriving. */
	bool touched;
	bool stamped;
	uint64_t stamp;
	/* Whether that transaction deleted another installation's table. */
	bool freed;
	/* The newest stamp of ours; a saved ruleset that another program loads again has an older one. */
	uint64_t last_stamp;
};

struct event {
	const char *name;
	/* Milliseconds between two lines. */
	long long gap;
	bool due;
	long long said;
};

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

/* Reads the stamp of our own write: two marks in the machine's byte order, the time and the number of the write. */
static void read_stamp(struct watch *watch, const struct nlattr *elements)
{
	const struct nlattr *element[NFTA_SET_ELEM_MAX + 1];
	const struct nlattr *key[NFTA_DATA_MAX + 1];
	uint32_t marks[2];

	nested(nest_first(elements), element, NFTA_SET_ELEM_MAX + 1);
	nested(element[NFTA_SET_ELEM_KEY], key, NFTA_DATA_MAX + 1);
	if (watch->stamped || !key[NFTA_DATA_VALUE] || attribute_length(key[NFTA_DATA_VALUE]) != sizeof(marks))
		return;
	memcpy(marks, attribute_data(key[NFTA_DATA_VALUE]), sizeof(marks));
	watch->stamp = (uint64_t)marks[0] << 32 | marks[1];
	watch->stamped = true;
}

static bool is_text(const struct nlattr *attribute, const char *text)
{
	size_t length = strlen(text) + 1;

	return attribute && attribute_length(attribute) >= length &&
	       memcmp(attribute_data(attribute), text, length) == 0;
}

/*
 * Whether it is an installation's table: when that goes, its ports may be free for an installation that was refused
 * them.
 */
static bool is_installation(const struct nlattr *name)
{
	static const char prefix[] = "magic-ip-";
	size_t length = sizeof(prefix) - 1;

	return name && attribute_length(name) > length && memcmp(attribute_data(name), prefix, length) == 0;
}

/*
 * Whether the transaction that ends here deleted another installation's table, or changed our table and was not ours:
 * it had no stamp, or an old one.
 */
static bool is_foreign(struct watch *watch)
{
	bool ours = watch->stamped && watch->stamp > watch->last_stamp;
	bool foreign = watch->freed || (watch->touched && !ours);

	if (watch->touched && ours)
		watch->last_stamp = watch->stamp;
	watch->touched = false;
	watch->stamped = false;
	watch->freed = false;
	return foreign;
}

static bool take_change(struct watch *watch, const struct nlmsghdr *message)
{
	const struct nlattr *parts[NFTA_SET_ELEM_LIST_MAX + 1];
	const struct nfgenmsg *family = NLMSG_DATA(message);
	uint8_t type = message->nlmsg_type & 0xff;

	if (message->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES)
		return false;
	if (type == NFT_MSG_NEWGEN)
		return is_foreign(watch);
	if (family->nfgen_family != NFPROTO_INET)
		return false;
	/* The first attribute of tables, chains, rules, sets, elements and objects is the name of their table. */
	attributes(message, sizeof(*family), parts, NFTA_SET_ELEM_LIST_MAX + 1);
	if (!is_text(parts[NFTA_SET_ELEM_LIST_TABLE], watch->table)) {
		watch->freed |= type == NFT_MSG_DELTABLE && is_installation(parts[NFTA_SET_ELEM_LIST_TABLE]);
		return false;
	}
	watch->touched = true;
	if (type == NFT_MSG_NEWSETELEM && is_text(parts[NFTA_SET_ELEM_LIST_SET], "written"))
		read_stamp(watch, parts[NFTA_SET_ELEM_LIST_ELEMENTS]);
	return false;
}

/* Whether the messages are a reason to look at the table; lost messages (ENOBUFS) are one. */
static bool take_changes(struct watch *watch, struct channel *channel, char *buffer)
{
	ssize_t length = recv(channel->fd, buffer, RECEIVE_BYTES, MSG_DONTWAIT);
	bool hint = length < 0 && errno == ENOBUFS;
	size_t left = length < 0 ? 0 : length;

	for (struct nlmsghdr *message = (struct nlmsghdr *)buffer; NLMSG_OK(message, left);
	     message = NLMSG_NEXT(message, left))
		hint |= take_change(watch, message);
	return hint;
}

static int open_channels(struct channel *rules, struct channel *network)
{
	static const unsigned groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE };
	int result = channel_open(rules, NETLINK_NETFILTER);

	if (result == 0)
		result = channel_join(rules, NFNLGRP_NFTABLES);
	if (result == 0)
		result = channel_open(network, NETLINK_ROUTE);
	for (size_t index = 0; result == 0 && index < sizeof(groups) / sizeof(groups[0]); index++)
		result = channel_join(network, groups[index]);
	return result;
}

/* Writes the events that are due; returns the milliseconds until the next may be written, -1 where none waits. */
static int say_events(struct event *events, size_t count)
{
	long long wait = -1;

	for (struct event *event = events; event < events + count; event++) {
		long long rest = event->said + event->gap - now();

		if (!event->due)
			continue;
		if (rest > 0) {
			wait = wait < 0 || rest < wait ? rest : wait;
			continue;
		}
		say("{\"event\":\"%s\"}\n", event->name);
		event->due = false;
		event->said = now();
	}
	flush();
	return wait;
}

int watch_main(int count, char **words)
{
	static char buffer[RECEIVE_BYTES] __attribute__((aligned(8)));
	struct watch watch = { .table = words[0] };
	struct event events[] = { { .name = "rules", .gap = 20, .said = -1000 },
				  { .name = "network", .gap = 200, .said = -1000 } };
	struct channel rules, network;

	if (count != 1)
		return 2;
	int result = open_channels(&rules, &network);

	if (result != 0) {
		fprintf(stderr, "watch: %s\n", strerror(-result));
		return 1;
	}
	say("{\"event\":\"watching\"}\n");
	for (;;) {
		struct pollfd sources[] = { { .fd = STDIN_FILENO, .events = POLLIN },
					    { .fd = rules.fd, .events = POLLIN },
					    { .fd = network.fd, .events = POLLIN } };

		if (poll(sources, 3, say_events(events, 2)) < 0 && errno != EINTR)
			return 1;
		if (sources[0].revents && read(STDIN_FILENO, buffer, sizeof(buffer)) <= 0)
			return 0;
		if (sources[1].revents)
			events[0].due |= take_changes(&watch, &rules, buffer);
		if (sources[2].revents) {
			recv(network.fd, buffer, sizeof(buffer), MSG_DONTWAIT);
			events[1].due = true;
		}
	}
}
