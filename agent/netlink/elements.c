/* elements TABLE SET MOST: lists a set's elements; E2BIG when there are more than MOST. */
#include "nftables.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Elements in one line of the answer: some kilobytes. */
#define LINE_ELEMENTS 100

struct telling {
	const char *id;
	long long most;
	long long count;
};

static void put_value(const struct nlattr *value)
{
	say("\"");
	if (value)
		put_hex(attribute_data(value), attribute_length(value));
	say("\"");
}

static int tell_element(const struct element *element, void *context)
{
	struct telling *telling = context;

	if (telling->count == telling->most)
		return -E2BIG;
	if (telling->count % LINE_ELEMENTS == 0) {
		if (telling->count > 0)
			say("]}\n");
		say("{\"id\":%s,\"elements\":[", telling->id);
	} else {
		say(",");
	}
	telling->count++;
	say("[");
	put_value(element->key);
	say(",");
	put_value(element->key_end);
	say(",");
	put_value(element->data);
	say(",%" PRIu64 ",%" PRIu64 "]", element->packets, element->bytes);
	return 0;
}

void tell_elements(struct rules *rules, const char *id, const char *table, const char *set, long long most)
{
	unsigned attempts = 0;
	int result;

	do {
		struct telling telling = { .id = id, .most = most };

		if (attempts > 0)
			say("{\"id\":%s,\"again\":true}\n", id);
		result = dump_elements(rules, table, set, tell_element, &telling);
		if (telling.count > 0)
			say("]}\n");
	} while (nft_again(result, &attempts));
	if (result == 0 || result == -EINTR)
		answer_ok(id);
	else
		answer_error(id, result, strerror(-result));
}
