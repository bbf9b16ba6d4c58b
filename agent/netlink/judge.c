#include "judge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/*
 * Most bytes of each list of the table. The table grows with the configuration and the node's pods, not with flows:
 * 10,000 bindings with 250 pods each that share their list need 1.5 MB.
 */
#define LIST_BYTES (32 * 1024 * 1024)

/* The protocol of a frontend that is for every protocol. */
#define ANY_PROTOCOL 256

enum kind { OWN, OTHERS, GONE };
enum extent { NONE, CONNECTIONS, ALL };

struct frontend {
	uint8_t kind;
	/* For OWN: which untranslated flows may stay. For GONE: whether connections may stay, CONNECTIONS or NONE. */
	uint8_t stays;
	uint16_t protocol;
	uint16_t first_port;
	uint16_t last_port;
	size_t first_target;
	size_t target_count;
	size_t first_pod;
	size_t pod_count;
};

/* Adds a zeroed item; NULL past LIST_BYTES or without memory. */
static void *add(struct list *list, size_t size)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? 2 * list->capacity : 64;
		void *items = capacity * size > LIST_BYTES ? NULL : realloc(list->items, capacity * size);

		if (!items)
			return NULL;
		list->items = items;
		list->capacity = capacity;
	}
	return memset((char *)list->items + list->count++ * size, 0, size);
}

static bool parse_ip(const char *text, struct ip *ip)
{
	memset(ip, 0, sizeof(*ip));
	ip->family = strchr(text, ':') ? AF_INET6 : AF_INET;
	return inet_pton(ip->family, text, ip->bytes) == 1;
}

static bool parse_number(const char *text, long long most, uint16_t *number)
{
	long long value = number_of(text);

	*number = value;
	return value >= 0 && value <= most;
}

static bool parse_word(const char *word, const char *const *known, uint8_t *index)
{
	for (*index = 0; known[*index]; ++*index)
		if (strcmp(word, known[*index]) == 0)
			return true;
	return false;
}

static int add_frontend(struct flow_table *table, enum kind kind, struct words *words)
{
	static const char *const staying[] = { "none", "connections", "all", NULL };
	static const char *const ending[] = { "all", "rest", NULL };
	struct frontend *frontend = add(&table->frontends, sizeof(*frontend));
	char **at = words->at;

	if (!frontend)
		return -E2BIG;
	frontend->kind = kind;
	frontend->protocol = ANY_PROTOCOL;
	if (table->ips.count == 0 || words->count != (kind == OTHERS ? 4 : 5) ||
	    (strcmp(at[1], "any") != 0 && !parse_number(at[1], UINT8_MAX, &frontend->protocol)) ||
	    !parse_number(at[2], UINT16_MAX, &frontend->first_port) ||
	    !parse_number(at[3], UINT16_MAX, &frontend->last_port) ||
	    (kind != OTHERS && !parse_word(at[4], kind == OWN ? staying : ending, &frontend->stays)))
		return -EINVAL;
	frontend->first_target = table->first_target;
	frontend->target_count = table->targets.count - table->first_target;
	frontend->first_pod = table->first_pod;
	frontend->pod_count = table->pods.count - table->first_pod;
	if (frontend->protocol == ANY_PROTOCOL)
		table->any_protocol = true;
	else
		table->protocols[frontend->protocol] = true;
	((struct magic_ip *)table->ips.items)[table->ips.count - 1].frontend_count++;
	return 0;
}

static int add_ip(struct flow_table *table, const char *text)
{
	struct magic_ip *ip = add(&table->ips, sizeof(*ip));

	if (!ip)
		return -E2BIG;
	ip->first_frontend = table->frontends.count;
	return parse_ip(text, &ip->ip) ? 0 : -EINVAL;
}

static int add_target(struct flow_table *table, const char *text, const char *port)
{
	struct target *target = add(&table->targets, sizeof(*target));

	if (!target)
		return -E2BIG;
	return parse_ip(text, &target->ip) && parse_number(port, UINT16_MAX, &target->port) ? 0 : -EINVAL;
}

static int add_pod(struct flow_table *table, const char *text)
{
	struct ip *pod = add(&table->pods, sizeof(*pod));

	if (!pod)
		return -E2BIG;
	return parse_ip(text, pod) ? 0 : -EINVAL;
}

int table_line(struct flow_table *table, struct words *words)
{
	static const char *const kinds[] = { [OWN] = "own", [OTHERS] = "others", [GONE] = "gone", NULL };
	const char *word = words->count > 0 ? words->at[0] : "";
	uint8_t kind;

	if (parse_word(word, kinds, &kind))
		return add_frontend(table, kind, words);
	if (words->count == 2 && strcmp(word, "ip") == 0)
		return add_ip(table, words->at[1]);
	if (words->count == 3 && strcmp(word, "target") == 0)
		return add_target(table, words->at[1], words->at[2]);
	if (words->count == 2 && strcmp(word, "pod") == 0)
		return add_pod(table, words->at[1]);
	if (words->count != 1)
		return -EINVAL;
	if (strcmp(word, "targets") == 0)
		table->first_target = table->targets.count;
	else if (strcmp(word, "pods") == 0)
		table->first_pod = table->pods.count;
	else
		return -EINVAL;
	return 0;
}

static int compare_frontends(const void *one, const void *other)
{
	const struct frontend *a = one, *b = other;

	if (a->kind != b->kind)
		return a->kind - b->kind;
	if (a->protocol != b->protocol)
		return a->protocol - b->protocol;
	return a->first_port - b->first_port;
}

/* FNV-1a, without a secret: the magic IPs come from the configuration, so no other program chooses colliding ones. */
static size_t slot_of(const struct flow_table *table, const struct ip *ip)
{
	uint32_t hash = 2166136261u;

	for (size_t index = 0; index < sizeof(ip->bytes); index++)
		hash = (hash ^ ip->bytes[index]) * 16777619u;
	return (hash ^ hash >> 16) & (table->slot_count - 1);
}

static bool same_ip(const struct ip *a, const struct ip *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

int table_ready(struct flow_table *table)
{
	struct magic_ip *ips = table->ips.items;

	for (table->slot_count = 16; table->slot_count < 2 * table->ips.count;)
		table->slot_count *= 2;
	table->slots = calloc(table->slot_count, sizeof(*table->slots));
	if (!table->slots)
		return -ENOMEM;
	for (size_t index = 0; index < table->ips.count; index++) {
		struct magic_ip *ip = &ips[index];
		size_t slot = slot_of(table, &ip->ip);

		if (ip->frontend_count > 0)
			qsort((struct frontend *)table->frontends.items + ip->first_frontend, ip->frontend_count,
			      sizeof(struct frontend), compare_frontends);
		while (table->slots[slot])
			slot = (slot + 1) & (table->slot_count - 1);
		table->slots[slot] = index + 1;
	}
	return 0;
}

void table_free(struct flow_table *table)
{
	free(table->ips.items);
	free(table->frontends.items);
	free(table->targets.items);
	free(table->pods.items);
	free(table->slots);
	*table = (struct flow_table){ 0 };
}

const struct magic_ip *find_ip(const struct flow_table *table, const struct ip *ip)
{
	const struct magic_ip *ips = table->ips.items;

	for (size_t slot = slot_of(table, ip); table->slots[slot]; slot = (slot + 1) & (table->slot_count - 1))
		if (same_ip(&ips[table->slots[slot] - 1].ip, ip))
			return &ips[table->slots[slot] - 1];
	return NULL;
}

/*
 * The frontend with the port: the last that begins at or before it, as those of one kind and protocol do not overlap.
 */
static const struct frontend *search(const struct flow_table *table, const struct magic_ip *ip, enum kind kind,
				     uint16_t protocol, uint16_t port)
{
	const struct frontend wanted = { .kind = kind, .protocol = protocol, .first_port = port };
	const struct frontend *first = (struct frontend *)table->frontends.items + ip->first_frontend;
	size_t low = 0, high = ip->frontend_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (compare_frontends(&first[middle], &wanted) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	const struct frontend *found = low > 0 ? &first[low - 1] : NULL;

	return found && found->kind == kind && found->protocol == protocol && port <= found->last_port ? found : NULL;
}

/* Looks up in the order of the rules: a port or a range of ports before the whole IP. */
static const struct frontend *find(const struct flow_table *table, const struct magic_ip *ip, enum kind kind,
				   const struct flow *flow)
{
	const struct frontend *found = NULL;

	if (flow->has_ports)
		found = search(table, ip, kind, flow->protocol, flow->port);
	return found ? found : search(table, ip, kind, ANY_PROTOCOL, 0);
}

/*
 * Whether both ends know the connection, so that it drains with its pod. An attempt that no pod has answered belongs to
 * no pod, and follows its binding as a datagram does. A connection that conntrack picked up midway may have been
 * answered before. A connection that one end has reset is over, but where the pod reset it the kernel ignores the next
 * SYN of the same port for the 10 s of CLOSE and sends it to the old pod (nf_conntrack_proto_tcp.c,
 * TCP_CONNTRACK_IGNORE).
 */
static bool is_connection(const struct flow *flow)
{
	switch (flow->protocol) {
	case IPPROTO_TCP:
		return flow->tcp_state != TCP_CONNTRACK_CLOSE &&
		       (flow->answered || flow->tcp_state != TCP_CONNTRACK_SYN_SENT);
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		return flow->answered;
	default:
		return false;
	}
}

static bool has_live_pod(const struct flow_table *table, const struct frontend *frontend, const struct flow *flow)
{
	const struct ip *pods = (struct ip *)table->pods.items + frontend->first_pod;

	for (size_t index = 0; index < frontend->pod_count; index++)
		if (same_ip(&pods[index], &flow->answers))
			return true;
	return false;
}

static bool leads_to_target(const struct flow_table *table, const struct frontend *frontend, const struct flow *flow)
{
	const struct target *targets = (struct target *)table->targets.items + frontend->first_target;

	for (size_t index = 0; index < frontend->target_count; index++) {
		uint16_t port = targets[index].port ? targets[index].port : flow->port;

		if (same_ip(&targets[index].ip, &flow->answers) && (!flow->has_ports || port == flow->answers_port))
			return true;
	}
	return false;
}

/*
 * Whether the connection is over and its entry may stay: a new connection from the same port replaces it. A busy node
 * has tens of thousands of such entries. In every other state the kernel ignores a new connection's first packet and so
 * sends it to the old pod (the table tcp_conntracks of nf_conntrack_proto_tcp.c).
 */
static bool is_over(const struct flow *flow)
{
	return flow->protocol == IPPROTO_TCP && flow->tcp_state == TCP_CONNTRACK_TIME_WAIT;
}

static bool is_stale_of_own(const struct flow_table *table, const struct frontend *own, const struct flow *flow)
{
	bool connection = is_connection(flow);
	bool untranslated = same_ip(&flow->to, &flow->answers);

	if (is_over(flow) || (untranslated && (own->stays == ALL || (own->stays == CONNECTIONS && connection))))
		return false;
	return connection ? !has_live_pod(table, own, flow) : !leads_to_target(table, own, flow);
}

bool is_stale(const struct flow_table *table, const struct magic_ip *ip, const struct flow *flow)
{
	const struct frontend *own = find(table, ip, OWN, flow);

	if (find(table, ip, OTHERS, flow) && (!own || own->protocol == ANY_PROTOCOL))
		return false;
	if (own)
		return is_stale_of_own(table, own, flow);
	const struct frontend *gone = find(table, ip, GONE, flow);

	return gone && !(gone->stays == CONNECTIONS && is_connection(flow));
}
