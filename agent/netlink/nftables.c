#include "nftables.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

static const unsigned most_attempts = 16;

size_t nft_begin(struct rules *rules, uint16_t type, uint16_t flags)
{
	struct nfgenmsg family = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };

	request_reset(&rules->request);
	return message_begin(&rules->request, &rules->channel, NFNL_SUBSYS_NFTABLES << 8 | type, flags, &family,
			     sizeof(family));
}

int nft_exchange(struct rules *rules, size_t offset, message_handler handler, void *context)
{
	message_end(&rules->request, offset);
	int result = exchange_dump(&rules->channel, &rules->request, handler, context);

	rules->faulty |= result != 0 && result != -EINTR && result != -ENOENT;
	return result;
}

void nft_attributes(const struct nlmsghdr *message, const struct nlattr **found, size_t count)
{
	attributes(message, sizeof(struct nfgenmsg), found, count);
}

const char *text_of(const struct nlattr *attribute)
{
	if (!attribute || !memchr(attribute_data(attribute), '\0', attribute_length(attribute)))
		return "";
	return attribute_data(attribute);
}

bool nft_again(int result, unsigned *attempts)
{
	return result == -EINTR && ++*attempts < most_attempts;
}

static void read_counter(const struct nlattr *expression, struct element *element)
{
	const struct nlattr *parts[NFTA_EXPR_MAX + 1];
	const struct nlattr *counter[NFTA_COUNTER_MAX + 1];

	nested(expression, parts, NFTA_EXPR_MAX + 1);
	if (strcmp(text_of(parts[NFTA_EXPR_NAME]), "counter") != 0)
		return;
	nested(parts[NFTA_EXPR_DATA], counter, NFTA_COUNTER_MAX + 1);
	element->packets = attribute_be64(counter[NFTA_COUNTER_PACKETS]);
	element->bytes = attribute_be64(counter[NFTA_COUNTER_BYTES]);
}

static const struct nlattr *value_of(const struct nlattr *data, uint16_t type)
{
	const struct nlattr *parts[NFTA_DATA_MAX + 1];

	nested(data, parts, NFTA_DATA_MAX + 1);
	return parts[type];
}

static void read_element(const struct nlattr *attribute, struct element *element)
{
	const struct nlattr *parts[NFTA_SET_ELEM_MAX + 1];
	const struct nlattr *list;

	nested(attribute, parts, NFTA_SET_ELEM_MAX + 1);
	*element = (struct element){
		.key = value_of(parts[NFTA_SET_ELEM_KEY], NFTA_DATA_VALUE),
		.key_end = value_of(parts[NFTA_SET_ELEM_KEY_END], NFTA_DATA_VALUE),
		.data = value_of(parts[NFTA_SET_ELEM_DATA], NFTA_DATA_VALUE),
		.verdict = value_of(parts[NFTA_SET_ELEM_DATA], NFTA_DATA_VERDICT),
		.expression = parts[NFTA_SET_ELEM_EXPR],
		.expressions = parts[NFTA_SET_ELEM_EXPRESSIONS],
		.flags = attribute_be32(parts[NFTA_SET_ELEM_FLAGS]),
	};
	if (parts[NFTA_SET_ELEM_EXPR])
		read_counter(parts[NFTA_SET_ELEM_EXPR], element);
	for (list = nest_first(parts[NFTA_SET_ELEM_EXPRESSIONS]); list;
	     list = nest_next(parts[NFTA_SET_ELEM_EXPRESSIONS], list))
		read_counter(list, element);
}

struct reading {
	element_handler handler;
	void *context;
};

static int take_elements(const struct nlmsghdr *message, void *context)
{
	const struct reading *reading = context;
	const struct nlattr *parts[NFTA_SET_ELEM_LIST_MAX + 1];
	int result = 0;

	nft_attributes(message, parts, NFTA_SET_ELEM_LIST_MAX + 1);
	const struct nlattr *all = parts[NFTA_SET_ELEM_LIST_ELEMENTS];

	for (const struct nlattr *each = nest_first(all); each && result == 0; each = nest_next(all, each)) {
		struct element element;

		read_element(each, &element);
		result = reading->handler(&element, reading->context);
	}
	return result;
}

int dump_elements(struct rules *rules, const char *table, const char *set, element_handler handler, void *context)
{
	struct reading reading = { .handler = handler, .context = context };
	size_t offset = nft_begin(rules, NFT_MSG_GETSETELEM, NLM_F_DUMP);

	put_text(&rules->request, NFTA_SET_ELEM_LIST_TABLE, table);
	put_text(&rules->request, NFTA_SET_ELEM_LIST_SET, set);
	return nft_exchange(rules, offset, take_elements, &reading);
}
