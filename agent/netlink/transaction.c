/* change TABLE and remove TABLE: one transaction each, which the kernel applies as a whole or not at all. */
#include "nftables.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

/* Bytes of the elements in one message of a transaction, whose length has 16 bits. */
#define MESSAGE_BYTES (32 * 1024)
/* Bytes of a key or of data: 64 in the kernel (NFT_DATA_VALUE_MAXLEN). */
#define VALUE_BYTES 64

/* A transaction that is being built. */
struct change {
	struct rules *rules;
	const char *table;
	/* The type and the set of the open message; type 0: none is open. */
	uint16_t type;
	char set[NAME_BYTES];
	size_t message;
	size_t list;
};

static void end_message(struct change *change)
{
	struct request *request = &change->rules->request;

	if (change->type == 0)
		return;
	nest_end(request, change->list);
	message_end(request, change->message);
	change->type = 0;
}

static void begin_message(struct change *change, uint16_t type, const char *set)
{
	struct nfgenmsg family = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };
	struct rules *rules = change->rules;

	change->message = message_begin(&rules->request, &rules->channel, NFNL_SUBSYS_NFTABLES << 8 | type,
					NLM_F_ACK | (type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0), &family,
					sizeof(family));
	put_text(&rules->request, NFTA_SET_ELEM_LIST_TABLE, change->table);
	put_text(&rules->request, NFTA_SET_ELEM_LIST_SET, set);
}

static bool put_data(struct request *request, uint16_t type, const char *hex)
{
	uint8_t bytes[VALUE_BYTES];
	int length = from_hex(hex, bytes, sizeof(bytes));

	if (length <= 0)
		return false;
	size_t nest = nest_begin(request, type);

	put(request, NFTA_DATA_VALUE, bytes, length);
	nest_end(request, nest);
	return true;
}

/* Elements of the same set that follow each other go into one message. */
static bool put_element(struct change *change, uint16_t type, const char *set, char *key, const char *data)
{
	struct request *request = &change->rules->request;

	if (strlen(set) >= NAME_BYTES)
		return false;
	if (change->type != type || strcmp(change->set, set) != 0 ||
	    request->length - change->message > MESSAGE_BYTES) {
		end_message(change);
		begin_message(change, type, set);
		change->list = nest_begin(request, NFTA_SET_ELEM_LIST_ELEMENTS);
		change->type = type;
		strcpy(change->set, set);
	}
	size_t element = nest_begin(request, NFTA_LIST_ELEM);
	/* Of an interval: FIRST-LAST. */
	char *first = strsep(&key, "-");
	bool taken = put_data(request, NFTA_SET_ELEM_KEY, first) &&
		     (!key || put_data(request, NFTA_SET_ELEM_KEY_END, key)) &&
		     (!data || put_data(request, NFTA_SET_ELEM_DATA, data));

	nest_end(request, element);
	return taken;
}

static bool take_line(struct change *change, const struct words *line)
{
	const char *verb = line->at[0];

	if (strcmp(verb, "flush") == 0 && line->count == 2) {
		end_message(change);
		/* Without elements the message deletes all elements of the set. */
		begin_message(change, NFT_MSG_DELSETELEM, line->at[1]);
		message_end(&change->rules->request, change->message);
		return true;
	}
	if (strcmp(verb, "delete") == 0 && line->count == 3)
		return put_element(change, NFT_MSG_DELSETELEM, line->at[1], line->at[2], NULL);
	if (strcmp(verb, "add") == 0 && (line->count == 3 || line->count == 4))
		return put_element(change, NFT_MSG_NEWSETELEM, line->at[1], line->at[2],
				   line->count == 4 ? line->at[3] : NULL);
	return false;
}

static void put_boundary(struct rules *rules, uint16_t type)
{
	struct nfgenmsg family = { .nfgen_family = AF_UNSPEC,
				   .version = NFNETLINK_V0,
				   .res_id = htons(NFNL_SUBSYS_NFTABLES) };

	message_end(&rules->request,
		    message_begin(&rules->request, &rules->channel, type, 0, &family, sizeof(family)));
}

/* Answers with the error; where the failed message adds or deletes elements, the text names their set. */
static void tell_failure(struct rules *rules, const char *id, int error, uint32_t sequence)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)rules->request.data;
	size_t left = rules->request.length;
	char text[NAME_BYTES + 128];

	while (message && NLMSG_OK(message, left) && message->nlmsg_seq != sequence)
		message = NLMSG_NEXT(message, left);
	uint8_t type = message && NLMSG_OK(message, left) ? message->nlmsg_type & 0xff : 0;

	if (type != NFT_MSG_NEWSETELEM && type != NFT_MSG_DELSETELEM) {
		answer_error(id, error, strerror(-error));
		return;
	}
	const struct nlattr *parts[NFTA_SET_ELEM_LIST_MAX + 1];

	nft_attributes(message, parts, NFTA_SET_ELEM_LIST_MAX + 1);
	snprintf(text, sizeof(text), "%s an element of %s: %s", type == NFT_MSG_NEWSETELEM ? "add" : "delete",
		 text_of(parts[NFTA_SET_ELEM_LIST_SET]), strerror(-error));
	answer_error(id, error, text);
}

/* Ends and sends the transaction whose first message is `first`, and answers. */
static void commit(struct rules *rules, const char *id, uint32_t first)
{
	uint32_t last = rules->channel.sequence;
	uint32_t failed = 0;

	put_boundary(rules, NFNL_MSG_BATCH_END);
	/* An empty batch is never answered. */
	int result = last == first ? 0 : exchange_batch(&rules->channel, &rules->request, first, last, &failed);

	rules->faulty = result != 0;
	if (result == 0)
		answer_ok(id);
	else
		tell_failure(rules, id, result, failed);
	/* The memory of a large transaction is not kept. */
	if (rules->request.capacity > MESSAGE_BYTES * 2)
		request_free(&rules->request);
}

/* Begins a transaction; returns the sequence of its first boundary, which the kernel answers when it cannot commit. */
static uint32_t begin(struct rules *rules)
{
	request_reset(&rules->request);
	put_boundary(rules, NFNL_MSG_BATCH_BEGIN);
	return rules->channel.sequence;
}

void change_elements(struct rules *rules, const char *id, const char *table)
{
	struct change change = { .rules = rules, .table = table };
	uint32_t first = begin(rules);
	bool right = true;

	for (;;) {
		if (!read_words(&rules->line))
			return;
		if (rules->line.count == 1 && strcmp(rules->line.at[0], ".") == 0)
			break;
		right = right && rules->line.count > 0 && take_line(&change, &rules->line);
	}
	end_message(&change);
	if (right)
		commit(rules, id, first);
	else
		answer_error(id, -EINVAL, "a line is none of: add SET KEY [DATA], delete SET KEY, flush SET");
}

void remove_table(struct rules *rules, const char *id, const char *table)
{
	struct nfgenmsg family = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };
	uint32_t first = begin(rules);
	size_t message = message_begin(&rules->request, &rules->channel, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE,
				       NLM_F_ACK, &family, sizeof(family));

	put_text(&rules->request, NFTA_TABLE_NAME, table);
	message_end(&rules->request, message);
	commit(rules, id, first);
}
