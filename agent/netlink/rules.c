/*
 * rules: answers these commands, one after the other:
 *
 *     ID tables PREFIX             the tables of the family inet whose names begin with PREFIX
 *     ID generation                the number of the last transaction on the node
 *     ID elements TABLE SET MOST   elements with their counters; E2BIG when there are more than MOST
 *     ID digest TABLE              frame.c
 *     ID change TABLE              transaction.c: lines of changes and a last one of "." make one transaction
 *     ID remove TABLE              deletes the table
 */
#include "modes.h"
#include "nftables.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <string.h>

/* Most bytes of a transaction: some ten thousand elements. A larger one is refused (E2BIG), and the agent runs nft. */
static const size_t transaction_bytes = 4 * 1024 * 1024;

struct listing {
	const char *id;
	const char *prefix;
};

static int tell_table(const struct nlmsghdr *message, void *context)
{
	const struct listing *listing = context;
	const struct nlattr *parts[NFTA_TABLE_MAX + 1];

	nft_attributes(message, parts, NFTA_TABLE_MAX + 1);
	const char *name = text_of(parts[NFTA_TABLE_NAME]);

	if (strncmp(name, listing->prefix, strlen(listing->prefix)) != 0)
		return 0;
	say("{\"id\":%s,\"table\":", listing->id);
	put_json(name);
	/* As text: 64 bits are more than a number of JavaScript holds. */
	say(",\"handle\":\"%llu\"}\n", (unsigned long long)attribute_be64(parts[NFTA_TABLE_HANDLE]));
	return 0;
}

static void answer(const char *id, int result)
{
	if (result == 0)
		answer_ok(id);
	else
		answer_error(id, result, strerror(-result));
}

/* An interrupted listing may lack names, so EINTR is an error after the last attempt. */
static void tell_tables(struct rules *rules, const char *id, const char *prefix)
{
	struct listing listing = { .id = id, .prefix = prefix };
	unsigned attempts = 0;
	int result;

	do {
		if (attempts > 0)
			say("{\"id\":%s,\"again\":true}\n", id);
		result = nft_exchange(rules, nft_begin(rules, NFT_MSG_GETTABLE, NLM_F_DUMP), tell_table, &listing);
	} while (nft_again(result, &attempts));
	answer(id, result);
}

static int take_generation(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *parts[NFTA_GEN_MAX + 1];

	nft_attributes(message, parts, NFTA_GEN_MAX + 1);
	*(uint32_t *)context = attribute_be32(parts[NFTA_GEN_ID]);
	return 0;
}

static void tell_generation(struct rules *rules, const char *id)
{
	uint32_t generation = 0;
	int result = nft_exchange(rules, nft_begin(rules, NFT_MSG_GETGEN, NLM_F_ACK), take_generation, &generation);

	if (result != 0) {
		answer(id, result);
		return;
	}
	say("{\"id\":%s,\"ok\":true,\"generation\":%u}\n", id, generation);
	flush();
}

/* `words` is a copy, because the lines of a transaction overwrite the line. */
static void run(struct rules *rules, size_t count, char words[][NAME_BYTES])
{
	const char *id = words[0];
	const char *verb = words[1];

	if (strcmp(verb, "tables") == 0 && count == 3)
		tell_tables(rules, id, words[2]);
	else if (strcmp(verb, "generation") == 0 && count == 2)
		tell_generation(rules, id);
	else if (strcmp(verb, "elements") == 0 && count == 5 && number_of(words[4]) >= 0)
		tell_elements(rules, id, words[2], words[3], number_of(words[4]));
	else if (strcmp(verb, "digest") == 0 && count == 3)
		tell_digest(rules, id, words[2]);
	else if (strcmp(verb, "change") == 0 && count == 3)
		change_elements(rules, id, words[2]);
	else if (strcmp(verb, "remove") == 0 && count == 3)
		remove_table(rules, id, words[2]);
	else
		answer_error(id, -EINVAL, "there is no such request");
}

int rules_main(int count, char **words)
{
	static struct rules rules;
	char copies[5][NAME_BYTES];

	(void)count;
	(void)words;
	request_init(&rules.request, transaction_bytes);
	while (read_words(&rules.line)) {
		size_t given = rules.line.count;

		if (given < 2 || given > 5 || number_of(rules.line.at[0]) < 0)
			return 2;
		for (size_t index = 0; index < given; index++)
			if (snprintf(copies[index], NAME_BYTES, "%s", rules.line.at[index]) >= NAME_BYTES)
				return 2;
		if (rules.faulty)
			channel_close(&rules.channel);
		int result = rules.channel.fd > 0 ? 0 : channel_open(&rules.channel, NETLINK_NETFILTER);

		rules.faulty = false;
		if (result != 0)
			answer_error(copies[0], result, strerror(-result));
		else
			run(&rules, given, copies);
	}
	return 0;
}
