#include "lines.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char input[64 * 1024];
static size_t input_start;
static size_t input_end;

/* Appends more input to the buffer; false at the end of the input, or when a line does not fit. */
static bool read_more(void)
{
	if (input_start > 0) {
		memmove(input, input + input_start, input_end - input_start);
		input_end -= input_start;
		input_start = 0;
	}
	if (input_end == sizeof(input))
		return false;
	for (;;) {
		ssize_t length = read(STDIN_FILENO, input + input_end, sizeof(input) - input_end);

		if (length > 0) {
			input_end += length;
			return true;
		}
		if (length == 0 || errno != EINTR)
			return false;
	}
}

bool read_words(struct words *words)
{
	char *end;

	while (!(end = memchr(input + input_start, '\n', input_end - input_start)))
		if (!read_more())
			return false;
	size_t length = end - (input + input_start);

	if (length >= LINE_BYTES)
		return false;
	memcpy(words->line, input + input_start, length);
	words->line[length] = '\0';
	input_start += length + 1;
	words->count = 0;
	for (char *rest = words->line, *word; (word = strsep(&rest, " ")) && words->count < MOST_WORDS;)
		if (*word)
			words->at[words->count++] = word;
	return true;
}

bool input_waits(void)
{
	struct pollfd standard_input = { .fd = STDIN_FILENO, .events = POLLIN };

	return input_end > input_start || poll(&standard_input, 1, 0) > 0;
}

void say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stdout, format, arguments);
	va_end(arguments);
}

void put_json(const char *text)
{
	putchar('"');
	for (const unsigned char *byte = (const unsigned char *)text; *byte; byte++) {
		if (*byte == '"' || *byte == '\\')
			printf("\\%c", *byte);
		else if (*byte < 0x20 || *byte >= 0x7f)
			printf("\\u%04x", *byte);
		else
			putchar(*byte);
	}
	putchar('"');
}

void put_hex(const void *data, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *bytes = data;

	for (size_t index = 0; index < length; index++) {
		putchar(digits[bytes[index] >> 4]);
		putchar(digits[bytes[index] & 15]);
	}
}

void flush(void)
{
	/* The agent has ended and reads no more. */
	if (fflush(stdout) != 0)
		_exit(1);
}

void answer_ok(const char *id)
{
	say("{\"id\":%s,\"ok\":true}\n", id);
	flush();
}

void answer_error(const char *id, int error, const char *what)
{
	const char *name = strerrorname_np(error < 0 ? -error : error);

	say("{\"id\":%s,\"error\":", id);
	put_json(name ? name : "EUNKNOWN");
	say(",\"message\":");
	put_json(what);
	say("}\n");
	flush();
}

static int digit_of(char character)
{
	if (character >= '0' && character <= '9')
		return character - '0';
	if (character >= 'a' && character <= 'f')
		return character - 'a' + 10;
	return -1;
}

int from_hex(const char *text, uint8_t *bytes, size_t most)
{
	size_t length = strlen(text);

	if (length % 2 != 0 || length / 2 > most)
		return -1;
	for (size_t index = 0; index < length / 2; index++) {
		int high = digit_of(text[2 * index]);
		int low = digit_of(text[2 * index + 1]);

		if (high < 0 || low < 0)
			return -1;
		bytes[index] = high << 4 | low;
	}
	return length / 2;
}

long long number_of(const char *text)
{
	char *end;

	errno = 0;
	long long number = strtoll(text, &end, 10);

	return errno != 0 || end == text || *end != '\0' || number < 0 ? -1 : number;
}
