/* Commands come in as lines of words; answers and events go out as lines of JSON. */
#ifndef LINES_H
#define LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most bytes of a command's line. The agent writes no longer one; the program ends when one comes. */
#define LINE_BYTES 4096
#define MOST_WORDS 16

struct words {
	char *at[MOST_WORDS];
	size_t count;
	char line[LINE_BYTES];
};

/*
 * Reads the next line of standard input and splits it at blanks. false: no line can be read, and the program must end.
 */
bool read_words(struct words *words);
/* Whether a line, or a part of one, waits on standard input; does not block. */
bool input_waits(void);

/* printf to standard output, which `flush` sends. Strings from the kernel go through put_json, which escapes them. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void put_json(const char *text);
void put_hex(const void *data, size_t length);
void flush(void);

/* Answers of command `id`: {"id":7,"ok":true}, {"id":7,"error":"ENOENT","message":"No such file or directory"}. */
void answer_ok(const char *id);
void answer_error(const char *id, int error, const char *what);

/* Reads hex digits into bytes; returns the number of bytes, -1 where the text is not hex or too long. */
int from_hex(const char *text, uint8_t *bytes, size_t most);
/* A whole number, -1 where the text is none. */
long long number_of(const char *text);

#endif
