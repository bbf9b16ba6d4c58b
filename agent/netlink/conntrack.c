#include "conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define TYPE(message) (NFNL_SUBSYS_CTNETLINK << 8 | (message))
/*
 * Kernel-internal flags of the tuple fields to compare (net/netfilter/nf_internals.h); no header for programs has them.
 */
#define FILTER_IP_DST (1 << 1)
#define FILTER_PROTOCOL (1 << 3)
/* Bytes of a request: the largest is a batch of deletions of less than 200 bytes each. */
#define REQUEST_BYTES (64 * 1024)
/* Deletions in one batch. The kernel answers each that fails; answers to all fit into a socket's default buffer. */
#define DELETIONS 128

static const struct nlattr *inner(const struct nlattr *outer, uint16_t type)
{
	const struct nlattr *found[CTA_MAX + 1];

	nested(outer, found, CTA_MAX + 1);
	return found[type];
}

static bool copy(void *to, const struct nlattr *attribute, size_t length)
{
	if (!attribute || attribute_length(attribute) < length)
		return false;
	memcpy(to, attribute_data(attribute), length);
	return true;
}

static bool copy_ip(struct ip *ip, uint8_t family, const struct nlattr *v4, const struct nlattr *v6)
{
	memset(ip, 0, sizeof(*ip));
	ip->family = family;
	return family == AF_INET ? copy(ip->bytes, v4, 4) : copy(ip->bytes, v6, 16);
}

/*
 * An entry has its zone beside the tuples or, for one direction, in one of them (linux/netfilter/nf_conntrack_zones.h).
 */
static bool in_zone(const struct nlattr *const *entry)
{
	return entry[CTA_ZONE] || inner(entry[CTA_TUPLE_ORIG], CTA_TUPLE_ZONE) ||
	       inner(entry[CTA_TUPLE_REPLY], CTA_TUPLE_ZONE);
}

/*
 * Entries with a zone belong to another datapath (Open vSwitch), unless they were translated: another program's rules
 * may put packets into a zone before our rules see them (nft `ct zone set`, iptables `CT --zone`), and only the node's
 * own rules translate packets to a magic IP.
 */
static bool is_elsewhere(const struct nlattr *const *entry)
{
	return in_zone(entry) && !(attribute_be32(entry[CTA_STATUS]) & IPS_DST_NAT);
}

static bool uses_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_DCCP || protocol == IPPROTO_UDPLITE;
}

bool parse_flow(const struct nlmsghdr *message, struct flow *flow)
{
	const struct nfgenmsg *header = NLMSG_DATA(message);
	const struct nlattr *entry[CTA_MAX + 1], *original[CTA_TUPLE_MAX + 1], *reply[CTA_TUPLE_MAX + 1];
	const struct nlattr *ip[CTA_IP_MAX + 1], *answers[CTA_IP_MAX + 1];
	const struct nlattr *dialed[CTA_PROTO_MAX + 1], *answering[CTA_PROTO_MAX + 1];

	if (message->nlmsg_type != TYPE(IPCTNL_MSG_CT_NEW))
		return false;
	attributes(message, sizeof(*header), entry, CTA_MAX + 1);
	if (is_elsewhere(entry))
		return false;
	nested(entry[CTA_TUPLE_ORIG], original, CTA_TUPLE_MAX + 1);
	nested(entry[CTA_TUPLE_REPLY], reply, CTA_TUPLE_MAX + 1);
	nested(original[CTA_TUPLE_IP], ip, CTA_IP_MAX + 1);
	nested(reply[CTA_TUPLE_IP], answers, CTA_IP_MAX + 1);
	nested(original[CTA_TUPLE_PROTO], dialed, CTA_PROTO_MAX + 1);
	nested(reply[CTA_TUPLE_PROTO], answering, CTA_PROTO_MAX + 1);
	if (!copy_ip(&flow->to, header->nfgen_family, ip[CTA_IP_V4_DST], ip[CTA_IP_V6_DST]) ||
	    !copy_ip(&flow->answers, header->nfgen_family, answers[CTA_IP_V4_SRC], answers[CTA_IP_V6_SRC]) ||
	    !copy(&flow->protocol, dialed[CTA_PROTO_NUM], 1))
		return false;
	flow->has_ports = uses_ports(flow->protocol);
	flow->port = attribute_be16(dialed[CTA_PROTO_DST_PORT]);
	flow->answers_port = attribute_be16(answering[CTA_PROTO_SRC_PORT]);
	flow->answered = attribute_be32(entry[CTA_STATUS]) & IPS_SEEN_REPLY;
	flow->tcp_state = 0;
	if (flow->protocol == IPPROTO_TCP)
		copy(&flow->tcp_state, inner(inner(entry[CTA_PROTOINFO], CTA_PROTOINFO_TCP), CTA_PROTOINFO_TCP_STATE), 1);
	return true;
}

bool is_asked(const struct question *question, const struct flow *flow)
{
	return flow->to.family == question->family &&
	       (!question->to || memcmp(question->to->bytes, flow->to.bytes, sizeof(flow->to.bytes)) == 0) &&
	       (question->protocol < 0 || question->protocol == flow->protocol);
}

static void put_filter(struct request *request, const struct question *question)
{
	uint32_t flags = 0;
	size_t tuple = nest_begin(request, CTA_TUPLE_ORIG);

	if (question->to) {
		size_t ip = nest_begin(request, CTA_TUPLE_IP);

		put(request, CTA_IP_V4_DST, question->to->bytes, 4);
		nest_end(request, ip);
		flags |= FILTER_IP_DST;
	}
	if (question->protocol >= 0) {
		size_t protocol = nest_begin(request, CTA_TUPLE_PROTO);

		put_u8(request, CTA_PROTO_NUM, question->protocol);
		nest_end(request, protocol);
		flags |= FILTER_PROTOCOL;
	}
	nest_end(request, tuple);
	size_t filter = nest_begin(request, CTA_FILTER);

	put(request, CTA_FILTER_ORIG_FLAGS, &flags, sizeof(flags));
	nest_end(request, filter);
	if (question->unanswered) {
		put_be32(request, CTA_STATUS, 0);
		put_be32(request, CTA_STATUS_MASK, IPS_SEEN_REPLY);
	}
}

int list_flows(const struct question *question, bool filtered, message_handler handler, void *context)
{
	const struct nfgenmsg header = { .nfgen_family = question->family, .version = NFNETLINK_V0 };
	struct channel channel;
	struct request request;
	/* Each listing has a channel of its own, because closing the socket ends a dump that is not read to its end. */
	int result = channel_open(&channel, NETLINK_NETFILTER);

	if (result != 0)
		return result;
	request_init(&request, REQUEST_BYTES);
	size_t message = message_begin(&request, &channel, TYPE(IPCTNL_MSG_CT_GET), NLM_F_DUMP, &header, sizeof(header));

	if (filtered)
		put_filter(&request, question);
	message_end(&request, message);
	result = exchange_dump(&channel, &request, handler, context);
	request_free(&request);
	channel_close(&channel);
	return result;
}

static int take_count(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *found[CTA_STATS_GLOBAL_MAX + 1];

	attributes(message, sizeof(struct nfgenmsg), found, CTA_STATS_GLOBAL_MAX + 1);
	*(long long *)context = attribute_be32(found[CTA_STATS_GLOBAL_ENTRIES]);
	return 0;
}

long long count_flows(void)
{
	const struct nfgenmsg header = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 };
	struct channel channel;
	struct request request;
	long long count = 0;
	int result = channel_open(&channel, NETLINK_NETFILTER);

	if (result != 0)
		return result;
	request_init(&request, REQUEST_BYTES);
	message_end(&request, message_begin(&request, &channel, TYPE(IPCTNL_MSG_CT_GET_STATS), NLM_F_ACK, &header,
					    sizeof(header)));
	result = exchange_dump(&channel, &request, take_count, &count);
	request_free(&request);
	channel_close(&channel);
	return result != 0 ? result : count;
}

int deletions_open(struct deletions *deletions)
{
	*deletions = (struct deletions){ 0 };
	request_init(&deletions->request, REQUEST_BYTES);
	return channel_open(&deletions->channel, NETLINK_NETFILTER);
}

void deletions_close(struct deletions *deletions)
{
	request_free(&deletions->request);
	channel_close(&deletions->channel);
}

int deletions_add(struct deletions *deletions, const struct nlmsghdr *message)
{
	const struct nfgenmsg *header = NLMSG_DATA(message);
	const struct nlattr *entry[CTA_MAX + 1];
	struct request *request = &deletions->request;

	attributes(message, sizeof(*header), entry, CTA_MAX + 1);
	if (!entry[CTA_TUPLE_ORIG] || !entry[CTA_ID])
		return 0;
	const struct nfgenmsg own = { .nfgen_family = header->nfgen_family, .version = NFNETLINK_V0 };
	size_t offset =
		message_begin(request, &deletions->channel, TYPE(IPCTNL_MSG_CT_DELETE), 0, &own, sizeof(own));

	put(request, CTA_TUPLE_ORIG | NLA_F_NESTED, attribute_data(entry[CTA_TUPLE_ORIG]),
	    attribute_length(entry[CTA_TUPLE_ORIG]));
	/* A new connection from the same port has the same tuple and another id. */
	put(request, CTA_ID, attribute_data(entry[CTA_ID]), attribute_length(entry[CTA_ID]));
	/* The zone of both directions; a zone of one direction is in the tuple. */
	if (entry[CTA_ZONE])
		put(request, CTA_ZONE, attribute_data(entry[CTA_ZONE]), attribute_length(entry[CTA_ZONE]));
	message_end(request, offset);
	if (deletions->waiting++ == 0)
		deletions->first = deletions->channel.sequence;
	deletions->last = offset;
	return deletions->waiting == DELETIONS ? deletions_flush(deletions) : 0;
}

/* Reads answers until that to the last deletion; an entry that was gone already (ENOENT) is no error. */
static int take_answers(struct deletions *deletions)
{
	static char buffer[RECEIVE_BYTES] __attribute__((aligned(8)));
	uint32_t last = deletions->channel.sequence;
	int result = 0;

	for (;;) {
		ssize_t length = recv(deletions->channel.fd, buffer, sizeof(buffer), 0);

		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return -errno;
		size_t left = length;

		for (struct nlmsghdr *answer = (struct nlmsghdr *)buffer; NLMSG_OK(answer, left);
		     answer = NLMSG_NEXT(answer, left)) {
			if (answer->nlmsg_type != NLMSG_ERROR || answer->nlmsg_seq - deletions->first > last - deletions->first)
				continue;
			int error = ((const struct nlmsgerr *)NLMSG_DATA(answer))->error;

			if (error != 0 && error != -ENOENT && result == 0)
				result = error;
			if (answer->nlmsg_seq == last)
				return result;
		}
	}
}

int deletions_flush(struct deletions *deletions)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct request *request = &deletions->request;
	int result = request->overflow ? -E2BIG : 0;

	if (deletions->waiting == 0)
		return 0;
	if (result == 0) {
		/* Only the last deletion asks for an answer; of the others the kernel answers those that fail. */
		((struct nlmsghdr *)(request->data + deletions->last))->nlmsg_flags |= NLM_F_ACK;
		ssize_t sent = sendto(deletions->channel.fd, request->data, request->length, 0,
				      (struct sockaddr *)&kernel, sizeof(kernel));

		result = sent < 0 ? -errno : take_answers(deletions);
	}
	deletions->waiting = 0;
	request_reset(request);
	return result;
}
