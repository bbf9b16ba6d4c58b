/*
 * routes: the node's links, routes and rules, by which the agent decides what is inside the node. It reads IP addresses
 * of pods, one per line, and answers with lines of JSON:
 *
 *   {"link":7,"name":"cni0","kind":"bridge","master":0,"peer":0,"elsewhere":false,"ipv4":{"widest":24,"host":false}}
 *   {"pod":"10.9.0.7","type":1,"link":7,"bits":24}
 *   {"pod":"10.9.0.8","error":"ENETUNREACH"}
 *   {"rule":"vlan5","priority":10,"table":101,"pod":"10.9.0.7","link":3}
 *   {"left":12}
 *
 * `peer` is the index of a veth's other end, unless that is in another network namespace (`elsewhere`). A link's `widest` is
 * the smallest prefix length of its unicast routes in the tables that every packet is looked up in (main, default, and those
 * of rules without a condition), and `host` whether one of them leads to at most four addresses on the link itself, as to a
 * pod. `pod` is the kernel's route for a packet of this node to the address. `rule` says that a rule for that interface
 * routes packets that come in by it to another link. `left` is the number of links that did not fit.
 *
 * A routing table is read message by message and not kept: a node may have a million routes.
 */
#include "modes.h"

#include "lines.h"
#include "message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/*
 * Links whose routes are remembered; a node has one or two per pod, and the uplinks come first, because they are older.
 */
#define MOST_LINKS 8192
/* Tables that rules without a condition name; there are three unless an administrator or a VPN added others. */
#define MOST_TABLES 16
/* Rules for one interface that are followed; the AWS VPC CNI creates such rules for pods with security groups. */
#define MOST_RULES 64
/* Pods of one node; 250 are already more than Kubernetes is made for. */
#define MOST_PODS 1024
/* Pods that each of these rules is tried with: the pods of one node are usually in one network. */
#define TRIED_PODS 16
/* Attempts at a dump that a change interrupts. */
#define MOST_ATTEMPTS 5
#define NO_ROUTE 255
#define REQUEST_BYTES 1024
/* A route with at most this many host bits is a pod's own: /30 to /32, /126 to /128. */
#define FEW_BITS 2

struct ways {
	uint8_t widest;
	bool host;
};

struct link {
	uint32_t index;
	uint32_t master;
	uint32_t peer;
	bool elsewhere;
	char name[16];
	char kind[20];
	struct ways ways[2];
};

struct rule {
	char name[16];
	uint8_t family;
	uint32_t priority;
	uint32_t table;
};

struct pod {
	char text[INET6_ADDRSTRLEN];
	uint8_t family;
	uint8_t address[16];
	uint32_t link;
	uint8_t type;
};

static struct link links[MOST_LINKS];
static size_t link_count;
static size_t links_left;
static struct pod pods[MOST_PODS];
static size_t pod_count;
static uint32_t tables[2][MOST_TABLES];
static size_t table_count[2];
static struct rule rules[MOST_RULES];
static size_t rule_count;

static int side(uint8_t family)
{
	return family == AF_INET6;
}

static uint32_t number_in(const struct nlattr *attribute)
{
	uint32_t value = 0;

	if (attribute && attribute_length(attribute) >= sizeof(value))
		memcpy(&value, attribute_data(attribute), sizeof(value));
	return value;
}

static void text_in(const struct nlattr *attribute, char *text, size_t size)
{
	size_t length = attribute ? attribute_length(attribute) : 0;

	if (length >= size)
		length = size - 1;
	if (length > 0)
		memcpy(text, attribute_data(attribute), length);
	text[length] = '\0';
}

/* Makes a dump, again where a change interrupted it. `begin` discards the results of the attempt before. */
static int dump(struct channel *channel, uint16_t type, const void *header, size_t length, const uint32_t *table,
		void (*begin)(void), message_handler handler)
{
	int result = -EINTR;

	for (int attempt = 0; attempt < MOST_ATTEMPTS && result == -EINTR; attempt++) {
		struct request request;

		if (begin)
			begin();
		request_init(&request, REQUEST_BYTES);
		size_t offset = message_begin(&request, channel, type, NLM_F_DUMP, header, length);

		if (table)
			put(&request, RTA_TABLE, table, sizeof(*table));
		message_end(&request, offset);
		result = exchange_dump(channel, &request, handler, NULL);
		request_free(&request);
	}
	/* After the last attempt its results are used, although a change interrupted it. */
	return result == -EINTR ? 0 : result;
}

static void forget_links(void)
{
	link_count = 0;
	links_left = 0;
}

static int take_link(const struct nlmsghdr *message, void *context)
{
	const struct ifinfomsg *info = NLMSG_DATA(message);
	const struct nlattr *found[IFLA_LINK_NETNSID + 1];
	const struct nlattr *inner[IFLA_INFO_KIND + 1] = { NULL };

	(void)context;
	if (message->nlmsg_type != RTM_NEWLINK)
		return 0;
	if (link_count == MOST_LINKS) {
		links_left++;
		return 0;
	}
	struct link *link = &links[link_count++];

	attributes(message, sizeof(*info), found, IFLA_LINK_NETNSID + 1);
	if (found[IFLA_LINKINFO])
		nested(found[IFLA_LINKINFO], inner, IFLA_INFO_KIND + 1);
	*link = (struct link){ .index = info->ifi_index, .ways = { { NO_ROUTE, false }, { NO_ROUTE, false } } };
	link->master = number_in(found[IFLA_MASTER]);
	link->elsewhere = found[IFLA_LINK_NETNSID] != NULL;
	link->peer = link->elsewhere ? 0 : number_in(found[IFLA_LINK]);
	text_in(found[IFLA_IFNAME], link->name, sizeof(link->name));
	text_in(inner[IFLA_INFO_KIND], link->kind, sizeof(link->kind));
	return 0;
}

/* Compares with every link, because the kernel lists links by their hash, not in the order of the index. */
static struct link *link_of(uint32_t index)
{
	for (size_t place = 0; place < link_count; place++)
		if (links[place].index == index)
			return &links[place];
	return NULL;
}

static void add_table(uint8_t family, uint32_t table)
{
	size_t *count = &table_count[side(family)];

	for (size_t place = 0; place < *count; place++)
		if (tables[side(family)][place] == table)
			return;
	if (*count < MOST_TABLES)
		tables[side(family)][(*count)++] = table;
}

static void forget_rules(void)
{
	memset(table_count, 0, sizeof(table_count));
	rule_count = 0;
}

/* More than FRA_MAX of these headers, because a later kernel has conditions that they do not name. */
#define RULE_ATTRIBUTES 64

/* Whether an attribute of a rule is a condition: all are but those listed here. */
static bool is_condition(uint16_t type)
{
	static const uint16_t others[] = { FRA_PRIORITY,    FRA_TABLE, FRA_SUPPRESS_PREFIXLEN, FRA_SUPPRESS_IFGROUP,
					   FRA_PROTOCOL,    FRA_FLOW,  FRA_PAD,		       FRA_GOTO };

	for (size_t index = 0; index < sizeof(others) / sizeof(others[0]); index++)
		if (others[index] == type)
			return false;
	return true;
}

static bool has_condition(const struct nlattr **found, size_t count, const struct fib_rule_hdr *header)
{
	static const uint8_t zeros[64];

	if (header->dst_len > 0 || header->src_len > 0 || header->tos > 0 || header->flags & FIB_RULE_INVERT)
		return true;
	for (size_t type = 1; type < count; type++) {
		if (!found[type] || !is_condition(type))
			continue;
		size_t length = attribute_length(found[type]);

		/* Zeros are no condition: the kernel writes a mark of 0 with the mask 0 where a rule has none. */
		if (type > FRA_MAX || length > sizeof(zeros) || memcmp(attribute_data(found[type]), zeros, length) != 0)
			return true;
	}
	return false;
}

static int take_rule(const struct nlmsghdr *message, void *context)
{
	const struct fib_rule_hdr *header = NLMSG_DATA(message);
	const struct nlattr *found[RULE_ATTRIBUTES];

	(void)context;
	if (message->nlmsg_type != RTM_NEWRULE || header->action != FR_ACT_TO_TBL)
		return 0;
	if (header->family != AF_INET && header->family != AF_INET6)
		return 0;
	attributes(message, sizeof(*header), found, RULE_ATTRIBUTES);
	uint32_t table = found[FRA_TABLE] ? number_in(found[FRA_TABLE]) : header->table;

	if (found[FRA_IIFNAME] && rule_count < MOST_RULES) {
		struct rule *rule = &rules[rule_count++];

		*rule = (struct rule){ .family = header->family, .table = table };
		rule->priority = number_in(found[FRA_PRIORITY]);
		text_in(found[FRA_IIFNAME], rule->name, sizeof(rule->name));
	}
	if (!has_condition(found, RULE_ATTRIBUTES, header) && table != RT_TABLE_LOCAL)
		add_table(header->family, table);
	return 0;
}

/* Routes of the whole multicast and link-local range do not show where a link leads. */
static bool is_everywhere(uint8_t family, const struct nlattr *destination)
{
	const uint8_t *bytes = destination ? attribute_data(destination) : NULL;

	return family == AF_INET6 && bytes && (bytes[0] == 0xff || (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80));
}

static void note(uint32_t index, const struct rtmsg *route, bool direct)
{
	struct link *link = link_of(index);
	uint8_t whole = route->rtm_family == AF_INET ? 32 : 128;

	if (!link)
		return;
	struct ways *ways = &link->ways[side(route->rtm_family)];

	if (route->rtm_dst_len < ways->widest)
		ways->widest = route->rtm_dst_len;
	if (direct && route->rtm_dst_len >= whole - FEW_BITS)
		ways->host = true;
}

static void note_hops(const struct nlattr *hops, const struct rtmsg *route)
{
	const char *place = attribute_data(hops);
	size_t left = attribute_length(hops);

	while (left >= sizeof(struct rtnexthop)) {
		const struct rtnexthop *hop = (const struct rtnexthop *)place;
		size_t step = NLMSG_ALIGN(hop->rtnh_len);

		if (hop->rtnh_len < sizeof(*hop) || hop->rtnh_len > left)
			return;
		note(hop->rtnh_ifindex, route, false);
		if (step >= left)
			return;
		place += step;
		left -= step;
	}
}

static bool is_common(uint8_t family, uint32_t table)
{
	for (size_t place = 0; place < table_count[side(family)]; place++)
		if (tables[side(family)][place] == table)
			return true;
	return false;
}

/* A kernel older than 4.20 sends the routes of all tables. */
static int take_route(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *route = NLMSG_DATA(message);
	const struct nlattr *found[RTA_TABLE + 4];

	(void)context;
	if (message->nlmsg_type != RTM_NEWROUTE || route->rtm_type != RTN_UNICAST || route->rtm_flags & RTM_F_CLONED)
		return 0;
	attributes(message, sizeof(*route), found, RTA_TABLE + 4);
	if (!is_common(route->rtm_family, found[RTA_TABLE] ? number_in(found[RTA_TABLE]) : route->rtm_table) ||
	    is_everywhere(route->rtm_family, found[RTA_DST]))
		return 0;
	if (found[RTA_MULTIPATH])
		note_hops(found[RTA_MULTIPATH], route);
	else if (found[RTA_OIF])
		note(number_in(found[RTA_OIF]), route, !found[RTA_GATEWAY] && !found[RTA_VIA]);
	return 0;
}

static int read_routes(struct channel *channel, uint8_t family)
{
	struct rtmsg header = { .rtm_family = family, .rtm_type = RTN_UNICAST };

	for (size_t place = 0; place < table_count[side(family)]; place++) {
		int result = dump(channel, RTM_GETROUTE, &header, sizeof(header), &tables[side(family)][place], NULL,
				  take_route);

		/* A rule may name a table without routes, which does not exist for the kernel (ENOENT). */
		if (result != 0 && result != -ENOENT)
			return result;
	}
	return 0;
}

struct answer {
	uint32_t link;
	uint8_t type;
	uint8_t bits;
};

static int take_answer(const struct nlmsghdr *message, void *context)
{
	struct answer *answer = context;
	const struct rtmsg *route = NLMSG_DATA(message);
	const struct nlattr *found[RTA_OIF + 1];

	if (message->nlmsg_type != RTM_NEWROUTE)
		return 0;
	attributes(message, sizeof(*route), found, RTA_OIF + 1);
	*answer = (struct answer){ number_in(found[RTA_OIF]), route->rtm_type, route->rtm_dst_len };
	/* The answer is this one message, without a message that ends it. */
	return 1;
}

/*
 * The kernel's route to the pod, for a packet of this node or, where `from` is not 0, for one that comes in by that
 * link.
 */
static int lookup(struct channel *channel, const struct pod *pod, uint32_t from, struct answer *answer)
{
	/*
	 * The source of a packet that comes in, in place of any pod's address: TEST-NET-1 and the documentation prefix.
	 */
	static const uint8_t sources[2][16] = { { 192, 0, 2, 1 }, { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };
	size_t length = pod->family == AF_INET ? 4 : 16;
	struct rtmsg header = { .rtm_family = pod->family, .rtm_dst_len = 8 * length, .rtm_flags = RTM_F_FIB_MATCH };
	struct request request;

	if (from != 0)
		header.rtm_src_len = 8 * length;
	request_init(&request, REQUEST_BYTES);
	size_t offset = message_begin(&request, channel, RTM_GETROUTE, 0, &header, sizeof(header));

	put(&request, RTA_DST, pod->address, length);
	if (from != 0) {
		put(&request, RTA_SRC, sources[side(pod->family)], length);
		put(&request, RTA_IIF, &from, sizeof(from));
	}
	message_end(&request, offset);
	int result = exchange_dump(channel, &request, take_answer, answer);

	request_free(&request);
	return result == 1 ? 0 : result;
}

static void say_pods(struct channel *channel)
{
	for (size_t place = 0; place < pod_count; place++) {
		struct pod *pod = &pods[place];
		struct answer answer = { 0, 0, 0 };
		int result = lookup(channel, pod, 0, &answer);

		pod->link = answer.link;
		pod->type = answer.type;
		say("{\"pod\":\"%s\",", pod->text);
		if (result == 0)
			say("\"type\":%u,\"link\":%u,\"bits\":%u}\n", answer.type, answer.link, answer.bits);
		else
			say("\"error\":\"%s\"}\n", strerrorname_np(-result) ? strerrorname_np(-result) : "EUNKNOWN");
	}
}

/* Reports, for each rule for an interface, the first pod to which packets from there are routed by another link. */
static void say_rules(struct channel *channel)
{
	for (size_t place = 0; place < rule_count; place++) {
		const struct rule *rule = &rules[place];
		const struct link *from = NULL;

		for (size_t index = 0; index < link_count && !from; index++)
			if (strcmp(links[index].name, rule->name) == 0)
				from = &links[index];
		for (size_t index = 0; from && index < pod_count && index < TRIED_PODS; index++) {
			const struct pod *pod = &pods[index];
			struct answer answer;

			if (pod->family != rule->family || pod->type != RTN_UNICAST ||
			    lookup(channel, pod, from->index, &answer) != 0 || answer.link == pod->link)
				continue;
			say("{\"rule\":");
			put_json(rule->name);
			say(",\"priority\":%u,\"table\":%u,\"pod\":\"%s\",\"link\":%u}\n", rule->priority, rule->table,
			    pod->text, answer.link);
			break;
		}
	}
}

static void say_ways(const char *family, const struct ways *ways)
{
	if (ways->widest != NO_ROUTE)
		say(",\"%s\":{\"widest\":%u,\"host\":%s}", family, ways->widest, ways->host ? "true" : "false");
}

static void say_links(void)
{
	for (size_t place = 0; place < link_count; place++) {
		const struct link *link = &links[place];

		say("{\"link\":%u,\"name\":", link->index);
		put_json(link->name);
		say(",\"kind\":");
		put_json(link->kind);
		say(",\"master\":%u,\"peer\":%u,\"elsewhere\":%s", link->master, link->peer,
		    link->elsewhere ? "true" : "false");
		say_ways("ipv4", &link->ways[0]);
		say_ways("ipv6", &link->ways[1]);
		say("}\n");
	}
	if (links_left > 0)
		say("{\"left\":%zu}\n", links_left);
}

static void read_pods(void)
{
	struct words words;

	while (pod_count < MOST_PODS && read_words(&words)) {
		struct pod *pod = &pods[pod_count];
		const char *text = words.count == 1 ? words.at[0] : "";

		pod->family = strchr(text, ':') ? AF_INET6 : AF_INET;
		/* Only a text that inet_pton reads, which needs no escape in JSON. */
		if (inet_pton(pod->family, text, pod->address) != 1 || strlen(text) >= sizeof(pod->text))
			continue;
		strcpy(pod->text, text);
		pod_count++;
	}
}

static int read_network(struct channel *channel)
{
	/* Without IFLA_EXT_MASK, and so without the virtual functions of network cards: some cards have hundreds. */
	struct ifinfomsg link = { .ifi_family = AF_UNSPEC };
	struct fib_rule_hdr rule = { .family = AF_UNSPEC };
	int result = dump(channel, RTM_GETLINK, &link, sizeof(link), NULL, forget_links, take_link);

	if (result == 0)
		result = dump(channel, RTM_GETRULE, &rule, sizeof(rule), NULL, forget_rules, take_rule);
	for (size_t family = 0; family < 2 && result == 0; family++)
		result = read_routes(channel, family == 0 ? AF_INET : AF_INET6);
	return result;
}

int routes_main(int count, char **words)
{
	struct channel channel;
	int one = 1;
	int result;

	(void)count;
	(void)words;
	read_pods();
	result = channel_open(&channel, NETLINK_ROUTE);
	if (result == 0) {
		/* Linux 4.20: the kernel sends the routes of the one table that is asked for. */
		setsockopt(channel.fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
		result = read_network(&channel);
	}
	if (result != 0) {
		fprintf(stderr, "the node's routes could not be read: %s\n", strerror(-result));
		return 1;
	}
	say_links();
	say_pods(&channel);
	say_rules(&channel);
	flush();
	channel_close(&channel);
	return 0;
}
