#include "message.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_BYTES NLA_HDRLEN

/* Bytes of the socket's receive buffer: notifications may arrive faster than they are read. */
static const int buffer_bytes = 4 * 1024 * 1024;

int channel_open(struct channel *channel, int protocol)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	socklen_t length = sizeof(address);
	int one = 1;

	channel->sequence = 0;
	channel->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (channel->fd < 0)
		return -errno;
	if (bind(channel->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    getsockname(channel->fd, (struct sockaddr *)&address, &length) < 0) {
		int error = -errno;
		close(channel->fd);
		return error;
	}
	channel->port = address.nl_pid;
	/* Fails without NET_ADMIN: the buffer then keeps the kernel's default size. */
	setsockopt(channel->fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof(buffer_bytes));
	setsockopt(channel->fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	return 0;
}

int channel_join(struct channel *channel, unsigned group)
{
	return setsockopt(channel->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0 ? -errno : 0;
}

void channel_close(struct channel *channel)
{
	close(channel->fd);
	channel->fd = -1;
}

void request_init(struct request *request, size_t limit)
{
	*request = (struct request){ .limit = limit };
}

void request_reset(struct request *request)
{
	request->length = 0;
	request->overflow = false;
}

void request_free(struct request *request)
{
	free(request->data);
	request_init(request, request->limit);
}

/* Adds so many zeroed bytes to the request; NULL past the limit or without memory. */
static void *grow(struct request *request, size_t bytes)
{
	size_t needed = request->length + NLMSG_ALIGN(bytes);

	if (request->overflow || needed > request->limit) {
		request->overflow = true;
		return NULL;
	}
	if (needed > request->capacity) {
		size_t capacity = request->capacity ? request->capacity : 4096;

		while (capacity < needed)
			capacity *= 2;
		char *data = realloc(request->data, capacity);

		if (!data) {
			request->overflow = true;
			return NULL;
		}
		request->data = data;
		request->capacity = capacity;
	}
	void *place = request->data + request->length;

	memset(place, 0, needed - request->length);
	request->length = needed;
	return place;
}

size_t message_begin(struct request *request, struct channel *channel, uint16_t type, uint16_t flags, const void *extra,
		     size_t extra_length)
{
	size_t offset = request->length;
	struct nlmsghdr *header = grow(request, NLMSG_HDRLEN + extra_length);

	channel->sequence++;
	if (!header)
		return offset;
	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | flags;
	header->nlmsg_seq = channel->sequence;
	memcpy((char *)header + NLMSG_HDRLEN, extra, extra_length);
	return offset;
}

void message_end(struct request *request, size_t offset)
{
	if (!request->overflow)
		((struct nlmsghdr *)(request->data + offset))->nlmsg_len = request->length - offset;
}

void put(struct request *request, uint16_t type, const void *value, size_t length)
{
	struct nlattr *attribute = grow(request, HEADER_BYTES + length);

	if (!attribute)
		return;
	attribute->nla_type = type;
	attribute->nla_len = HEADER_BYTES + length;
	memcpy((char *)attribute + HEADER_BYTES, value, length);
}

void put_text(struct request *request, uint16_t type, const char *text)
{
	put(request, type, text, strlen(text) + 1);
}

void put_u8(struct request *request, uint16_t type, uint8_t value)
{
	put(request, type, &value, sizeof(value));
}

void put_be16(struct request *request, uint16_t type, uint16_t value)
{
	value = htons(value);
	put(request, type, &value, sizeof(value));
}

void put_be32(struct request *request, uint16_t type, uint32_t value)
{
	value = htonl(value);
	put(request, type, &value, sizeof(value));
}

void put_be64(struct request *request, uint16_t type, uint64_t value)
{
	value = htobe64(value);
	put(request, type, &value, sizeof(value));
}

size_t nest_begin(struct request *request, uint16_t type)
{
	size_t offset = request->length;
	struct nlattr *attribute = grow(request, HEADER_BYTES);

	if (attribute)
		attribute->nla_type = type | NLA_F_NESTED;
	return offset;
}

/* nla_len has 16 bits, so a nest past 64 KiB is an overflow: the caller must begin another message before that. */
void nest_end(struct request *request, size_t offset)
{
	size_t length = request->length - offset;

	if (length > UINT16_MAX)
		request->overflow = true;
	if (!request->overflow)
		((struct nlattr *)(request->data + offset))->nla_len = length;
}

static int send_request(struct channel *channel, const struct request *request)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int bytes = request->length * 2 + 4096;

	if (request->overflow)
		return -E2BIG;
	setsockopt(channel->fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	for (;;) {
		ssize_t sent = sendto(channel->fd, request->data, request->length, 0, (struct sockaddr *)&kernel,
				      sizeof(kernel));
		if (sent >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

static ssize_t receive(struct channel *channel, char *buffer)
{
	for (;;) {
		ssize_t length = recv(channel->fd, buffer, RECEIVE_BYTES, 0);

		if (length >= 0)
			return length;
		if (errno != EINTR)
			return -errno;
	}
}

static int error_of(const struct nlmsghdr *message)
{
	return ((const struct nlmsgerr *)NLMSG_DATA(message))->error;
}

/* A dump that fails midway has the error in its last message. */
static int done_error(const struct nlmsghdr *message)
{
	int error = message->nlmsg_len >= NLMSG_LENGTH(sizeof(int)) ? *(const int *)NLMSG_DATA(message) : 0;

	return error < 0 ? error : 0;
}

int exchange_dump(struct channel *channel, struct request *request, message_handler handler, void *context)
{
	static char buffer[RECEIVE_BYTES] __attribute__((aligned(8)));
	uint32_t expected = channel->sequence;
	bool interrupted = false;
	int result = send_request(channel, request);

	while (result == 0) {
		ssize_t length = receive(channel, buffer);

		if (length < 0)
			return length;
		size_t left = length;

		for (struct nlmsghdr *message = (struct nlmsghdr *)buffer; NLMSG_OK(message, left);
		     message = NLMSG_NEXT(message, left)) {
			if (message->nlmsg_seq != expected)
				continue;
			interrupted |= (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
			if (message->nlmsg_type == NLMSG_DONE)
				return done_error(message) ? done_error(message) : interrupted ? -EINTR : 0;
			if (message->nlmsg_type == NLMSG_ERROR)
				return error_of(message);
			result = handler(message, context);
			if (result != 0)
				return result;
		}
	}
	return result;
}

int exchange_batch(struct channel *channel, struct request *request, uint32_t first, uint32_t last, uint32_t *failed)
{
	static char buffer[RECEIVE_BYTES] __attribute__((aligned(8)));
	int result = send_request(channel, request);

	if (result != 0)
		return result;
	/*
	 * The kernel answers, in order, each message that asks for it; of a batch that fails it sends the errors only.
	 */
	for (;;) {
		ssize_t length = receive(channel, buffer);

		if (length < 0)
			return length;
		size_t left = length;

		for (struct nlmsghdr *message = (struct nlmsghdr *)buffer; NLMSG_OK(message, left);
		     message = NLMSG_NEXT(message, left)) {
			if (message->nlmsg_type != NLMSG_ERROR || message->nlmsg_seq < first ||
			    message->nlmsg_seq > last)
				continue;
			int error = error_of(message);

			if (error != 0) {
				if (failed)
					*failed = message->nlmsg_seq;
				return error;
			}
			if (message->nlmsg_seq == last)
				return 0;
		}
	}
}

static void sort_out(const char *data, size_t length, const struct nlattr **found, size_t count)
{
	memset(found, 0, count * sizeof(*found));
	while (length >= HEADER_BYTES) {
		const struct nlattr *attribute = (const struct nlattr *)data;
		size_t step = NLA_ALIGN(attribute->nla_len);
		uint16_t type = attribute->nla_type & NLA_TYPE_MASK;

		if (attribute->nla_len < HEADER_BYTES || attribute->nla_len > length)
			return;
		if (type < count)
			found[type] = attribute;
		if (step >= length)
			return;
		data += step;
		length -= step;
	}
}

void attributes(const struct nlmsghdr *message, size_t header, const struct nlattr **found, size_t count)
{
	size_t offset = NLMSG_HDRLEN + NLMSG_ALIGN(header);
	size_t length = message->nlmsg_len > offset ? message->nlmsg_len - offset : 0;

	sort_out((const char *)message + offset, length, found, count);
}

void nested(const struct nlattr *outer, const struct nlattr **found, size_t count)
{
	sort_out(outer ? attribute_data(outer) : NULL, outer ? attribute_length(outer) : 0, found, count);
}

const void *attribute_data(const struct nlattr *attribute)
{
	return (const char *)attribute + HEADER_BYTES;
}

size_t attribute_length(const struct nlattr *attribute)
{
	return attribute->nla_len - HEADER_BYTES;
}

uint16_t attribute_be16(const struct nlattr *attribute)
{
	uint16_t value = 0;

	if (attribute && attribute_length(attribute) >= sizeof(value))
		memcpy(&value, attribute_data(attribute), sizeof(value));
	return ntohs(value);
}

uint32_t attribute_be32(const struct nlattr *attribute)
{
	uint32_t value = 0;

	if (attribute && attribute_length(attribute) >= sizeof(value))
		memcpy(&value, attribute_data(attribute), sizeof(value));
	return ntohl(value);
}

uint64_t attribute_be64(const struct nlattr *attribute)
{
	uint64_t value = 0;

	if (attribute && attribute_length(attribute) >= sizeof(value))
		memcpy(&value, attribute_data(attribute), sizeof(value));
	return be64toh(value);
}

static const struct nlattr *within(const struct nlattr *outer, const char *place)
{
	const char *end = (const char *)attribute_data(outer) + attribute_length(outer);
	const struct nlattr *attribute = (const struct nlattr *)place;

	if (place + HEADER_BYTES > end || attribute->nla_len < HEADER_BYTES || place + attribute->nla_len > end)
		return NULL;
	return attribute;
}

const struct nlattr *nest_first(const struct nlattr *outer)
{
	return outer ? within(outer, attribute_data(outer)) : NULL;
}

const struct nlattr *nest_next(const struct nlattr *outer, const struct nlattr *current)
{
	return within(outer, (const char *)current + NLA_ALIGN(current->nla_len));
}
