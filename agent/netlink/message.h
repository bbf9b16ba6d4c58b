/* Netlink messages: one socket, requests that are built in a bounded buffer, answers that a handler gets one by one. */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes for one answer of the kernel: a dump's parts have at most 32 KiB (NLMSG_GOODSIZE of a dump, since Linux 4.4).
 */
#define RECEIVE_BYTES (64 * 1024)

/* A request, or a batch of them. It grows up to its limit; past it `overflow` is set and nothing more is put in. */
struct request {
	char *data;
	size_t length;
	size_t capacity;
	size_t limit;
	bool overflow;
};

/* A netlink socket. `sequence` numbers the requests, so that a late answer is not taken for the expected one. */
struct channel {
	int fd;
	uint32_t port;
	uint32_t sequence;
};

/* Called for each message of an answer. Anything but 0 ends the dump with that value. */
typedef int (*message_handler)(const struct nlmsghdr *message, void *context);

/* 0, or a negative errno. */
int channel_open(struct channel *channel, int protocol);
int channel_join(struct channel *channel, unsigned group);
void channel_close(struct channel *channel);

/* Starts an empty request that may grow to `limit` bytes. */
void request_init(struct request *request, size_t limit);
void request_reset(struct request *request);
void request_free(struct request *request);

/* Appends a message with the family header `extra`, of `extra_length` bytes; returns the message's offset. */
size_t message_begin(struct request *request, struct channel *channel, uint16_t type, uint16_t flags, const void *extra,
		     size_t extra_length);
void message_end(struct request *request, size_t offset);

void put(struct request *request, uint16_t type, const void *value, size_t length);
void put_text(struct request *request, uint16_t type, const char *text);
void put_u8(struct request *request, uint16_t type, uint8_t value);
void put_be16(struct request *request, uint16_t type, uint16_t value);
void put_be32(struct request *request, uint16_t type, uint32_t value);
void put_be64(struct request *request, uint16_t type, uint64_t value);
size_t nest_begin(struct request *request, uint16_t type);
void nest_end(struct request *request, size_t offset);

/*
 * exchange_dump sends the request and passes the answers to the handler until the dump is done; exchange_batch reads
 * the answers to the messages `first` to `last`. Both return 0, what the handler returned, or the negative errno that
 * the kernel answered: for a batch the first one, with the sequence of its message in *failed (where failed is not
 * NULL).
 */
int exchange_dump(struct channel *channel, struct request *request, message_handler handler, void *context);
int exchange_batch(struct channel *channel, struct request *request, uint32_t first, uint32_t last, uint32_t *failed);

/* The attributes of a message behind its family header, by their type (below `count`); absent ones are NULL. */
void attributes(const struct nlmsghdr *message, size_t header, const struct nlattr **found, size_t count);
void nested(const struct nlattr *outer, const struct nlattr **found, size_t count);
const void *attribute_data(const struct nlattr *attribute);
size_t attribute_length(const struct nlattr *attribute);
uint16_t attribute_be16(const struct nlattr *attribute);
uint32_t attribute_be32(const struct nlattr *attribute);
uint64_t attribute_be64(const struct nlattr *attribute);

/* Walks the attributes of a nest: for (a = nest_first(n); a; a = nest_next(n, a)) */
const struct nlattr *nest_first(const struct nlattr *outer);
const struct nlattr *nest_next(const struct nlattr *outer, const struct nlattr *current);

#endif
