/*
 * udp.c
 *	  Datagrams to records, outcomes to answers.
 */
#include "udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter.h"
#include "clock.h"
#include "config.h"
#include "log.h"
#include "sink.h"
#include "stats.h"

#define DATAGRAM_MAX 65536
#define DATAGRAM_FRAMES_MAX 1024	/* more in one is nonsense */
#define READ_BUDGET 64			/* datagrams in one turn of the loop */
#define RECEIVE_BUFFER (4 << 20)	/* asked of the kernel, for bursts */

typedef struct Listener Listener;

/* A datagram whose records are under way. */
typedef struct Datagram
{
	struct Datagram *prev;
	struct Datagram *next;
	Listener   *listener;
	struct sockaddr_storage peer;
	socklen_t	peer_len;
	Session		session;
	SinkOwner  *owner;
	AckFrame   *frames;
	size_t		nframes;
	size_t		frames_size;
	size_t		open;			/* frames that are not decided */
	AckRejection *rejections;
	size_t		nrejections;
	bool		overloaded;		/* the sink refused a record: no answer */
} Datagram;

struct Listener
{
	Listener   *next;
	const ListenerConfig *config;
	int			fd;
	struct event *readable;
	uint32_t	overflows;		/* the kernel's count of what it dropped */
};

static struct event_base *base;
static Listener *listeners;
static bool reading;
static bool drained;
static Datagram *datagrams;
static size_t busy;				/* how many these are */
static char input[DATAGRAM_MAX];
static Record record;
static Decoded decoded;

static void on_readable(evutil_socket_t fd, short what, void *arg);

/* --- answers --- */

static void
datagram_free(Datagram *datagram)
{
	if (datagram->prev != NULL)
		datagram->prev->next = datagram->next;
	else
		datagrams = datagram->next;
	if (datagram->next != NULL)
		datagram->next->prev = datagram->prev;
	if (datagram->owner != NULL)
		sink_owner_free(datagram->owner);
	free(datagram->session.state);
	free(datagram->frames);
	free(datagram->rejections);
	free(datagram);
	busy--;
	stats_gauge_set(GAUGE_DATAGRAMS, (double) busy);
}

static void
send_answer(Datagram *datagram, Buf *out)
{
	/* One that finds no room is lost as any on the way may be. */
	if (buf_len(out) > 0 &&
		sendto(datagram->listener->fd, buf_data(out), buf_len(out), MSG_DONTWAIT | MSG_NOSIGNAL,
			   (struct sockaddr *) &datagram->peer, datagram->peer_len) > 0)
		stats_add(STAT_BYTES_OUT, buf_len(out));
	buf_release(out);
}

static int
compare_rejections(const void *a, const void *b)
{
	uint64_t	x = ((const AckRejection *) a)->seq;
	uint64_t	y = ((const AckRejection *) b)->seq;

	return x < y ? -1 : x > y;
}

/* All of it is decided: answers and forgets it. */
static void
datagram_finish(Datagram *datagram)
{
	const Adapter *adapter = datagram->listener->config->adapter;
	Buf			out = {0};

	if (datagram->nframes > 0 && !datagram->overloaded && adapter->ack != NULL)
	{
		Ack			ack = {1, datagram->nframes, datagram->frames, datagram->nrejections,
		datagram->rejections};

		if (datagram->nrejections > 1)
			qsort(datagram->rejections, datagram->nrejections, sizeof(AckRejection), compare_rejections);
		adapter->ack(&datagram->session, &ack, &out);
		stats_inc(STAT_ACKS);
		send_answer(datagram, &out);
	}
	datagram_free(datagram);
}

static void
on_decided(void *arg, const SinkOutcome *outcome)
{
	Datagram   *datagram = arg;
	AckFrame   *frame = &datagram->frames[outcome->seq - 1];

	if (--frame->open == 0)
		datagram->open--;
	if (outcome->verdict == SINK_REJECTED)
	{
		AckRejection *more = realloc(datagram->rejections,
									 (datagram->nrejections + 1) * sizeof(*more));

		if (more == NULL)
			return;				/* answered, but without the reason */
		datagram->rejections = more;
		more += datagram->nrejections++;
		more->seq = outcome->seq;
		snprintf(more->code, sizeof(more->code), "%s", outcome->code);
		snprintf(more->field, sizeof(more->field), "%s", outcome->field);
	}
}

static void
on_settled(void *arg)
{
	Datagram   *datagram = arg;

	if (datagram->open == 0)
		datagram_finish(datagram);
	if (!reading)
		udp_resume();
}

static const SinkOwnerOps owner_ops = {.decided = on_decided,.settled = on_settled};

/* --- input --- */

static void
on_record(void *arg, const Record *rec)
{
	Datagram   *datagram = arg;
	AckFrame   *frame = &datagram->frames[datagram->nframes];

	if (datagram->overloaded)
		return;
	if (sink_submit(datagram->owner, datagram->nframes + 1,
					(int32_t) datagram->listener->config->source, rec) != SINK_OK)
	{
		datagram->overloaded = true;
		return;
	}
	if (frame->open++ == 0)
		datagram->open++;
	frame->records++;
}

/* Room for the entry of one more frame, which is cleared. */
static bool
frames_reserve(Datagram *datagram)
{
	if (datagram->nframes == DATAGRAM_FRAMES_MAX)
		return false;
	if (datagram->nframes == datagram->frames_size)
	{
		size_t		size = datagram->frames_size ? datagram->frames_size * 2 : 1;
		AckFrame   *more = realloc(datagram->frames, size * sizeof(*more));

		if (more == NULL)
			return false;
		datagram->frames = more;
		datagram->frames_size = size;
	}
	memset(&datagram->frames[datagram->nframes], 0, sizeof(AckFrame));
	return true;
}

/* One frame; false when the rest of the datagram is of no use. */
static bool
take_frame(Datagram *datagram, const Frame *frame, Buf *reply)
{
	DecodeStatus status;

	if (!frames_reserve(datagram))
		return false;
	decoded.emit = on_record;
	decoded.emit_arg = datagram;
	decoded.record = &record;
	decoded.tag = 0;
	decoded.reason = NULL;
	decoded.reply = reply;
	decoded.token[0] = decoded.mapping[0] = '\0';
	status = datagram->listener->config->adapter->decode(&datagram->session, frame, &decoded);
	if (status == DECODE_OK || datagram->frames[datagram->nframes].records > 0)
	{
		datagram->frames[datagram->nframes++].tag = decoded.tag;
		stats_inc(STAT_FRAMES);
	}
	switch (status)
	{
		case DECODE_OK:
		case DECODE_IGNORED:
		case DECODE_REPLY:
			return !datagram->overloaded;
		case DECODE_HELLO:
		case DECODE_END:
		case DECODE_BAD:
			return false;
	}
	return false;
}

static void
take_datagram(Datagram *datagram, size_t len)
{
	const Adapter *adapter = datagram->listener->config->adapter;
	Buf			reply = {0};
	size_t		at = 0;
	bool		good = true;

	while (at < len && good)
	{
		Frame		frame = {input + at, 0, NULL};

		switch (adapter->frame(&datagram->session, input + at, len - at, &frame))
		{
			case FRAME_READY:
				at += frame.length;
				good = take_frame(datagram, &frame, &reply);
				break;
			case FRAME_SKIP:
				stats_inc(STAT_FRAMES_SKIPPED);
				at += frame.length;
				break;
			case FRAME_MORE:
				stats_inc(STAT_FRAMES_CUT);
				at = len;
				break;
			case FRAME_BAD:
				good = false;
				break;
		}
	}
	if (!good)
		stats_inc(STAT_DATAGRAMS_BAD);
	send_answer(datagram, &reply);
	if (datagram->open == 0)
		datagram_finish(datagram);
}

static Datagram *
datagram_new(Listener *listener, const struct sockaddr_storage *peer, socklen_t peer_len)
{
	const ListenerConfig *config = listener->config;
	Datagram   *datagram = calloc(1, sizeof(*datagram));

	if (datagram == NULL)
		return NULL;
	datagram->next = datagrams;
	if (datagrams != NULL)
		datagrams->prev = datagram;
	datagrams = datagram;
	busy++;
	stats_gauge_set(GAUGE_DATAGRAMS, (double) busy);
	datagram->listener = listener;
	memcpy(&datagram->peer, peer, peer_len);
	datagram->peer_len = peer_len;
	datagram->session.authenticated = true;
	datagram->session.datagram = true;
	datagram->session.now_us = clock_unix_us();
	datagram->session.mapping = config_mapping(config->mapping_name);
	datagram->owner = sink_owner_new(&owner_ops, datagram);
	if (config->adapter->session_size > 0)
		datagram->session.state = calloc(1, config->adapter->session_size);
	if (datagram->owner == NULL || datagram->session.mapping == NULL ||
		(config->adapter->session_size > 0 && datagram->session.state == NULL))
	{
		datagram_free(datagram);
		return NULL;
	}
	return datagram;
}

static bool
allowed(const ListenerConfig *config, const struct sockaddr_storage *peer)
{
	unsigned char bytes[16] = {0};

	if (peer->ss_family == AF_INET)
	{
		bytes[10] = bytes[11] = 0xFF;
		memcpy(bytes + 12, &((const struct sockaddr_in *) peer)->sin_addr, 4);
	}
	else if (peer->ss_family == AF_INET6)
		memcpy(bytes, &((const struct sockaddr_in6 *) peer)->sin6_addr, 16);
	return config_allows(config, bytes);
}

/* What the kernel had no room for since we last heard of it. */
static void
count_overflows(Listener *listener, struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
		{
			uint32_t	overflows;

			memcpy(&overflows, CMSG_DATA(c), sizeof(overflows));
			stats_add(STAT_DATAGRAMS_LOST, overflows - listener->overflows);
			listener->overflows = overflows;
		}
}

static bool
may_read(void)
{
	return !drained && sink_was_up() && !sink_full() && busy < (size_t) cf->limit_datagrams;
}

static void
pause_reading(void)
{
	reading = false;
	for (Listener *listener = listeners; listener != NULL; listener = listener->next)
		event_del(listener->readable);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	Listener   *listener = arg;

	(void) what;
	for (int i = 0; i < READ_BUDGET; i++)
	{
		struct sockaddr_storage peer;
		struct iovec piece = {input, sizeof(input)};
		union
		{
			struct cmsghdr align;
			char		bytes[CMSG_SPACE(sizeof(uint32_t))];
		}			control;
		struct msghdr message = {
			.msg_name = &peer,.msg_namelen = sizeof(peer),.msg_iov = &piece,.msg_iovlen = 1,
			.msg_control = &control,.msg_controllen = sizeof(control)
		};
		Datagram   *datagram;
		ssize_t		n;

		if (!may_read())
		{
			if (!drained)
				stats_inc(STAT_PAUSES_SINK);
			pause_reading();
			return;
		}
		n = recvmsg(fd, &message, MSG_DONTWAIT);
		if (n < 0)
		{
			/* An answer that could not be delivered shows here, and is no matter of ours. */
			if (errno == EINTR || errno == ECONNREFUSED)
				continue;
			return;
		}
		stats_inc(STAT_DATAGRAMS);
		stats_add(STAT_BYTES_IN, (uint64_t) n);
		count_overflows(listener, &message);
		if (!allowed(listener->config, &peer))
		{
			stats_inc(STAT_REFUSED_NETWORK);
			continue;
		}
		datagram = datagram_new(listener, &peer, message.msg_namelen);
		if (datagram != NULL)
			take_datagram(datagram, (size_t) n);
	}
}

bool
udp_start(struct event_base *event_base, int fd, const ListenerConfig *config)
{
	Listener   *listener = calloc(1, sizeof(*listener));
	int			size = RECEIVE_BUFFER;
	int			on = 1;

	if (listener == NULL)
		return false;
	base = event_base;
	listener->config = config;
	listener->fd = fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
	listener->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, listener);
	if (listener->readable == NULL)
	{
		free(listener);
		return false;
	}
	listener->next = listeners;
	listeners = listener;
	return true;
}

void
udp_resume(void)
{
	if (reading || !may_read())
		return;
	reading = true;
	for (Listener *listener = listeners; listener != NULL; listener = listener->next)
		event_add(listener->readable, NULL);
}

void
udp_drain(void)
{
	drained = true;
	pause_reading();
}

size_t
udp_busy(void)
{
	return busy;
}

void
udp_stop(void)
{
	while (datagrams != NULL)
		datagram_free(datagrams);
	while (listeners != NULL)
	{
		Listener   *listener = listeners;

		listeners = listener->next;
		event_free(listener->readable);
		close(listener->fd);
		free(listener);
	}
}
