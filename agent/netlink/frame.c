/*
 * digest TABLE: digests that show whether a table has changed. The frame is the table's flags, its chains with hook,
 * priority and policy, its rules in order, the definitions of its sets and the elements of anonymous ones. It contains
 * no handles, no counters and nothing of another table. The elements of each named set have a digest of their own.
 */
#include "digest.h"
#include "nftables.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A magic IP that has ranges of ports has five chains, an address with two IPs ten; there are at most 1,000 addresses.
 * A table has some sixty sets, whatever the configuration. A table with more than these bounds is not ours.
 */
#define MOST_CHAINS 16384
#define MOST_SETS 256

struct frame {
	struct rules *rules;
	const char *table;
	struct digest digest;
	size_t chain_count;
	size_t set_count;
	/* Grows with the table; the memory is kept for the next request. */
	size_t chain_capacity;
	struct chain {
		char name[NAME_BYTES];
		unsigned rules;
	} *chains;
	struct set {
		char name[NAME_BYTES];
		bool anonymous;
		unsigned long long count;
		struct digest digest;
	} sets[MOST_SETS];
};

/* An absent attribute adds a word of its own to the digest. */
static void digest_attribute(struct digest *digest, const struct nlattr *attribute)
{
	if (attribute)
		digest_data(digest, attribute_data(attribute), attribute_length(attribute));
	else
		digest_word(digest, 0xffffffff);
}

static void digest_attributes(struct digest *digest, const struct nlattr **parts, const uint16_t *types, size_t count)
{
	for (size_t index = 0; index < count; index++)
		digest_attribute(digest, parts[types[index]]);
}

static int take_table(const struct nlmsghdr *message, void *context)
{
	struct frame *frame = context;
	const struct nlattr *parts[NFTA_TABLE_MAX + 1];

	nft_attributes(message, parts, NFTA_TABLE_MAX + 1);
	digest_attribute(&frame->digest, parts[NFTA_TABLE_FLAGS]);
	/* The number of its chains, sets and objects, including those that no rule and no dump names. */
	digest_attribute(&frame->digest, parts[NFTA_TABLE_USE]);
	return 0;
}

static int take_chain(const struct nlmsghdr *message, void *context)
{
	static const uint16_t types[] = { NFTA_CHAIN_NAME, NFTA_CHAIN_HOOK, NFTA_CHAIN_POLICY, NFTA_CHAIN_TYPE,
					  NFTA_CHAIN_FLAGS };
	struct frame *frame = context;
	const struct nlattr *parts[NFTA_CHAIN_MAX + 1];

	nft_attributes(message, parts, NFTA_CHAIN_MAX + 1);
	if (strcmp(text_of(parts[NFTA_CHAIN_TABLE]), frame->table) != 0)
		return 0;
	digest_attributes(&frame->digest, parts, types, sizeof(types) / sizeof(types[0]));
	return 0;
}

/* Whether it is an expression that counts: its data changes with each packet. */
static bool counts(const char *name)
{
	return strcmp(name, "counter") == 0 || strcmp(name, "quota") == 0 || strcmp(name, "last") == 0;
}

static void digest_expression(struct digest *digest, const struct nlattr *expression)
{
	const struct nlattr *parts[NFTA_EXPR_MAX + 1];

	nested(expression, parts, NFTA_EXPR_MAX + 1);
	const char *name = text_of(parts[NFTA_EXPR_NAME]);

	digest_text(digest, name);
	if (!counts(name))
		digest_attribute(digest, parts[NFTA_EXPR_DATA]);
}

static void digest_expressions(struct digest *digest, const struct nlattr *list)
{
	for (const struct nlattr *each = nest_first(list); each; each = nest_next(list, each))
		digest_expression(digest, each);
}

/* NULL past MOST_CHAINS or without memory. */
static struct chain *add_chain(struct frame *frame)
{
	if (frame->chain_count == frame->chain_capacity) {
		size_t capacity = frame->chain_capacity ? 2 * frame->chain_capacity : 32;
		struct chain *chains =
			capacity > MOST_CHAINS ? NULL : realloc(frame->chains, capacity * sizeof(*chains));

		if (!chains)
			return NULL;
		frame->chains = chains;
		frame->chain_capacity = capacity;
	}
	return &frame->chains[frame->chain_count++];
}

static int take_rule(const struct nlmsghdr *message, void *context)
{
	struct frame *frame = context;
	const struct nlattr *parts[NFTA_RULE_MAX + 1];

	nft_attributes(message, parts, NFTA_RULE_MAX + 1);
	/* Kernels before 3.18 send the rules of all tables. */
	if (strcmp(text_of(parts[NFTA_RULE_TABLE]), frame->table) != 0)
		return 0;
	const char *name = text_of(parts[NFTA_RULE_CHAIN]);
	struct chain *chain = frame->chain_count > 0 ? &frame->chains[frame->chain_count - 1] : NULL;

	/* The kernel shows the rules chain by chain. */
	if (!chain || strcmp(chain->name, name) != 0) {
		chain = add_chain(frame);
		if (!chain)
			return -E2BIG;
		snprintf(chain->name, sizeof(chain->name), "%s", name);
		chain->rules = 0;
	}
	chain->rules++;
	digest_text(&frame->digest, name);
	digest_expressions(&frame->digest, parts[NFTA_RULE_EXPRESSIONS]);
	return 0;
}

static int take_set(const struct nlmsghdr *message, void *context)
{
	static const uint16_t types[] = { NFTA_SET_NAME,     NFTA_SET_FLAGS,	NFTA_SET_KEY_TYPE, NFTA_SET_KEY_LEN,
					  NFTA_SET_DATA_TYPE, NFTA_SET_DATA_LEN, NFTA_SET_OBJ_TYPE, NFTA_SET_TIMEOUT,
					  NFTA_SET_DESC };
	struct frame *frame = context;
	const struct nlattr *parts[NFTA_SET_MAX + 1];

	nft_attributes(message, parts, NFTA_SET_MAX + 1);
	if (strcmp(text_of(parts[NFTA_SET_TABLE]), frame->table) != 0)
		return 0;
	if (frame->set_count == MOST_SETS)
		return -E2BIG;
	struct set *set = &frame->sets[frame->set_count++];

	snprintf(set->name, sizeof(set->name), "%s", text_of(parts[NFTA_SET_NAME]));
	set->anonymous = (attribute_be32(parts[NFTA_SET_FLAGS]) & NFT_SET_ANONYMOUS) != 0;
	digest_attributes(&frame->digest, parts, types, sizeof(types) / sizeof(types[0]));
	/* The expressions of each new element: one as NFTA_SET_EXPR, several as NFTA_SET_EXPRESSIONS (Linux 5.12). */
	if (parts[NFTA_SET_EXPR])
		digest_expression(&frame->digest, parts[NFTA_SET_EXPR]);
	digest_expressions(&frame->digest, parts[NFTA_SET_EXPRESSIONS]);
	return 0;
}

/* For an element's expressions: ours are counters only, so any other one is part of the digest. */
static void digest_doing(struct digest *digest, const struct nlattr *expression)
{
	const struct nlattr *parts[NFTA_EXPR_MAX + 1];

	nested(expression, parts, NFTA_EXPR_MAX + 1);
	const char *name = text_of(parts[NFTA_EXPR_NAME]);

	if (strcmp(name, "counter") == 0)
		return;
	digest_text(digest, name);
	digest_attribute(digest, parts[NFTA_EXPR_DATA]);
}

static void digest_element(struct digest *digest, const struct element *element)
{
	digest_begin(digest);
	digest_attribute(digest, element->key);
	digest_attribute(digest, element->key_end);
	if (element->verdict) {
		const struct nlattr *parts[NFTA_VERDICT_MAX + 1];

		nested(element->verdict, parts, NFTA_VERDICT_MAX + 1);
		digest_word(digest, attribute_be32(parts[NFTA_VERDICT_CODE]));
		digest_text(digest, text_of(parts[NFTA_VERDICT_CHAIN]));
	} else {
		digest_attribute(digest, element->data);
	}
	digest_word(digest, element->flags);
	if (element->expression)
		digest_doing(digest, element->expression);
	for (const struct nlattr *each = nest_first(element->expressions); each;
	     each = nest_next(element->expressions, each))
		digest_doing(digest, each);
	digest_end(digest);
}

static int take_element(const struct element *element, void *context)
{
	struct set *set = context;
	struct digest digest;

	digest_element(&digest, element);
	digest_add(&set->digest, &digest);
	set->count++;
	return 0;
}

static int read_table(struct frame *frame)
{
	size_t offset = nft_begin(frame->rules, NFT_MSG_GETTABLE, NLM_F_ACK);

	put_text(&frame->rules->request, NFTA_TABLE_NAME, frame->table);
	return nft_exchange(frame->rules, offset, take_table, frame);
}

/* The rules or the sets of the table. */
static int read_parts(struct frame *frame, uint16_t type, uint16_t table_attribute, message_handler handler)
{
	size_t offset = nft_begin(frame->rules, type, NLM_F_DUMP);

	put_text(&frame->rules->request, table_attribute, frame->table);
	return nft_exchange(frame->rules, offset, handler, frame);
}

static int read_set(struct frame *frame, struct set *set)
{
	unsigned attempts = 0;
	int result;

	do {
		set->count = 0;
		set->digest = (struct digest){ 0 };
		result = dump_elements(frame->rules, frame->table, set->name, take_element, set);
	} while (nft_again(result, &attempts));
	return result == -EINTR ? 0 : result;
}

/*
 * Reads the chains one by one, by the names that the rules have: a dump of chains covers the whole family, and skips or
 * repeats some of ours while other programs add and delete theirs.
 */
static int read_chains(struct frame *frame)
{
	int result = 0;

	for (size_t index = 0; index < frame->chain_count && result == 0; index++) {
		size_t offset = nft_begin(frame->rules, NFT_MSG_GETCHAIN, NLM_F_ACK);

		put_text(&frame->rules->request, NFTA_CHAIN_TABLE, frame->table);
		put_text(&frame->rules->request, NFTA_CHAIN_NAME, frame->chains[index].name);
		result = nft_exchange(frame->rules, offset, take_chain, frame);
	}
	return result;
}

/* After an interrupted dump (EINTR) the rest is read all the same. */
static int read_frame(struct frame *frame)
{
	int result = read_table(frame);
	int rules = result == 0 ? read_parts(frame, NFT_MSG_GETRULE, NFTA_RULE_TABLE, take_rule) : result;
	int sets = result == 0 ? read_parts(frame, NFT_MSG_GETSET, NFTA_SET_TABLE, take_set) : result;

	if (result == 0)
		result = read_chains(frame);
	if (result != 0)
		return result;
	if (rules != 0 && rules != -EINTR)
		return rules;
	return sets != 0 ? sets : rules;
}

static int read_frame_again(struct frame *frame)
{
	unsigned attempts = 0;
	int result;

	do {
		frame->chain_count = 0;
		frame->set_count = 0;
		digest_begin(&frame->digest);
		result = read_frame(frame);
	} while (nft_again(result, &attempts));
	return result == -EINTR ? 0 : result;
}

void tell_digest(struct rules *rules, const char *id, const char *table)
{
	static struct frame frame;

	frame.rules = rules;
	frame.table = table;
	int result = read_frame_again(&frame);

	for (size_t index = 0; result == 0 && index < frame.set_count; index++) {
		struct set *set = &frame.sets[index];

		result = read_set(&frame, set);
		if (set->anonymous) {
			digest_word(&frame.digest, set->digest.one);
			digest_word(&frame.digest, set->digest.two);
		}
	}
	if (result != 0) {
		answer_error(id, result, strerror(-result));
		return;
	}
	for (size_t index = 0; index < frame.chain_count; index++) {
		say("{\"id\":%s,\"chain\":", id);
		put_json(frame.chains[index].name);
		say(",\"rules\":%u}\n", frame.chains[index].rules);
	}
	for (size_t index = 0; index < frame.set_count; index++) {
		const struct set *set = &frame.sets[index];

		if (set->anonymous)
			continue;
		say("{\"id\":%s,\"set\":", id);
		put_json(set->name);
		say(",\"count\":%llu,\"digest\":\"%08x%08x\"}\n", set->count, set->digest.one, set->digest.two);
	}
	digest_end(&frame.digest);
	say("{\"id\":%s,\"ok\":true,\"frame\":\"%08x%08x\"}\n", id, frame.digest.one, frame.digest.two);
	flush();
}
