#include "digest.h"

#include <string.h>

static uint32_t rotated(uint32_t value, int bits)
{
	return value << bits | value >> (32 - bits);
}

static uint32_t mixed(uint32_t hash, uint32_t word)
{
	word = rotated(word * 0xcc9e2d51, 15) * 0x1b873593;
	return rotated(hash ^ word, 13) * 5 + 0xe6546b64;
}

static uint32_t ended(uint32_t hash)
{
	hash = (hash ^ hash >> 16) * 0x85ebca6b;
	hash = (hash ^ hash >> 13) * 0xc2b2ae35;
	return hash ^ hash >> 16;
}

void digest_begin(struct digest *digest)
{
	*digest = (struct digest){ .one = 0x6d616769, .two = 0x632d6970 };
}

void digest_word(struct digest *digest, uint32_t word)
{
	digest->one = mixed(digest->one, word);
	digest->two = mixed(digest->two, word);
}

void digest_data(struct digest *digest, const void *data, size_t length)
{
	const uint8_t *bytes = data;

	digest_word(digest, length);
	for (size_t index = 0; index < length; index += 4) {
		uint32_t word = 0;

		for (size_t place = 0; place < 4; place++)
			word = word << 8 | (index + place < length ? bytes[index + place] : 0);
		digest_word(digest, word);
	}
}

void digest_text(struct digest *digest, const char *text)
{
	digest_data(digest, text, strlen(text));
}

void digest_end(struct digest *digest)
{
	digest->one = ended(digest->one);
	digest->two = ended(digest->two);
}

void digest_add(struct digest *sum, const struct digest *digest)
{
	sum->one += digest->one;
	sum->two += digest->two;
}
