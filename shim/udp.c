/*
 * udp.c
 *	  Datagrams to records, outcomes to answers.
 */
#include "udp.h"

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
#include "gate.h"
#include "log.h"
#include "net.h"
#include "pseudonym.h"
#include "rate.h"
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
	size_t		len;
	/* Which of our addresses it came to: the answer leaves from there. */
	struct in6_pktinfo to6;
	struct in_pktinfo to4;
	int			to_family;		/* 0: not known */
	bool		decoding;		/* there may be more records to come */
	bool		refused;		/* no answer, for reason */
	StatCounter reason;
	const char *detail;			/* static text or NULL */
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

/* The first reason counts. */
static void
refuse(Datagram *datagram, StatCounter reason, const char *detail)
{
	if (datagram->refused)
		return;
	datagram->refused = true;
	datagram->reason = reason;
	datagram->detail = detail;
}

static void
count_refused(const ListenerConfig *config, const struct sockaddr_storage *from, StatCounter reason,
			  const char *detail)
{
	unsigned char address[16];
	char		peer[NET_PEER_MAX];

	stats_inc(reason);
	net_peer((const struct sockaddr *) from, address, peer, sizeof(peer));
	log_warning("datagram_refused", log_str("peer", peer), log_str("adapter", config->adapter->name),
				log_str("reason", stats_label(reason)), log_str("detail", detail));
}

/* Releases out.  One that finds no room is lost as any on the way may be. */
static void
send_answer(Datagram *datagram, Buf *out)
{
	struct iovec piece = {NULL, buf_len(out)};
	union
	{
		struct cmsghdr header;
		char		bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	}			control = {0};
	struct msghdr message = {
		.msg_name = &datagram->peer,.msg_namelen = datagram->peer_len,
		.msg_iov = &piece,.msg_iovlen = 1
	};

	if (buf_len(out) == 0)
		return;
	piece.iov_base = (void *) buf_data(out);
	if (datagram->to_family != 0)
	{
		bool		v6 = datagram->to_family == AF_INET6;
		size_t		size = v6 ? sizeof(datagram->to6) : sizeof(datagram->to4);

		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(size);
		control.header.cmsg_level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
		control.header.cmsg_type = v6 ? IPV6_PKTINFO : IP_PKTINFO;
		control.header.cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(&control.header), v6 ? (void *) &datagram->to6 : (void *) &datagram->to4, size);
	}
	if (buf_len(out) > datagram->len && buf_len(out) > UDP_ANSWER_MIN)
		stats_inc(STAT_DATAGRAM_ANSWERS_LONG);
	else if (sendmsg(datagram->listener->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
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

	if (datagram->refused)
		count_refused(datagram->listener->config, &datagram->peer, datagram->reason, datagram->detail);
	else if (datagram->nframes > 0 && adapter->ack != NULL)
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
	if (gate_is_refusal(outcome))
	{
		/* Unanswered: once the source is put right, it is sent again. */
		gate_shut((int32_t) datagram->listener->config->source);
		refuse(datagram, STAT_DATAGRAM_REFUSED_SOURCE, NULL);
	}
	else if (sink_over_quota(outcome))
	{
		rate_hold_source((int32_t) datagram->listener->config->source);
		refuse(datagram, STAT_DATAGRAM_REFUSED_QUOTA, NULL);
	}
	else if (outcome->verdict == SINK_REJECTED && outcome->seq <= datagram->nframes)
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

	if (datagram->open == 0 && !datagram->decoding)
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
	const ListenerConfig *config = datagram->listener->config;
	int32_t		source = (int32_t) config->source;
	AckFrame   *frame = &datagram->frames[datagram->nframes];
	Str			device = pseudonym_device(source, rec->device);

	if (datagram->refused)
		return;
	if (device.len > 0 && !config_allows_device(config, device.data, device.len))
		refuse(datagram, STAT_DATAGRAM_REFUSED_DEVICE, NULL);
	/* The first record decides; what was begun is taken whole. */
	else if (datagram->open == 0 && rate_wait_device(source, device) > 0)
		refuse(datagram, STAT_DATAGRAM_REFUSED_RATE, "device");
	else if (sink_submit(datagram->owner, datagram->nframes + 1, source, rec) != SINK_OK)
		refuse(datagram, STAT_DATAGRAM_REFUSED_OVERLOAD, "sink");
	else
	{
		if (frame->open++ == 0)
			datagram->open++;
		frame->records++;
		(void) rate_charge(source, device);
	}
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

/*
 * The rest cannot be followed.  What came before it stands, and is answered, lest
 * the device send it for ever.
 */
static bool
spoilt(const Datagram *datagram, const char *why)
{
	count_refused(datagram->listener->config, &datagram->peer, STAT_DATAGRAMS_BAD, why);
	return false;
}

/* One frame; false when the rest of the datagram is not looked at. */
static bool
take_frame(Datagram *datagram, const Frame *frame, Buf *reply)
{
	DecodeStatus status;
	Str			device = {datagram->session.device, 0};

	if (!frames_reserve(datagram))
		return spoilt(datagram, "too many frames");
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
	device.len = (uint32_t) strlen(device.data);
	device = pseudonym_device((int32_t) datagram->listener->config->source, device);
	if (device.len > 0 && !config_allows_device(datagram->listener->config, device.data, device.len))
		refuse(datagram, STAT_DATAGRAM_REFUSED_DEVICE, NULL);
	if (datagram->refused)
		return false;
	if (status == DECODE_HELLO)
		return spoilt(datagram, "authenticates");
	if (status == DECODE_BAD && decoded.reason != NULL && strcmp(decoded.reason, ADAPTER_OTHER_DEVICE) == 0)
		stats_inc(STAT_RECORDS_FOREIGN);
	if (status == DECODE_BAD)
		return spoilt(datagram, decoded.reason);
	return status != DECODE_END;
}

/* What no frame can be made of goes to quarantine as it came, and is no frame for ack(). */
static bool
quarantine(Datagram *datagram, const char *data, size_t len, const char *why)
{
	record_reset(&record);
	record.device = (Str) {datagram->session.device, (uint32_t) strlen(datagram->session.device)};
	record.received_at_us = datagram->session.now_us;
	record_set_defect(&record, "malformed", (Str) {0});
	record.raw = (Str) {data, (uint32_t) len};
	if (frames_reserve(datagram))
		on_record(datagram, &record);
	return spoilt(datagram, why);
}

static void
take_datagram(Datagram *datagram)
{
	const Adapter *adapter = datagram->listener->config->adapter;
	size_t		len = datagram->len;
	Buf			reply = {0};
	size_t		at = 0;
	bool		good = true;

	datagram->decoding = true;
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
				good = quarantine(datagram, input + at, len - at, "cut short");
				break;
			case FRAME_BAD:
				good = quarantine(datagram, input + at, len - at, frame.reason);
				break;
		}
	}
	datagram->decoding = false;
	if (datagram->refused)
		buf_release(&reply);
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
	datagram->session.no_sack = !config->sack;
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

/* Why it is not even looked at; STAT_COUNTERS: it is. */
static StatCounter
turn_away(const ListenerConfig *config, const struct sockaddr_storage *from, size_t len)
{
	unsigned char address[16];
	char		peer[NET_PEER_MAX];

	net_peer((const struct sockaddr *) from, address, peer, sizeof(peer));
	if (!config_allows(config, address))
		return STAT_DATAGRAM_REFUSED_NETWORK;
	if (!gate_is_open((int32_t) config->source))
		return STAT_DATAGRAM_REFUSED_SOURCE;
	if (len > (size_t) cf->limit_frame_bytes)
		return STAT_DATAGRAM_REFUSED_LONG;
	if (rate_wait_source((int32_t) config->source) > 0)
		return STAT_DATAGRAM_REFUSED_RATE;
	return STAT_COUNTERS;
}

/*
 * What the kernel tells beside it: which address it came to, and how many it had
 * no room for since we last heard of them.
 */
static void
read_control(Listener *listener, struct msghdr *message, Datagram *datagram)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL)
		{
			uint32_t	overflows;

			memcpy(&overflows, CMSG_DATA(c), sizeof(overflows));
			stats_add(STAT_DATAGRAMS_LOST, overflows - listener->overflows);
			listener->overflows = overflows;
		}
		else if (datagram == NULL)
			continue;
		else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
		{
			memcpy(&datagram->to4, CMSG_DATA(c), sizeof(datagram->to4));
			/* The route may lead back by another interface. */
			datagram->to4.ipi_ifindex = 0;
			datagram->to_family = AF_INET;
		}
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
		{
			memcpy(&datagram->to6, CMSG_DATA(c), sizeof(datagram->to6));
			if (!IN6_IS_ADDR_LINKLOCAL(&datagram->to6.ipi6_addr))
				datagram->to6.ipi6_ifindex = 0;
			datagram->to_family = AF_INET6;
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
			char		bytes[CMSG_SPACE(sizeof(uint32_t)) + CMSG_SPACE(sizeof(struct in_pktinfo)) +
							  CMSG_SPACE(sizeof(struct in6_pktinfo))];
		}			control;
		struct msghdr message = {
			.msg_name = &peer,.msg_namelen = sizeof(peer),.msg_iov = &piece,.msg_iovlen = 1,
			.msg_control = &control,.msg_controllen = sizeof(control)
		};
		Datagram   *datagram = NULL;
		StatCounter reason;
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
		reason = turn_away(listener->config, &peer, (size_t) n);
		if (reason == STAT_COUNTERS)
		{
			datagram = datagram_new(listener, &peer, message.msg_namelen);
			reason = STAT_DATAGRAM_REFUSED_OVERLOAD;
		}
		read_control(listener, &message, datagram);
		if (datagram != NULL)
		{
			datagram->len = (size_t) n;
			take_datagram(datagram);
		}
		else
			count_refused(listener->config, &peer, reason, NULL);
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
	/* One of them fits the socket's family. */
	setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
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
