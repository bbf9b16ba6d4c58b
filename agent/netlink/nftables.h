/* Requests to nf_tables about one table of the family inet, and its set elements. */
#ifndef NFTABLES_H
#define NFTABLES_H

#include "lines.h"
#include "message.h"

/* Bytes of a name with its end (NFT_NAME_MAXLEN of the kernel). */
#define NAME_BYTES 256

/* The state that the commands of `rules` share. */
struct rules {
	struct channel channel;
	/* The answer to a failed request may still come, so the next request gets a new socket. */
	bool faulty;
	/* The request to send; for a transaction it grows with the elements. */
	struct request request;
	struct words line;
};

struct element {
	const struct nlattr *key;
	/* Of an interval; NULL for a single key. */
	const struct nlattr *key_end;
	/* Of a map; NULL for a set. */
	const struct nlattr *data;
	/* Of a verdict map, in place of data. */
	const struct nlattr *verdict;
	/* The expressions for packets that match: a single one, or a list; NULL where there is none. */
	const struct nlattr *expression;
	const struct nlattr *expressions;
	uint32_t flags;
	uint64_t packets;
	uint64_t bytes;
};

typedef int (*element_handler)(const struct element *element, void *context);

/* Starts a request about nf_tables; returns its message's offset. */
size_t nft_begin(struct rules *rules, uint16_t type, uint16_t flags);
/* Ends the message, sends it and passes the answers to the handler. */
int nft_exchange(struct rules *rules, size_t offset, message_handler handler, void *context);
/* The attributes behind the family header. */
void nft_attributes(const struct nlmsghdr *message, const struct nlattr **found, size_t count);
/* A name, which the kernel ends with a zero byte; "" where it does not. */
const char *text_of(const struct nlattr *attribute);

/*
 * Whether a dump with this result must be repeated, because another transaction interrupted it (EINTR). After 16
 * attempts it need not: when another program writes all the time, a dump of one table is still right while that table
 * is unchanged.
 */
bool nft_again(int result, unsigned *attempts);

int dump_elements(struct rules *rules, const char *table, const char *set, element_handler handler, void *context);

/* The commands of `rules`; each writes its answer. */
void tell_elements(struct rules *rules, const char *id, const char *table, const char *set, long long most);
void tell_digest(struct rules *rules, const char *id, const char *table);
void change_elements(struct rules *rules, const char *id, const char *table);
void remove_table(struct rules *rules, const char *id, const char *table);

#endif
