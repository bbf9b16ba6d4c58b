/*
 * Begins TCP connections as fast as it can, each with a SYN from the next port, until SIGTERM:
 *
 *     syn SOURCE DESTINATION PORT
 *
 * Prints how many were sent, how many a target accepted, and how many were refused. IPv4 only; needs CAP_NET_RAW. The
 * kernel, which knows none of these connections, resets each that is accepted.
 */
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { first_port = 1024, last_port = 65535 };

static atomic_int ended;
static long accepted, refused;

struct checked {
	struct in_addr source, destination;
	uint8_t zero, protocol;
	uint16_t length;
	struct tcphdr segment;
};

static void end(int number)
{
	(void)number;
	ended = 1;
}

/* RFC 1071, of an even number of bytes. */
static uint16_t checksum(const void *data, size_t length)
{
	const uint16_t *word = data;
	uint32_t sum = 0;

	for (; length; length -= 2)
		sum += *word++;
	sum = (sum & 0xffff) + (sum >> 16);
	return ~(sum + (sum >> 16));
}

static void send_syn(int out, struct checked syn, uint16_t port, uint32_t sequence)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = syn.destination };

	syn.segment.source = htons(port);
	syn.segment.seq = htonl(sequence);
	syn.segment.check = checksum(&syn, sizeof(syn));
	if (sendto(out, &syn.segment, sizeof(syn.segment), 0, (void *)&to, sizeof(to)) < 0)
		usleep(100);
}

/* A socket of its own: what a raw socket sends does not come back to it, but what its queue has not room for is lost. */
static void *count(void *argument)
{
	struct in_addr *from = argument;
	int in = socket(AF_INET, SOCK_RAW, IPPROTO_TCP), room = 64 << 20;
	struct timeval patience = { .tv_usec = 100 * 1000 };
	unsigned char packet[256];

	setsockopt(in, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(in, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	while (ended < 2) {
		ssize_t length = recv(in, packet, sizeof(packet), 0);
		struct iphdr *ip = (void *)packet;
		struct tcphdr *segment = (void *)(packet + ip->ihl * 4);

		if (length < (ssize_t)(sizeof(*ip) + sizeof(*segment)) || ip->saddr != from->s_addr)
			continue;
		if (segment->rst)
			refused++;
		else if (segment->syn)
			accepted++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct checked syn = { .protocol = IPPROTO_TCP, .length = htons(sizeof(syn.segment)) };
	int out = socket(AF_INET, SOCK_RAW, IPPROTO_TCP), none = 0;
	uint16_t port = first_port;
	uint32_t sent = 0;
	pthread_t counting;

	if (argc != 4 || !inet_aton(argv[1], &syn.source) || !inet_aton(argv[2], &syn.destination) || out < 0)
		return 2;
	syn.segment = (struct tcphdr){ .dest = htons(atoi(argv[3])), .doff = 5, .syn = 1, .window = htons(1024) };
	signal(SIGTERM, end);
	setsockopt(out, SOL_SOCKET, SO_RCVBUF, &none, sizeof(none));
	pthread_create(&counting, NULL, count, &syn.destination);
	puts("calling");
	fflush(stdout);
	for (; !ended; port = port == last_port ? first_port : port + 1)
		send_syn(out, syn, port, sent++);
	/* The last answers. */
	usleep(500 * 1000);
	ended = 2;
	pthread_join(counting, NULL);
	printf("{\"sent\":%u,\"accepted\":%ld,\"refused\":%ld}\n", sent, accepted, refused);
	return 0;
}
