/* What flows may stay: the bindings of the magic IPs, as the agent says them, and the judgement of one flow by them. */
#ifndef JUDGE_H
#define JUDGE_H

#include "lines.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An IPv4 address has its 4 bytes first and zeros behind them. */
struct ip {
	uint8_t family;
	uint8_t bytes[16];
};

/* One entry of connection tracking. */
struct flow {
	struct ip to;
	struct ip answers;
	uint8_t protocol;
	/* Of TCP only (enum tcp_conntrack), else 0. */
	uint8_t tcp_state;
	/* What the client dials and what answers; protocols without ports have none. */
	bool has_ports;
	uint16_t port;
	uint16_t answers_port;
	bool answered;
};

struct target {
	struct ip ip;
	/* 0: the port that was dialed. */
	uint16_t port;
};

/* Items of one kind that are referred to by their index: 'count' of them, 'capacity' fit. */
struct list {
	void *items;
	size_t count;
	size_t capacity;
};

struct flow_table {
	struct list ips;
	struct list frontends;
	struct list targets;
	struct list pods;
	/* Indices of `ips` + 1 by their hash, 0 where there is none; `slot_count` is a power of 2. */
	uint32_t *slots;
	size_t slot_count;
	/* Where the lists begin that the next frontends share. */
	size_t first_target;
	size_t first_pod;
	/* Whether there is a frontend for every protocol, and for which of the 256 protocols there are others. */
	bool any_protocol;
	bool protocols[256];
};

struct magic_ip {
	struct ip ip;
	size_t first_frontend;
	size_t frontend_count;
};

/*
 * Reads one line of the agent's into the table; 0 or a negative errno, -E2BIG past the table's bound. The lines:
 *
 *     ip 169.254.210.210          what follows is for this magic IP
 *     pods                        the frontends that follow keep the connections of these pods:
 *     pod 10.244.1.7
 *     targets                     the frontends that follow lead to:
 *     target 10.244.1.7 8080      (port 0: the one that was dialed)
 *     own 6 80 80 none            protocol, first and last port, and which untranslated flows may stay: none, connections, all
 *     own any 0 65535 none        the whole IP
 *     others 17 81 81             another installation's: never ended
 *     gone 17 82 82 rest          no installation's any more: all but connections end
 *     gone 6 83 83 all            and here connections, too
 */
int table_line(struct flow_table *table, struct words *words);
/* After the last line: sorts what was read, so that it can be looked up. 0 or a negative errno. */
int table_ready(struct flow_table *table);
void table_free(struct flow_table *table);

/* The magic IP in the table, NULL where it is none. */
const struct magic_ip *find_ip(const struct flow_table *table, const struct ip *ip);
/* Whether the flow must not go on. */
bool is_stale(const struct flow_table *table, const struct magic_ip *ip, const struct flow *flow);

#endif
