/* Short digests of what the kernel holds; agent/ruleset/nftables/digest.ts computes the same. Not for secrets. */
#ifndef DIGEST_H
#define DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* Two 32-bit MurmurHash3 hashes with different seeds, over 32-bit words. */
struct digest {
	uint32_t one;
	uint32_t two;
};

void digest_begin(struct digest *digest);
void digest_word(struct digest *digest, uint32_t word);
/* The length in bytes, then the bytes as big-endian words; the last one is filled up with zeros. */
void digest_data(struct digest *digest, const void *data, size_t length);
void digest_text(struct digest *digest, const char *text);
/* Applies the final mix. digest_add sums the digests of elements, so that the sum does not depend on their order. */
void digest_end(struct digest *digest);
void digest_add(struct digest *sum, const struct digest *digest);

#endif
