/*
 * Which flows may stay: the table of the magic IPs' bindings, which the agent sends, and the judgement of one flow by
 * it.
 */
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
	/* The port that the client dials and the one that answers, where the protocol has ports. */
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

/* Items of one kind, referred to by their index: there are `count`, and `capacity` fit. */
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
	/* The beginning of the lists that the next frontends share. */
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
 * Reads one line from the agent into the table; 0 or a negative errno, -E2BIG past the table's bound. The lines:
 *
 *     ip 169.254.210.210          the lines that follow are for this magic IP
 *     pods                        the frontends that follow keep the connections of these pods:
 *     pod 10.244.1.7
 *     targets                     the frontends that follow lead to:
 *     target 10.244.1.7 8080      (port 0: the one that was dialed)
 *     own 6 80 80 none            protocol, first and last port, and which untranslated flows may stay: none, connections, all
 *     own any 0 65535 none        the whole IP
 *     others 17 81 81             another installation's port: its flows are not deleted
 *     gone 17 82 82 rest          no installation's port any more: all flows but connections are deleted
 *     gone 6 83 83 all            the same, and connections are deleted, too
 */
int table_line(struct flow_table *table, struct words *words);
/* To be called after the last line: sorts the table for look-ups. 0 or a negative errno. */
int table_ready(struct flow_table *table);
void table_free(struct flow_table *table);

/* The magic IP in the table, NULL where the IP is none. */
const struct magic_ip *find_ip(const struct flow_table *table, const struct ip *ip);
/* Whether the flow's entry must be deleted. */
bool is_stale(const struct flow_table *table, const struct magic_ip *ip, const struct flow *flow);

#endif
