/*
 * Puts entries into the kernel's connection tracking, a hundred thousand in a second, each from a port of its own:
 *
 *     remember COUNT PROTOCOL CLIENT DIALED PORT ANSWERING ANSWERING-PORT [TCP-STATE [STATUS [ZONE]]]
 *
 * The client's addresses count up where its ports (1024–65535) do not suffice. PORT 0: the port that the client calls from. IPv4 only; STATUS are the bits IPS_…
 * Prints how many the kernel took.
 */
#include "message.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

struct end {
	uint32_t ip;
	uint16_t port;
};

static void put_tuple(struct request *request, uint16_t type, uint8_t protocol, struct end from, struct end to)
{
	size_t tuple = nest_begin(request, type), nest = nest_begin(request, CTA_TUPLE_IP);

	put_be32(request, CTA_IP_V4_SRC, from.ip);
	put_be32(request, CTA_IP_V4_DST, to.ip);
	nest_end(request, nest);
	nest = nest_begin(request, CTA_TUPLE_PROTO);
	put_u8(request, CTA_PROTO_NUM, protocol);
	if (from.port) {
		put_be16(request, CTA_PROTO_SRC_PORT, from.port);
		put_be16(request, CTA_PROTO_DST_PORT, to.port);
	}
	nest_end(request, nest);
	nest_end(request, tuple);
}

static void put_state(struct request *request, uint8_t state)
{
	size_t info = nest_begin(request, CTA_PROTOINFO), tcp = nest_begin(request, CTA_PROTOINFO_TCP);

	put_u8(request, CTA_PROTOINFO_TCP_STATE, state);
	nest_end(request, tcp);
	nest_end(request, info);
}

int main(int count, char **words)
{
	if (count < 8)
		return 2;
	long entries = atol(words[1]);
	uint8_t protocol = atoi(words[2]);
	uint32_t first_client = ntohl(inet_addr(words[3]));
	const struct end first_dialed = { ntohl(inet_addr(words[4])), atoi(words[5]) };
	struct end answering = { ntohl(inet_addr(words[6])), atoi(words[7]) };
	int state = count > 8 ? atoi(words[8]) : 0;
	uint32_t status = count > 9 ? strtoul(words[9], NULL, 0) : IPS_SEEN_REPLY | IPS_ASSURED;
	int zone = count > 10 ? atoi(words[10]) : 0;
	struct nfgenmsg header = { .nfgen_family = AF_INET, .version = NFNETLINK_V0 };
	struct channel channel;
	struct request request;
	long taken = 0;

	if (channel_open(&channel, NETLINK_NETFILTER) < 0)
		return 1;
	request_init(&request, 64 * 1024);
	for (long index = 0; index < entries; index++) {
		bool ports = protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
			     protocol == IPPROTO_UDPLITE;
		long sources = ports ? 64512 : 1;
		struct end client = { first_client + index / sources, ports ? 1024 + index % sources : 0 };

		struct end dialed = { first_dialed.ip, first_dialed.port ? first_dialed.port : client.port };

		request_reset(&request);
		size_t message = message_begin(&request, &channel, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW,
					       NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &header, sizeof(header));

		put_tuple(&request, CTA_TUPLE_ORIG, protocol, client, dialed);
		put_tuple(&request, CTA_TUPLE_REPLY, protocol, (struct end){ answering.ip, ports ? answering.port : 0 },
			  client);
		put_be32(&request, CTA_STATUS, status | IPS_CONFIRMED);
		put_be32(&request, CTA_TIMEOUT, 600);
		if (protocol == IPPROTO_TCP)
			put_state(&request, state);
		if (zone)
			put_be16(&request, CTA_ZONE, zone);
		message_end(&request, message);
		int result = exchange_batch(&channel, &request, channel.sequence, channel.sequence, NULL);

		if (result != 0 && taken == 0) {
			fprintf(stderr, "the kernel refused: error %d\n", -result);
			return 1;
		}
		taken += result == 0;
	}
	printf("%ld\n", taken);
	return 0;
}
